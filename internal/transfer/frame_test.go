package transfer_test

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/rpc/rpctest"
	"ddm/internal/transfer"
)

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

// What a download begins with is there with its first bytes; what follows waits for
// its frame.
func TestFirstBytesAreHandedOnAtOnce(t *testing.T) {
	const length = 100_000
	bubble(t, 1, whole, func(t *testing.T, b bench) {
		start := time.Now()
		b.line.mu.Lock()
		reply := b.line.replyLocked(byterange.Range{Len: length}, &dripper{done: t.Context().Done(), rest: content(byterange.Range{Len: length}), n: 1000, every: 10 * time.Millisecond})
		b.line.mu.Unlock()
		if err := b.Adopt(1, 0, reply, func() {}); err != nil {
			t.Fatal(err)
		}
		<-b.sink.done
		b.want(1, nil, byterange.Range{Len: length})
		if b.sink.frames[0] != 1000 || b.sink.frames[1] < 10_000 {
			t.Errorf("frames of %v bytes", b.sink.frames)
		}
		if got := b.sink.times[0].Sub(start); got != 10*time.Millisecond {
			t.Errorf("the first frame came after %v, want the first read's 10 ms", got)
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
