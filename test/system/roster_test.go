package system_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/origin/origintest"
	ddmv1 "ddm/proto/ddm/v1"
)

// TestTenThousandPeers: a client uses a bounded number of them at a time, and
// finds the living among the dead.
func TestTenThousandPeers(t *testing.T) {
	f := origintest.NewFile(4*mib, 30)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		b := w.book(trackerAddr)
		b.join(w.liar("honest", &liar{file: f, rate: mib}))
		var crowd []*ddmv1.PeerInfo
		for i := range 10_000 {
			crowd = append(crowd, peerAt(fmt.Sprintf("p%d", i), fmt.Sprintf("p%d:7430", i)))
		}
		b.join(crowd...)
		a := &account{}
		if err := w.user(mib/4, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		_, addrs := w.net.dials("")
		w.t.Log(a, a.notes, addrs, "addresses dialled in", a.done.Elapsed)
		if most := 64 * (2 + int(a.done.Elapsed.Seconds()*2)); addrs > most {
			w.t.Errorf("%d addresses were dialled in %v, want at most %d", addrs, a.done.Elapsed, most)
		}
		if !a.noted("10001 peers are here") {
			w.t.Errorf("nobody says that not all are used: %q", a.notes)
		}
	})
}

// TestCrowdOfSwallowers: peers that never answer hold up nobody who does.
func TestCrowdOfSwallowers(t *testing.T) {
	f := origintest.NewFile(16*mib, 31)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		b := w.book(trackerAddr)
		var crowd []*ddmv1.PeerInfo
		for i := range 80 {
			p := peerAt(fmt.Sprintf("p%d", i), fmt.Sprintf("p%d:7430", i))
			w.net.swallow(p.GetAddress())
			crowd = append(crowd, p)
		}
		crowd = append(crowd, w.liar("honest", &liar{file: f, rate: 4 * mib}))
		b.join(crowd...)
		a := &account{}
		if err := w.user(mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		w.t.Log(a)
		if a.done.Elapsed > 13*time.Second || a.brought("honest") == 0 {
			w.t.Errorf("the one peer that works was kept waiting: %v", a)
		}
	})
}

// TestRoster is what trackers may say of one honest peer, called p.
func TestRoster(t *testing.T) {
	f := origintest.NewFile(6*mib, 32)
	const second = "second:7420"
	for _, tc := range []struct {
		name    string
		two     bool
		before  func(w *world, one, two *book, p *ddmv1.PeerInfo)
		midway  func(w *world, one, two *book, p *ddmv1.PeerInfo)
		streams int32 // opened to p; 0: any
		none    bool  // p is not used
	}{
		{name: "named by two trackers", two: true, streams: 1, before: func(_ *world, one, two *book, p *ddmv1.PeerInfo) {
			one.join(p)
			two.join(p)
		}},
		{name: "told again and again", streams: 1, before: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) {
			one.join(p, p, p)
		}, midway: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) { one.join(p, p) }},
		{name: "no address", none: true, before: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) {
			one.join(&ddmv1.PeerInfo{Id: p.GetId(), Name: "p"})
		}},
		{name: "strange addresses", none: true, before: func(_ *world, one, _ *book, _ *ddmv1.PeerInfo) {
			for i, addr := range []string{":", "nowhere", "unix:///etc/passwd", "\x00:1", "a:b:c", "[::1", "dns:///x:1", strings.Repeat("x", 10_000) + ":1"} {
				one.join(peerAt(fmt.Sprint("odd", i), addr))
			}
		}},
		{name: "no id", before: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) {
			one.join(&ddmv1.PeerInfo{Address: p.GetAddress(), Name: "p"})
		}},
		{name: "no peer in a change", before: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) {
			one.join(nil, p, nil)
			one.expire(nil)
			one.add(99, p)
		}},
		{name: "comes late", before: func(*world, *book, *book, *ddmv1.PeerInfo) {}, midway: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) {
			one.join(p)
		}},
		{
			name: "expired while it works", streams: 1, before: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) { one.join(p) },
			midway: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) { one.expire(p) },
		},
		{name: "expired and back", streams: 1, before: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) {
			one.join(p)
			one.expire(p)
			one.join(p)
		}, midway: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) {
			one.expire(p)
			one.join(p)
		}},
		{name: "one tracker loses sight of it", two: true, before: func(_ *world, one, two *book, p *ddmv1.PeerInfo) {
			one.join(p)
			two.join(p)
			one.expire(p)
		}},
		{name: "one tracker is away", two: true, before: func(w *world, one, _ *book, p *ddmv1.PeerInfo) {
			w.net.swallow(second)
			one.join(p)
		}},
		{name: "restarts elsewhere", before: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) {
			old := peerAt("p", "gone:7430")
			one.join(old)
			one.join(&ddmv1.PeerInfo{Id: p.GetId(), Name: "p", BootId: "second", Address: p.GetAddress()})
		}},
		{
			name: "the tracker ends", streams: 1, before: func(_ *world, one, _ *book, p *ddmv1.PeerInfo) { one.join(p) },
			midway: func(w *world, _, _ *book, _ *ddmv1.PeerInfo) { w.net.swallow(trackerAddr) },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				l := &liar{file: f, rate: mib}
				p := w.liar("p", l)
				one, two := w.book(trackerAddr), w.book(second)
				tc.before(w, one, two, p)
				u := w.user(mib, func(o *client.Options) {
					if tc.two {
						o.Trackers = append(o.Trackers, second)
					}
				})
				a := &account{}
				if tc.midway != nil {
					a.once(0.3, func() { tc.midway(w, one, two, p) })
				}
				if err := u.get("/f.bin", a); err != nil {
					w.t.Fatal(err)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.moves)
				if tc.streams > 0 && l.begun.Load() != tc.streams {
					w.t.Errorf("%d streams were opened to it, want %d", l.begun.Load(), tc.streams)
				}
				if got := a.brought("p"); (got == 0) != tc.none {
					w.t.Errorf("it brought %d bytes", got)
				}
			})
		})
	}
}

// TestPeerComesBack: a peer whose machine restarts in the middle helps again.
func TestPeerComesBack(t *testing.T) {
	f := origintest.NewFile(16*mib, 33)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		h := w.peer("p", mib)
		a := &account{}
		a.once(0.25, func() {
			go func() {
				h.stop()
				time.Sleep(3 * time.Second)
				w.peer("p", mib)
			}()
		})
		if err := w.user(mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.moves)
		joined := 0
		for _, m := range a.moves {
			if m.Change == "joined" {
				joined++
			}
		}
		if joined != 2 || len(a.done.Sources) != 2 {
			w.t.Errorf("it joined %d times and is listed as %v", joined, a.done.Sources)
		}
	})
}

// TestPeerGoesAway ends a peer in the middle, as its owner would: it finishes
// what it can in the time that it has, and nothing is fetched again.
func TestPeerGoesAway(t *testing.T) {
	f := origintest.NewFile(48*mib, 34)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		h := w.peer("p", mib)
		a := &account{}
		took := make(chan time.Duration, 1)
		a.once(0.4, func() {
			go func() {
				began := time.Now()
				h.stop()
				took <- time.Since(began)
			}()
		})
		if err := w.user(mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.moves)
		if d := <-took; d > 8*time.Second {
			w.t.Errorf("it took %v to go", d)
		}
		if a.done.Reassigned != 0 || a.done.Duplicate != 0 {
			w.t.Errorf("%d ranges were given to others, %d bytes came twice", a.done.Reassigned, a.done.Duplicate)
		}
		if reason, left := a.reasonOf("p", "left"); !left || !strings.Contains(reason, "going away") {
			w.t.Errorf("left %v: %s", left, reason)
		}
	})
}
