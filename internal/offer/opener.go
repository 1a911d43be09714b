package offer

import (
	"context"
	"errors"
	"io"

	"ddm/internal/byterange"
	"ddm/internal/origin"
)

// Open opens what is offered at the beginning of a range: it implements
// transfer.Opener. A reply may hold less than was asked for; what is not here
// is errdefs.Unavailable.
func (s *Shelf) Open(_ context.Context, res origin.Resource, r byterange.Range) (*origin.Reply, error) {
	var best *body
	for _, c := range s.contents(res) {
		have := c.Have()
		run, ok := have.Next(r.Off)
		if run = run.Intersect(r); !ok || run.Off != r.Off || run.Empty() {
			continue
		}
		if best == nil || run.Len > best.left.Len {
			best = &body{content: c, left: run}
		}
	}
	if best == nil {
		return nil, errGone
	}
	return &origin.Reply{Gen: res.Gen, Level: origin.Strong, Range: best.left, Body: best}, nil
}

// body is a reply. It is one lane's own.
type body struct {
	content Content
	left    byterange.Range
}

// Read ends early where bytes were taken back.
func (b *body) Read(p []byte) (int, error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case b.left.Empty():
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), b.left.Len)]
	if n, err := b.content.ReadAt(p, b.left.Off); n < len(p) || err != nil && !errors.Is(err, io.EOF) {
		return 0, errGone // why is not for strangers: it may name files
	}
	b.left = byterange.Between(b.left.Off+int64(len(p)), b.left.End())
	return len(p), nil
}

func (b *body) Close() error {
	b.left.Len = 0
	return nil
}
