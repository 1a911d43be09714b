package transfer_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/rpc/rpctest"
	"ddm/internal/transfer"
)

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
