package tracker

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// What a member may say: more is read later. A message counts as one, and as
// one more for each runsPerMessage runs in it.
const (
	messagesPerSecond = 500
	messagesAtOnce    = 1000
	runsPerMessage    = 16
)

// burden is how many messages a message counts as.
func burden(req *ddmv1.JoinRequest) int {
	runs := len(req.GetBind().GetHeld()) + len(req.GetBind().GetFetching()) + len(req.GetReport().GetHeld()) +
		len(req.GetReport().GetLost()) + len(req.GetWant().GetInsist()) + len(req.GetRelease().GetRuns())
	return min(1+runs/runsPerMessage, messagesAtOnce)
}

type joinStream = grpc.BidiStreamingServer[ddmv1.JoinRequest, ddmv1.JoinResponse]

// swarmService speaks gRPC for the swarms. It judges what comes in and
// completes what goes out; it decides nothing.
type swarmService struct {
	ddmv1.UnimplementedSwarmServiceServer
	cfg    Config
	swarms *swarms
	// streams counts the goroutines that read from and send to members;
	// Server.Run waits for them.
	streams sync.WaitGroup
}

// Join implements ddmv1.SwarmServiceServer. Reading and sending may block for
// as long as the client likes, so that each has a goroutine of its own: they
// end, at the latest, when this call returns and with it the stream.
func (s *swarmService) Join(stream joinStream) error {
	m := newMember(s.cfg.MemberQueue)
	defer func() { s.swarms.leave(time.Now(), m) }()
	done := make(chan error, 2)
	s.streams.Go(func() { done <- s.send(stream, m) })
	s.streams.Go(func() { done <- s.receive(stream, m) })
	select {
	case err := <-done:
		return err
	case <-m.over:
		return m.err()
	case <-s.swarms.going:
		return errGoing()
	}
}

// send sends events as they come, until the stream ends.
func (s *swarmService) send(stream joinStream, m *member) error {
	_, reached := ends(stream.Context())
	term := durationpb.New(s.cfg.Lease)
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-m.wake:
		}
		for _, resp := range responses(m.take(), reached, term) {
			if err := stream.Send(resp); err != nil {
				return err
			}
		}
	}
}

// receive follows a member through its steps; nil: it left.
func (s *swarmService) receive(stream joinStream, m *member) error {
	limit := rate.NewLimiter(messagesPerSecond, messagesAtOnce)
	entered, size := false, int64(0) // size: of what it is bound to
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = limit.WaitN(stream.Context(), burden(req))
		}
		switch {
		case err != nil:
		case !entered:
			err, entered = s.enter(stream, m, req), true
		case size == 0:
			size, err = s.bind(m, req)
		default:
			err = s.step(m, req, size)
		}
		if err != nil {
			return err
		}
	}
}

func (s *swarmService) enter(stream joinStream, m *member, req *ddmv1.JoinRequest) error {
	if req.GetEnter() == nil {
		return fmt.Errorf("%w: the first message is Enter", errdefs.Invalid)
	}
	e, err := parseEnter(req.GetEnter())
	if err != nil {
		return err
	}
	from, _ := ends(stream.Context())
	var at place
	if e.shares {
		if at, err = newPlace(e.host, e.port, from); err != nil {
			return err
		}
	}
	return s.swarms.enter(m, e, at, from, &ddmv1.Hello{Version: s.cfg.Version})
}

func (s *swarmService) bind(m *member, req *ddmv1.JoinRequest) (size int64, err error) {
	if req.GetBind() == nil {
		return 0, fmt.Errorf("%w: the second message is Bind", errdefs.Invalid)
	}
	b, err := parseBind(req.GetBind())
	if err == nil {
		s.swarms.bind(time.Now(), m, b)
	}
	return b.size, err
}

// step takes a message of a bound member. What a newer client says besides is
// ignored.
func (s *swarmService) step(m *member, req *ddmv1.JoinRequest, size int64) error {
	now := time.Now()
	switch msg := req.GetStep().(type) {
	case *ddmv1.JoinRequest_Report:
		held, lost, err := parseReport(msg.Report, size)
		if err != nil {
			return err
		}
		s.swarms.report(now, m, &held, &lost)
	case *ddmv1.JoinRequest_Want:
		bytes, insist, err := parseWant(msg.Want, size)
		if err != nil {
			return err
		}
		s.swarms.want(now, m, bytes, &insist)
	case *ddmv1.JoinRequest_Release:
		set, err := parseRelease(msg.Release, size)
		if err != nil {
			return err
		}
		s.swarms.release(now, m, &set)
	case *ddmv1.JoinRequest_Enter, *ddmv1.JoinRequest_Bind:
		return fmt.Errorf("%w: Enter and Bind come once", errdefs.Invalid)
	}
	return nil
}
