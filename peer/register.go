package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"ddm/internal/backoff"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	defaultPeriod   = 2 * time.Second // between heartbeats, before a tracker named one
	minPeriod       = 100 * time.Millisecond
	maxPeriod       = time.Minute
	deregisterLimit = 2 * time.Second
)

// registrar keeps this peer registered with one tracker, for as long as it
// runs:
//
//	register --ok--> heartbeat <--period--+
//	   ^  ^             |  |  `---ok------'
//	   |  `---expired---'  `--no answer: again, soon
//	   `--no answer: again, soon
//
// "Soon" never exceeds one heartbeat period, so that a tracker which comes
// back knows every peer after two.
type registrar struct {
	conn    *grpc.ClientConn
	tracker ddmv1.TrackerServiceClient
	hello   *ddmv1.Hello
	info    *ddmv1.PeerInfo // without its lines
	service *service        // which knows lines and load
	metrics *metrics
	log     hclog.Logger

	period time.Duration // the tracker's last word; owned by run
	away   bool          // the last call failed; owned by run
	told   []*ddmv1.Line // what the tracker knows of the lines; owned by run
	report report        // and of the store; owned by run
}

// run returns when ctx is done, after it has deregistered.
func (r *registrar) run(ctx context.Context) {
	r.period = defaultPeriod
	for attempt := 0; ctx.Err() == nil; attempt++ {
		lease, err := r.register(ctx)
		if err != nil {
			sleep(ctx, r.delay(attempt))
			continue
		}
		attempt = -1 // a lease that expires is replaced at once
		r.keep(ctx, lease)
		if ctx.Err() != nil {
			r.deregister(ctx, lease)
		}
	}
}

// delay is how long to wait after so many failures in a row.
func (r *registrar) delay(failures int) time.Duration {
	return backoff.Policy{Base: r.period / 4, Max: r.period}.Delay(failures, rand.Float64())
}

// call makes one attempt, which may take as long as a period: the connection
// is sought at once, whatever gRPC's own backoff says, and waited for.
func (r *registrar) call(ctx context.Context, do func(ctx context.Context) error) error {
	r.conn.ResetConnectBackoff()
	ctx, cancel := context.WithTimeout(ctx, r.period)
	defer cancel()
	err := do(ctx)
	switch {
	case err == nil:
		if r.away {
			r.log.Info("tracker answers again")
		}
		r.away = false
	case !errors.Is(errdefs.FromStatus(err), errdefs.LeaseExpired):
		if !r.away && !errors.Is(ctx.Err(), context.Canceled) {
			r.log.Warn("tracker does not answer, trying again", "error", err)
		}
		r.away = true
	}
	return err
}

func (r *registrar) register(ctx context.Context) (lease string, err error) {
	err = r.call(ctx, func(ctx context.Context) error {
		info := &ddmv1.PeerInfo{
			Id: r.info.GetId(), Name: r.info.GetName(), Address: r.info.GetAddress(), Version: r.info.GetVersion(),
			BootId: r.info.GetBootId(), Lines: r.service.protoLines(),
		}
		r.report.forget()
		holdings, said := r.report.next()
		resp, err := r.tracker.Register(ctx, &ddmv1.RegisterRequest{Hello: r.hello, Peer: info, Holdings: holdings}, grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		said()
		r.told = info.GetLines()
		if resp.GetLeaseId() == "" {
			return fmt.Errorf("%w: the tracker granted no lease", errdefs.BadReply)
		}
		lease = resp.GetLeaseId()
		r.setPeriod(resp.GetHeartbeatPeriod())
		r.log.Info("registered", "address", resp.GetAddress(), "heartbeat", r.period)
		return nil
	})
	r.metrics.registered(err)
	return lease, err
}

// keep sends heartbeats until the lease is lost or ctx is done, at once when
// the lines changed, or when there is more to say of the store than one could.
// A tracker that does not answer may still hold the lease, or be away: only it
// can say that the lease is lost.
func (r *registrar) keep(ctx context.Context, lease string) {
	for wait, failures := r.next(), 0; r.pause(ctx, wait); {
		err := r.call(ctx, func(ctx context.Context) error {
			req := &ddmv1.HeartbeatRequest{LeaseId: lease, Load: r.service.load()}
			lines := r.service.protoLines()
			if !slices.EqualFunc(lines, r.told, func(a, b *ddmv1.Line) bool { return proto.Equal(a, b) }) {
				req.Lines = lines
			}
			holdings, said := r.report.next()
			req.Holdings = holdings
			resp, err := r.tracker.Heartbeat(ctx, req, grpc.WaitForReady(true))
			if err == nil {
				said()
				r.setPeriod(resp.GetNextPeriod())
				r.told = lines
			}
			return err
		})
		switch {
		case err == nil:
			wait, failures = r.next(), 0
		case errors.Is(errdefs.FromStatus(err), errdefs.LeaseExpired):
			r.log.Info("the tracker does not know this peer, registering again")
			return
		default:
			wait = r.delay(failures)
			failures++
		}
	}
}

// next is how long to wait for the next heartbeat after one that came through.
func (r *registrar) next() time.Duration {
	if r.report.store != nil && !r.report.all {
		return 0
	}
	return r.period
}

// pause waits for the next heartbeat, or until the lines are no longer what
// the tracker knows; false: ctx is done.
func (r *registrar) pause(ctx context.Context, d time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-r.service.lines.Changed():
		return true
	case <-ctx.Done():
		return errors.Is(ctx.Err(), context.DeadlineExceeded)
	}
}

// deregister says good-bye, although ctx is done.
func (r *registrar) deregister(ctx context.Context, lease string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deregisterLimit)
	defer cancel()
	if _, err := r.tracker.Deregister(ctx, &ddmv1.DeregisterRequest{LeaseId: lease}); err != nil {
		r.log.Warn("not deregistered, the lease will expire", "error", err)
	}
}

func (r *registrar) setPeriod(d *durationpb.Duration) {
	r.period = defaultPeriod
	if d.AsDuration() > 0 {
		r.period = min(max(d.AsDuration(), minPeriod), maxPeriod)
	}
}

// sleep waits; false: ctx was done before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
