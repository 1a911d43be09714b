package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// Another strong ETag under the same date is another node of the origin, which
// tags by inode, or another version that was given the old date. The word of
// the origin does not tell these apart; blocks of what the own lines brought
// before, fetched once more, do.
//
//	Started --first of its tag--> doubt --own line asked again--> vouched: fine, or the resource changed

const (
	doubtBlocks = 4
	mostDoubts  = 4 // tags of one mirror; some make up a new one for each reply
	mostTries   = 3 // of one doubt

	untaggedSize = 16 << 10
)

// tags are the other tags that a mirror's replies had.
type tags struct {
	mu   sync.Mutex
	seen []string
}

// fresh reports whether a tag is a new one, and worth looking into.
func (t *tags) fresh(tag string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Contains(t.seen, tag) || len(t.seen) == mostDoubts {
		return false
	}
	t.seen = append(t.seen, tag)
	return true
}

// doubt is a tag to be looked into; it is an event.
type doubt struct {
	mirror *mirror
	before []byterange.Range // what own lines had brought when it came
	tries  int
	after  time.Duration // by the download's clock
}

// vouched is what came of it.
type vouched struct {
	doubt
	err error
}

// tagged is called before the bytes of a reply are used that said seen.
func (d *download) tagged(m *mirror, seen origin.Generation) {
	if d.file == nil || d.provable() || !m.gen.StrongETag() || !seen.StrongETag() || seen.ETag == m.gen.ETag || !m.tags.fresh(seen.ETag) {
		return
	}
	d.send(doubt{mirror: m, before: d.ownBlocks(m, doubtBlocks, sampleSize)})
}

// untagged is called likewise for own lines' replies that have no validator,
// where samples are to make up for that: each of them is in doubt, also those
// that go on where one ended early. None being left out, the first of another
// version finds blocks of the old one only.
func (d *download) untagged(m *mirror) {
	if d.file == nil || d.provable() || !d.vetting || !bare(m.gen) {
		return
	}
	if before := d.ownBlocks(m, 1, untaggedSize); len(before) > 0 {
		d.send(doubt{mirror: m, before: before})
	}
}

// ownBlocks chooses n blocks at most of what own lines brought from a mirror.
func (d *download) ownBlocks(m *mirror, n int, size int64) []byterange.Range {
	var own []byterange.Range
	for x := range d.file.Extents() {
		host, mirrored := mirrorOf(x.Giver)
		if _, peer := peerOf(x.Giver); !peer && mirrored == (m.n > 0) && (!mirrored || host == m.host) {
			own = append(own, x.Range)
		}
	}
	var blocks []byterange.Range
	for range min(n, len(own)) {
		r := own[secret(int64(len(own)))]
		at := r.Off + secret(max(r.Len-size, 0)+1)
		blocks = append(blocks, byterange.Range{Off: at, Len: min(size, r.End()-at)})
	}
	return blocks
}

func (e doubt) handle(l *loop) error {
	l.doubts = append(l.doubts, e)
	l.vouch()
	return nil
}

// vouch looks into the doubts that are due. Until there is something to
// compare they wait; if own lines bring nothing, there never is.
func (l *loop) vouch() {
	var later []doubt
	for _, e := range l.doubts {
		if len(e.before) == 0 {
			e.before = l.d.ownBlocks(e.mirror, doubtBlocks, sampleSize)
		}
		switch {
		case len(e.before) == 0 && l.sched.Complete(), e.mirror.out:
		case len(e.before) == 0, l.now() < e.after:
			later = append(later, e)
		default:
			l.vouching++
			l.d.work.Go(func() { l.d.send(vouched{e, l.d.unchanged(l.ctx, e)}) })
		}
	}
	l.doubts = later
}

// doubtful reports whether what is there may be of two versions.
func (l *loop) doubtful() bool {
	if len(l.doubts) > 0 {
		l.vouch()
	}
	return l.vouching+len(l.doubts) > 0
}

// unchanged fetches the blocks once more. The reply may be of either tag: if it
// has the old one, the old version is not gone.
func (d *download) unchanged(ctx context.Context, e doubt) error {
	s := &site{c: d.c, ask: e.mirror.ask, jar: d.req.jar, gen: e.mirror.gen, ranges: true}
	for _, r := range e.before {
		theirs, err := d.block(ctx, witness{read: s.read}, r)
		if err != nil {
			return err
		}
		mine := make([]byte, r.Len)
		if _, err := d.file.ReadAt(mine, r.Off); err != nil || bytes.Equal(mine, []byte(theirs)) {
			continue // taken back meanwhile, or the same
		}
		damaged, err := d.file.Scrub(r)
		if err != nil {
			return err
		}
		if damaged == 0 {
			return fmt.Errorf("%w: bytes %v are not what they were, and no validator says so", errdefs.Changed, r)
		}
	}
	return nil
}

func (e vouched) handle(l *loop) error {
	l.vouching--
	switch {
	case e.err == nil:
		l.missing(byterange.Range{Len: l.d.gen.Size}) // what the disk had changed
	case errors.Is(e.err, errdefs.Changed):
		if !l.mayServe(e.mirror) || e.mirror.n == 0 {
			return e.err
		}
		l.dropMirror(e.mirror, e.err)
	case e.tries+1 < mostTries:
		e.tries++
		e.after = l.now() + time.Second
		l.doubts = append(l.doubts, e.doubt)
	default:
		l.d.c.log.Debug("another ETag could not be looked into", "error", e.err)
	}
	return nil
}
