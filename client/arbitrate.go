package client

import (
	"context"
	"fmt"
	"strings"

	"ddm/client/blame"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

// verdict is what came of a block that differs.
type verdict struct {
	liars   []string // givers
	decided bool
	damaged int64 // bytes that the disk changed: they are dropped, and nobody is to blame
}

// arbitrate finds out who is wrong about a block in which what a giver brought
// differs from what a witness has. An own line must say so twice; else one of
// the others is asked.
func (d *download) arbitrate(ctx context.Context, giver string, w witness, others []witness, m *mismatch) (verdict, error) {
	if n, err := d.file.Scrub(m.r); err != nil || n > 0 {
		return verdict{damaged: n}, err
	}
	mine := make([]byte, m.r.Len)
	if _, err := d.file.ReadAt(mine, m.r.Off); err != nil {
		return verdict{}, err
	}
	claims := []blame.Claim{{Source: giver, Content: string(mine)}, {Source: w.giver, Content: string(m.content), Trusted: w.own}}
	if w.own {
		others = []witness{w}
	}
	for _, third := range others {
		content, err := d.block(ctx, third, m.r)
		if ctx.Err() != nil {
			return verdict{}, context.Cause(ctx)
		}
		if err == nil {
			claims = append(claims, blame.Claim{Source: third.giver, Content: content, Trusted: third.own})
			break
		}
	}
	_, liars, decided := blame.Judge(claims)
	if len(claims) < 3 || !decided && w.own {
		return verdict{}, fmt.Errorf("%w: bytes %v differ between two sources, and nobody could confirm which are right", errdefs.Corrupt, m.r)
	}
	for i, liar := range liars {
		if liar == giver {
			liars[i] = d.culprit(ctx, liar, m.r, string(mine))
		}
	}
	return verdict{liars: liars, decided: decided}, nil
}

// block reads one block of a witness.
func (d *download) block(ctx context.Context, w witness, r byterange.Range) (string, error) {
	content := make([]byte, r.Len)
	err := w.read(ctx, r, func(off int64, p []byte) error {
		d.verified.Add(int64(len(p)))
		copy(content[off-r.Off:], p)
		return nil
	})
	return string(content), err
}

// culprit tells a mirror that serves other content from the peer that fetched
// from it.
func (d *download) culprit(ctx context.Context, giver string, r byterange.Range, said string) string {
	source, host, mirrored := strings.Cut(giver, "\t")
	if !mirrored || strings.HasPrefix(source, "own:") {
		return giver
	}
	own := "own:\t" + host
	s, ok := d.mirrorSite(host)
	if !ok || s.pin(ctx, true) != nil {
		return own // a mirror can be left out without proof
	}
	content, err := d.block(ctx, witness{giver: own, read: s.read}, r)
	if err != nil || content == said {
		return own
	}
	return giver
}
