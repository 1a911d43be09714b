package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/mem"

	"ddm/internal/byterange"
	"ddm/internal/origin"
	"ddm/internal/rpc/rpctest"
	"ddm/internal/transfer"
)

// at is the byte that every test resource has at an offset.
func at(off int64) byte { return byte(off ^ off>>8 ^ off>>16) }

func content(r byterange.Range) []byte {
	b := make([]byte, r.Len)
	for i := range b {
		b[i] = at(r.Off + int64(i))
	}
	return b
}

// line is an Opener that makes bodies out of scripts.
type line struct {
	mu     sync.Mutex
	opened []byterange.Range
	open   int // bodies not closed
	body   func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error)
	says   func(off int64) (origin.Generation, origin.Level) // nil: always the same
}

func (l *line) Open(ctx context.Context, _ origin.Resource, r byterange.Range) (*origin.Reply, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = append(l.opened, r)
	got, body, err := l.body(ctx, r)
	if err != nil {
		return nil, err
	}
	reply := l.replyLocked(got, body)
	if l.says != nil {
		reply.Gen, reply.Level = l.says(got.Off)
	}
	return reply, nil
}

func (l *line) replyLocked(r byterange.Range, body io.Reader) *origin.Reply {
	l.open++
	return &origin.Reply{Range: r, Body: &closer{Reader: body, line: l}}
}

func (l *line) requests() []byterange.Range {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.opened)
}

type closer struct {
	io.Reader
	line *line
	once sync.Once
}

func (c *closer) Close() error {
	c.once.Do(func() {
		c.line.mu.Lock()
		defer c.line.mu.Unlock()
		c.line.open--
	})
	return nil
}

// whole answers every range with its bytes at once.
func whole(_ context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
	return r, bytes.NewReader(content(r)), nil
}

// drip gives n bytes every so often, for ever.
func drip(n int, every time.Duration) func(context.Context, byterange.Range) (byterange.Range, io.Reader, error) {
	return func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		return r, &dripper{done: ctx.Done(), rest: content(r), n: n, every: every}, nil
	}
}

type dripper struct {
	done  <-chan struct{}
	rest  []byte
	n     int
	every time.Duration
}

func (d *dripper) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(d.every):
	case <-d.done:
		return 0, context.Canceled
	}
	n := copy(p, d.rest[:min(d.n, len(d.rest))])
	d.rest = d.rest[n:]
	return n, nil
}

// sink records what comes and checks the order of calls.
type sink struct {
	t     testing.TB
	delay time.Duration
	fail  error // what Data says

	mu      sync.Mutex
	started map[uint64]bool
	got     map[uint64]*bytes.Buffer
	first   map[uint64]int64
	frames  []int
	times   []time.Time
	ended   map[uint64]error
	order   []uint64
	done    chan uint64
}

func newSink(t testing.TB) *sink {
	t.Helper()
	return &sink{
		t: t, started: map[uint64]bool{}, got: map[uint64]*bytes.Buffer{}, first: map[uint64]int64{},
		ended: map[uint64]error{}, done: make(chan uint64, 1000),
	}
}

func (s *sink) Started(id uint64, _ *origin.Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started[id] {
		s.t.Errorf("assignment %d started twice", id)
	}
	s.started[id] = true
}

func (s *sink) Data(id uint64, off int64, buf mem.Buffer) error {
	defer buf.Free()
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if _, ended := s.ended[id]; ended || !s.started[id] {
		s.t.Errorf("data of assignment %d before its start or after its end", id)
	}
	if s.got[id] == nil {
		s.got[id], s.first[id] = new(bytes.Buffer), off
	}
	if want := s.first[id] + int64(s.got[id].Len()); off != want {
		s.t.Errorf("assignment %d: data at %d, want %d", id, off, want)
	}
	s.got[id].Write(buf.ReadOnlyData())
	s.frames = append(s.frames, buf.Len())
	s.times = append(s.times, time.Now())
	return nil
}

func (s *sink) Ended(id uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.ended[id]; twice {
		s.t.Errorf("assignment %d ended twice", id)
	}
	s.ended[id] = err
	s.order = append(s.order, id)
	s.done <- id
}

func (s *sink) bytesOf(id uint64) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.got[id] == nil {
		return nil
	}
	return slices.Clone(s.got[id].Bytes())
}

// end returns whether an assignment has ended, and how.
func (s *sink) end(id uint64) (ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err, ok = s.ended[id]
	return ok, err
}

// bench is a runner in a bubble with its line, sink and pool.
type bench struct {
	*transfer.Runner
	line *line
	sink *sink
}

// bubble runs do with a runner and checks afterwards that nothing was leaked.
func bubble(t *testing.T, lanes int, body func(context.Context, byterange.Range) (byterange.Range, io.Reader, error), do func(t *testing.T, b bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		pool := new(rpctest.Poison)
		b := bench{line: &line{body: body}, sink: newSink(t)}
		b.Runner = transfer.New(transfer.Config{Line: b.line, Lanes: lanes, Pool: pool}, b.sink)
		do(t, b)
		b.Close()
		if n := pool.Lent(); n != 0 {
			t.Errorf("%d buffers were not given back", n)
		}
		if b.line.open != 0 {
			t.Errorf("%d bodies were not closed", b.line.open)
		}
	})
}

func (b bench) assign(id uint64, lane int, off, length int64) {
	b.sink.t.Helper()
	if err := b.Assign(id, lane, byterange.Range{Off: off, Len: length}); err != nil {
		b.sink.t.Fatalf("assign %d: %v", id, err)
	}
}

// want checks how an assignment ended and what it delivered.
func (b bench) want(id uint64, kind error, r byterange.Range) {
	b.sink.t.Helper()
	ok, err := b.sink.end(id)
	if !ok || !errors.Is(err, kind) || (kind == nil) != (err == nil) {
		b.sink.t.Errorf("assignment %d: ended %v with %v, want %v", id, ok, err, kind)
	}
	if got := b.sink.bytesOf(id); !bytes.Equal(got, content(r)) {
		b.sink.t.Errorf("assignment %d: %d bytes, want those of %v", id, len(got), r)
	}
}
