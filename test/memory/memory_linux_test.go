package memory_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"ddm/internal/origin/origintest"
	"ddm/test/program"
)

const (
	mib = 1 << 20

	most    = 128 * mib // that a program may ever have in memory
	streams = 8         // of the client that many peers serve, of the peer that serves many clients
)

var programs program.Set

func TestMain(m *testing.M) {
	code := m.Run()
	programs.Remove()
	os.Exit(code)
}

// fleet is an origin, a tracker and peers whose line is an address of this
// machine each.
type fleet struct {
	origin  *origintest.Server
	file    origintest.File
	tracker string
	peers   []*meter
}

func newFleet(t *testing.T, peers int, size int64, throttle origintest.Throttle) *fleet {
	t.Helper()
	f := &fleet{origin: origintest.New(t, origintest.Options{Throttle: throttle}), file: origintest.NewFile(size, 1)}
	f.origin.Set("/f.bin", f.file)
	_, f.tracker = programs.Tracker(t)
	for i := range peers {
		f.peers = append(f.peers, watch(t, fmt.Sprintf("peer %d", i), programs.Peer(t, f.tracker, fmt.Sprintf("peer%d", i), fmt.Sprintf("127.0.0.%d", i+2))))
	}
	programs.AwaitPeers(t, f.tracker, peers)
	return f
}

// args are those of a client that uses the peers alone.
func (f *fleet) args(more ...string) []string {
	return append(append([]string{"--insecure", "--tracker", f.tracker, "--no-local"}, more...), f.origin.URL+"/f.bin")
}

// meter follows the memory of a process.
type meter struct {
	*program.Process
	name string

	mu   sync.Mutex
	peak int64 // bytes
}

// watch begins to follow a process, up to its end.
func watch(t *testing.T, name string, p *program.Process) *meter {
	t.Helper()
	m := &meter{Process: p, name: name}
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for !p.Ended() {
			m.look()
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	t.Cleanup(func() { close(stop); watcher.Wait() })
	return m
}

// look asks the kernel for the most that was ever resident, and keeps it: an
// ended process has no answer any more.
func (m *meter) look() {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.PID()))
	if err != nil {
		return // it ended this moment
	}
	_, rest, _ := bytes.Cut(text, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.peak = max(m.peak, kib<<10)
}

// check judges the memory of some processes.
func check(t *testing.T, meters ...*meter) {
	t.Helper()
	for _, m := range meters {
		m.mu.Lock()
		peak := m.peak
		m.mu.Unlock()
		t.Logf("%s: %.1f MiB", m.name, float64(peak)/mib)
		if peak == 0 || peak > most {
			t.Errorf("%s had %.1f MiB in memory, which is to be at most %d", m.name, float64(peak)/mib, most/mib)
		}
	}
}

// large is the size of the file that must not matter.
func large(t *testing.T) int64 {
	t.Helper()
	text := os.Getenv("DDM_MEMORY_SIZE")
	if text == "" {
		return 1 << 30
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < mib {
		t.Fatalf("DDM_MEMORY_SIZE=%q: want a number of bytes", text)
	}
	return n
}

// TestLargeFile: eight peers at once, as fast as they come, into a file.
func TestLargeFile(t *testing.T) {
	f := newFleet(t, streams, large(t), origintest.Throttle{PerClient: 48 * mib})
	dir := t.TempDir()
	c := watch(t, "client", program.Start(t, programs.Path(t, "ddm-client"), f.args("--json", "--dir", dir)...))
	if status := c.Wait(t); status != 0 {
		t.Fatalf("exit %d", status)
	}
	done, _ := c.Event("done")
	helped := 0
	for _, s := range done.Sources {
		if s.Kind == "peer" && s.Bytes > 0 {
			helped++
		}
	}
	if helped != streams {
		t.Errorf("%d of %d peers brought something: %v", helped, streams, done.Sources)
	}
	saved, err := os.Open(filepath.Join(dir, "f.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer saved.Close()
	same(t, f.file, saved)
	check(t, append(f.peers, c)...)
}

// same compares what was saved with the file.
func same(t *testing.T, f origintest.File, saved io.Reader) {
	t.Helper()
	page := make([]byte, mib)
	for off := int64(0); ; {
		n, err := io.ReadFull(saved, page)
		if !f.Verify(page[:n], off) {
			t.Fatalf("wrong bytes at or soon after %d", off)
		}
		off += int64(n)
		switch {
		case err == nil:
		case off == f.Size:
			return
		default:
			t.Fatalf("ends after %d bytes of %d: %v", off, f.Size, err)
		}
	}
}

// reader takes bytes at a pace and compares them with a file.
type reader struct {
	file origintest.File
	pace *rate.Limiter
	off  int64
}

func (r *reader) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		n := min(len(p)-i, r.pace.Burst())
		wait := r.pace.ReserveN(time.Now(), n).Delay()
		<-time.After(wait)
		if !r.file.Verify(p[i:i+n], r.off) {
			return i, fmt.Errorf("wrong bytes at or soon after %d", r.off)
		}
		r.off += int64(n)
		i += n
	}
	return len(p), nil
}

// TestSlowDisk: eight peers could bring much more than is written. The limit
// blocks writers as a disk does that cannot follow.
func TestSlowDisk(t *testing.T) {
	f := newFleet(t, streams, 256*mib, origintest.Throttle{PerClient: 96 * mib})
	dir := t.TempDir()
	c := watch(t, "client", program.Start(t, programs.Path(t, "ddm-client"), f.args("--dir", dir, "--limit-rate", "64MiB")...))
	if status := c.Wait(t); status != 0 {
		t.Fatalf("exit %d", status)
	}
	check(t, append(f.peers, c)...)
}

// TestSlowReader: eight peers could bring much more than what reads the
// client's output takes, so that bytes wait for those before them.
func TestSlowReader(t *testing.T) {
	f := newFleet(t, streams, 256*mib, origintest.Throttle{PerClient: 48 * mib})
	r := &reader{file: f.file, pace: rate.NewLimiter(64*mib, 64<<10)}
	c := watch(t, "client", program.StartInto(t, r, programs.Path(t, "ddm-client"), f.args("--output", "-")...))
	if status := c.Wait(t); status != 0 {
		t.Fatalf("exit %d", status)
	}
	if r.off != f.file.Size {
		t.Errorf("%d bytes were written, want %d", r.off, f.file.Size)
	}
	check(t, append(f.peers, c)...)
}

// TestManyClients: eight clients at one peer, on an origin that makes each of
// them use as many connections as there are; half of them are stopped in the
// middle and take nothing any more.
func TestManyClients(t *testing.T) {
	f := newFleet(t, 1, 128*mib, origintest.Throttle{PerConn: 4 * mib})
	var clients []*meter
	for i := range streams {
		c := watch(t, fmt.Sprintf("client %d", i), program.Start(t, programs.Path(t, "ddm-client"), f.args("--json", "--dir", t.TempDir())...))
		clients = append(clients, c)
	}
	stopped, going := clients[:streams/2], clients[streams/2:]
	start := f.origin.Sent()
	if !stopped[0].Until(t, "a quarter was sent", func() bool { return f.origin.Sent()-start > streams*f.file.Size/4 }) {
		t.Fatal("a client ended early")
	}
	for _, c := range stopped {
		c.Signal(syscall.SIGSTOP)
	}
	for _, c := range going {
		if status := c.Wait(t); status != 0 {
			t.Errorf("%s: exit %d", c.name, status)
		}
	}
	for _, c := range stopped {
		if c.Ended() {
			t.Errorf("%s ended before it could be stopped", c.name)
		}
	}
	check(t, append(f.peers, clients...)...)
}
