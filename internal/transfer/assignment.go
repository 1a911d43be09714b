package transfer

import (
	"context"
	"errors"
	"sync"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// assignment is one accepted order and how far it came.
type assignment struct {
	id   uint64
	lane int
	off  int64 // first byte
	open bool  // its length is unknown: the end of the body is its end

	mu        sync.Mutex    // guards what follows
	pos       int64         // everything below was read
	end       int64         // exclusive; only ever moves down
	adopted   *origin.Reply // a reply that came with the order; taken by the lane
	abort     func()        // ends a Read of adopted
	stop      func()        // ends the running GET; nil while waiting
	cancelled bool
}

// begin marks a as running; cancel must end the requests that are made for it.
// False: it was cancelled while it waited.
func (a *assignment) begin(cancel func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stop = func() {
		cancel()
		if a.abort != nil {
			a.abort()
		}
	}
	return !a.cancelled
}

// rest returns what is still to be read.
func (a *assignment) rest() byterange.Range {
	a.mu.Lock()
	defer a.mu.Unlock()
	return byterange.Between(a.pos, a.end)
}

// limit returns the present end.
func (a *assignment) limit() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.end
}

// advance records that n more bytes were read and returns how many of them
// lie below the present end.
func (a *assignment) advance(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n = int(min(int64(n), max(a.end-a.pos, 0)))
	a.pos += int64(n)
	return n
}

// finish makes what was read the whole.
func (a *assignment) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.end = min(a.end, a.pos)
}

// shrink moves the end down and stops a read that has nothing left to read.
// It reports whether nothing is left.
func (a *assignment) shrink(end int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if end >= a.end {
		return false
	}
	a.end = max(end, a.off)
	if a.end > a.pos {
		return false
	}
	if a.stop != nil {
		a.stop()
	}
	return true
}

// cancel stops a; its lane reports the end.
func (a *assignment) cancel() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cancelled = true
	if a.stop != nil {
		a.stop()
	}
}

// halt ends the running GET.
func (a *assignment) halt() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stop()
}

// take returns the adopted reply, once.
func (a *assignment) take() *origin.Reply {
	a.mu.Lock()
	defer a.mu.Unlock()
	reply := a.adopted
	a.adopted = nil
	return reply
}

// release gives up what was adopted.
func (a *assignment) release() {
	if a.abort != nil {
		a.abort()
	}
	if reply := a.take(); reply != nil {
		_ = reply.Body.Close() // nothing was read from it: its error says nothing new
	}
}

// outcome turns the error that stopped the reading into what is reported: an
// error after the last wanted byte is none, unless it condemns the reply.
func (a *assignment) outcome(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case errors.Is(err, errdefs.BadReply):
		return err
	case a.pos >= a.end:
		return nil
	case a.cancelled:
		return context.Canceled
	}
	return err
}
