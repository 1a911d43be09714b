package tracker

import (
	"fmt"
	"iter"
	"net/netip"
	"sync"

	"google.golang.org/protobuf/proto"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// Bounds of one message. The largest record takes less than a tenth of it, and
// it is a quarter of what receivers take.
const (
	maxBatch      = 100
	maxBatchBytes = 128 << 10
)

// watcher holds the changes that one client has not been sent yet, in order.
type watcher struct {
	limit int
	wake  chan struct{} // of one: there are changes
	over  chan struct{} // closed when the watch is ended from this side

	mu     sync.Mutex
	queue  []change
	reason error // why it is over
}

func newWatcher(limit int) *watcher {
	return &watcher{limit: limit, wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// push adds a change. A watcher that holds too many is ended, as missing one
// would mislead it for ever: push is false.
func (w *watcher) push(c change) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return false
	}
	if len(w.queue) >= w.limit {
		w.endLocked(fmt.Errorf("%w: %d changes were not read: watch again", errdefs.Busy, w.limit))
		return false
	}
	w.queue = append(w.queue, c)
	signal(w.wake)
	return true
}

// take removes and gives all changes.
func (w *watcher) take() []change {
	w.mu.Lock()
	defer w.mu.Unlock()
	queue := w.queue
	w.queue = nil
	return queue
}

// end ends the watch with a reason; the first one stays.
func (w *watcher) end(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason == nil {
		w.endLocked(reason)
	}
}

func (w *watcher) endLocked(reason error) {
	w.reason, w.queue = reason, nil
	close(w.over)
}

// err is why the watch is over; read it after over is closed.
func (w *watcher) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

// joins is a snapshot as changes.
func joins(peers []*record) []change {
	changes := make([]change, len(peers))
	for i, rec := range peers {
		changes[i] = change{ddmv1.PeerChange_KIND_JOINED, rec}
	}
	return changes
}

// batches cuts changes into messages, for a client that reached the tracker at
// that local address. They are built one at a time, when they are to be sent.
func batches(changes []change, reached netip.Addr) iter.Seq[[]*ddmv1.PeerChange] {
	return func(yield func([]*ddmv1.PeerChange) bool) {
		var batch []*ddmv1.PeerChange
		size := 0
		for _, c := range changes {
			m := &ddmv1.PeerChange{Kind: c.kind, Peer: &ddmv1.PeerInfo{Id: c.rec.id}}
			if c.kind == ddmv1.PeerChange_KIND_JOINED {
				m.Peer = c.rec.info(reached)
			}
			n := proto.Size(m)
			if len(batch) == maxBatch || len(batch) > 0 && size+n > maxBatchBytes {
				if !yield(batch) {
					return
				}
				batch, size = nil, 0
			}
			batch, size = append(batch, m), size+n
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}
