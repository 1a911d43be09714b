package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// joining is a way to a tracker.
type joining interface {
	Join(ctx context.Context, opts ...grpc.CallOption) (grpc.BidiStreamingClient[ddmv1.JoinRequest, ddmv1.JoinResponse], error)
	Close() error
}

// trackerConn is one over gRPC.
type trackerConn struct {
	ddmv1.SwarmServiceClient
	*grpc.ClientConn
}

func (c *Client) joinTracker(tracker string) (joining, error) {
	conn, err := c.dial(tracker, false)
	if err != nil {
		return nil, err
	}
	return trackerConn{ddmv1.NewSwarmServiceClient(conn), conn}, nil
}

const (
	enterTimeout = time.Second // from dialling a tracker to its Entered
	outbox       = 256         // requests that wait for a tracker to read them
)

// link is one stream to a tracker that answered.
type link struct {
	out chan *ddmv1.JoinRequest
	end context.CancelCauseFunc

	bound bool // the tracker was told what is downloaded; guarded by the swarm's mutex
}

// send never blocks: a tracker that does not read is as good as gone.
func (l *link) send(req *ddmv1.JoinRequest) {
	select {
	case l.out <- req:
	default:
		l.end(fmt.Errorf("%w: the tracker does not read", errdefs.Unavailable))
	}
}

// session runs one stream to its end. One to a tracker that others seek later
// ends by itself: all are to meet at the first one again.
func (s *swarm) session(ctx context.Context, tracker string, second bool) error {
	conn, err := s.dial(tracker)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the stream is over by then
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if second {
		back := time.AfterFunc(seekAgain, func() { end(fmt.Errorf("%w: looking for the first tracker", errdefs.Unavailable)) })
		defer back.Stop()
	}
	stream, hint, err := s.begin(ctx, conn, end)
	if err != nil {
		return because(ctx, err)
	}
	l := &link{out: make(chan *ddmv1.JoinRequest, outbox), end: end}
	var sending sync.WaitGroup
	sending.Go(func() { l.pass(ctx, stream) })
	s.up(l, hint)
	err = because(ctx, s.read(stream))
	end(err)
	sending.Wait()
	s.mu.Lock()
	s.link = nil
	s.mu.Unlock()
	s.tell(trackerAway{why: err})
	return err
}

// because is why a stream ended: what ended its context, else what it said.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the tracker ended the stream", errdefs.Unavailable)
	}
	return err
}

// begin enters, and waits for the answer.
func (s *swarm) begin(ctx context.Context, conn joining, end context.CancelCauseFunc) (grpc.BidiStreamingClient[ddmv1.JoinRequest, ddmv1.JoinResponse], *ddmv1.Entered, error) {
	late := time.AfterFunc(enterTimeout, func() { end(fmt.Errorf("%w: no answer within %s", errdefs.Timeout, enterTimeout)) })
	defer late.Stop()
	stream, err := conn.Join(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := stream.Send(&ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Enter{Enter: s.me}}); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, nil, err
	}
	if first.GetEntered() == nil {
		return nil, nil, fmt.Errorf("%w: the tracker's first message is no answer", errdefs.Corrupt)
	}
	return stream, first.GetEntered(), nil
}

// up makes a stream the one in use.
func (s *swarm) up(l *link, hint *ddmv1.Entered) {
	s.mu.Lock()
	s.hint, s.link = hint, l
	s.mu.Unlock()
	s.try()
	s.tell(joined{})
}

// pass sends what the loop has to say.
func (l *link) pass(ctx context.Context, stream grpc.BidiStreamingClient[ddmv1.JoinRequest, ddmv1.JoinResponse]) {
	for {
		select {
		case req := <-l.out:
			if err := stream.Send(req); err != nil {
				return // read learns why
			}
		case <-ctx.Done():
			return
		}
	}
}

// read takes what the tracker says until the stream ends.
func (s *swarm) read(stream grpc.BidiStreamingClient[ddmv1.JoinRequest, ddmv1.JoinResponse]) error {
	for {
		msg, err := stream.Recv()
		if err != nil {
			return err
		}
		switch step := msg.GetStep().(type) {
		case *ddmv1.JoinResponse_Members:
			s.membersChanged(step.Members)
			s.tell(membersCame{step.Members.GetCame(), step.Members.GetLeft()})
		case *ddmv1.JoinResponse_Granted:
			set, err := s.runs(step.Granted.GetRuns())
			if err != nil {
				return err
			}
			s.lease(&set, (*byterange.Set).Add)
			s.tell(leasesChanged{granted: set.Bytes()})
		case *ddmv1.JoinResponse_Revoked:
			set, err := s.runs(step.Revoked.GetRuns())
			if err != nil {
				return err
			}
			s.lease(&set, (*byterange.Set).Subtract)
			s.tell(leasesChanged{revoked: set})
		}
	}
}

// runs judges what a tracker says of leases.
func (s *swarm) runs(list []*ddmv1.Run) (byterange.Set, error) {
	s.mu.Lock()
	b := s.bound
	s.mu.Unlock()
	if b == nil {
		return byterange.Set{}, fmt.Errorf("%w: a lease of nothing", errdefs.Corrupt)
	}
	return catalogue.Set(list, b.size, catalogue.MaxRuns)
}

// lease changes what is leased, run by run.
func (s *swarm) lease(set *byterange.Set, change func(*byterange.Set, byterange.Range) int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for r := range set.All() {
		change(&s.leased, r)
	}
}
