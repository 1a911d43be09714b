package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"ddm/client/blame"
	"ddm/internal/byterange"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/progress"
	"ddm/internal/shares"
	ddmv1 "ddm/proto/ddm/v1"
)

// Holders of a shared file are asked what its pieces hash to. One of their lists
// is believed, and pieces are judged by it as by those of a Metalink, but for
// what follows: it is strangers' word, until the whole proves it.
//
//	arrived --AskPieces--> claimed --> blame.Lists --Choose--> pieces
//	bad piece --> its giver said so itself? exposed : not asked for more of it
//	whole is wrong --> who said so is left out, what the next list has otherwise is dropped --> once more
//	whole is right --> who said otherwise is named

const (
	listTimeout  = 15 * time.Second       // for one holder's list
	listsGather  = 500 * time.Millisecond // after the first list others are waited for
	starvedAfter = 15 * time.Second       // without a byte another list is tried, if there is one
	maxRelists   = 64                     // attempts that ended a list
)

// lists is how far holders were asked. The loop owns it.
type lists struct {
	asked  map[string]bool // by peer id
	due    int             // answers
	first  time.Duration   // came then; 0: none did
	judged bool            // by a list, since it was chosen
}

// claimed is what came of asking a holder.
type claimed struct {
	id     string
	pieces *digest.Pieces
	err    error
}

// relistedError ends an attempt whose list is not believed any more. Its kind
// is errdefs.Corrupt; the next attempt goes by another one.
type relistedError struct{ why string }

// Error tells why.
func (e *relistedError) Error() string { return e.why }

// Unwrap gives the kind.
func (e *relistedError) Unwrap() error { return errdefs.Corrupt }

func relisted(err error) bool {
	_, ok := errors.AsType[*relistedError](err)
	return ok
}

// listed reports whether holders are asked what the pieces hash to.
func (d *download) listed() bool { return d.req.lists != nil && d.file != nil }

func newLists(job Job) *blame.Lists {
	if job.Shared == nil || job.Pieces != nil {
		return nil
	}
	return blame.NewLists(rand.Int64N)
}

// askPieces asks a holder, once.
func (l *loop) askPieces(info *ddmv1.PeerInfo) {
	d, s := l.d, &l.lists
	id := info.GetId()
	if !d.listed() || s.asked[id] {
		return
	}
	if s.asked == nil {
		s.asked = map[string]bool{}
	}
	s.asked[id] = true
	s.due++
	d.work.Go(func() {
		pieces, err := d.askPieces(l.ctx, info)
		d.send(claimed{id, pieces, err})
	})
}

func (d *download) askPieces(ctx context.Context, info *ddmv1.PeerInfo) (*digest.Pieces, error) {
	conn, err := d.c.dial(info.GetAddress(), false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // a read-only connection: nothing to lose
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	return shares.AskPieces(ctx, ddmv1.NewPieceServiceClient(conn), d.job.Shared.SHA256, d.gen.Size)
}

func (e claimed) handle(l *loop) error {
	s := &l.lists
	s.due--
	if e.err != nil {
		l.d.c.log.Debug("a holder does not say what the pieces hash to", "peer", l.d.roster.name(e.id), "error", e.err)
	} else if !l.d.outcasts.holds("peer:"+e.id) && l.d.req.lists.Say(e.id, e.pieces.Sums) {
		if s.first == 0 {
			s.first = max(l.now(), 1)
		}
		l.restrict(e.id)
	}
	return nil
}

// believe chooses a list, once enough were heard, and begins to judge by it.
func (l *loop) believe() {
	s, d := &l.lists, l.d
	if !d.listed() || s.judged || s.first == 0 || (s.due > 0 || l.streams.coming()) && l.now()-s.first < listsGather {
		return
	}
	l.judgeBy(d.req.lists.Choose())
}

// judgeBy begins to judge pieces by a list; nil: by none.
func (l *loop) judgeBy(sums [][]byte) {
	d := l.d
	if sums == nil {
		return
	}
	l.lists.judged = true
	d.job.Pieces = &digest.Pieces{Length: shares.PieceLength(d.gen.Size), Algorithm: digest.SHA256, Sums: sums}
	l.pieces = newPieces(d, d.file.Have())
	for peer := range l.table.peers {
		l.restrict(peer.info.GetId())
	}
}

// restrict has a holder asked no more for pieces of which it says otherwise.
func (l *loop) restrict(id string) {
	if !l.lists.judged {
		return
	}
	for peer := range l.table.peers {
		if peer.info.GetId() != id {
			continue
		}
		if gone := l.otherwise(peer, &peer.held); gone.Len() > 0 {
			_ = heldChanged{peer: peer, gone: gone}.handle(l) // less never is too much
		}
	}
}

// otherwise is the part of what a holder has that it is not to be asked for.
func (l *loop) otherwise(peer *remoteSource, held *byterange.Set) (not byterange.Set) {
	if !l.lists.judged {
		return not
	}
	p := l.d.job.Pieces
	pieces := l.d.req.lists.Otherwise(peer.info.GetId())
	for run := range pieces.All() {
		r := byterange.Between(run.Off*p.Length, min(run.End()*p.Length, l.d.gen.Size))
		for part := range held.All() {
			not.Add(part.Intersect(r))
		}
	}
	return not
}

// contradicted judges who gave a piece that is not what the list says. Who said
// so itself is exposed; of others nothing is known but that they say otherwise.
func (l *loop) contradicted(e weighed, r byterange.Range) error {
	p, known := &l.pieces, l.d.req.lists
	if len(e.givers) > 1 && !e.told {
		l.ask(e)
		return nil
	}
	p.states[e.i] = pieceOpen
	l.lastByte = l.now()
	if !e.told {
		e.liars = e.givers
	}
	for _, giver := range e.liars {
		id, _ := peerOf(giver)
		if known.Astray(id, e.i) {
			known.Expel(id)
			if err := l.expose(giver, fmt.Errorf("%w: the piece %s that it gave is not what it said itself", errdefs.Corrupt, r)); err != nil {
				return err
			}
			if !known.Vouched() { // before the end of its stream is noticed
				l.d.rep.Source(progress.SourceChange{Name: l.d.roster.name(id), Change: "banned", Reason: "what it gave is not what it said itself"})
				return l.relist("all who said what the pieces hash to gave something else")
			}
		} else {
			l.restrict(id)
		}
	}
	if len(e.liars) == 0 {
		if err := l.vain(e.i, r); err != nil {
			return err
		}
	}
	for _, x := range l.d.file.Touching(r) {
		if len(e.liars) > 0 && !slices.Contains(e.liars, x.Giver) {
			continue
		}
		if _, err := l.withdraw(x.Intersect(r), x.Giver); err != nil {
			return err
		}
	}
	p.reopen(e.i, l.d.file.Have())
	return nil
}

// vain counts how often a piece was bad and nobody could be asked whose fault
// that is.
func (l *loop) vain(i int, r byterange.Range) error {
	n := l.pieces.refused[i] + 1
	l.pieces.refused[i] = n
	switch {
	case n < refusals:
		return nil
	case n < 2*refusals:
		return l.relist(fmt.Sprintf("nobody brings the piece %s as holders say that it is", r))
	}
	return fmt.Errorf("%w: the piece %s came %d times, never as its holders say that it is", errdefs.Corrupt, r, n)
}

// testify fetches a piece that several brought from those who say what it
// hashes to, until one has it so, and finds out whose part differs from that.
// Who has it otherwise contradicts itself.
func (d *download) testify(ctx context.Context, e weighed, vouchers []string) weighed {
	e.told = true
	var wrong []string
	for _, w := range d.witnesses("") {
		if id, _ := peerOf(w.giver); !slices.Contains(vouchers, id) {
			continue
		}
		differ, right, err := d.confront(ctx, w, e.i)
		switch {
		case ctx.Err() != nil:
			return e
		case err != nil:
			d.c.log.Debug("a bad piece could not be fetched again", "piece", e.i, "witness", w.giver, "error", err)
		case right:
			e.liars = slices.Concat(wrong, differ)
			return e
		default:
			wrong = append(wrong, w.giver)
		}
	}
	e.liars = wrong
	return e
}

// listing reports whether lists are worth waiting for, at the end: the whole was
// wrong, and nobody had said anything by then.
func (l *loop) listing() bool {
	s := &l.lists
	if !l.d.listed() || s.judged || !l.d.req.sought {
		return false
	}
	l.believe()
	return s.judged || l.now() < listTimeout && (s.due > 0 || s.first > 0 || len(s.asked) == 0)
}

// seek ends an attempt that was wrong before any holder had said what the pieces
// hash to, once: the next one waits for that. False: it has been tried.
func (d *download) seek(cause error) (error, bool) {
	if !d.listed() || d.req.sought {
		return nil, false
	}
	d.req.sought = true
	d.req.past.story = slices.Clone(d.notes)
	return &relistedError{fmt.Sprintf("%v: asking holders what its pieces hash to", cause)}, true
}

// starved ends an attempt in which nobody brings what the list says, if there
// is something else to go by.
func (l *loop) starved(now time.Duration) error {
	if !l.lists.judged || l.sched.Complete() || now-l.lastByte < starvedAfter {
		return nil
	}
	return l.relist("who says what the pieces hash to does not bring them")
}

// relist ends the attempt, if there is anything else to go by.
func (l *loop) relist(why string) error {
	d := l.d
	if !d.req.lists.Pass() && d.req.lists.Vouched() {
		return nil
	}
	d.req.past.story = slices.Clone(d.notes)
	return &relistedError{"trying other holders: " + why}
}

// refute tells who said what the pieces hash to, and the whole is not what it
// must be. What the next list has otherwise is dropped.
func (d *download) refute(cause error) error {
	before := d.job.Pieces
	liars := d.req.lists.Refute()
	var names []string
	for _, id := range liars {
		names = append(names, d.roster.name(id))
		d.req.suspects[id] = true
		d.rep.Source(progress.SourceChange{Name: d.roster.name(id), Change: "banned", Reason: "the pieces that it said and gave are not those of the file"})
	}
	next := d.req.lists.Choose()
	for x := range d.file.Extents() {
		id, _ := peerOf(x.Giver)
		first, end := before.Touching(x.Range)
		for i := first; i < end; i++ {
			if next == nil && !slices.Contains(liars, id) || next != nil && bytes.Equal(next[i], before.Sums[i]) {
				continue
			}
			if _, err := d.file.Drop(before.Range(i, d.gen.Size).Intersect(x.Range)); err != nil {
				return errors.Join(cause, err)
			}
		}
	}
	said := fmt.Sprintf("%s named and gave pieces that are not those of the file; left out, and what others have otherwise is fetched again", strings.Join(names, ", "))
	d.req.past.story = append(slices.Clone(d.notes), said)
	return &relistedError{fmt.Sprintf("%v: %s", cause, said)}
}

// dissent names those who said, or gave, something else than what is proved.
func (d *download) dissent() {
	if !d.listed() {
		return
	}
	for _, id := range d.req.lists.Dissenters() {
		name := d.roster.name(id)
		if !d.req.lists.Heard(id) && !d.roster.knows(id) { // a member of the swarm, that passed on what it was given
			d.c.log.Debug("a member passed on something else than the file", "peer", name)
			continue
		}
		d.notes = append(d.notes, "the peer "+name+" has, or says, something else than the file; nothing of that was used")
		d.rep.Source(progress.SourceChange{Name: name, Change: "banned", Reason: "what it has, or says, is not the file"})
	}
}
