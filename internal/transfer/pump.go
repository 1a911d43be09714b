package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/mem"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

const (
	frameSize  = 256 << 10              // cheapest message size over gRPC, and a tier of the pool
	frameDelay = 100 * time.Millisecond // the longest that a byte waits for its frame to fill
	fastFill   = 10 * time.Millisecond  // who fills a frame within this gets one of Config.Frame next
	minRead    = 32 << 10               // with less room than this a new frame begins, where bytes are not so fast

	// An origin may answer with less than was asked for, but not for ever with
	// crumbs: a reply below crumb bytes counts, and maxCrumbs of them are bad.
	crumb     = 64 << 10
	maxCrumbs = 32
)

// pump is a lane at work: it reads bodies into frames. The lane's goroutine
// reads; a second one sends the open frame when it is due, as a view of the
// bytes in front of those that are being read: nothing is copied, nothing
// written twice.
//
//	data: [ sent | start ... fill | room for the next Read ]
//	               `- the open frame
type pump struct {
	cfg  *Config
	sink Sink

	timer *time.Timer   // fires when the open frame is due, or a little earlier
	done  chan struct{} // closed: the flusher ends
	ended chan struct{} // closed: the flusher ended

	// turn is held by whoever holds its one token, and guards what follows. It
	// is held while the sink blocks, which is why it is no mutex.
	turn  chan struct{}
	a     *assignment // that the open frame belongs to; nil: none
	data  []byte      // the memory of root
	taken time.Time   // when that came from the pool
	root  mem.Buffer  // nil: no buffer
	start int         // first byte of the open frame
	fill  int         // behind its last byte
	off   int64       // offset of data[start] in the resource
	born  time.Time   // when the first byte of the open frame came
	eager bool        // the open frame leaves with its first bytes
	armed bool        // the timer will fire
	err   error       // what the sink said about a
}

func newPump(cfg *Config, sink Sink) *pump {
	p := &pump{
		cfg: cfg, sink: sink,
		timer: time.NewTimer(time.Hour),
		turn:  make(chan struct{}, 1),
		done:  make(chan struct{}), ended: make(chan struct{}),
	}
	p.timer.Stop()
	go p.flusher() // waited for by close
	return p
}

func (p *pump) close() {
	close(p.done)
	<-p.ended
	p.timer.Stop()
	p.freeBuffer()
}

func (p *pump) lock()   { p.turn <- struct{}{} }
func (p *pump) unlock() { <-p.turn }

// run executes one assignment and returns how it ended.
func (p *pump) run(a *assignment) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer a.release()
	if !a.begin(cancel) {
		return context.Canceled
	}
	p.lock()
	p.a, p.off, p.err = a, a.off, nil
	p.unlock()

	err := p.fetch(ctx, a)

	p.lock()
	defer p.unlock()
	p.flushLocked()
	p.a = nil
	if p.err != nil {
		return p.err
	}
	return a.outcome(err)
}

// fetch reads replies until nothing is left of a. A reply that holds less than
// was asked for is followed by a further GET, whose reply must name the very
// validators that the first one did: that one was judged, for all of them.
func (p *pump) fetch(ctx context.Context, a *assignment) error {
	var first *origin.Reply
	for crumbs := 0; ; {
		rest := a.rest()
		if rest.Empty() {
			return nil
		}
		reply, err := a.take(), error(nil)
		if reply == nil {
			reply, err = p.cfg.Line.Open(ctx, p.cfg.Resource, rest)
		} else {
			p.lock()
			p.eager = true // a download begins: somebody waits for its first byte
			p.unlock()
		}
		switch {
		case err != nil && first != nil && errors.Is(err, errdefs.BadReply):
			// What the replies before it brought is not condemned by this one.
			return fmt.Errorf("%w: a further reply was refused: %s", errdefs.Unavailable, err.Error())
		case err != nil:
			return err
		case first == nil:
			first = reply
			p.sink.Started(a.id, reply)
		case reply.Gen != first.Gen || reply.Level < first.Level:
			_ = reply.Body.Close() // nothing of it is wanted
			return fmt.Errorf("%w: a further reply names other validators; it has to be judged anew", errdefs.Unavailable)
		case p.cfg.Further != nil:
			p.lock()
			p.flushLocked()
			p.unlock()
			p.cfg.Further()
		}
		got, err := p.drain(a, reply)
		if err != nil {
			return err
		}
		if got < crumb && !a.rest().Empty() {
			crumbs++
		}
		if crumbs > maxCrumbs {
			return fmt.Errorf("%w: %d replies of less than %d bytes each", errdefs.BadReply, crumbs, crumb)
		}
	}
}

// drain reads one reply to its end, or to the end of a, and closes it.
func (p *pump) drain(a *assignment, reply *origin.Reply) (got int64, err error) {
	defer func() { _ = reply.Body.Close() }() // what counts was read; a rest is not wanted
	for got < reply.Range.Len {
		room := p.room(a.rest().Len)
		if len(room) == 0 {
			return got, nil
		}
		n, err := reply.Body.Read(room)
		if n > 0 {
			p.cfg.Observe(n)
			got += int64(n)
			if err := p.add(n); err != nil {
				return got, err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if a.open {
				a.finish()
			}
			return got, nil
		case err != nil:
			return got, err
		}
	}
	// Only the read behind the last byte tells whether the body ends there.
	var behind [1]byte
	if _, err := reply.Body.Read(behind[:]); err != nil && !errors.Is(err, io.EOF) {
		return got, err
	}
	return got, nil
}

// room returns where the next Read goes, at most want bytes. Only the lane's
// goroutine moves fill and data, so that the room stays its own while it reads.
func (p *pump) room(want int64) []byte {
	if want <= 0 {
		return nil
	}
	// A fast lane's buffer is filled to its last byte, however little that is:
	// frames then end where pages of the file do, and pieces.
	left := len(p.data) - p.fill
	if left == 0 || left < minRead && want > int64(left) && time.Since(p.taken) >= fastFill {
		p.lock()
		p.flushLocked()
		p.freeBuffer()
		now, size := time.Now(), frameSize
		if now.Sub(p.taken) < fastFill {
			size = max(size, p.cfg.Frame)
		}
		p.taken = now
		buf := p.cfg.Pool.Get(size)
		p.data, p.root = *buf, mem.NewBuffer(buf, p.cfg.Pool)
		p.unlock()
	}
	return p.data[p.fill:min(int64(len(p.data)), int64(p.fill)+want)]
}

// freeBuffer gives the buffer up; the views that the sink holds keep it alive.
func (p *pump) freeBuffer() {
	if p.root != nil {
		p.root.Free()
	}
	p.root, p.data, p.start, p.fill = nil, nil, 0, 0
}

// add puts n bytes that were read into the open frame and sends it if the
// buffer is full. It returns what the sink said.
func (p *pump) add(n int) error {
	p.lock()
	defer p.unlock()
	n = p.a.advance(n)
	if p.start == p.fill && n > 0 {
		p.born = time.Now()
		if !p.armed {
			p.armed = true
			p.timer.Reset(frameDelay)
		}
	}
	p.fill += n
	if p.fill == len(p.data) || p.eager {
		p.eager = false
		p.flushLocked()
	}
	return p.err
}

// flushLocked hands the open frame to the sink, as far as it is still wanted.
// The caller holds the turn.
func (p *pump) flushLocked() {
	n := p.fill - p.start
	if n == 0 || p.a == nil {
		return
	}
	off, start := p.off, p.start
	p.off, p.start = off+int64(n), p.fill
	wanted := min(int64(n), p.a.limit()-off)
	if wanted <= 0 || p.err != nil {
		return
	}
	if p.err = p.sink.Data(p.a.id, off, p.root.Slice(start, start+int(wanted))); p.err != nil {
		p.a.halt()
	}
}

// flusher sends frames that are due while the lane's goroutine reads.
func (p *pump) flusher() {
	defer close(p.ended)
	for {
		select {
		case <-p.done:
			return
		case <-p.timer.C:
			p.lock()
			p.flushDueLocked(time.Now())
			p.unlock()
		}
	}
}

// flushDueLocked sends the open frame if it has waited long enough, or sets
// the timer to when it will have. The timer is set once per frameDelay at
// most, however fast frames come.
func (p *pump) flushDueLocked(now time.Time) {
	p.armed = false
	if p.start == p.fill {
		return
	}
	if wait := p.born.Add(frameDelay).Sub(now); wait > 0 {
		p.armed = true
		p.timer.Reset(wait)
		return
	}
	p.flushLocked()
}
