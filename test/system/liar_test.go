package system_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/durationpb"

	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

// book is a tracker that says what a test wants.
type book struct {
	ddmv1.UnimplementedTrackerServiceServer
	mu      sync.Mutex
	changes []*ddmv1.PeerChange
	more    chan struct{} // closed at the next change
	watches atomic.Int32
}

// book starts a scripted tracker at an address.
func (w *world) book(addr string) *book {
	b := &book{more: make(chan struct{})}
	w.grpc(addr, func(s *grpc.Server) { ddmv1.RegisterTrackerServiceServer(s, b) })
	return b
}

// grpc serves at an address until the test ends.
func (w *world) grpc(addr string, register func(*grpc.Server), opts ...grpc.ServerOption) {
	srv := rpc.NewServer(rpc.Options{Role: rpc.Bulk}, opts...)
	register(srv)
	var serving sync.WaitGroup
	lis := w.net.listen(addr)
	serving.Go(func() { _ = srv.Serve(lis) }) // ends with Stop
	w.t.Cleanup(func() {
		srv.Stop()
		serving.Wait()
	})
}

func (b *book) WatchPeers(_ *ddmv1.WatchPeersRequest, stream ddmv1.TrackerService_WatchPeersServer) error {
	b.watches.Add(1)
	for sent, synced := 0, false; ; synced = true {
		b.mu.Lock()
		news, more := b.changes[sent:], b.more
		b.mu.Unlock()
		for sent += len(news); len(news) > 0; {
			n := min(len(news), 100)
			if err := stream.Send(&ddmv1.WatchPeersResponse{Changes: news[:n]}); err != nil {
				return err
			}
			news = news[n:]
		}
		if !synced {
			if err := stream.Send(&ddmv1.WatchPeersResponse{Synced: true}); err != nil {
				return err
			}
		}
		select {
		case <-more:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (b *book) add(kind ddmv1.PeerChange_Kind, peers ...*ddmv1.PeerInfo) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range peers {
		b.changes = append(b.changes, &ddmv1.PeerChange{Kind: kind, Peer: p})
	}
	close(b.more)
	b.more = make(chan struct{})
}

func (b *book) join(peers ...*ddmv1.PeerInfo) { b.add(ddmv1.PeerChange_KIND_JOINED, peers...) }

func (b *book) expire(peers ...*ddmv1.PeerInfo) { b.add(ddmv1.PeerChange_KIND_EXPIRED, peers...) }

func peerAt(name, addr string) *ddmv1.PeerInfo {
	return &ddmv1.PeerInfo{Id: "id-" + name, Name: name, Address: addr, BootId: "boot-" + name}
}

// liar is a peer that does what a test says. Without twists it is honest.
type liar struct {
	ddmv1.UnimplementedPeerServiceServer
	file  origintest.File
	rate  float64                    // bytes per second; 0: at once
	open  func(s *lies) error        // instead of the grant
	order func(s *lies, o any) error // instead of obeying an order
	probe *ddmv1.ProbeResponse       // nil: fails
	begun atomic.Int32               // streams
	asked atomic.Int32               // assignments
	sent  atomic.Int64               // bytes
	heard sync.Map                   // every request as text
}

// liar starts a scripted peer.
func (w *world) liar(name string, l *liar) *ddmv1.PeerInfo {
	w.grpc(name+":7430", func(s *grpc.Server) { ddmv1.RegisterPeerServiceServer(s, l) })
	return peerAt(name, name+":7430")
}

func (l *liar) Probe(_ context.Context, r *ddmv1.ProbeRequest) (*ddmv1.ProbeResponse, error) {
	l.heard.Store(r.String(), true)
	if l.probe == nil {
		return nil, context.DeadlineExceeded
	}
	return l.probe, nil
}

// lies is one stream of a liar.
type lies struct {
	*liar
	stream ddmv1.PeerService_FetchServer
	mu     sync.Mutex
	ends   map[uint64]int64 // by assignment, as shrinks and cancels moved them
}

// end is where the first n bytes of an assignment end by now.
func (s *lies) end(a *ddmv1.Assign, n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end, ok := s.ends[a.GetAssignmentId()]; ok {
		return min(end, a.GetOffset()+n)
	}
	return a.GetOffset() + n
}

// next receives orders ahead of their turn, so that ends move in time.
func (s *lies) next(orders chan<- *ddmv1.FetchRequest) error {
	defer close(orders)
	for {
		req, err := s.stream.Recv()
		if err != nil {
			return err
		}
		s.mu.Lock()
		switch o := req.GetOrder().(type) {
		case *ddmv1.FetchRequest_Shrink:
			s.ends[o.Shrink.GetAssignmentId()] = o.Shrink.GetEnd()
		case *ddmv1.FetchRequest_Cancel:
			s.ends[o.Cancel.GetAssignmentId()] = 0
		}
		s.mu.Unlock()
		select {
		case orders <- req:
		case <-s.stream.Context().Done():
			return s.stream.Context().Err()
		}
	}
}

func (l *liar) Fetch(stream ddmv1.PeerService_FetchServer) error {
	l.begun.Add(1)
	s := &lies{liar: l, stream: stream, ends: map[uint64]int64{}}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	l.heard.Store(first.String(), true)
	open := l.open
	if open == nil {
		open = (*lies).grant
	}
	if err := open(s); err != nil {
		return err
	}
	orders, over := make(chan *ddmv1.FetchRequest, 1024), make(chan error, 1)
	go func() { over <- s.next(orders) }() // ends with the stream
	for req := range orders {
		l.heard.Store(req.String(), true)
		if req.GetAssign() != nil {
			l.asked.Add(1)
		}
		if l.order != nil {
			err = l.order(s, req.GetOrder())
		} else {
			err = s.obey(req.GetOrder())
		}
		if err != nil {
			return err
		}
	}
	return <-over
}

func (s *lies) send(event any) error {
	m := &ddmv1.FetchResponse{}
	switch e := event.(type) {
	case *ddmv1.Opened:
		m.Event = &ddmv1.FetchResponse_Opened{Opened: e}
	case *ddmv1.Started:
		m.Event = &ddmv1.FetchResponse_Started{Started: e}
	case *ddmv1.Done:
		m.Event = &ddmv1.FetchResponse_Done{Done: e}
	case *ddmv1.Failed:
		m.Event = &ddmv1.FetchResponse_Failed{Failed: e}
	case *ddmv1.LinesChanged:
		m.Event = &ddmv1.FetchResponse_LinesChanged{LinesChanged: e}
	case *ddmv1.HeldChanged:
		m.Event = &ddmv1.FetchResponse_HeldChanged{HeldChanged: e}
	}
	return s.stream.Send(m)
}

func (s *lies) grant() error {
	return s.send(&ddmv1.Opened{Lines: []*ddmv1.Line{{Name: "line"}}, MaxLanes: 4})
}

func (s *lies) started(a *ddmv1.Assign, f origintest.File) error {
	gen := origin.Generation{Size: f.Size, ETag: f.ETag, LastModified: f.Modified.Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	return s.send(&ddmv1.Started{AssignmentId: a.GetAssignmentId(), Generation: origin.GenerationToProto(gen)})
}

// data sends one frame with the right CRC.
func (s *lies) data(id uint64, off int64, p []byte) error {
	crc := crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))
	if s.rate > 0 {
		time.Sleep(time.Duration(float64(len(p)) / s.rate * float64(time.Second)))
	}
	s.sent.Add(int64(len(p)))
	return s.stream.SendMsg(&rpc.Frame{Assignment: id, Offset: off, CRC32C: crc, Payload: mem.BufferSlice{mem.SliceBuffer(p)}})
}

// parts yields the first n bytes of an assignment in frames of a size, as far as
// it goes by then.
func (s *lies) parts(a *ddmv1.Assign, n, size int64) func(yield func(off int64, n int) bool) {
	return func(yield func(off int64, n int) bool) {
		for off := a.GetOffset(); ; off += size {
			part := min(size, s.end(a, n)-off)
			if part <= 0 || !yield(off, int(part)) {
				return
			}
		}
	}
}

// bytes sends the first n bytes of a range.
func (s *lies) bytes(a *ddmv1.Assign, n int64) error {
	for off, size := range s.parts(a, n, 256<<10) {
		if err := s.data(a.GetAssignmentId(), off, s.file.Bytes(off, size)); err != nil {
			return err
		}
	}
	return nil
}

func (s *lies) done(a *ddmv1.Assign) error {
	return s.send(&ddmv1.Done{AssignmentId: a.GetAssignmentId()})
}

func (s *lies) fail(a *ddmv1.Assign, kind ddmv1.FailureKind) error {
	return s.send(&ddmv1.Failed{AssignmentId: a.GetAssignmentId(), Failure: &ddmv1.Failure{
		Kind: kind, Message: "no", RetryAfter: &durationpb.Duration{Seconds: math.MaxInt32 * 100},
	}})
}

// obey serves an assignment honestly.
func (s *lies) obey(order any) error {
	o, ok := order.(*ddmv1.FetchRequest_Assign)
	if !ok {
		return nil
	}
	a := o.Assign
	if err := s.started(a, s.file); err != nil {
		return err
	}
	if err := s.bytes(a, a.GetLength()); err != nil {
		return err
	}
	return s.done(a)
}

// twist makes an order function of what is done for an assignment.
func twist(do func(s *lies, a *ddmv1.Assign) error) func(*lies, any) error {
	return func(s *lies, order any) error {
		if o, ok := order.(*ddmv1.FetchRequest_Assign); ok {
			return do(s, o.Assign)
		}
		return nil
	}
}

// garbage answers with bytes that are no protobuf.
type garbage struct{ w *world }

func (garbage) Name() string { return "proto" }

func (garbage) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer("\x7a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff garbage")}, nil
}

func (garbage) Unmarshal(mem.BufferSlice, any) error { return nil }

// garbler starts a peer that speaks no protobuf.
func (w *world) garbler(name string) *ddmv1.PeerInfo {
	w.grpc(name+":7430", func(*grpc.Server) {}, grpc.ForceServerCodecV2(garbage{w}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
			for range 10 {
				if err := stream.SendMsg(nil); err != nil {
					return err
				}
			}
			<-stream.Context().Done()
			return fmt.Errorf("over: %w", stream.Context().Err())
		}))
	return peerAt(name, name+":7430")
}
