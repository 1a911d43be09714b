package shares_test

import (
	"context"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ddm/internal/shares"
	ddmv1 "ddm/proto/ddm/v1"
)

// brittle is a tracker that breaks each stream as it takes the first change.
type brittle struct {
	ddmv1.ShareServiceClient
	t       *testing.T
	streams atomic.Int32
	hearing atomic.Int32 // calls of Recv under way
}

func (b *brittle) Offer(ctx context.Context, _ ...grpc.CallOption) (grpc.BidiStreamingClient[ddmv1.OfferRequest, ddmv1.OfferResponse], error) {
	b.streams.Add(1)
	return &brittleStream{tracker: b, ctx: ctx, broken: make(chan struct{})}, nil
}

// brittleStream is one stream of it.
type brittleStream struct {
	grpc.ClientStream
	tracker *brittle
	ctx     context.Context //nolint:containedctx // as gRPC's own
	heard   atomic.Bool
	broken  chan struct{}
}

func (s *brittleStream) Send(req *ddmv1.OfferRequest) error {
	if req.GetBegin() != nil {
		return nil
	}
	time.Sleep(time.Second) // whoever hears the stream does by now
	close(s.broken)
	return io.EOF
}

func (s *brittleStream) Recv() (*ddmv1.OfferResponse, error) {
	if s.tracker.hearing.Add(1) > 1 {
		s.tracker.t.Error("two receive from one stream")
	}
	defer s.tracker.hearing.Add(-1)
	if s.heard.CompareAndSwap(false, true) {
		return &ddmv1.OfferResponse{}, nil
	}
	select {
	case <-s.broken:
	case <-s.ctx.Done():
	}
	time.Sleep(time.Second)
	return nil, status.Error(codes.Unavailable, "broken")
}

// TestBrokenAnnouncements: one goroutine hears a stream, and does not outlive it.
func TestBrokenAnnouncements(t *testing.T) {
	inBubble(t, func(dir string) []string {
		put(t, filepath.Join(dir, "f"), content(100, 1))
		return []string{dir}
	}, func(w *world) {
		tracker := &brittle{t: w.t}
		ctx, stop := context.WithCancel(w.t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			(&shares.Announcement{Tracker: tracker, Begin: &ddmv1.OfferRequest_Begin{}, Files: w.files}).Run(ctx)
			if n := tracker.hearing.Load(); n > 0 {
				w.t.Errorf("%d still receive", n)
			}
		})
		time.Sleep(time.Minute)
		for tracker.hearing.Load() == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		running.Wait()
		if n := tracker.streams.Load(); n < 5 {
			w.t.Errorf("%d streams in a minute", n)
		}
	})
}
