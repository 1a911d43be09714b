package client

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"ddm/client/blame"
	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

// Without a digest, a few blocks of what others bring are looked at while the
// download runs: chosen in secret, fetched once more over the own line (or from
// other peers) and compared with what is on disk.
//
//	received --Gave--> blame.Spots --Next, at each tick--> look --> spotted --> expose: ban, drop, fetch again
//
// That finds who lies in bulk. It does not find a few changed blocks.

var errLied = fmt.Errorf("%w: it gave bytes that are not the origin's; what it gave is fetched again", errdefs.Corrupt)

const (
	looksAtOnce = 4
	manyLanes   = 16                     // connections beside which one more does not count
	firstLook   = 3 * time.Second        // is waited for after the last byte
	lastLooks   = 250 * time.Millisecond // and others, with a part of the time that the download took
	lastPart    = 50

	betweenLooks = time.Second // that a line has all its lanes
)

// spots is what is looked at. The loop owns it.
type spots struct {
	of     *blame.Spots // nil: a digest will tell, or there is no file to look into
	due    *block       // waits for a connection; nil: none does
	busy   int
	lender *row          // an own line that was asked for the place of a lane; nil: none
	rest   time.Duration // none is asked before
	looked int
	bytes  int64
	failed error         // why a look came to nothing, at last
	over   time.Duration // the last byte came then; 0: not yet
}

// spotted is what came of looking at a block.
type spotted struct {
	r      byterange.Range
	what   verdict
	looked bool
	lost   *dispute // what nobody could decide
	err    error
}

func newSpots(d *download) spots {
	var s spots
	if d.file != nil && (d.mixed || d.vetting) && !d.provable() && !d.job.twice() {
		s.of = blame.NewSpots(d.gen.Size, secret)
	}
	return s
}

// secret is a number below n that nobody can foretell.
func secret(n int64) int64 {
	v, err := crand.Int(crand.Reader, big.NewInt(max(n, 1)))
	if err != nil {
		return 0 // it never fails
	}
	return v.Int64()
}

// gave enters what a source brought.
func (l *loop) gave(from schedule.SourceID, r byterange.Range) {
	row := l.table.row(from)
	if l.spots.of == nil || row == nil {
		return
	}
	if giver := row.giver(); !trusted(giver) {
		l.spots.of.Gave(giver, r)
	}
}

// look sends for blocks to compare, as many as are due. It takes no connection
// from the download but one that the scheduler lends.
func (l *loop) look() {
	s, most := &l.spots, min(looksAtOnce, l.d.c.opts.Connections)
	for s.of != nil && s.busy < most {
		if s.due == nil {
			s.due = l.nextBlock()
		}
		if s.due == nil {
			l.giveBack()
			return
		}
		if l.crowded() && (s.over == 0 || l.now()-s.over < tickEvery) { // then connections may be about to close
			if most = 1; s.busy > 0 || !l.mayLook() {
				return
			}
		}
		b := *s.due
		s.due = nil
		s.busy++
		l.d.work.Go(func() { l.d.send(l.d.inspect(l.ctx, b.giver, b.r)) })
	}
}

// block is what is to be looked at, and who brought it.
type block struct {
	r     byterange.Range
	giver string
}

// nextBlock returns what to look at next, nil if nothing is due.
func (l *loop) nextBlock() *block {
	var b block
	var ok bool
	b.r, ok = l.spots.of.Next(l.sched.Done(), func(want byterange.Range) byterange.Range {
		run, by := l.d.suspicious(want)
		b.giver = by
		return run
	})
	if !ok {
		return nil
	}
	return &b
}

// crowded reports whether a look might take a connection from the download: the
// user allows few, or the origin does.
func (l *loop) crowded() bool {
	return l.d.c.opts.Connections < manyLanes || slices.ContainsFunc(l.table.order, func(r *row) bool {
		return r.local != nil && l.sched.Crowded(r.id)
	})
}

// mayLook reports whether one look may begin although connections are few: an
// own line lends the place of one of its own.
func (l *loop) mayLook() bool {
	s, now := &l.spots, l.now()
	if s.lender == nil {
		if now < s.rest {
			return false
		}
		i := slices.IndexFunc(l.table.order, func(r *row) bool { return r.local != nil && r.mirror.n == 0 })
		if i < 0 {
			return false
		}
		s.lender = l.table.order[i]
	}
	return l.sched.Lend(now, s.lender.id)
}

// giveBack lets the download have all its connections again.
func (l *loop) giveBack() {
	if s := &l.spots; s.lender != nil && s.busy == 0 {
		l.sched.GiveBack(l.now(), s.lender.id)
		s.lender, s.rest = nil, l.now()+betweenLooks
	}
}

// suspicious returns the first run in a range that somebody else brought, all
// of one giver.
func (d *download) suspicious(want byterange.Range) (byterange.Range, string) {
	for _, x := range d.file.Touching(want) {
		if !trusted(x.Giver) {
			return x.Intersect(want), x.Giver
		}
	}
	return byterange.Range{}, ""
}

// looking reports whether a look that began is worth waiting for, at the end.
func (l *loop) looking() bool {
	s := &l.spots
	if s.over == 0 {
		s.over = l.now()
	}
	l.look()
	wait := lastLooks + s.over/lastPart
	if s.looked == 0 {
		wait = firstLook
	}
	soon := s.due != nil && l.now()-s.over < tickEvery
	return soon || s.busy > 0 && l.now()-s.over < min(wait, firstLook)
}

// inspect compares one block.
func (d *download) inspect(ctx context.Context, giver string, r byterange.Range) spotted {
	list := d.witnesses(giver)
	e := spotted{r: r}
	for i, w := range list {
		content, err := d.block(ctx, w, r)
		if err != nil {
			e.err = err
			continue
		}
		mine := make([]byte, r.Len)
		if _, err := d.file.ReadAt(mine, r.Off); err != nil {
			return spotted{r: r} // it was taken back meanwhile
		}
		if bytes.Equal(mine, []byte(content)) {
			return spotted{r: r, looked: true}
		}
		e.what, e.err = d.arbitrate(ctx, giver, w, list[i+1:], &mismatch{r: r, content: []byte(content)})
		e.looked = e.err == nil
		if errors.Is(e.err, errdefs.Corrupt) {
			e.lost = &dispute{r, giver}
		}
		return e
	}
	return e
}

func (e spotted) handle(l *loop) error {
	s := &l.spots
	s.busy--
	switch {
	case e.lost != nil:
		return l.disputed(*e.lost, e.err)
	case e.err != nil:
		s.failed = e.err
		l.d.c.log.Debug("a block could not be looked at", "range", e.r, "error", e.err)
	case e.what.damaged > 0:
		l.d.note(fmt.Sprintf("the disk changed bytes at %v after they were written; they are fetched again", e.r))
		l.missing(e.r)
	}
	if e.looked {
		s.looked++
		s.bytes += e.r.Len
	}
	for _, liar := range e.what.liars {
		if err := l.expose(liar, errLied); err != nil {
			return err
		}
	}
	if s.lender != nil {
		l.look() // at once: what is lent is missed elsewhere
	}
	return nil
}

// proof says in words what the looks were worth.
func (s *spots) proof() string {
	switch {
	case s.of == nil || s.looked == 0 && s.failed == nil:
		return ""
	case s.looked == 0:
		return fmt.Sprintf("nothing of what others brought could be compared (%v); only a digest would prove it", s.failed)
	}
	return fmt.Sprintf("%s of what others brought: fetched once more and compared (%s); that finds who lies in bulk, not a few changed bytes: only a digest would", plural(s.looked, "block"), humanize.IBytes(uint64(s.bytes)))
}
