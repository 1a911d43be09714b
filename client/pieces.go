package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"ddm/internal/byterange"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/rpc"
)

// Pieces whose digests are known are weighed as soon as all their bytes are on
// disk, those of an earlier run at once: read back and hashed beside the loop.
//
//	received --> all there? --queue--> weigh --weighed--> right, or refuse: taken back, its giver exposed
//
// What one giver brought alone is proof against it, once another piece shows
// that the digests are of what is fetched. Else, and if several brought it, the
// piece is held against what a witness brings (tell), one at a time.

const (
	weighAtOnce = 2
	weighBuffer = 256 << 10
	refusals    = 3 // of one piece, or 2 if the own line had it wrong too
)

// pieces is how far the pieces are judged. The loop owns it.
type pieces struct {
	of      *digest.Pieces // nil: none is known, or there is no file to read back
	size    int64
	there   byterange.Set // written, as far as the loop knows
	states  []pieceState
	left    int // that are not right yet
	queue   []int
	busy    map[int]bool // being weighed; true: some of it was taken back meanwhile
	refused map[int]int  // how often
	doubted map[int]bool // bad as the own line brought them: until they are right, nobody is blamed
	telling bool
	waiting []int // bad, until telling is over
}

type pieceState uint8

const (
	pieceOpen pieceState = iota
	pieceQueued
	pieceRight
)

// weighed is what came of weighing a piece.
type weighed struct {
	i       int
	right   bool
	gone    bool     // it was not all there any more
	damaged int64    // bytes that the disk changed: they are dropped, and nobody is to blame
	givers  []string // of a bad one
	told    bool     // a witness was asked
	liars   []string // who is proved to have brought what is wrong
	doubt   bool     // somebody else has it the same: the digests are of something else
	err     error
}

func newPieces(d *download, have byterange.Set) pieces {
	if d.file == nil || d.job.Pieces == nil {
		return pieces{}
	}
	n := len(d.job.Pieces.Sums)
	p := pieces{of: d.job.Pieces, size: d.gen.Size, states: make([]pieceState, n), left: n, busy: map[int]bool{}, refused: map[int]int{}, doubted: map[int]bool{}}
	for r := range have.All() {
		p.wrote(r)
	}
	return p
}

// wrote enters bytes that are there, and queues the pieces that they complete.
func (p *pieces) wrote(r byterange.Range) {
	if p.of == nil || r.Empty() {
		return
	}
	p.there.Add(r)
	first, end := p.of.Touching(r)
	for i := first; i < end; i++ {
		if p.states[i] == pieceOpen && p.there.Contains(p.of.Range(i, p.size)) {
			p.states[i] = pieceQueued
			p.queue = append(p.queue, i)
		}
	}
}

// lost enters that bytes were taken back.
func (p *pieces) lost(r byterange.Range) {
	if p.of == nil || r.Empty() {
		return
	}
	p.there.Subtract(r)
	first, end := p.of.Touching(r)
	for i := first; i < end; i++ {
		if p.states[i] == pieceRight {
			p.states[i] = pieceOpen
			p.left++
		}
		if _, busy := p.busy[i]; busy {
			p.busy[i] = true
		}
	}
}

// proven returns the part of r that lies in pieces known to be right.
func (p *pieces) proven(r byterange.Range) (s byterange.Set) {
	if p.of == nil {
		return s
	}
	first, end := p.of.Touching(r)
	for i := first; i < end; i++ {
		if p.states[i] == pieceRight {
			s.Add(p.of.Range(i, p.size).Intersect(r))
		}
	}
	return s
}

// right says which pieces need no further look; nil: nobody has looked.
func (p *pieces) right() []bool {
	list := make([]bool, len(p.states))
	for i, s := range p.states {
		list[i] = s == pieceRight
	}
	return list
}

// weigh sends for the next pieces.
func (l *loop) weigh() {
	p := &l.pieces
	most := weighAtOnce
	if p.telling {
		most++
	}
	for len(p.busy) < most && len(p.queue) > 0 {
		i := p.queue[0]
		p.queue = p.queue[1:]
		p.busy[i] = false
		l.d.work.Go(func() { l.d.send(l.d.weigh(l.ctx, i)) })
	}
}

// weighing reports whether pieces of a complete download are yet to be judged.
func (l *loop) weighing() bool {
	p := &l.pieces
	if p.left == 0 {
		return false
	}
	if len(p.queue)+len(p.busy)+len(p.waiting) == 0 { // what was counted for somebody else
		p.wrote(byterange.Range{Len: p.size})
	}
	l.weigh()
	return true
}

// weigh judges one piece, and who gave it if it is bad.
func (d *download) weigh(ctx context.Context, i int) weighed {
	p, e := d.job.Pieces, weighed{i: i}
	buf := rpc.Pool().Get(weighBuffer)
	defer rpc.Pool().Put(buf)
	e.right, e.err = p.Weigh(ctx, d.file, i, d.gen.Size, *buf)
	if errors.Is(e.err, errdefs.BadRange) {
		return weighed{i: i, gone: true}
	}
	if e.err != nil || e.right {
		return e
	}
	r := p.Range(i, d.gen.Size)
	if e.damaged, e.err = d.file.Scrub(r); e.err != nil || e.damaged > 0 {
		return e
	}
	for _, x := range d.file.Touching(r) {
		if !slices.Contains(e.givers, x.Giver) {
			e.givers = append(e.givers, x.Giver)
		}
	}
	return e
}

// tell fetches a bad piece once more, until somebody has it right, and finds out
// whose part of it differs from that. Who had it wrong meanwhile lied too.
func (d *download) tell(ctx context.Context, e weighed) weighed {
	e.told = true
	var wrong []string
	about := "" // whoever brought all of it says the same again
	if len(e.givers) == 1 {
		about = e.givers[0]
	}
	for _, w := range d.witnesses(about) {
		differ, right, err := d.confront(ctx, w, e.i)
		switch {
		case ctx.Err() != nil:
			return e
		case err != nil:
			d.c.log.Debug("a bad piece could not be fetched again", "piece", e.i, "witness", w.giver, "error", err)
		case right:
			e.liars = slices.Concat(wrong, differ)
			return e
		case w.own || len(differ) == 0:
			e.doubt = true
			return e
		default:
			wrong = append(wrong, w.giver)
		}
	}
	return e
}

// confront holds a piece on disk against what a witness has, and returns whose
// part of it differs, and whether the witness's is right.
func (d *download) confront(ctx context.Context, w witness, i int) (differ []string, right bool, err error) {
	h, err := digest.New(d.job.Pieces.Algorithm)
	if err != nil {
		return nil, false, err
	}
	givers := map[string]bool{}
	mine := make([]byte, maxPayload)
	err = w.read(ctx, d.job.Pieces.Range(i, d.gen.Size), func(off int64, p []byte) error {
		d.verified.Add(int64(len(p)))
		h.Write(p)
		part := mine[:len(p)]
		if _, err := d.file.ReadAt(part, off); err != nil {
			return err
		}
		here := byterange.Range{Off: off, Len: int64(len(p))}
		for _, x := range d.file.Touching(here) {
			at := x.Intersect(here)
			if a, b := at.Off-off, at.End()-off; !bytes.Equal(part[a:b], p[a:b]) {
				givers[x.Giver] = true
			}
		}
		return nil
	})
	return slices.Sorted(maps.Keys(givers)), bytes.Equal(h.Sum(nil), d.job.Pieces.Sums[i]), err
}

func (e weighed) handle(l *loop) error {
	p := &l.pieces
	stale := p.busy[e.i]
	delete(p.busy, e.i)
	r := p.of.Range(e.i, p.size)
	if e.told {
		p.telling = false
		p.queue = append(p.queue, p.waiting...)
		p.waiting = nil
	}
	switch {
	case e.err != nil && !stale:
		return e.err
	case stale || e.gone || e.damaged > 0:
		if e.damaged > 0 {
			l.d.note(fmt.Sprintf("the disk changed bytes at %v after they were written; they are fetched again", r))
		}
		l.missing(r)
		p.reopen(e.i, l.d.file.Have())
	case e.right:
		p.states[e.i] = pieceRight
		p.left--
		delete(p.doubted, e.i)
	case l.lists.judged:
		if err := l.contradicted(e, r); err != nil {
			return err
		}
	case !e.told && (len(e.givers) > 1 || p.left == len(p.states)) && !allTrusted(e.givers):
		l.ask(e)
	default:
		p.states[e.i] = pieceOpen
		if err := l.refuse(e, r); err != nil {
			return err
		}
	}
	l.weigh()
	return nil
}

// ask sends for a witness to a bad piece.
func (l *loop) ask(e weighed) {
	p := &l.pieces
	if p.telling {
		p.waiting = append(p.waiting, e.i)
		return
	}
	p.telling, p.busy[e.i] = true, false
	if l.lists.judged {
		vouchers := l.d.req.lists.Vouchers(e.i)
		l.d.work.Go(func() { l.d.send(l.d.testify(l.ctx, e, vouchers)) })
		return
	}
	l.d.work.Go(func() { l.d.send(l.d.tell(l.ctx, e)) })
}

// allTrusted reports whether nobody but own lines brought a piece.
func allTrusted(givers []string) bool {
	return !slices.ContainsFunc(givers, func(giver string) bool { return !trusted(giver) })
}

// reopen forgets what was believed of a piece.
func (p *pieces) reopen(i int, have byterange.Set) {
	r := p.of.Range(i, p.size)
	p.states[i] = pieceOpen
	p.there.Subtract(r)
	for part := range have.All() {
		p.wrote(part.Intersect(r))
	}
}

// refuse takes a bad piece back. Who is proved to have given what is wrong with
// it is exposed, unless the own line had a piece wrong too: then the digests
// may be of something else.
func (l *loop) refuse(e weighed, r byterange.Range) error {
	p, d := &l.pieces, l.d
	l.lastByte = l.now()
	p.refused[e.i]++
	if e.doubt || allTrusted(e.givers) {
		p.doubted[e.i] = true
	}
	if n := p.refused[e.i]; n >= refusals || p.doubted[e.i] && (e.doubt || n >= refusals-1) {
		return &badPiecesError{bad: []byterange.Range{r}, of: len(p.of.Sums), says: d.piecesFrom, again: true}
	}
	if !e.told {
		e.liars = e.givers
	}
	blamed, why := false, fmt.Errorf("%w: the piece %s that it had a part in is not what its digest says", errdefs.Corrupt, r)
	for _, liar := range e.liars {
		if trusted(liar) || len(p.doubted) > 0 {
			continue
		}
		blamed = true
		if err := l.expose(culpable(liar), why); err != nil {
			return err
		}
	}
	if !blamed {
		d.note(fmt.Sprintf("the piece %s is not what its digest says; it is fetched again", r))
	}
	for _, x := range d.file.Touching(r) {
		if blamed && !slices.Contains(e.liars, x.Giver) {
			continue // of this, the witness has the same
		}
		if _, err := l.withdraw(x.Intersect(r), x.Giver); err != nil {
			return err
		}
	}
	p.reopen(e.i, d.file.Have())
	return nil
}
