// Package transfer executes assignments: it runs ranged GETs on the lanes of
// one line for one resource, and hands the bytes on while they arrive. A peer
// runs it for its clients, a client for its own lines.
//
//	Assign, Shrink, Cancel                       Sink
//	     |                                         ^ Started, Data..., Ended
//	     v                                         |
//	lane 0: running, waiting, waiting --GET--> [ 256 KiB frame ]
//	lane 1: running                   --GET--> [ 256 KiB frame ]
//
// Each lane that has work is one goroutine, which reads, and a second one,
// which sends a frame that has waited for 100 ms while the next read blocks.
// The assignments of a lane run in the order in which they came; lanes run
// side by side. A sink that blocks stops the reading, and so the origin: the
// memory of a lane is the frame that it fills plus those that the sink holds.
//
// Nothing is retried here: an error ends its assignment, and what was
// delivered before stays valid. Whoever assigned decides what comes next.
package transfer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"

	"google.golang.org/grpc/mem"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

const defaultQueue = 8

// Opener opens one range of a resource; *origin.Line is one.
type Opener interface {
	// Open returns a reply that passed the accept test against res. The end of
	// ctx ends a Read of its body.
	Open(ctx context.Context, res origin.Resource, r byterange.Range) (*origin.Reply, error)
}

// Sink receives what assignments bring. Calls for one assignment come in
// order, one at a time; different assignments may call at the same time. A
// call may block: that is back-pressure.
type Sink interface {
	// Started reports a reply that passed the accept test. It comes at most
	// once per assignment, before its first Data. The body must not be touched.
	Started(id uint64, seen *origin.Reply)
	// Data takes over buf, at most Config.Frame bytes, and must free it. An error ends the
	// assignment.
	Data(id uint64, off int64, buf mem.Buffer) error
	// Ended comes exactly once per accepted assignment, as its last call; nil:
	// it reached its (present) end; context.Canceled: Cancel or Close ended it.
	Ended(id uint64, err error)
}

// Config says what a Runner works on.
type Config struct {
	Line     Opener
	Resource origin.Resource
	Lanes    int            // most connections side by side; 0: 1
	Queue    int            // most assignments that wait per lane; 0: 8
	Frame    int            // most bytes of a frame, for lanes that fill it in no time; 0 and less than 256 KiB: 256 KiB
	Pool     mem.BufferPool // frames come from here; nil: gRPC's default pool
	Observe  func(n int)    // told the body bytes of each read; nil: nobody
	Further  func()         // called before a further reply of an assignment is read, when the sink has what came before; nil: nobody
}

// Runner runs the assignments of one resource on one line.
type Runner struct {
	cfg  Config
	sink Sink

	work sync.WaitGroup // lanes at work, and ends being reported

	mu     sync.Mutex // guards what follows
	closed bool
	live   map[uint64]*assignment // accepted, not ended
	lanes  []lane
}

// lane is the queue of one connection. A busy lane has a goroutine.
type lane struct {
	busy  bool
	queue []*assignment
}

// New returns a Runner that reports to sink. It must be closed.
func New(cfg Config, sink Sink) *Runner {
	cfg.Lanes = max(cfg.Lanes, 1)
	if cfg.Queue <= 0 {
		cfg.Queue = defaultQueue
	}
	if cfg.Pool == nil {
		cfg.Pool = mem.DefaultBufferPool()
	}
	if cfg.Observe == nil {
		cfg.Observe = func(int) {}
	}
	return &Runner{
		cfg: cfg, sink: sink,
		live:  make(map[uint64]*assignment),
		lanes: make([]lane, cfg.Lanes),
	}
}

// Assign accepts the fetching of rng on a lane, counted from 0. Without an
// error the assignment ends with exactly one Ended. Errors: Busy if there is
// no such lane or too many wait for it, Invalid for a range or id that makes
// no sense, Unavailable after Close.
func (r *Runner) Assign(id uint64, lane int, rng byterange.Range) error {
	if rng.Off < 0 || rng.Len <= 0 || rng.Off > math.MaxInt64-rng.Len {
		return fmt.Errorf("%w: assignment of range %v", errdefs.Invalid, rng)
	}
	return r.accept(&assignment{id: id, lane: lane, off: rng.Off, pos: rng.Off, end: rng.End()})
}

// Adopt accepts an assignment whose reply is open already: it delivers the
// range that the reply holds; one of unknown length ends where its body ends. Its
// first bytes do not wait for their frame to fill. Without an error the Runner
// takes over the reply, and stop, which must end its context and is called once
// or more often.
func (r *Runner) Adopt(id uint64, lane int, reply *origin.Reply, stop context.CancelFunc) error {
	rng := reply.Range
	return r.accept(&assignment{
		id: id, lane: lane, off: rng.Off, pos: rng.Off, end: rng.End(),
		open: rng.Len == math.MaxInt64, adopted: reply, abort: stop,
	})
}

func (r *Runner) accept(a *assignment) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return fmt.Errorf("%w: no new assignments, this stream is ending", errdefs.Unavailable)
	case r.live[a.id] != nil:
		return fmt.Errorf("%w: assignment %d exists already", errdefs.Invalid, a.id)
	case a.lane < 0 || a.lane >= len(r.lanes):
		return fmt.Errorf("%w: lane %d of %d", errdefs.Busy, a.lane, len(r.lanes))
	}
	l := &r.lanes[a.lane]
	if len(l.queue) >= r.cfg.Queue {
		return fmt.Errorf("%w: %d assignments wait for lane %d", errdefs.Busy, len(l.queue), a.lane)
	}
	r.live[a.id] = a
	if l.busy {
		l.queue = append(l.queue, a)
		return nil
	}
	l.busy = true
	r.work.Go(func() { r.runLane(a) })
	return nil
}

// runLane runs a and everything that waits behind it.
func (r *Runner) runLane(a *assignment) {
	p := newPump(&r.cfg, r.sink)
	defer p.close()
	for index := a.lane; a != nil; a = r.next(index) {
		err := p.run(a)
		r.mu.Lock()
		delete(r.live, a.id)
		r.mu.Unlock()
		r.sink.Ended(a.id, err)
	}
}

// next takes the first assignment that waits for a lane. Without one it
// declares the lane idle, and the caller must stop working it.
func (r *Runner) next(index int) *assignment {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &r.lanes[index]
	if len(l.queue) == 0 {
		l.busy, l.queue = false, nil
		return nil
	}
	a := l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	return a
}

// Shrink moves the end of a running or waiting assignment down, without a
// restart. An end above the present one, and an unknown id, are ignored. An
// end at or below what was read already ends the assignment without error.
func (r *Runner) Shrink(id uint64, end int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.live[id]; a != nil && a.shrink(end) {
		r.dropLocked(a, nil)
	}
}

// Cancel stops an assignment. An unknown id is ignored.
func (r *Runner) Cancel(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a := r.live[id]; a != nil {
		a.cancel()
		r.dropLocked(a, context.Canceled)
	}
}

// dropLocked ends a at once if it still waits for its lane. The report comes
// from a goroutine of the Runner, so that the caller may hold what the sink
// needs.
func (r *Runner) dropLocked(a *assignment, err error) {
	l := &r.lanes[a.lane]
	i := slices.Index(l.queue, a)
	if i < 0 {
		return
	}
	l.queue = slices.Delete(l.queue, i, i+1)
	delete(r.live, a.id)
	r.work.Go(func() {
		a.release()
		r.sink.Ended(a.id, err)
	})
}

// Close cancels every assignment, waits for the last Ended, and accepts
// nothing more. A sink that blocks in Data must let go for Close to return.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	for _, a := range r.live {
		a.cancel()
	}
	r.mu.Unlock()
	r.work.Wait()
}
