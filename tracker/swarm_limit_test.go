package tracker_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

func TestProtocolErrors(t *testing.T) {
	bind := bindTo("v1", nil, nil)
	for _, tt := range []struct {
		name string
		say  []*ddmv1.JoinRequest
	}{
		{"nothing in it", []*ddmv1.JoinRequest{{}}},
		{"bind first", []*ddmv1.JoinRequest{bind}},
		{"enter twice", []*ddmv1.JoinRequest{enterAs("a", ":1"), enterAs("a", ":1")}},
		{"want before bind", []*ddmv1.JoinRequest{enterAs("a", ":1"), wants(mib)}},
		{"bind twice", []*ddmv1.JoinRequest{enterAs("a", ":1"), bind, bind}},
		{"address", []*ddmv1.JoinRequest{enterAs("a", "nowhere")}},
		{"another's loopback", []*ddmv1.JoinRequest{enterAs("a", "127.0.0.1:7")}},
		{"beyond the end", []*ddmv1.JoinRequest{enterAs("a", ":1"), bind, reports(run(63, 65))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
				j := h.join("10.0.0.2")
				for _, req := range tt.say {
					_ = j.Send(req) // the stream may be over
				}
				for {
					if _, err := j.Recv(); err == nil {
						continue
					} else if !errors.Is(err, errdefs.Invalid) {
						t.Errorf("%v", err)
					}
					return
				}
			})
		})
	}
}

// TestOneIDTwice lets a member back in whose old stream hangs, and nobody else.
func TestOneIDTwice(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		old, _ := h.member("10.0.0.2", "a", ":1", nil, []*ddmv1.Run{run(0, 4)})
		old.wantGranted(0, 4)
		thief := h.join("10.0.0.66")
		thief.say(enterAs("a", ":1"))
		if _, err := thief.Recv(); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("another machine: %v", err)
		}
		again, _ := h.member("10.0.0.2", "a", ":1", nil, []*ddmv1.Run{run(0, 4)})
		again.wantGranted(0, 4)
		if _, err := old.Recv(); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("the old stream: %v", err)
		}
	})
}

func TestSwarmLimits(t *testing.T) {
	bubble(t, tracker.Config{MaxMembers: 2, MemberQueue: 10}, func(t *testing.T, h *harness) {
		slow, _ := h.member("10.0.0.2", "slow", ":1", nil, nil)
		h.member("10.0.0.3", "b", ":1", nil, nil)
		third := h.join("10.0.0.4")
		third.say(enterAs("c", ":1"))
		if _, err := third.Recv(); !errors.Is(err, errdefs.Busy) {
			t.Errorf("the third one: %v", err)
		}
		// It asks for one piece after another, and reads nothing.
		for i := range int64(4000) {
			err := slow.Send(wants(mib))
			if err == nil {
				err = slow.Send(reports(run(i%64, i%64+1)))
			}
			if err == nil {
				err = slow.Send(&ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Report{Report: &ddmv1.Report{Lost: []*ddmv1.Run{run(0, 64)}}}})
			}
			if err != nil {
				break
			}
		}
		for {
			if _, err := slow.Recv(); err == nil {
				continue
			} else if !errors.Is(err, errdefs.Busy) {
				t.Errorf("the one that does not read: %v", err)
			}
			return
		}
	})
}

// TestManySwarms has a thousand members in a hundred swarms.
func TestManySwarms(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		const swarms, each = 100, 10
		all := make([]*joined, swarms*each)
		parallel(len(all), 20, func(i int) {
			j := h.join(fmt.Sprintf("10.1.%d.%d", i/250, i%250))
			enter := enterAs(fmt.Sprint(i), ":1")
			enter.GetEnter().Key = hash(fmt.Sprint(i % swarms))
			j.say(enter, bindTo("v1", nil, nil))
			all[i] = j
		})
		synctest.Wait()
		fetched := make([]byterange.Set, len(all))
		parallel(len(all), len(all), func(i int) {
			all[i].say(wants(2 * mib))
			for fetched[i].Bytes() == 0 {
				for _, r := range all[i].hear().GetGranted().GetRuns() {
					fetched[i].Add(byterange.Range{Off: r.GetOffset(), Len: r.GetLength()})
				}
			}
		})
		for s := range swarms {
			var together byterange.Set
			sum := int64(0)
			for i := s; i < len(all); i += swarms {
				for r := range fetched[i].All() {
					together.Add(r)
				}
				sum += fetched[i].Bytes()
			}
			if together.Bytes() != sum || together.Len() != 1 || sum < each*mib {
				t.Errorf("swarm %d: %d bytes, %d different ones", s, sum, together.Bytes())
			}
		}
		if err := h.stop(); err != nil {
			t.Fatal(err)
		}
		parallel(len(all), len(all), func(i int) {
			for {
				if _, err := all[i].Recv(); err != nil {
					return
				}
			}
		})
	})
}
