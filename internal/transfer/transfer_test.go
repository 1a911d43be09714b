package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/mem"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/rpc"
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

func TestDelivers(t *testing.T) {
	bubble(t, 2, whole, func(t *testing.T, b bench) {
		ranges := map[uint64]byterange.Range{
			1: {Off: 0, Len: 1}, 2: {Off: 1, Len: 3<<20 + 17}, 3: {Off: 1 << 40, Len: 256 << 10}, 4: {Off: 7, Len: 256<<10 + 1},
		}
		for id, r := range ranges {
			b.assign(id, int(id)%2, r.Off, r.Len)
		}
		synctest.Wait()
		for id, r := range ranges {
			b.want(id, nil, r)
		}
		for _, n := range b.sink.frames {
			if n > 256<<10 {
				t.Errorf("frame of %d bytes", n)
			}
		}
	})
}

// TestFrame fills large frames where they are allowed and fill in no time.
func TestFrame(t *testing.T) {
	const length = 4 << 20
	for name, c := range map[string]struct {
		body func(context.Context, byterange.Range) (byterange.Range, io.Reader, error)
		most int
	}{
		"fast": {whole, 1 << 20},
		"slow": {drip(64<<10, 5*time.Millisecond), 256 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := new(rpctest.Poison)
				b := bench{line: &line{body: c.body}, sink: newSink(t)}
				b.Runner = transfer.New(transfer.Config{Line: b.line, Frame: 1 << 20, Pool: pool}, b.sink)
				b.assign(1, 0, 0, length)
				<-b.sink.done
				b.Close()
				b.want(1, nil, byterange.Range{Len: length})
				if got := slices.Max(b.sink.frames); got != c.most {
					t.Errorf("the largest frame has %d bytes, want %d", got, c.most)
				}
			})
		})
	}
}

// A fast lane fills its buffer to the end, whatever the sizes of reads: pieces are not
// cut by frames.
func TestFramesAreFull(t *testing.T) {
	bubble(t, 1, drip(50_000, time.Millisecond), func(t *testing.T, b bench) {
		b.assign(1, 0, 0, 1<<20+1)
		<-b.sink.done
		b.want(1, nil, byterange.Range{Len: 1<<20 + 1})
		if want := []int{256 << 10, 256 << 10, 256 << 10, 256 << 10, 1}; !slices.Equal(b.sink.frames, want) {
			t.Errorf("frames of %v bytes, want %v", b.sink.frames, want)
		}
	})
}

// The bytes of a slow origin do not wait for their frame to fill, also while
// the next read blocks.
func TestFramesAreTimely(t *testing.T) {
	bubble(t, 1, drip(1000, 70*time.Millisecond), func(t *testing.T, b bench) {
		start := time.Now()
		b.assign(1, 0, 0, 10_000)
		<-b.sink.done
		b.want(1, nil, byterange.Range{Len: 10_000})
		if len(b.sink.frames) < 4 {
			t.Errorf("%d frames", len(b.sink.frames))
		}
		if got := b.sink.times[0].Sub(start); got != 170*time.Millisecond {
			t.Errorf("the first frame came after %v, want 100 ms after the first byte at 70 ms", got)
		}
	})
}

func TestStalledOriginStillDelivers(t *testing.T) {
	stall := func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		return r, io.MultiReader(bytes.NewReader(content(byterange.Range{Off: r.Off, Len: 5000})), &dripper{done: ctx.Done(), rest: []byte{0}, n: 1, every: time.Hour}), nil
	}
	bubble(t, 1, stall, func(_ *testing.T, b bench) {
		b.assign(1, 0, 0, 1<<20)
		time.Sleep(101 * time.Millisecond)
		if got := len(b.sink.bytesOf(1)); got != 5000 {
			b.sink.t.Errorf("%d bytes are there after 100 ms, want 5000", got)
		}
		b.Cancel(1)
		synctest.Wait()
		b.want(1, context.Canceled, byterange.Range{Len: 5000})
	})
}

func TestLaneRunsInOrderAndLanesSideBySide(t *testing.T) {
	bubble(t, 2, drip(1<<20, time.Second), func(t *testing.T, b bench) {
		start := time.Now()
		for id := uint64(1); id <= 4; id++ {
			b.assign(id, 0, int64(id)<<20, 1<<20)
		}
		b.assign(5, 1, 0, 1<<20)
		for range 5 {
			<-b.sink.done
		}
		// 1 MiB is read in four parts of 256 KiB, one a second.
		if took := time.Since(start); took != 16*time.Second {
			t.Errorf("took %v, want 16 s", took)
		}
		if i := slices.Index(b.sink.order, 5); i > 1 {
			t.Errorf("lane 1 waited for lane 0: %v", b.sink.order)
		}
		if lane0 := slices.DeleteFunc(slices.Clone(b.sink.order), func(id uint64) bool { return id == 5 }); !slices.IsSorted(lane0) {
			t.Errorf("lane 0 ran out of order: %v", lane0)
		}
	})
}

func TestShrink(t *testing.T) {
	for _, test := range []struct {
		name  string
		after time.Duration
		end   int64
		want  int64
	}{
		{"ahead of what is read", 2500 * time.Millisecond, 5500, 5500},
		{"at what was read", 2500 * time.Millisecond, 2000, 2000},
		{"below what was delivered", 2500 * time.Millisecond, 500, 2000},
		{"below what is still in the frame", 2050 * time.Millisecond, 1500, 1500},
		{"to nothing, before the first byte", 500 * time.Millisecond, 0, 0},
		{"below the range", 500 * time.Millisecond, -5, 0},
		{"above the end", 2500 * time.Millisecond, 20_000, 10_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, 1, drip(1000, time.Second), func(t *testing.T, b bench) {
				b.assign(1, 0, 0, 10_000)
				b.assign(2, 0, 90_000, 1000)
				time.Sleep(test.after)
				b.Shrink(1, test.end)
				synctest.Wait()
				if _, reached := b.sink.end(1); test.want <= 2000 && reached != nil {
					t.Errorf("a shrink to %d ends with %v", test.end, reached)
				}
				<-b.sink.done
				<-b.sink.done
				b.want(1, nil, byterange.Range{Len: test.want})
				b.want(2, nil, byterange.Range{Off: 90_000, Len: 1000})
				if n := len(b.line.requests()); n != 2 {
					t.Errorf("%d requests, want 2: a shrink restarts nothing", n)
				}
			})
		})
	}
}

func TestWaitingOnesEndAtOnce(t *testing.T) {
	bubble(t, 1, drip(1, time.Hour), func(t *testing.T, b bench) {
		for id := uint64(1); id <= 3; id++ {
			b.assign(id, 0, 100*int64(id), 100)
		}
		synctest.Wait()
		b.Cancel(2)
		b.Shrink(3, 300)
		b.Shrink(99, 0)
		b.Cancel(99)
		synctest.Wait()
		b.want(2, context.Canceled, byterange.Range{})
		b.want(3, nil, byterange.Range{})
		b.Cancel(1)
		synctest.Wait()
		b.want(1, context.Canceled, byterange.Range{})
		if n := len(b.line.requests()); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

func TestRefusals(t *testing.T) {
	bubble(t, 2, drip(1, time.Hour), func(t *testing.T, b bench) {
		for id := range uint64(9) { // one runs, eight wait
			b.assign(id, 0, 0, 10)
		}
		for _, test := range []struct {
			id   uint64
			lane int
			r    byterange.Range
			want error
		}{
			{100, 0, byterange.Range{Len: 10}, errdefs.Busy},
			{100, 2, byterange.Range{Len: 10}, errdefs.Busy},
			{100, -1, byterange.Range{Len: 10}, errdefs.Busy},
			{3, 1, byterange.Range{Len: 10}, errdefs.Invalid},
			{100, 1, byterange.Range{}, errdefs.Invalid},
			{100, 1, byterange.Range{Off: -1, Len: 1}, errdefs.Invalid},
			{100, 1, byterange.Range{Off: 5, Len: math.MaxInt64}, errdefs.Invalid},
		} {
			if err := b.Assign(test.id, test.lane, test.r); !errors.Is(err, test.want) {
				t.Errorf("assign %d on lane %d of %v: %v, want %v", test.id, test.lane, test.r, err, test.want)
			}
		}
		b.Close()
		if err := b.Assign(200, 1, byterange.Range{Len: 1}); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("assign after Close: %v", err)
		}
		for id := range uint64(9) {
			b.want(id, context.Canceled, byterange.Range{})
		}
	})
}

func TestShortRepliesAreContinued(t *testing.T) {
	short := func(n int64) func(context.Context, byterange.Range) (byterange.Range, io.Reader, error) {
		return func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
			return whole(ctx, byterange.Range{Off: r.Off, Len: min(n, r.Len)})
		}
	}
	bubble(t, 1, short(100_000), func(t *testing.T, b bench) {
		b.assign(1, 0, 5, 250_000)
		synctest.Wait()
		b.want(1, nil, byterange.Range{Off: 5, Len: 250_000})
		want := []byterange.Range{{Off: 5, Len: 250_000}, {Off: 100_005, Len: 150_000}, {Off: 200_005, Len: 50_000}}
		if got := b.line.requests(); !slices.Equal(got, want) {
			t.Errorf("requests %v, want %v", got, want)
		}
	})
	bubble(t, 1, short(1), func(t *testing.T, b bench) {
		b.assign(1, 0, 0, 1_000_000)
		synctest.Wait()
		if _, err := b.sink.end(1); !errors.Is(err, errdefs.BadReply) {
			t.Errorf("replies of one byte each: %v, want %v", err, errdefs.BadReply)
		}
	})
}

// TestFurtherIsCalled: once for each reply but the first, when the sink has all
// that came before it.
func TestFurtherIsCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		short := func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
			return whole(ctx, byterange.Range{Off: r.Off, Len: min(100_000, r.Len)})
		}
		s := newSink(t)
		var had []int
		r := transfer.New(transfer.Config{
			Line: &line{body: short}, Pool: new(rpctest.Poison),
			Further: func() { had = append(had, len(s.bytesOf(1))) },
		}, s)
		defer r.Close()
		if err := r.Assign(1, 0, byterange.Range{Len: 250_000}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if want := []int{100_000, 200_000}; !slices.Equal(had, want) {
			t.Errorf("called when the sink had %v bytes, want %v", had, want)
		}
	})
}

// TestFurtherReplies: the first reply was judged; one that follows a short one
// must be like it, and does not condemn what came before.
func TestFurtherReplies(t *testing.T) {
	const short = 100_000
	half := func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		return whole(ctx, byterange.Range{Off: r.Off, Len: min(short, r.Len)})
	}
	for name, says := range map[string]func() (origin.Generation, origin.Level){
		"another tag":       func() (origin.Generation, origin.Level) { return origin.Generation{ETag: `"2"`}, origin.Strong },
		"no validator":      func() (origin.Generation, origin.Level) { return origin.Generation{}, origin.Sampled },
		"less is agreed on": func() (origin.Generation, origin.Level) { return origin.Generation{ETag: `"1"`}, origin.Weak },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, 1, half, func(_ *testing.T, b bench) {
				b.line.says = func(off int64) (origin.Generation, origin.Level) {
					if off > short { // the third
						return says()
					}
					return origin.Generation{ETag: `"1"`}, origin.Strong
				}
				b.assign(1, 0, 0, 3*short)
				synctest.Wait()
				b.want(1, errdefs.Unavailable, byterange.Range{Len: 2 * short})
			})
		})
	}
	refused := func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		if r.Off > 0 {
			return byterange.Range{}, nil, errdefs.BadReply
		}
		return half(ctx, r)
	}
	bubble(t, 1, refused, func(t *testing.T, b bench) {
		b.assign(1, 0, 0, 3*short)
		synctest.Wait()
		b.want(1, errdefs.Unavailable, byterange.Range{Len: short})
		if _, err := b.sink.end(1); errors.Is(err, errdefs.BadReply) {
			t.Errorf("the first reply is condemned by the second: %v", err)
		}
	})
}

func TestFailures(t *testing.T) {
	cut := func(_ context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		return r, io.MultiReader(bytes.NewReader(content(byterange.Range{Off: r.Off, Len: 300_000})),
			failing{fmt.Errorf("%w: cut", errdefs.Unavailable)}), nil
	}
	bubble(t, 1, cut, func(_ *testing.T, b bench) {
		b.assign(1, 0, 0, 1<<20)
		synctest.Wait()
		b.want(1, errdefs.Unavailable, byterange.Range{Len: 300_000})
	})
	long := func(_ context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		return r, io.MultiReader(bytes.NewReader(content(r)), failing{errdefs.BadReply}), nil
	}
	bubble(t, 1, long, func(t *testing.T, b bench) {
		b.assign(1, 0, 0, 1000)
		synctest.Wait()
		if _, err := b.sink.end(1); !errors.Is(err, errdefs.BadReply) {
			t.Errorf("a body longer than its range: %v", err)
		}
	})
	refused := func(context.Context, byterange.Range) (byterange.Range, io.Reader, error) {
		return byterange.Range{}, nil, errdefs.Refused
	}
	bubble(t, 1, refused, func(_ *testing.T, b bench) {
		b.assign(1, 0, 0, 1000)
		b.assign(2, 0, 0, 1000)
		synctest.Wait()
		b.want(1, errdefs.Refused, byterange.Range{})
		b.want(2, errdefs.Refused, byterange.Range{})
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestSinkErrorEndsAssignment(t *testing.T) {
	for _, body := range []func(context.Context, byterange.Range) (byterange.Range, io.Reader, error){whole, drip(1000, time.Second)} {
		bubble(t, 1, body, func(_ *testing.T, b bench) {
			b.sink.fail = errdefs.NoSpace
			b.assign(1, 0, 0, 1<<20)
			<-b.sink.done
			b.want(1, errdefs.NoSpace, byterange.Range{})
		})
	}
}

func TestSlowSinkHoldsTheOriginBack(t *testing.T) {
	var read atomic.Int64
	count := func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		r, body, err := whole(ctx, r)
		return r, io.TeeReader(body, counter{&read}), err
	}
	bubble(t, 1, count, func(t *testing.T, b bench) {
		b.sink.delay = time.Minute
		b.assign(1, 0, 0, 8<<20)
		synctest.Wait()
		if read := read.Load(); read > 512<<10 {
			t.Errorf("%d bytes were read while the sink held the first frame", read)
		}
		<-b.sink.done
		b.want(1, nil, byterange.Range{Len: 8 << 20})
	})
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func TestAdopt(t *testing.T) {
	adopt := func(b bench, id uint64, r byterange.Range, body io.Reader, stop func()) {
		b.line.mu.Lock()
		reply := b.line.replyLocked(r, body)
		b.line.mu.Unlock()
		if err := b.Adopt(id, 0, reply, stop); err != nil {
			b.sink.t.Fatal(err)
		}
	}
	bubble(t, 1, whole, func(t *testing.T, b bench) {
		stopped := 0
		r := byterange.Range{Off: 10, Len: 600_000}
		adopt(b, 1, r, bytes.NewReader(content(r)), func() { stopped++ })
		synctest.Wait()
		b.want(1, nil, r)
		if stopped == 0 || len(b.line.requests()) != 0 {
			t.Errorf("stopped %d times, requests %v", stopped, b.line.requests())
		}
		// Of unknown length: the body's end is the end.
		adopt(b, 2, byterange.Range{Len: math.MaxInt64}, bytes.NewReader(content(r)), func() {})
		synctest.Wait()
		b.want(2, nil, r)
	})
	bubble(t, 1, whole, func(t *testing.T, b bench) {
		ctx, cancel := context.WithCancel(t.Context())
		adopt(b, 1, byterange.Range{Len: 1000}, &dripper{done: ctx.Done(), rest: content(byterange.Range{Len: 1000}), n: 10, every: time.Hour}, cancel)
		adopt(b, 2, byterange.Range{Len: 1000}, bytes.NewReader(nil), func() {})
		synctest.Wait()
		b.Cancel(2)
		b.Cancel(1)
		synctest.Wait()
		b.want(1, context.Canceled, byterange.Range{})
		b.want(2, context.Canceled, byterange.Range{})
	})
}

// Shrinks and cancels at any moment leave each assignment with one end and a
// prefix of its range.
func TestRaces(t *testing.T) {
	l := &line{body: func(ctx context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		return r, &dripper{done: ctx.Done(), rest: content(r), n: 4096}, nil
	}}
	s := newSink(t)
	r := transfer.New(transfer.Config{Line: l, Lanes: 4, Pool: new(rpctest.Poison)}, s)
	const n = 64
	for id := range uint64(n) {
		for r.Assign(id, int(id%4), byterange.Range{Off: int64(id) << 20, Len: 256 << 10}) != nil {
			<-s.done
		}
		switch id % 4 {
		case 1:
			r.Shrink(id, int64(id)<<20+100_000)
		case 2:
			r.Cancel(id)
		case 3:
			r.Shrink(id-1, int64(id-1)<<20)
		}
	}
	r.Close()
	for id := range uint64(n) {
		if ok, _ := s.end(id); !ok {
			t.Errorf("assignment %d never ended", id)
		}
		got := s.bytesOf(id)
		if !bytes.Equal(got, content(byterange.Range{Off: int64(id) << 20, Len: int64(len(got))})) {
			t.Errorf("assignment %d: wrong bytes", id)
		}
	}
}

// endless is a body that costs next to nothing.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	n := int(min(int64(len(p)), e.left, 64<<10)) // what a socket gives at a time
	if e.left -= int64(n); n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

type discard chan error

func (discard) Started(uint64, *origin.Reply) {}

func (discard) Data(_ uint64, _ int64, buf mem.Buffer) error {
	buf.Free()
	return nil
}

func (d discard) Ended(_ uint64, err error) { d <- err }

func BenchmarkRunner(b *testing.B) {
	const size = 64 << 20
	l := &line{body: func(_ context.Context, r byterange.Range) (byterange.Range, io.Reader, error) {
		return r, &endless{left: r.Len}, nil
	}}
	ended := make(discard, 1)
	r := transfer.New(transfer.Config{Line: l, Pool: rpc.Pool()}, ended)
	defer r.Close()
	b.SetBytes(size)
	b.ReportAllocs()
	for id := uint64(0); b.Loop(); id++ {
		if err := r.Assign(id, 0, byterange.Range{Len: size}); err != nil {
			b.Fatal(err)
		}
		if err := <-ended; err != nil {
			b.Fatal(err)
		}
	}
}
