package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

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
