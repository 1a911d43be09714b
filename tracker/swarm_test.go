package tracker_test

import (
	"testing"
	"time"

	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

func TestSwarm(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		a, first := h.member("10.0.0.2", "a", ":7000", nil, nil)
		b, second := h.member("10.0.0.3", "b", "10.9.9.9:7001", []*ddmv1.Run{run(8, 10)}, nil)
		if first.GetOthers() != 0 || first.GetHeld() || second.GetOthers() != 1 || second.GetHeld() || first.GetHello().GetVersion() != "1.2.3" {
			t.Errorf("entered: %v, then %v", first, second)
		}
		if m := a.came("b")[0]; m.GetAddress() != "10.9.9.9:7001" || m.GetName() != "box b" || m.GetPeer() {
			t.Errorf("came %v", m)
		}
		if m := b.came("a")[0]; m.GetAddress() != "10.0.0.2:7000" {
			t.Errorf("came %v", m)
		}
		a.say(wants(7 * mib))
		a.wantGranted(0, 7)
		b.say(wants(mib))
		b.wantGranted(7, 8)
		a.say(reports(run(0, 7)))
		_, third := h.member("10.0.0.4", "c", ":1", nil, nil)
		if third.GetOthers() != 2 || !third.GetHeld() {
			t.Errorf("entered: %v", third)
		}
		a.came("c")
		b.came("c")
		a.leave()
		b.left("a")
		b.say(wants(2*mib), &ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Release{Release: &ddmv1.Release{Runs: []*ddmv1.Run{run(0, 1)}}}})
		b.wantGranted(0, 2) // only the one that left had them
	})
}

// TestGenerationsAreApart has members of two generations, and of none.
func TestGenerationsAreApart(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		a, _ := h.member("10.0.0.2", "a", ":7000", nil, nil)
		b := h.join("10.0.0.3")
		b.say(enterAs("b", ":1"), bindTo("v2", nil, nil))
		if e := b.hear().GetEntered(); e.GetOthers() != 1 {
			t.Errorf("entered: %v", e)
		}
		a.say(wants(2 * mib))
		a.wantGranted(0, 2)
		b.say(wants(2 * mib))
		b.wantGranted(0, 2)
		a.silent(0)
		b.silent(0)
	})
}

func TestNotSharing(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		a, _ := h.member("10.0.0.2", "a", "", []*ddmv1.Run{run(0, 32)}, nil)
		b, entered := h.member("10.0.0.3", "b", ":7001", nil, nil)
		if entered.GetOthers() != 0 || entered.GetHeld() {
			t.Errorf("one that does not share is in %v", entered)
		}
		a.came("b")
		a.say(wants(2 * mib))
		a.wantGranted(32, 34)
		b.say(wants(2 * mib))
		b.wantGranted(0, 2)
		a.leave()
		b.silent(0)
	})
}

func TestPeersHold(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		holds := func(tag string, runs ...*ddmv1.Run) *ddmv1.Holding {
			return &ddmv1.Holding{Key: hash("url"), Generation: hash(tag), Size: size, Runs: runs}
		}
		c := h.from("10.0.0.9", "10.0.0.1")
		req := request("keeper")
		req.Holdings = []*ddmv1.Holding{holds("v1", run(0, 60)), holds("v0", run(0, 64))}
		lease := must(c.Register(t.Context(), req))(h).GetLeaseId()
		beat := func(holdings ...*ddmv1.Holding) {
			t.Helper()
			must(c.Heartbeat(t.Context(), &ddmv1.HeartbeatRequest{LeaseId: lease, Holdings: holdings}))(h)
		}
		a, entered := h.member("10.0.0.2", "a", ":1", nil, nil)
		if !entered.GetHeld() || entered.GetOthers() != 0 {
			t.Errorf("entered: %v", entered)
		}
		if m := a.came("keeper")[0]; !m.GetPeer() || m.GetAddress() != "10.0.0.9:7430" || m.GetName() != "box keeper" {
			t.Errorf("came %v", m)
		}
		a.say(wants(mib))
		a.wantGranted(60, 61)
		beat(holds("v1", run(1, 61)), holds("v0"))
		a.say(reports(run(60, 61)), wants(mib))
		a.wantGranted(0, 1)
		beat(holds("v1"))
		a.left("keeper")
		a.say(wants(mib))
		a.wantGranted(1, 2)
		beat(holds("v1", run(0, 64)))
		a.came("keeper")
		a.say(wants(mib))
		a.silent(time.Second)
	})
}

// TestPeersLease has what a peer holds go with its lease.
func TestPeersLease(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		req := request("keeper")
		req.Holdings = []*ddmv1.Holding{{Key: hash("url"), Generation: hash("v1"), Size: size, Runs: []*ddmv1.Run{run(0, 64)}}}
		must(h.client().Register(t.Context(), req))(h)
		a, _ := h.member("10.0.0.2", "a", ":1", nil, nil)
		a.came("keeper")
		a.say(wants(mib))
		a.left("keeper")
		a.wantGranted(0, 1)
		if _, entered := h.member("10.0.0.3", "b", "", nil, nil); entered.GetHeld() {
			t.Errorf("entered: %v", entered)
		}
	})
}
