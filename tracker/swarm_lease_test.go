package tracker_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

// TestProbeIsReserved has two clients begin at the same instant: what the
// probe of the first one brings is not fetched by the second.
func TestProbeIsReserved(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		a := h.join("10.0.0.2")
		a.say(enterAs("a", ":1"))
		a.hear()
		b, entered := h.member("10.0.0.3", "b", ":1", nil, nil)
		if entered.GetOthers() != 1 {
			t.Errorf("entered: %v", entered)
		}
		b.say(wants(2 * mib))
		b.wantGranted(1, 3)
		a.say(bindTo("v1", nil, []*ddmv1.Run{run(0, 1)}))
		a.came("b")
		a.wantGranted(0, 1)
		b.came("a")

		c := h.join("10.0.0.4")
		c.say(enterAs("c", ":1"), bindTo("v1", nil, nil), wants(mib))
		c.hear()
		c.came("a", "b")
		c.wantGranted(3, 4)
		a.leave() // and what it fetched is free
		c.left("a")
		c.say(wants(mib))
		c.wantGranted(0, 1)
	})
}

// TestProbeThatNeverEnds keeps its bytes from others for a lease's time only.
func TestProbeThatNeverEnds(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		a := h.join("10.0.0.2")
		a.say(enterAs("a", ":1"))
		a.hear()
		b, _ := h.member("10.0.0.3", "b", ":1", []*ddmv1.Run{run(1, 64)}, nil)
		b.say(wants(mib))
		start := time.Now()
		b.wantGranted(0, 1)
		if d := time.Since(start); d < tracker.DefaultLease || d > tracker.DefaultLease+time.Second {
			t.Errorf("granted after %v", d)
		}
	})
}

func TestSilentMembersLoseTheirLeases(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		a, _ := h.member("10.0.0.2", "a", ":1", nil, []*ddmv1.Run{run(0, 4)})
		a.wantGranted(0, 4)
		b, _ := h.member("10.0.0.3", "b", ":1", []*ddmv1.Run{run(4, 64)}, nil)
		a.came("b")
		b.came("a")
		b.say(wants(8 * mib))
		start := time.Now()
		b.wantGranted(0, 2)
		if d := time.Since(start); d < tracker.DefaultLease || d > tracker.DefaultLease+time.Second {
			t.Errorf("granted after %v", d)
		}
		if got := set(a.hear().GetRevoked().GetRuns()); got.Bytes() != 4*mib {
			t.Errorf("revoked %v", slices.Collect(got.All()))
		}
	})
}

// TestTrackerRestarts has two members tell a tracker that knows nothing.
func TestTrackerRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, tracker.Config{})
		a, _ := h.member("10.0.0.2", "a", ":1", nil, nil)
		a.say(wants(8 * mib))
		a.wantGranted(0, 8)
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Recv(); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("the tracker ended: %v", err)
		}

		h = start(t, tracker.Config{})
		b, _ := h.member("10.0.0.3", "b", ":1", []*ddmv1.Run{run(6, 7)}, []*ddmv1.Run{run(8, 12)})
		b.wantGranted(8, 12)
		a, entered := h.member("10.0.0.2", "a", ":1", []*ddmv1.Run{run(0, 2)}, []*ddmv1.Run{run(2, 10)})
		if !entered.GetHeld() || entered.GetOthers() != 1 {
			t.Errorf("entered: %v", entered)
		}
		a.came("b")
		if got := a.granted(); got.Bytes() != 5*mib || got.Overlap(byterange.Between(6*mib, 7*mib)) > 0 {
			t.Errorf("granted again: %v", slices.Collect(got.All()))
		}
		b.came("a")
		b.say(wants(2 * mib))
		b.wantGranted(12, 14)
	})
}
