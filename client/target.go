package client

import (
	"context"
	"fmt"
	"hash"
	"io"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/partfile/disk"
)

// target is where the bytes go: *partfile.File, or an ordered stream.
type target interface {
	// WriteAt takes those bytes that nobody wrote yet; see partfile.
	WriteAt(bufs [][]byte, off int64, giver string) (fresh int64, err error)
	// WriteSummed is WriteAt for bytes whose CRC32C is known.
	WriteSummed(bufs [][]byte, off int64, giver string, crc uint32) (fresh int64, err error)
}

// ordered writes a download to a stream, in order. Bytes that come early wait
// in memory: the scheduler's window bounds how many.
type ordered struct {
	out  io.Writer
	sums []io.Writer // fed with what is written

	// turn holds a token while somebody writes: receivers wait for it, and
	// with them the sources. It guards what follows.
	turn chan struct{}
	next int64
	got  byterange.Set
	kept map[int64][]byte // by offset
}

func newOrdered(out io.Writer, sums ...io.Writer) *ordered {
	return &ordered{out: out, sums: sums, turn: make(chan struct{}, 1), kept: map[int64][]byte{}}
}

// WriteAt implements target.
func (o *ordered) WriteAt(bufs [][]byte, off int64, _ string) (int64, error) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	var fresh int64
	for _, b := range bufs {
		r := byterange.Range{Off: off, Len: int64(len(b))}
		for gap := range o.got.Missing(r) {
			part := b[gap.Off-off : gap.End()-off]
			if gap.Off != o.next {
				o.kept[gap.Off] = append([]byte(nil), part...)
			} else if err := o.write(part); err != nil {
				return fresh, err
			}
			fresh += gap.Len
		}
		o.got.Add(r)
		off += r.Len
	}
	for part, ok := o.kept[o.next]; ok; part, ok = o.kept[o.next] {
		delete(o.kept, o.next)
		if err := o.write(part); err != nil {
			return fresh, err
		}
	}
	return fresh, nil
}

// WriteSummed implements target.
func (o *ordered) WriteSummed(bufs [][]byte, off int64, giver string, _ uint32) (int64, error) {
	return o.WriteAt(bufs, off, giver)
}

func (o *ordered) write(p []byte) error {
	n, err := o.out.Write(p)
	if err != nil && disk.IsFull(err) {
		return fmt.Errorf("standard output: %w: %w", errdefs.NoSpace, err)
	}
	if err != nil {
		return fmt.Errorf("standard output: %w: %w", errdefs.WriteFile, err)
	}
	for _, h := range o.sums {
		if _, err := h.Write(p[:n]); err != nil {
			return err
		}
	}
	o.next += int64(n)
	return nil
}

// writers makes one of several hashes.
func writers(hashes []hash.Hash) io.Writer {
	list := make([]io.Writer, len(hashes))
	for i, h := range hashes {
		list[i] = h
	}
	return io.MultiWriter(list...)
}

// hashAll feeds content to the hashes, in order, from an offset to its end.
func hashAll(ctx context.Context, content io.ReaderAt, off, size int64, hashes ...hash.Hash) error {
	if len(hashes) == 0 {
		return nil
	}
	w := writers(hashes)
	buf := make([]byte, 1<<20)
	for off < size {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := content.ReadAt(buf[:min(int64(len(buf)), size-off)], off)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		off += int64(n)
		if err != nil && off < size {
			return fmt.Errorf("%w: read back: %w", errdefs.OpenFile, err)
		}
	}
	return nil
}
