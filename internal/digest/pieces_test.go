package digest_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"io"
	"slices"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
)

// cut makes the digests of content's pieces.
func cut(content []byte, length int64) *digest.Pieces {
	p := &digest.Pieces{Length: length, Algorithm: digest.MD5}
	for piece := range slices.Chunk(content, int(length)) {
		sum := md5.Sum(piece)
		p.Sums = append(p.Sums, sum[:])
	}
	return p
}

func TestPiecesFit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		length, size int64
		sums         int
		fits         bool
	}{
		{4, 0, 0, true},
		{4, 0, 1, true}, // some tools hash the empty file as one piece
		{4, 0, 2, false},
		{4, 1, 1, true},
		{4, 4, 1, true},
		{4, 5, 1, false},
		{4, 5, 2, true},
		{4, 5, 3, false},
		{4, -1, 0, false},
		{0, 4, 1, false},
		{-4, 4, 1, false},
		{1, 1<<63 - 1, 1, false},
		{1<<63 - 1, 1<<63 - 1, 1, true},
	} {
		p := digest.Pieces{Length: tt.length, Algorithm: digest.MD5, Sums: make([][]byte, tt.sums)}
		if err := p.Fits(tt.size); (err == nil) != tt.fits || err != nil && !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	p := digest.Pieces{Length: 10, Algorithm: digest.MD5}
	if first, end := p.Touching(byterange.Between(9, 21)); first != 0 || end != 3 {
		t.Errorf("pieces %d to %d", first, end)
	}
	if first, end := p.Touching(byterange.Between(10, 20)); first != 1 || end != 2 {
		t.Errorf("touching [10,20): %d to %d", first, end)
	}
	if first, end := p.Touching(byterange.Range{Off: 30}); first != end {
		t.Errorf("pieces %d to %d of nothing", first, end)
	}
	if r := p.Range(2, 25); r != byterange.Between(20, 25) {
		t.Errorf("range %v", r)
	}
}

func TestCheckFails(t *testing.T) {
	t.Parallel()
	content := []byte("0123456789")
	p := cut(content, 4)
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := p.Check(gone, bytes.NewReader(content), 10, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := p.Check(t.Context(), broken{}, 10, nil); !errors.Is(err, errdefs.OpenFile) {
		t.Errorf("unreadable: %v", err)
	}
	if _, err := p.Check(t.Context(), bytes.NewReader(content), 13, nil); !errors.Is(err, errdefs.Invalid) {
		t.Errorf("another size: %v", err)
	}
	if bad, err := p.Check(t.Context(), bytes.NewReader(content[:7]), 10, nil); err != nil || !slices.Equal(bad, []int{1, 2}) {
		t.Errorf("short: %v, %v", bad, err)
	}
	if p.Right(3, nil) || p.Right(-1, nil) || !p.Right(2, []byte("89")) {
		t.Error("one piece alone is judged wrongly")
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// FuzzPieces: a piece is bad if a byte of it was changed, and no other is.
func FuzzPieces(f *testing.F) {
	f.Add([]byte("the content"), uint8(3), []byte{1, 10})
	f.Add([]byte{}, uint8(1), []byte{})
	f.Fuzz(func(t *testing.T, content []byte, length uint8, flips []byte) {
		if length == 0 {
			return
		}
		p := cut(content, int64(length))
		changed := slices.Clone(content)
		for _, at := range flips {
			if len(content) > 0 {
				changed[int(at)%len(content)] ^= at | 1
			}
		}
		var want []int
		for i := range p.Sums {
			r := p.Range(i, int64(len(content)))
			same := bytes.Equal(content[r.Off:r.End()], changed[r.Off:r.End()])
			if !same {
				want = append(want, i)
			}
			if p.Right(i, changed[r.Off:r.End()]) != same {
				t.Errorf("piece %d alone is judged wrongly", i)
			}
		}
		var last int64
		got, err := p.Check(t.Context(), bytes.NewReader(changed), int64(len(content)), func(n int64) { last = n })
		if err != nil || !slices.Equal(got, want) || last != int64(len(content)) {
			t.Errorf("bad %v, want %v; %d bytes looked at; %v", got, want, last, err)
		}
	})
}
