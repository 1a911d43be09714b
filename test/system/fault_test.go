package system_test

import (
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"ddm/internal/origin/origintest"
)

// TestFaultFigures strikes one of three peers in the middle of a download over
// four equal lines of 1 MiB/s: when it is noticed, how much later the download
// ends than it does without the fault, and what comes for nothing. Time is
// virtual and exact.
func TestFaultFigures(t *testing.T) {
	f := origintest.NewFile(48*mib, 70) // 12 s over four lines, 14.4 s if one of them goes in the middle
	for _, tc := range []struct {
		name    string
		strike  func(w *world, h *helper)
		noticed time.Duration // at most, after the strike; 0: nothing is said
		added   time.Duration // to the 12 s
		came    int64         // bytes more than the file has
	}{
		{name: "killed", strike: func(w *world, h *helper) { h.kill(w) }, noticed: time.Second, added: 4 * time.Second, came: 2 * mib},
		{name: "hung", strike: func(_ *world, h *helper) { h.lan.freeze() }, noticed: 3 * time.Second, added: 5 * time.Second, came: 4 * mib},
		{name: "its line hung", strike: func(_ *world, h *helper) { h.wan.freeze() }, noticed: 3 * time.Second, added: 5 * time.Second, came: 4 * mib},
		{name: "hears nothing", strike: func(w *world, h *helper) { w.deafen(h) }, noticed: 6 * time.Second, added: 6 * time.Second, came: 4 * mib},
		{name: "slow", strike: func(_ *world, h *helper) { h.wan.setRate(mib / 100) }, added: 5 * time.Second, came: 2 * mib},
		{name: "flapping", strike: flap, noticed: 3 * time.Second, added: 5 * time.Second, came: 6 * mib},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tap = w.muffle
				w.tracker()
				peers := []*helper{w.peer("a", mib), w.peer("b", mib), w.peer("c", mib)}
				a := &account{}
				var struck time.Time
				var moves int
				a.once(0.4, func() {
					struck, moves = time.Now(), len(a.moves)
					tc.strike(w, peers[0])
				})
				began := time.Now()
				if err := w.user(mib, nil).get("/f.bin", a); err != nil {
					w.t.Fatal(err, a.moves)
				}
				w.holds("f.bin", f)
				noticed := time.Duration(-1)
				if i := slices.IndexFunc(a.moves[moves:], func(m sourceChange) bool { return m.Name == "a" }); i >= 0 {
					noticed = a.movedAt[moves+i].Sub(struck)
				}
				added := time.Since(began) - 12*time.Second
				w.t.Logf("noticed after %v, %v later than without, %d bytes for nothing", noticed, added, a.done.Origin-f.Size)
				if tc.noticed > 0 && (noticed < 0 || noticed > tc.noticed) {
					w.t.Errorf("noticed after %v, want at most %v: %v", noticed, tc.noticed, a.moves)
				}
				if added > tc.added {
					w.t.Errorf("%v later, want at most %v: %v", added, tc.added, a.moves)
				}
				if came := a.done.Origin - f.Size; came > tc.came {
					w.t.Errorf("%d bytes came for nothing, want at most %d", came, tc.came)
				}
			})
		})
	}
}

// flap cuts a peer off every two seconds.
func flap(w *world, h *helper) {
	ctx := w.t.Context()
	time.AfterFunc(2*time.Second, func() {
		if ctx.Err() == nil {
			flap(w, h)
		}
	})
	h.lan.cut()
}

// muffled is a client's connection whose words may stop to arrive, while it
// still hears: a partition of one direction.
type muffled struct {
	net.Conn
	deaf *atomic.Bool
}

func (m muffled) Write(p []byte) (int, error) {
	if m.deaf.Load() {
		return len(p), nil
	}
	return m.Conn.Write(p)
}

// muffle wraps what the client dials.
func (w *world) muffle(c net.Conn) net.Conn {
	if wired, ok := c.(*wiredConn); ok {
		return muffled{c, &wired.w.deaf}
	}
	return c
}

// deafen lets a peer hear nothing of clients any more.
func (w *world) deafen(h *helper) { h.lan.deaf.Store(true) }
