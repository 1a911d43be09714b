package peer

import (
	"context"
	"math"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/offer"
	"ddm/internal/origin"
	"ddm/internal/store"
	"ddm/internal/transfer"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	// memoryLine is the id under which a client orders from the memory.
	memoryLine = math.MaxUint32
	// holdingsCapability: the client follows what the memory holds, or the peer
	// tells it.
	holdingsCapability = "holdings"

	mostRuns   = 4096                  // of one message
	toldPeriod = 50 * time.Millisecond // between two messages about holdings
)

// Memory is what a peer has of resources and gives without asking an origin.
// *offer.Shelf is one.
type Memory interface {
	// Holds returns which bytes of the resource's generation are there.
	Holds(res origin.Resource) byterange.Set
	// Changed returns a channel that is closed when Holds changes after this
	// call, or earlier.
	Changed(res origin.Resource) <-chan struct{}
	// Opener opens what is there: a reply may hold less than was asked for.
	transfer.Opener
}

var _ Memory = (*offer.Shelf)(nil)

// memory is where a resource may be; nil: nowhere. What no origin has is on
// the shelf alone.
func (s *service) memory(res origin.Resource) Memory {
	switch {
	case s.shelf != nil && (s.store == nil || sharedURL(res.URL)):
		return s.shelf
	case s.store != nil && !sharedURL(res.URL):
		return storeMemory{s.store}
	}
	return nil
}

// storeMemory is a store as a Memory.
type storeMemory struct{ store *store.Store }

func (m storeMemory) Holds(res origin.Resource) (held byterange.Set) {
	for r := range m.store.Holds(store.IdentityOf(res.URL, res.Gen)) {
		held.Add(r)
	}
	return held
}

func (m storeMemory) Changed(res origin.Resource) <-chan struct{} {
	return m.store.Changed(store.IdentityOf(res.URL, res.Gen))
}

func (m storeMemory) Open(ctx context.Context, res origin.Resource, r byterange.Range) (*origin.Reply, error) {
	return m.store.Opener(nil, res).Open(ctx, res, r)
}

// holdings is what a client was told of a memory, and when it hears more:
// changes are gathered for toldPeriod.
//
//	changed --pause--> due --tell--> changed ...
type holdings struct {
	memory  Memory // nil: none
	res     origin.Resource
	follows bool // the client wants to hear of changes
	told    byterange.Set
	changed <-chan struct{} // nil: not now
	timer   *time.Timer     // nil: not now
}

func newHoldings(m Memory, res origin.Resource, follows bool) *holdings {
	h := &holdings{memory: m, res: res, follows: follows && m != nil}
	if h.follows {
		h.changed = m.Changed(res) // before it is told
	}
	return h
}

// first returns what the stream begins with.
func (h *holdings) first() []*ddmv1.Run {
	if h.memory == nil {
		return nil
	}
	held := h.memory.Holds(h.res)
	runs := difference(&held, &byterange.Set{}, mostRuns)
	for _, r := range runs {
		h.told.Add(r)
	}
	if h.follows && len(runs) == mostRuns {
		h.pause() // there may be more
	}
	return protoRuns(runs)
}

// pause begins the wait for more changes.
func (h *holdings) pause() {
	h.changed = nil
	if h.timer == nil {
		h.timer = time.NewTimer(toldPeriod)
		return
	}
	h.timer.Reset(toldPeriod)
}

// due fires when it is time to tell.
func (h *holdings) due() <-chan time.Time {
	if h.timer == nil {
		return nil
	}
	return h.timer.C
}

// tell says what changed since it was told last, unless something of the kind
// still waits to be sent: then it will be said later, as will what does not fit
// into one message.
func (h *holdings) tell(out *outbox) {
	h.changed = h.memory.Changed(h.res)
	held := h.memory.Holds(h.res)
	came, gone := difference(&held, &h.told, mostRuns), difference(&h.told, &held, mostRuns)
	if len(came)+len(gone) == 0 {
		return
	}
	sent := out.hurry(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_HeldChanged{HeldChanged: &ddmv1.HeldChanged{
		Came: protoRuns(came), Gone: protoRuns(gone),
	}}})
	if !sent || len(came) == mostRuns || len(gone) == mostRuns {
		h.pause()
	}
	if !sent {
		return
	}
	for _, r := range came {
		h.told.Add(r)
	}
	for _, r := range gone {
		h.told.Subtract(r)
	}
}

func (h *holdings) close() {
	if h.timer != nil {
		h.timer.Stop()
	}
}

// difference returns the first runs of a that b does not hold.
func difference(a, b *byterange.Set, most int) (runs []byterange.Range) {
	for r := range a.All() {
		for gap := range b.Missing(r) {
			if runs = append(runs, gap); len(runs) == most {
				return runs
			}
		}
	}
	return runs
}

func protoRuns(list []byterange.Range) []*ddmv1.Run {
	runs := make([]*ddmv1.Run, len(list))
	for i, r := range list {
		runs[i] = &ddmv1.Run{Offset: r.Off, Length: r.Len}
	}
	return runs
}
