// Package system_test runs tracker, peers and clients in one process, over
// real gRPC and real HTTP on a network in memory, on the virtual time of a
// testing/synctest bubble.
package system_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"ddm/client"
	"ddm/internal/origin/origintest"
	"ddm/internal/partfile/disk"
	"ddm/peer"
	"ddm/tracker"
)

const (
	originHost  = "93.184.216.34" // public, so that peers dial it
	trackerAddr = "tracker:7420"
	mib         = 1 << 20
)

// world is a LAN with an origin behind it.
type world struct {
	t      *testing.T
	net    *memnet
	origin *origintest.Server
	dir    string
	log    hclog.Logger
	lans   sync.Map                // *wire by address: of peers
	tap    func(net.Conn) net.Conn // laid over the client's connections to tracker and peers; nil: none
	disk   disk.Dir                // of the client; nil: the system's
}

// bubble runs do in a world of its own.
func bubble(t *testing.T, files map[string]origintest.File, do func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: newMemnet(), dir: t.TempDir()}
		w.log = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: testWriter{t}})
		if os.Getenv("DDM_TEST_LOG") != "" {
			w.log.SetLevel(hclog.Trace)
		}
		w.origin = origintest.Serve(t, w.net.listen(originHost+":80"), origintest.Options{Files: files})
		do(w)
		w.origin.Close()
	})
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// serve runs a server, and returns what ends it and waits for it.
func (w *world) serve(name string, run func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := run(ctx); err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// tracker starts a tracker and returns what ends it.
func (w *world) tracker() (stop func()) {
	w.t.Helper()
	srv, err := tracker.NewOn(tracker.Config{Heartbeat: 2 * time.Second, Lease: 6 * time.Second, Log: w.log.Named("tracker")}, w.net.listen(trackerAddr), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	end := w.serve("tracker", srv.Run)
	stop = sync.OnceFunc(func() {
		end()
		w.net.drop(trackerAddr)
	})
	w.t.Cleanup(stop)
	return stop
}

// helper is a peer and what its bytes go through.
type helper struct {
	name     string
	wan, lan *wire
	stop     func()
	detours  detours
}

// detours are addresses that are dialled in the place of others.
type detours struct{ sync.Map }

// of returns the address to dial.
func (d *detours) of(addr string) string {
	if other, ok := d.Load(addr); ok {
		addr, _ = other.(string)
	}
	return addr
}

// kill cuts every connection of the peer and lets nobody reach it again.
func (h *helper) kill(w *world) {
	w.net.drop(h.name + ":7430")
	for _, line := range []*wire{h.lan, h.wan} {
		line.setDead(true)
		line.cut()
	}
}

// peer starts a peer whose line brings rate bytes per second.
func (w *world) peer(name string, rate float64) *helper {
	w.t.Helper()
	h := &helper{name: name, wan: newWire(rate), lan: newWire(0)}
	w.lans.Store(name+":7430", h.lan)
	srv, err := peer.New(peer.Config{
		Name: name, Trackers: []string{trackerAddr}, Advertise: name + ":7430", Log: w.log.Named(name),
		Listener: w.net.listen(name + ":7430"),
		DialTracker: func(ctx context.Context, addr string) (net.Conn, error) {
			return h.lan.wrap(w.net.dial(ctx, addr))
		},
		DialOrigin: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return h.wan.wrap(w.net.dial(ctx, h.detours.of(addr)))
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	end := w.serve(name, srv.Run)
	h.stop = sync.OnceFunc(func() {
		h.wan.thaw()
		h.lan.thaw()
		end()
	})
	w.t.Cleanup(h.stop)
	return h
}

// user is a client on a machine of its own.
type user struct {
	w       *world
	wan     *wire
	c       *client.Client
	detours detours
}

func (w *world) user(rate float64, change func(*client.Options)) *user {
	w.t.Helper()
	u := &user{w: w, wan: newWire(rate)}
	opts := client.Options{Trackers: []string{trackerAddr}, Log: w.log.Named("client")}
	if change != nil {
		change(&opts)
	}
	var dir func(string) (disk.Dir, error)
	if w.disk != nil {
		dir = func(string) (disk.Dir, error) { return w.disk, nil }
	}
	c, err := client.NewOn(opts, client.Network{
		Dir: dir,
		Dial: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return u.wan.wrap(w.net.dial(ctx, u.detours.of(addr)))
		},
		LAN: w.dialPeer,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	u.c = c
	return u
}

func (w *world) dialPeer(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := w.net.dial(ctx, addr)
	if lan, ok := w.lans.Load(addr); ok {
		if lan, ok := lan.(*wire); ok {
			conn, err = lan.wrap(conn, err)
		}
	}
	if err == nil && w.tap != nil {
		conn = w.tap(conn)
	}
	return conn, err
}

// holds checks a finished file byte by byte, and that nothing else is left.
func (w *world) holds(name string, f origintest.File) {
	w.t.Helper()
	w.contains(name, f)
	w.clean()
}

// contains checks a finished file byte by byte.
func (w *world) contains(name string, f origintest.File) {
	w.t.Helper()
	got, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Error(err)
		return
	}
	if int64(len(got)) != f.Size || !f.Verify(got, 0) {
		w.t.Errorf("%s: %d bytes, wrong content or not %d", name, len(got), f.Size)
	}
}

// vacant checks that nothing has the final name, f.bin.
func (w *world) vacant() {
	w.t.Helper()
	if _, err := os.Lstat(filepath.Join(w.dir, "f.bin")); err == nil {
		w.t.Error("f.bin is there")
	}
}

// clean checks that nothing unfinished is left behind.
func (w *world) clean() {
	w.t.Helper()
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			w.t.Errorf("%s is left behind", e.Name())
		}
	}
}
