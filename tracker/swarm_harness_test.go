package tracker_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
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
