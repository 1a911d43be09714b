package system_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ddm/client"
	"ddm/cmd/peerd/receive"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/internal/origin/origintest"
	"ddm/internal/shares"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

// receiver is a machine whose owner takes pushed files.
type receiver struct {
	w    *world
	name string
	dir  string
	lan  *wire // its LAN port, towards those who fetch from it
	down *wire // the same, towards it
	stop func()
}

// receiver starts one; with takes false it takes nothing.
func (w *world) receiver(name string, rate float64, takes bool) *receiver {
	w.t.Helper()
	r := &receiver{w: w, name: name, dir: w.t.TempDir(), lan: newWire(rate), down: newWire(rate)}
	addr := name + ":7430"
	w.lans.Store(addr, r.lan)
	shelf := offer.NewShelf()
	log := w.log.Named(name)
	engine, err := client.NewOn(client.Options{
		Trackers: []string{trackerAddr}, NoLocal: true, Log: log,
		Share: &client.Sharing{Shelf: shelf, Name: name, Serve: func() (string, error) { return addr, nil }},
	}, client.Network{LAN: func(ctx context.Context, addr string) (net.Conn, error) { return r.down.wrap(w.dialPeer(ctx, addr)) }})
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := peer.Config{
		Name: name, Trackers: []string{trackerAddr}, Advertise: addr, Log: log, Shelf: shelf,
		Listener: w.net.listen(addr), DialTracker: func(ctx context.Context, addr string) (net.Conn, error) { return w.net.dial(ctx, addr) },
	}
	if takes {
		cfg.Receiver = &receive.Folder{Dir: r.dir, Engine: engine}
	}
	srv, err := peer.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	end := w.serve(name, srv.Run)
	r.stop = sync.OnceFunc(func() {
		end()
		_ = engine.Close()
		shelf.Close()
	})
	w.t.Cleanup(r.stop)
	return r
}

// dies cuts every connection of the machine.
func (r *receiver) dies() {
	r.w.net.drop(r.name + ":7430")
	for _, line := range []*wire{r.lan, r.down} {
		line.setDead(true)
		line.cut()
	}
}

// has checks its copy byte by byte.
func (r *receiver) has(f origintest.File) {
	r.w.t.Helper()
	got, err := os.ReadFile(filepath.Join(r.dir, "f.bin"))
	if err != nil || int64(len(got)) != f.Size || !f.Verify(got, 0) {
		r.w.t.Errorf("%s: %d bytes, wrong content or not %d: %v", r.name, len(got), f.Size, err)
	}
	r.only("f.bin")
}

// only checks that nothing else is in its folder.
func (r *receiver) only(names ...string) {
	r.w.t.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		r.w.t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(names, e.Name()) {
			r.w.t.Errorf("%s: %s is left behind", r.name, e.Name())
		}
	}
}

// put lays a file into its folder.
func (r *receiver) put(name string, content []byte) {
	r.w.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), content, 0o600); err != nil {
		r.w.t.Fatal(err)
	}
}

// pusher hands out f.bin.
type pusher struct {
	*user
	holder *sharer
	found  *client.Shared
	f      origintest.File
	a      *account
}

func (w *world) pusher(f origintest.File, rate float64) *pusher {
	w.t.Helper()
	p := &pusher{f: f, holder: w.sharer("pusher", w.folder("f.bin", f), rate), user: w.user(1, nil), a: &account{}}
	p.found = p.listed("ddm:f.bin", 1)
	p.holder.lan.passed.Store(0)
	return p
}

// push pushes to so many registered peers, and returns what became of each by
// name.
func (p *pusher) push(ctx context.Context, n int) map[string]client.Pushed {
	t := p.w.t
	t.Helper()
	var peers []*ddmv1.PeerInfo
	for range 100 {
		var err error
		if peers, err = p.c.Receivers(t.Context(), nil); err == nil && len(peers) == n {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if len(peers) != n {
		t.Fatalf("%d peers are registered", len(peers))
	}
	byName := map[string]client.Pushed{}
	for _, r := range p.c.Push(ctx, *p.found, peers, p.a) {
		byName[r.Name] = r
	}
	return byName
}

// copies is how often the file left the machine that pushes it.
func (p *pusher) copies() float64 { return float64(p.holder.lan.passed.Load()) / float64(p.f.Size) }

func (w *world) receivers(n int, rate float64) []*receiver {
	var list []*receiver
	for i := range n {
		list = append(list, w.receiver(fmt.Sprint("r", i), rate, true))
	}
	return list
}

// TestPush gives eight machines a copy: each byte leaves the pusher about once,
// all have it soon, and all offer it then.
func TestPush(t *testing.T) {
	const rate = 12.5e6
	f := origintest.NewFile(48*mib+5, 31)
	bubble(t, nil, func(w *world) {
		w.tracker()
		list := w.receivers(8, rate)
		p := w.pusher(f, rate)
		began := time.Now()
		for name, got := range p.push(w.t.Context(), 8) {
			if got.Err != nil || got.Already || got.Bytes != f.Size {
				w.t.Errorf("%s: %+v", name, got)
			}
		}
		took := time.Since(began).Seconds()
		bound := float64(f.Size) / rate
		w.t.Logf("%.3f copies, %.2f s of %.2f s", p.copies(), took, bound)
		for _, r := range list {
			r.has(f)
		}
		if p.copies() > 1.1 || took > 1.4*bound {
			w.t.Errorf("%.3f copies left the pusher, it took %.2f s of %.2f s", p.copies(), took, bound)
		}
		last := p.a.snaps[len(p.a.snaps)-1]
		if len(last.Sources) != 8 || last.Bytes != 8*f.Size || last.Size != last.Bytes || last.Sources[0].State != "complete" {
			w.t.Errorf("at the end %+v", last)
		}
		if all := p.listed("ddm:f.bin", 9); all.Count != 9 {
			w.t.Errorf("%d offer it", all.Count)
		}
	})
}

// TestPushAndThoseWhoDoNotGetIt: whoever takes nothing, has it, has another file
// of that name or dies holds up nobody, and is named.
func TestPushAndThoseWhoDoNotGetIt(t *testing.T) {
	f := origintest.NewFile(24*mib, 32)
	bubble(t, nil, func(w *world) {
		w.tracker()
		list := w.receivers(3, 10e6)
		w.receiver("nothing", 0, false)
		has := w.receiver("already", 0, true)
		b := make([]byte, f.Size)
		f.Fill(b, 0)
		has.put("f.bin", b)
		other := w.receiver("other", 0, true)
		other.put("f.bin", []byte("mine"))
		dies := w.receiver("dies", 10e6, true)
		p := w.pusher(f, 10e6)
		p.a.once(0.5, dies.dies)
		got := p.push(w.t.Context(), 7)
		for _, r := range list {
			if got[r.name].Err != nil {
				w.t.Errorf("%s: %v", r.name, got[r.name].Err)
			}
			r.has(f)
		}
		has.has(f)
		for name, kind := range map[string]error{"nothing": errdefs.Refused, "other": errdefs.Exists, "dies": errdefs.Unavailable} {
			if err := got[name].Err; !errors.Is(err, kind) || strings.Contains(err.Error(), os.TempDir()) {
				w.t.Errorf("%s: %v", name, err)
			}
		}
		if r := got["already"]; r.Err != nil || !r.Already {
			w.t.Errorf("already: %+v", r)
		}
		if mine, err := os.ReadFile(filepath.Join(other.dir, "f.bin")); err != nil || string(mine) != "mine" {
			w.t.Errorf("a file was replaced: %q, %v", mine, err)
		}
		w.t.Logf("%.3f copies", p.copies())
	})
}

// TestPushAgain is interrupted in the middle: what arrived is kept, and only the
// rest comes the next time.
func TestPushAgain(t *testing.T) {
	f := origintest.NewFile(24*mib, 33)
	bubble(t, nil, func(w *world) {
		w.tracker()
		list := w.receivers(3, 5e6)
		p := w.pusher(f, 5e6)
		ctx, interrupt := context.WithCancel(w.t.Context())
		p.a.once(0.6, interrupt)
		for name, got := range p.push(ctx, 3) {
			if !errors.Is(got.Err, context.Canceled) {
				w.t.Errorf("%s: %v", name, got.Err)
			}
		}
		time.Sleep(5 * time.Second) // they end, and write down what they have
		sent := p.copies()
		p.a = &account{}
		for name, got := range p.push(w.t.Context(), 3) {
			if got.Err != nil || got.Already {
				w.t.Errorf("%s: %+v", name, got)
			}
		}
		for _, r := range list {
			r.has(f)
		}
		if first := p.a.snaps[2].Bytes; first < f.Size {
			w.t.Errorf("the second push began with %d bytes", first)
		}
		if p.copies() > 1.2 {
			w.t.Errorf("%.3f copies, and %.3f before", p.copies(), sent)
		}
	})
}

// TestPushWithoutItsTracker loses the tracker in the middle: those who know each
// other by then go on.
func TestPushWithoutItsTracker(t *testing.T) {
	f := origintest.NewFile(24*mib, 34)
	bubble(t, nil, func(w *world) {
		stop := w.tracker()
		list := w.receivers(4, 5e6)
		p := w.pusher(f, 5e6)
		p.a.once(0.3, func() { go stop() })
		for name, got := range p.push(w.t.Context(), 4) {
			if got.Err != nil {
				w.t.Errorf("%s: %v", name, got.Err)
			}
		}
		for _, r := range list {
			r.has(f)
		}
		w.t.Logf("%.3f copies", p.copies())
		if p.copies() > 2 {
			w.t.Errorf("%.3f copies left the pusher", p.copies())
		}
	})
}

// TestPushAmongLiars: one who gets the file too gives the others wrong bytes of
// it. No copy is ever wrong.
func TestPushAmongLiars(t *testing.T) {
	f := origintest.NewFile(16*mib, 35)
	bubble(t, nil, func(w *world) {
		w.tracker()
		list := w.receivers(3, 5e6)
		p := w.pusher(f, 5e6)
		item := shares.Item{SHA256: p.found.SHA256, Size: f.Size, Name: "f.bin"}
		served := offer.NewShelf()
		withdraw, _ := served.Put(item.URL(), item.Generation(), forged{origintest.NewFile(f.Size, 4711)})
		liar := w.swarmerWith("liar", 1, 5e6, offer.NewShelf(), served, nil)
		w.t.Cleanup(withdraw)
		liar.job = client.Job{Shared: p.found, Dir: liar.dir, Output: "f.bin"}
		liar.a.retracted, liar.a.replaced = true, true // of what others passed on
		var lying sync.WaitGroup
		lying.Go(liar.get)
		p.a.retracted = true
		got := p.push(w.t.Context(), 3)
		lying.Wait()
		for _, r := range list {
			switch err := got[r.name].Err; {
			case err == nil:
				r.has(f)
			case !errors.Is(err, errdefs.Corrupt):
				w.t.Errorf("%s: %v", r.name, err)
			default: // two have the file then, and nobody can say who is right
				r.only(".f.bin.ddm-part", ".f.bin.ddm-journal")
			}
		}
	})
}
