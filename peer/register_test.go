package peer_test

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
	"ddm/internal/pipenet"
	"ddm/internal/rpc"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

// tracker is a tracker that can go away and come back without its memory.
type tracker struct {
	ddmv1.UnimplementedTrackerServiceServer
	period time.Duration

	mu     sync.Mutex
	lis    *pipenet.Listener // nil: away
	leases map[string]bool
	calls  []call
	next   int
}

// call is one call of a peer; register or heartbeat is what it said.
type call struct {
	at        time.Time
	what      string
	register  *ddmv1.RegisterRequest
	heartbeat *ddmv1.HeartbeatRequest
}

func (tr *tracker) note(c call) {
	c.at = time.Now()
	tr.calls = append(tr.calls, c)
}

func (tr *tracker) Register(_ context.Context, req *ddmv1.RegisterRequest) (*ddmv1.RegisterResponse, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.note(call{what: "register", register: req})
	tr.next++
	lease := strings.Repeat("l", tr.next)
	tr.leases[lease] = true
	return &ddmv1.RegisterResponse{LeaseId: lease, HeartbeatPeriod: durationpb.New(tr.period), Address: "192.0.2.1:7430"}, nil
}

func (tr *tracker) Heartbeat(_ context.Context, req *ddmv1.HeartbeatRequest) (*ddmv1.HeartbeatResponse, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.note(call{what: "heartbeat", heartbeat: req})
	if !tr.leases[req.GetLeaseId()] {
		return nil, errdefs.LeaseExpired
	}
	return &ddmv1.HeartbeatResponse{NextPeriod: durationpb.New(tr.period)}, nil
}

func (tr *tracker) Deregister(_ context.Context, req *ddmv1.DeregisterRequest) (*ddmv1.DeregisterResponse, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.note(call{what: "deregister"})
	delete(tr.leases, req.GetLeaseId())
	return &ddmv1.DeregisterResponse{}, nil
}

// up starts the tracker; what it returns ends it.
func (tr *tracker) up(t *testing.T) (down func()) {
	lis := pipenet.Listen()
	srv := rpc.NewServer(rpc.Options{})
	ddmv1.RegisterTrackerServiceServer(srv, tr)
	tr.mu.Lock()
	tr.lis, tr.leases = lis, map[string]bool{}
	tr.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = rpc.Serve(ctx, srv, lis, 0)
	}()
	down = sync.OnceFunc(func() {
		tr.mu.Lock()
		tr.lis = nil
		tr.mu.Unlock()
		cancel()
		<-done
	})
	t.Cleanup(down)
	return down
}

func (tr *tracker) dial(ctx context.Context, _ string) (net.Conn, error) {
	tr.mu.Lock()
	lis := tr.lis
	tr.mu.Unlock()
	if lis == nil {
		return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return lis.DialContext(ctx)
}

// take returns the calls since the last take.
func (tr *tracker) take() []call {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	calls := tr.calls
	tr.calls = nil
	return calls
}

func names(calls []call) []string {
	var out []string
	for _, c := range calls {
		out = append(out, c.what)
	}
	return out
}

func (tr *tracker) config() peer.Config {
	return peer.Config{
		Trackers: []string{"tracker.test:7420"}, DialTracker: tr.dial,
		Advertise: "192.0.2.1:7430", Name: "helper", Version: "v1",
	}
}

func TestRegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{period: 3 * time.Second}
		tr.up(t)
		w := newWorld(t, tr.config(), nil)
		wait(10 * time.Second)
		calls := tr.take()
		if got, want := names(calls), []string{"register", "heartbeat", "heartbeat", "heartbeat"}; !slices.Equal(got, want) {
			t.Fatalf("calls %v, want %v", got, want)
		}
		for i := 1; i < len(calls); i++ {
			if gap := calls[i].at.Sub(calls[i-1].at); gap != 3*time.Second {
				t.Errorf("%v between calls, want the 3 s that the answers named", gap)
			}
		}
		p := calls[0].register.GetPeer()
		if p.GetId() != w.peer.ID() || len(p.GetId()) != 32 || p.GetName() != "helper" || p.GetAddress() != "192.0.2.1:7430" ||
			p.GetVersion() != "v1" || len(p.GetLines()) != 1 || p.GetBootId() == "" {
			t.Errorf("registered %v", p)
		}
		if load := calls[1].heartbeat.GetLoad(); load.GetMaxAssignments() != 256 {
			t.Errorf("load %v", load)
		}
		if err := w.end(); err != nil {
			t.Error(err)
		}
		if got := names(tr.take()); !slices.Equal(got, []string{"deregister"}) || len(tr.leases) != 0 {
			t.Errorf("calls at the end: %v, leases %v", got, tr.leases)
		}
	})
}

func TestLoadIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{period: time.Second}
		tr.up(t)
		file := origintest.NewFile(64<<20, 1).With(origintest.Fault{Rate: 1 << 20})
		w := newWorld(t, tr.config(), one(file))
		s := w.open(urlOf("/f"), file)
		s.assign(1, 0, 0, 32<<20)
		s.assign(2, 1, 32<<20, 32<<20)
		s.until(func() bool { return s.got[1] > 5<<20 })
		calls := tr.take()
		load := calls[len(calls)-1].heartbeat.GetLoad()
		if r := load.GetFetchBytesPerSecond(); load.GetRunningAssignments() != 2 || load.GetStreams() != 1 || r < 3<<19 || r > 5<<19 {
			t.Errorf("load %v, want two assignments of 1 MiB/s each", load)
		}
	})
}

// A tracker that restarts knows every peer again within two periods, however
// long it was away.
func TestTrackerRestarts(t *testing.T) {
	for _, away := range []time.Duration{0, 5 * time.Second, 5 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &tracker{period: 2 * time.Second}
				down := tr.up(t)
				w := newWorld(t, tr.config(), nil)
				wait(5 * time.Second)
				down()
				wait(away)
				tr.take()
				tr.up(t)
				wait(2*tr.period + 10*time.Millisecond)
				if got := names(tr.take()); !slices.Contains(got, "register") {
					t.Errorf("calls within two periods: %v", got)
				}
				if strings.Count(w.log.String(), "[WARN]") > 1 {
					t.Errorf("an absence is warned about once:\n%s", w.log)
				}
			})
		})
	}
}

func TestTrackerThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{period: 2 * time.Second}
		newWorld(t, tr.config(), nil)
		wait(5 * time.Minute)
		tr.up(t)
		wait(2*tr.period + 10*time.Millisecond) // the rest of a wait, and of one more
		if got := names(tr.take()); len(got) == 0 || got[0] != "register" {
			t.Errorf("calls within two periods: %v", got)
		}
	})
}

// hung accepts calls and never answers.
type hung struct {
	ddmv1.UnimplementedTrackerServiceServer
}

func (hung) Register(ctx context.Context, _ *ddmv1.RegisterRequest) (*ddmv1.RegisterResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTrackersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &tracker{period: time.Second}
		good.up(t)
		lis := pipenet.Listen()
		srv := grpc.NewServer()
		ddmv1.RegisterTrackerServiceServer(srv, hung{})
		go func() { _ = srv.Serve(lis) }()
		t.Cleanup(srv.Stop)

		cfg := good.config()
		cfg.Trackers = []string{"hung.test:7420", "good.test:7420"}
		cfg.DialTracker = func(ctx context.Context, addr string) (net.Conn, error) {
			if strings.HasPrefix(addr, "hung") {
				return lis.DialContext(ctx)
			}
			return good.dial(ctx, addr)
		}
		w := newWorld(t, cfg, nil)
		wait(5500 * time.Millisecond)
		if got := names(good.take()); len(got) != 6 {
			t.Errorf("the good tracker saw %v", got)
		}
		begin := time.Now()
		if err := w.end(); err != nil || time.Since(begin) > 2*time.Second {
			t.Errorf("the end took %v: %v", time.Since(begin), err)
		}
		if got := names(good.take()); !slices.Equal(got, []string{"deregister"}) {
			t.Errorf("the good tracker saw %v at the end", got)
		}
	})
}
