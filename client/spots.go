package client

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ddm/client/blame"
	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/progress"
)

// Without a digest, a few blocks of what others bring are looked at while the
// download runs: chosen in secret, fetched once more over the own line (or from
// other peers) and compared with what is on disk.
//
//	received --Gave--> blame.Spots --Next, at each tick--> look --> spotted --> expose: ban, drop, fetch again
//
// That finds who lies in bulk. It does not find a few changed blocks.

const (
	looksAtOnce = 4
	manyLanes   = 16                     // connections beside which one more does not count
	firstLook   = 3 * time.Second        // is waited for after the last byte
	lastLooks   = 250 * time.Millisecond // and others, with a part of the time that the download took
	lastPart    = 50
)

// spots is what is looked at. The loop owns it.
type spots struct {
	of      *blame.Spots // nil: a digest will tell, or there is no file to look into
	busy    int
	looked  int
	bytes   int64
	failed  error           // why a look came to nothing, at last
	over    time.Duration   // the last byte came then; 0: not yet
	exposed map[string]bool // liars, as givers
}

// spotted is what came of looking at a block.
type spotted struct {
	r      byterange.Range
	what   verdict
	looked bool
	err    error
}

func newSpots(d *download) spots {
	s := spots{exposed: map[string]bool{}}
	if d.file != nil && d.mixed && !d.provable() {
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
	if row := l.table.row(from); l.spots.of != nil && row != nil && row.peer != nil {
		l.spots.of.Gave("peer:"+row.peer.info.GetId(), r)
	}
}

// look sends for blocks to compare, as many as are due.
func (l *loop) look() {
	s, allowed := &l.spots, l.d.c.opts.Connections
	if allowed < manyLanes && (s.over == 0 || l.now()-s.over < tickEvery) {
		return // the connections that the user allows are busy, or about to close
	}
	for s.of != nil && s.busy < min(looksAtOnce, allowed) {
		var giver string
		r, ok := s.of.Next(l.sched.Done(), func(want byterange.Range) byterange.Range {
			run, by := l.d.suspicious(want)
			giver = by
			return run
		})
		if !ok {
			return
		}
		s.busy++
		l.d.work.Go(func() { l.d.send(l.d.inspect(l.ctx, giver, r)) })
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
	soon := s.of != nil && l.d.c.opts.Connections < manyLanes && l.now()-s.over < tickEvery
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
		e.what, e.err = d.arbitrate(ctx, giver, w, list[i+1:], &mismatch{r, []byte(content)})
		e.looked = e.err == nil
		return e
	}
	return e
}

func (e spotted) handle(l *loop) error {
	s := &l.spots
	s.busy--
	switch {
	case errors.Is(e.err, errdefs.Corrupt):
		return fmt.Errorf("%w; a third source, or --checksum, would tell", e.err)
	case e.err != nil:
		s.failed = e.err
		l.d.c.log.Debug("a block could not be looked at", "range", e.r, "error", e.err)
	case e.what.damaged > 0:
		l.d.note(fmt.Sprintf("the disk changed bytes at %v after they were written; they are fetched again", e.r))
		l.missing()
	}
	if e.looked {
		s.looked++
		s.bytes += e.r.Len
	}
	for _, liar := range e.what.liars {
		if err := l.expose(liar); err != nil {
			return err
		}
	}
	return nil
}

// expose leaves a liar out, and takes back what it gave.
func (l *loop) expose(liar string) error {
	d := l.d
	if l.spots.exposed[liar] {
		return nil
	}
	l.spots.exposed[liar] = true
	why := fmt.Errorf("%w: it gave bytes that are not the origin's; what it gave is fetched again", errdefs.Corrupt)
	id, peer := peerOf(liar)
	if peer {
		d.notes = append(d.notes, "the peer "+d.roster.name(id)+" gave wrong bytes; it was left out, and what it gave was fetched again")
		if !l.cut(id, why) {
			d.rep.Source(progress.SourceChange{Name: d.roster.name(id), Change: "banned", Reason: text(why)})
		}
		l.streams.banned[id] = true
	} else {
		_, host, _ := strings.Cut(liar, "\t")
		d.notes = append(d.notes, "the mirror "+host+" gave wrong bytes; it was left out, and what it gave was fetched again")
		if i := slices.IndexFunc(l.pool.mirrors, func(m *mirror) bool { return m.host == host }); i > 0 && !l.pool.mirrors[i].out {
			l.dropMirror(l.pool.mirrors[i], why)
		}
	}
	_, err := l.sweep()
	return err
}

// cut ends every stream to a peer.
func (l *loop) cut(id string, why error) (some bool) {
	for _, peer := range l.table.streams() {
		if peer.info.GetId() == id {
			peer.end(why)
			some = true
		}
	}
	return some
}

// sweep takes back what is there of liars. It returns whether anything was.
func (l *loop) sweep() (some bool, err error) {
	if len(l.spots.exposed) == 0 {
		return false, nil
	}
	for x := range l.d.file.Extents() {
		if !l.liar(x.Giver) {
			continue
		}
		gone, err := l.d.retract(x.Range, x.Giver)
		if err != nil {
			return some, err
		}
		for r := range gone.All() {
			some = true
			l.sched.Lost(l.now(), r)
		}
		l.table.forfeit(x.Giver, gone.Bytes())
	}
	return some, nil
}

// liar reports whether a giver is one of those exposed.
func (l *loop) liar(giver string) bool {
	id, peer := peerOf(giver)
	_, host, mirrored := strings.Cut(giver, "\t")
	return peer && l.spots.exposed["peer:"+id] || l.spots.exposed[giver] || mirrored && l.spots.exposed["own:\t"+host]
}

// worthless reports whether a source's bytes are a liar's.
func (l *loop) worthless(id schedule.SourceID) bool {
	return len(l.spots.exposed) > 0 && slices.ContainsFunc(l.table.order, func(r *row) bool {
		return r.id == id && (r.local != nil && l.liar(r.local.in.giver) || r.peer != nil && l.liar(r.mirror.giver("peer:"+r.peer.info.GetId())))
	})
}

// proof says in words what the looks were worth.
func (s *spots) proof() string {
	switch {
	case s.of == nil || s.looked == 0 && s.failed == nil:
		return ""
	case s.looked == 0:
		return fmt.Sprintf("nothing of what others brought could be compared (%v); only a digest would prove it", s.failed)
	}
	return fmt.Sprintf("%s of what others brought were fetched once more and compared (%s); that finds who lies in bulk, not a few changed bytes: only a digest would", plural(s.looked, "block"), humanize.IBytes(uint64(s.bytes)))
}
