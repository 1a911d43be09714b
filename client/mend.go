package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"golang.org/x/sync/errgroup"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

// mend fetches what is bad and writes it in its place.
func (v *verifier) mend(ctx context.Context, f *finding) error {
	var sites []*site
	for _, s := range v.sites {
		if s.ranges {
			sites = append(sites, s)
		}
	}
	switch {
	case f.bad.Len() == 0 && f.excess == 0:
		return fmt.Errorf("%w: %s: %s, and nothing shows which part of it is bad", errdefs.Corrupt, v.check.Path, strings.Join(f.whole, "; "))
	case len(sites) == 0:
		return fmt.Errorf("%w: the bad pieces cannot be fetched alone: download the file anew", errdefs.NoRanges)
	}
	v.looked, v.total = 0, f.bad.Bytes()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(min(checkers, v.c.opts.Connections))
	for r := range v.jobs(f) {
		g.Go(func() error { return v.replace(gctx, sites, r) })
	}
	return errors.Join(g.Wait(), v.settle())
}

// settle cuts off what is behind the end, and makes everything durable.
func (v *verifier) settle() error {
	if v.size > v.want {
		if err := v.file.Truncate(v.want); err != nil {
			return fmt.Errorf("%w: %w", errdefs.WriteFile, err)
		}
	}
	if err := v.file.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errdefs.WriteFile, err)
	}
	st, err := v.file.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	v.size = st.Size()
	return nil
}

// jobs yields what to fetch, each by itself: pieces that have a digest, or
// else parts of a bearable length.
func (v *verifier) jobs(f *finding) iter.Seq[byterange.Range] {
	length := int64(checkRange)
	if v.check.Pieces != nil {
		length = v.check.Pieces.Length
	}
	return func(yield func(byterange.Range) bool) {
		last := int64(-1)
		for r := range f.bad.All() {
			for i := r.Off / length; i*length < r.End(); i++ {
				if i == last {
					continue
				}
				last = i
				job := byterange.Between(i*length, min((i+1)*length, v.want))
				if v.check.Pieces == nil {
					job = job.Intersect(r)
					last = -1
				}
				if !yield(job) {
					return
				}
			}
		}
	}
}

// replace fetches one range from the first site that has it right. That none
// has is no error here: what is still bad is found out afterwards.
func (v *verifier) replace(ctx context.Context, sites []*site, r byterange.Range) error {
	buf := make([]byte, r.Len)
	var failure error
	for _, s := range sites {
		err := s.read(ctx, r, func(off int64, p []byte) error {
			copy(buf[off-r.Off:], p)
			v.fetched(len(p))
			return nil
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if failure == nil {
				failure = err
			}
			continue
		}
		if p := v.check.Pieces; p != nil && !p.Right(int(r.Off/p.Length), buf) {
			v.rep.Note(fmt.Sprintf("%s has other bytes %s than the %s of their piece says", shown(s.ask.url), r, p.Algorithm))
			continue
		}
		if _, err := v.file.WriteAt(buf, r.Off); err != nil {
			return fmt.Errorf("%w: %w", errdefs.WriteFile, err)
		}
		v.mu.Lock()
		v.verdict.Mended += r.Len
		v.mu.Unlock()
		v.passed(r.Len)
		return nil
	}
	return failure
}
