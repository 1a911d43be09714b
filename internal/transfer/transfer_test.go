package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/mem"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/rpc/rpctest"
	"ddm/internal/transfer"
)

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

func (discard) Started(uint64, *origin.Reply) {}

func (discard) Data(_ uint64, _ int64, buf mem.Buffer) error {
	buf.Free()
	return nil
}
