package digest

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

// Pieces are the digests of a file's pieces, all of one length but the last.
type Pieces struct {
	Length    int64  // bytes of a piece, positive
	Algorithm string // one of the constants
	Sums      [][]byte
}

// Fits says why the pieces cannot be those of a file of size bytes, with
// errdefs.Invalid; nil if they can.
func (p *Pieces) Fits(size int64) error {
	if p.Length <= 0 || Size(p.Algorithm) == 0 {
		return invalid("pieces of %d bytes by %q", p.Length, p.Algorithm)
	}
	if want := (size-1)/p.Length + 1; size > 0 && want != int64(len(p.Sums)) || size == 0 && len(p.Sums) > 1 || size < 0 {
		return invalid("%d piece digests of %d bytes each do not fit a file of %d bytes", len(p.Sums), p.Length, size)
	}
	return nil
}

// Range returns where piece i of a file of size bytes lies.
func (p *Pieces) Range(i int, size int64) byterange.Range {
	off := int64(i) * p.Length
	return byterange.Between(off, min(size, off+p.Length))
}

// Touching returns which pieces share a byte with r: those from first to
// before end.
func (p *Pieces) Touching(r byterange.Range) (first, end int) {
	if r.Empty() {
		return 0, 0
	}
	return int(r.Off / p.Length), int((r.End()-1)/p.Length) + 1
}

// Right reports whether content is that of piece i.
func (p *Pieces) Right(i int, content []byte) bool {
	h, err := New(p.Algorithm)
	if err != nil || i < 0 || i >= len(p.Sums) {
		return false
	}
	h.Write(content)
	return bytes.Equal(h.Sum(nil), p.Sums[i])
}

// Check reads content piece by piece and returns, in order, which are bad. A
// piece that content is too short for is bad. Passed, if not nil, is told how
// many bytes were looked at. What cannot be read is errdefs.OpenFile.
func (p *Pieces) Check(ctx context.Context, content io.ReaderAt, size int64, passed func(int64)) (bad []int, err error) {
	if err := p.Fits(size); err != nil {
		return nil, err
	}
	buf := make([]byte, min(p.Length, 1<<20))
	for i := range p.Sums {
		right, err := p.Weigh(ctx, content, i, size, buf)
		if err != nil {
			return nil, err
		}
		if !right {
			bad = append(bad, i)
		}
		if passed != nil {
			passed(p.Range(i, size).End())
		}
	}
	return bad, nil
}

// Weigh reads piece i of content, through buf, and reports whether it is
// right. A piece that content is too short for is not. What cannot be read is
// errdefs.OpenFile, with the reader's error.
func (p *Pieces) Weigh(ctx context.Context, content io.ReaderAt, i int, size int64, buf []byte) (bool, error) {
	h, err := New(p.Algorithm)
	if err != nil {
		return false, err
	}
	for r := p.Range(i, size); !r.Empty(); {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		n, err := content.ReadAt(buf[:min(int64(len(buf)), r.Len)], r.Off)
		h.Write(buf[:n])
		r = byterange.Between(r.Off+int64(n), r.End())
		if err != nil && !r.Empty() {
			if err == io.EOF { // bare, as ReadAt gives it
				break
			}
			return false, fmt.Errorf("%w: read back: %w", errdefs.OpenFile, err)
		}
	}
	return bytes.Equal(h.Sum(nil), p.Sums[i]), nil
}
