package transfer_test

import (
	"context"
	"io"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/rpc"
	"ddm/internal/transfer"
)

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
