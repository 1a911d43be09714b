package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ddm/client/blame"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

// verdict is what came of a block that differs.
type verdict struct {
	liars   []string // givers
	damaged int64    // bytes that the disk changed: they are dropped, and nobody is to blame
}

// arbitrate finds out who is wrong about a block in which what a giver brought
// differs from what a witness has. An own line must say so twice; else one of
// the others is asked. If nothing is proved by that, it is errdefs.Corrupt.
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
	third, err := d.third(ctx, others, m.r)
	if err != nil {
		return verdict{}, err
	}
	if third == nil {
		return verdict{}, fmt.Errorf("%w: bytes %v differ between %s and %s, and there is no third source that could tell which are right", errdefs.Corrupt, m.r, d.called(giver), d.called(w.giver))
	}
	_, liars, decided := blame.Judge(append(claims, *third))
	if !decided {
		return verdict{}, fmt.Errorf("%w: %s, %s and %s say three things about bytes %v: nothing shows which are right", errdefs.Corrupt, d.called(giver), d.called(w.giver), d.called(third.Source), m.r)
	}
	for i, liar := range liars {
		if liar == giver {
			liars[i] = d.culprit(ctx, liar, m.r, string(mine))
		}
	}
	return verdict{liars: liars}, nil
}

const (
	thirdTries = 3 // of all who may be asked
	thirdPause = 2 * time.Second
)

// third asks one after the other for a block, until one has it; nil: none has.
func (d *download) third(ctx context.Context, others []witness, r byterange.Range) (*blame.Claim, error) {
	for try := range thirdTries {
		if try > 0 && len(others) > 0 && sleep(ctx, thirdPause) != nil {
			return nil, context.Cause(ctx)
		}
		for _, w := range others {
			content, err := d.block(ctx, w, r)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err == nil {
				return &blame.Claim{Source: w.giver, Content: content, Trusted: w.own}, nil
			}
		}
	}
	return nil, nil //nolint:nilnil // nobody had it, and that is no error
}

// called names a giver for people.
func (d *download) called(giver string) string {
	name := "the own line"
	if id, peer := peerOf(giver); peer {
		name = "the peer " + d.roster.name(id)
	}
	if host, mirrored := mirrorOf(giver); mirrored {
		name += " at " + host
	}
	return name
}

// dispute is a range about which nothing could be proved.
type dispute struct {
	r     byterange.Range
	giver string // whose bytes are on disk
}

// disputed ends a download over a dispute. What the giver brought is not kept
// for the next one, of an own line's the range alone.
func (l *loop) disputed(x dispute, err error) error {
	theirs := byterange.Range{Len: l.d.gen.Size}
	if trusted(x.giver) {
		theirs = x.r
	}
	_, dropErr := l.d.retract(theirs, x.giver)
	return errors.Join(fmt.Errorf("%w; --checksum would, or another peer", err), dropErr)
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
