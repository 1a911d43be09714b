package tracker_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

const (
	mib  = 1 << 20
	size = 64 * mib
)

// joined is one client's part in a swarm.
type joined struct {
	*harness
	ddmv1.SwarmService_JoinClient
	leave context.CancelFunc
}

func hash(text string) []byte {
	h := sha256.Sum256([]byte(text))
	return h[:]
}

func enterAs(id, address string) *ddmv1.JoinRequest {
	return &ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Enter{Enter: &ddmv1.Enter{
		Key: hash("url"), Id: id, Name: "box " + id, Address: address,
	}}}
}

func run(from, to int64) *ddmv1.Run { return &ddmv1.Run{Offset: from * mib, Length: (to - from) * mib} }

func bindTo(tag string, held, fetching []*ddmv1.Run) *ddmv1.JoinRequest {
	return &ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Bind{Bind: &ddmv1.Bind{
		Generation: hash(tag), Size: size, Held: held, Fetching: fetching,
	}}}
}

func wants(bytes int64, insist ...*ddmv1.Run) *ddmv1.JoinRequest {
	return &ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Want{Want: &ddmv1.Want{Bytes: bytes, Insist: insist}}}
}

func reports(held ...*ddmv1.Run) *ddmv1.JoinRequest {
	return &ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Report{Report: &ddmv1.Report{Held: held}}}
}

// join opens a stream of a machine.
func (h *harness) join(ip string) *joined {
	h.Helper()
	ctx, cancel := context.WithCancel(h.Context())
	h.Cleanup(cancel)
	stream, err := ddmv1.NewSwarmServiceClient(h.dial(ip, "10.0.0.1")).Join(ctx)
	if err != nil {
		h.Fatal(err)
	}
	return &joined{harness: h, SwarmService_JoinClient: stream, leave: cancel}
}

// member enters and binds, and gives what it was told when it entered.
func (h *harness) member(ip, id, address string, held, fetching []*ddmv1.Run) (*joined, *ddmv1.Entered) {
	h.Helper()
	j := h.join(ip)
	j.say(enterAs(id, address))
	entered := j.hear().GetEntered()
	if entered == nil {
		h.Fatal("the first answer is not Entered")
	}
	j.say(bindTo("v1", held, fetching))
	synctest.Wait()
	return j, entered
}

func (j *joined) say(reqs ...*ddmv1.JoinRequest) {
	j.Helper()
	for _, req := range reqs {
		if err := j.Send(req); err != nil {
			j.Fatal(err)
		}
	}
}

func (j *joined) hear() *ddmv1.JoinResponse {
	j.Helper()
	return must(j.Recv())(j.harness)
}

func (j *joined) granted() *byterange.Set {
	j.Helper()
	resp := j.hear()
	if resp.GetGranted().GetDuration().AsDuration() != tracker.DefaultLease {
		j.Fatalf("got %v, want a lease", resp)
	}
	return set(resp.GetGranted().GetRuns())
}

func (j *joined) wantGranted(from, to int64) {
	j.Helper()
	if got := j.granted(); got.Bytes() != (to-from)*mib || !got.Contains(byterange.Between(from*mib, to*mib)) {
		j.Errorf("granted %v, want %d to %d MiB", slices.Collect(got.All()), from, to)
	}
}

func (j *joined) came(ids ...string) []*ddmv1.Member {
	j.Helper()
	var all []*ddmv1.Member
	var got []string
	for len(got) < len(ids) {
		resp := j.hear()
		if len(resp.GetMembers().GetCame()) == 0 {
			j.Fatalf("got %v, want %v", resp, ids)
		}
		for _, m := range resp.GetMembers().GetCame() {
			got = append(got, m.GetId())
			all = append(all, m)
		}
	}
	if slices.Sort(got); !slices.Equal(got, ids) {
		j.Errorf("came %v, want %v", got, ids)
	}
	return all
}

func (j *joined) left(id string) {
	j.Helper()
	if resp := j.hear(); !slices.Equal(resp.GetMembers().GetLeft(), []string{id}) {
		j.Errorf("got %v, want that %s left", resp, id)
	}
}

// silent wants that nothing is said for a time; it is the last thing asked of
// a stream.
func (j *joined) silent(d time.Duration) {
	j.Helper()
	got := make(chan any, 1)
	go func() {
		resp, err := j.Recv()
		got <- fmt.Sprint(resp, err)
	}()
	time.Sleep(d)
	synctest.Wait()
	select {
	case resp := <-got:
		j.Errorf("got %v", resp)
	default:
	}
}

func set(runs []*ddmv1.Run) *byterange.Set {
	var s byterange.Set
	for _, r := range runs {
		s.Add(byterange.Range{Off: r.GetOffset(), Len: r.GetLength()})
	}
	return &s
}

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
