package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/durationpb"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/transfer"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	openLimit = 10 * time.Second // a stream must say by then what it wants
	laneQueue = 8                // assignments that wait per lane
)

var errGoing = fmt.Errorf("%w: this peer is going away", errdefs.Unavailable)

// received is what the stream brought: a request, or the error that ends it.
type received struct {
	req *ddmv1.FetchRequest
	err error
}

// Fetch serves one resource to one client; see the service's description.
//
//	receive --> serve (owns the stream) --> one transfer.Runner per line in use
//	                                            | Started, Data, Ended
//	                send <------- outbox <------'
//
// The handler returns as soon as the client is gone, is too slow or has said
// something that makes no sense, and takes every GET with it. The goroutines
// that receive and send may be inside gRPC then; they end with the stream.
func (s *service) Fetch(stream ddmv1.PeerService_FetchServer) error {
	ctx := stream.Context()
	leave, err := s.admission.enter(clientOf(ctx))
	if err != nil {
		return err
	}
	defer leave()

	orders := make(chan received)
	s.streams.Go(func() { receive(ctx, stream, orders) })
	open, err := awaitOpen(ctx, orders)
	if err != nil {
		return err
	}
	res, err := checkOpen(open)
	if err != nil {
		return err
	}
	f := newFetch(s, res, slices.Contains(open.GetHello().GetCapabilities(), holdingsCapability))
	defer f.holdings.close()
	s.streams.Go(func() { f.out.run(stream.SendMsg) })

	complete, err := f.serve(ctx, orders, s.draining)
	if !complete {
		f.out.abort(err)
	}
	for _, r := range f.runners {
		r.Close()
	}
	f.out.end()
	if complete {
		select {
		case <-f.out.sent:
		case <-f.out.gone:
			return f.out.err
		case <-ctx.Done():
		}
	}
	return err
}

func receive(ctx context.Context, stream ddmv1.PeerService_FetchServer, orders chan<- received) {
	for {
		req, err := stream.Recv()
		select {
		case orders <- received{req, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// awaitOpen takes the first order, which must be Open.
func awaitOpen(ctx context.Context, orders <-chan received) (*ddmv1.Open, error) {
	patience := time.NewTimer(openLimit)
	defer patience.Stop()
	select {
	case r := <-orders:
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			return nil, r.err
		}
		open, ok := r.req.GetOrder().(*ddmv1.FetchRequest_Open)
		if !ok {
			return nil, fmt.Errorf("%w: the first order of a stream is Open", errdefs.Invalid)
		}
		return open.Open, nil
	case <-patience.C:
		return nil, fmt.Errorf("%w: no Open within %v", errdefs.Timeout, openLimit)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fetch is one stream: the Sink of its runners.
type fetch struct {
	service   *service
	targets   []*target // by their index in Assign; owned by serve
	lanes     int
	admission *admission
	metrics   *metrics
	log       hclog.Logger
	out       *outbox
	runners   map[way]*transfer.Runner // once it is used; owned by serve
	idle      chan struct{}            // poked when the last assignment ends
	changed   <-chan struct{}          // closed: the lines are not what the client was told; owned by serve
	holdings  *holdings                // what the client knows of the memory; owned by serve
	refusing  bool                     // the peer is going away; owned by serve

	mu    sync.Mutex // guards what follows, and of the targets what says so
	live  map[uint64]slot
	slots map[slot]*use
}

func newFetch(s *service, res origin.Resource, follows bool) *fetch {
	f := &fetch{
		service: s, targets: []*target{newTarget(res)}, lanes: min(maxLanes, s.admission.maxRunning),
		admission: s.admission, metrics: s.metrics, log: s.log,
		out:      newOutbox(s.metrics.sentBytes),
		runners:  make(map[way]*transfer.Runner),
		idle:     make(chan struct{}, 1),
		live:     make(map[uint64]slot),
		slots:    make(map[slot]*use),
		holdings: newHoldings(s.memory(res), res, follows),
	}
	var lines []*ddmv1.Line
	if !sharedURL(res.URL) { // else none of them leads anywhere
		f.changed = s.lines.Changed() // before they are told
		lines = s.protoLines()
	}
	f.emit(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Opened{Opened: &ddmv1.Opened{
		Hello: s.hello(), Lines: lines, MaxLanes: uint32(f.lanes), Held: f.holdings.first(),
	}}})
	return f
}

// serve obeys orders until the stream ends. complete: every assignment has
// ended, and what the outbox holds should still be sent.
func (f *fetch) serve(ctx context.Context, orders <-chan received, draining <-chan struct{}) (complete bool, err error) {
	for {
		if (orders == nil || f.refusing) && f.idling() {
			return true, err
		}
		select {
		case <-f.changed:
			f.changed = f.service.lines.Changed()
			f.emit(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_LinesChanged{LinesChanged: &ddmv1.LinesChanged{
				Lines: f.service.protoLines(),
			}}})
		case <-f.holdings.changed:
			f.holdings.pause()
		case <-f.holdings.due():
			f.holdings.tell(f.out)
		case r := <-orders:
			switch {
			case errors.Is(r.err, io.EOF): // no more orders; what runs may end
				orders = nil
			case r.err != nil:
				return false, r.err
			default:
				if err := f.obey(r.req); err != nil {
					return false, err
				}
			}
		case <-f.idle:
		case <-draining:
			draining, f.refusing, err = nil, true, errGoing
			f.emit(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Draining{Draining: &ddmv1.Draining{
				Grace: durationpb.New(f.service.grace),
			}}})
		case <-f.out.gone:
			return false, f.out.err
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// obey executes one order. An error ends the stream.
func (f *fetch) obey(req *ddmv1.FetchRequest) error {
	switch order := req.GetOrder().(type) {
	case *ddmv1.FetchRequest_Assign:
		return f.assign(order.Assign)
	case *ddmv1.FetchRequest_Shrink:
		f.out.cut(order.Shrink.GetAssignmentId(), order.Shrink.GetEnd())
		if r := f.runnerOf(order.Shrink.GetAssignmentId()); r != nil {
			r.Shrink(order.Shrink.GetAssignmentId(), order.Shrink.GetEnd())
		}
		return nil
	case *ddmv1.FetchRequest_Cancel:
		f.out.cut(order.Cancel.GetAssignmentId(), 0)
		if r := f.runnerOf(order.Cancel.GetAssignmentId()); r != nil {
			r.Cancel(order.Cancel.GetAssignmentId())
		}
		return nil
	case *ddmv1.FetchRequest_Mirror:
		res, err := checkMirror(order.Mirror, len(f.targets), f.targets[0].resource.Gen.Size)
		if err != nil {
			return err
		}
		f.targets = append(f.targets, newTarget(res))
		return nil
	case *ddmv1.FetchRequest_Open:
		return fmt.Errorf("%w: a stream is opened once", errdefs.Invalid)
	}
	return fmt.Errorf("%w: a request without an order", errdefs.Invalid)
}

func (f *fetch) runnerOf(id uint64) *transfer.Runner {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at, ok := f.live[id]; ok {
		return f.runners[at.way]
	}
	return nil
}

func (f *fetch) idling() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.live) == 0
}

// assign starts or queues an assignment, or answers why not.
func (f *fetch) assign(a *ddmv1.Assign) error {
	id := a.GetAssignmentId()
	if f.runnerOf(id) != nil {
		return fmt.Errorf("%w: assignment %d exists already", errdefs.Invalid, id)
	}
	if n := len(f.targets); uint64(a.GetMirror()) >= uint64(n) {
		return f.reportFailure(id, f.targets[0], fmt.Errorf("%w: mirror %d of %d", errdefs.Invalid, a.GetMirror(), n-1))
	}
	to := f.targets[a.GetMirror()]
	rng, err := checkAssign(a, f.lanes, to.resource.Gen.Size)
	if err == nil {
		err = f.start(id, slot{way{a.GetLineId(), to}, int(a.GetLane())}, rng)
	}
	if err != nil {
		return f.reportFailure(id, to, err)
	}
	return nil
}

func (f *fetch) start(id uint64, at slot, rng byterange.Range) error {
	if f.refusing {
		return errGoing
	}
	line, err := f.opener(at.way)
	if err != nil {
		return err
	}
	if err := f.acquire(id, at); err != nil {
		return err
	}
	if err := f.runner(at.way, line).Assign(id, at.lane, rng); err != nil {
		f.release(id)
		return err
	}
	return nil
}

// Started implements transfer.Sink.
func (f *fetch) Started(id uint64, seen *origin.Reply) {
	f.mu.Lock()
	f.live[id].target.reached = true
	f.mu.Unlock()
	f.emit(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Started{Started: &ddmv1.Started{
		AssignmentId: id, Generation: origin.GenerationToProto(seen.Gen), FirstByte: durationpb.New(seen.FirstByte),
	}}})
}

// Data implements transfer.Sink.
func (f *fetch) Data(id uint64, off int64, buf mem.Buffer) error { return f.out.data(id, off, buf) }

// Ended implements transfer.Sink. The lane is free before the client hears of
// it: its next order must find it so.
func (f *fetch) Ended(id uint64, err error) {
	to := f.release(id)
	if err == nil {
		f.emit(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Done{Done: &ddmv1.Done{AssignmentId: id}}})
		return
	}
	_ = f.reportFailure(id, to, err) // a broken stream is seen by serve
}

// reportFailure sends Failed. Its error is the stream's.
func (f *fetch) reportFailure(id uint64, to *target, err error) error {
	if errors.Is(err, context.Canceled) { // on the client's order
		return f.out.put(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Failed{Failed: &ddmv1.Failed{
			AssignmentId: id, Failure: errdefs.ToFailure(fmt.Errorf("%w: cancelled", errdefs.Unavailable)),
		}}})
	}
	f.metrics.failed(errdefs.KindOf(err))
	var seen *ddmv1.Generation
	if changed, ok := errors.AsType[*origin.ChangedError](err); ok {
		seen = origin.GenerationToProto(changed.Seen)
	}
	return f.out.put(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Failed{Failed: &ddmv1.Failed{
		AssignmentId: id, Failure: errdefs.ToFailure(f.public(to, err)), Seen: seen,
	}}})
}

// public returns what a client may know of err; the log gets the rest, once
// per target where it is hidden.
func (f *fetch) public(to *target, err error) error {
	f.mu.Lock()
	shown, hidden := conceal(err, to.reached)
	first := hidden && !to.told
	to.told = to.told || hidden
	f.mu.Unlock()
	level := hclog.Debug
	if first {
		level = hclog.Info
	}
	f.log.Log(level, "assignment failed", "origin", to.origin, "reason", detail(err))
	return shown
}

// emit sends an event whose loss serve notices by itself.
func (f *fetch) emit(event *ddmv1.FetchResponse) { _ = f.out.put(event) }
