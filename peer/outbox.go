package peer

import (
	"fmt"
	"math"
	"sync"
	"time"

	"google.golang.org/grpc/mem"

	"ddm/internal/crc32c"
	"ddm/internal/errdefs"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	outboxSize = 4                // events that wait for the stream; a frame is 256 KiB at most
	sendLimit  = 60 * time.Second // a client that takes no event for so long is cut
)

// outbox is the one sender of a stream: whoever has an event puts it in, one
// goroutine sends. Its bound is what turns a slow client into back-pressure on
// the origin. What the client does not want any more it leaves out.
type outbox struct {
	queue chan any      // *ddmv1.FetchResponse or *rpc.Frame; closed by end
	news  chan any      // what does not wait behind frames; room for one
	gone  chan struct{} // closed: nothing will be sent any more
	sent  chan struct{} // closed: run has returned
	count func(n int)   // told the payload bytes sent

	fail sync.Once
	err  error // why gone was closed; read it after that only

	mu   sync.Mutex
	ends map[uint64]int64 // where assignments end of which bytes may wait
}

func newOutbox(count func(n int)) *outbox {
	return &outbox{
		queue: make(chan any, outboxSize),
		news:  make(chan any, 1),
		gone:  make(chan struct{}),
		sent:  make(chan struct{}),
		count: count,
		ends:  make(map[uint64]int64),
	}
}

// put hands an event over and waits while the queue is full. It returns the
// error that broke the stream, if one did.
func (o *outbox) put(event any) error {
	select {
	case <-o.gone:
		free(event)
		return o.err
	default:
	}
	select {
	case <-o.gone:
		free(event)
		return o.err
	case o.queue <- event:
		return nil
	}
}

// hurry hands over an event that may overtake others, if none such waits
// already: it never blocks. False: not now.
func (o *outbox) hurry(event any) bool {
	select {
	case o.news <- event:
		return true
	default:
		return false
	}
}

// next returns what is to be sent; not ok: end was called, and all of it was
// sent. The first event of a stream is overtaken by none.
func (o *outbox) next(first bool) (event any, ok bool) {
	if first {
		event, ok = <-o.queue
		return event, ok
	}
	select {
	case event = <-o.news:
		return event, true
	default:
	}
	select {
	case event = <-o.news:
		return event, true
	case event, ok = <-o.queue:
		return event, ok
	}
}

// data sends bytes of an assignment. It takes over buf.
func (o *outbox) data(id uint64, off int64, buf mem.Buffer) error {
	o.mu.Lock()
	if _, cut := o.ends[id]; !cut {
		o.ends[id] = math.MaxInt64
	}
	o.mu.Unlock()
	return o.put(&rpc.Frame{
		Assignment: id,
		Offset:     off,
		CRC32C:     crc32c.Checksum(buf.ReadOnlyData()),
		Payload:    mem.BufferSlice{buf},
	})
}

// cut says that bytes of an assignment from end on are not wanted any more.
func (o *outbox) cut(id uint64, end int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, waits := o.ends[id]; waits { // else its runner knows
		o.ends[id] = min(o.ends[id], end)
	}
}

// wanted returns as much of an event as is wanted, nil if nothing is.
func (o *outbox) wanted(event any) any {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch e := event.(type) {
	case *rpc.Frame:
		end := o.ends[e.Assignment]
		size := int64(e.Payload.Len())
		switch {
		case e.Offset >= end:
			free(event)
			return nil
		case size > end-e.Offset:
			part := e.Payload[0].Slice(0, int(end-e.Offset))
			free(event)
			e.CRC32C, e.Payload = crc32c.Checksum(part.ReadOnlyData()), mem.BufferSlice{part}
		}
	case *ddmv1.FetchResponse:
		switch over := e.GetEvent().(type) {
		case *ddmv1.FetchResponse_Done:
			delete(o.ends, over.Done.GetAssignmentId())
		case *ddmv1.FetchResponse_Failed:
			delete(o.ends, over.Failed.GetAssignmentId())
		}
	}
	return event
}

// abort makes every put fail with err. The first one counts.
func (o *outbox) abort(err error) {
	o.fail.Do(func() {
		o.err = err
		close(o.gone)
	})
}

// end says that nothing will be put any more; run sends what waits, unless
// the outbox was aborted, and returns.
func (o *outbox) end() { close(o.queue) }

// run sends until end. A send that takes longer than sendLimit aborts the
// outbox, as an error of send does.
func (o *outbox) run(send func(event any) error) {
	defer close(o.sent)
	slow := time.AfterFunc(sendLimit, func() {
		o.abort(fmt.Errorf("%w: the client took nothing for %v", errdefs.Unavailable, sendLimit))
	})
	slow.Stop()
	for first := true; ; first = false {
		event, ok := o.next(first)
		if !ok {
			return
		}
		select {
		case <-o.gone:
			free(event)
			continue
		default:
		}
		if event = o.wanted(event); event == nil {
			continue
		}
		slow.Reset(sendLimit)
		err := send(event)
		slow.Stop()
		if frame, ok := event.(*rpc.Frame); ok && err == nil {
			o.count(frame.Payload.Len())
		}
		free(event)
		if err != nil {
			o.abort(err)
		}
	}
}

// free gives back the buffer of a frame.
func free(event any) {
	if frame, ok := event.(*rpc.Frame); ok {
		frame.Payload.Free()
	}
}
