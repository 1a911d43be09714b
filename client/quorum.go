package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"ddm/client/blame"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// With a quorum of two, everything is fetched a second time from another
// machine, behind the first copies, and compared with what is on disk. All own
// lines are one machine, and its word is worth no more than another's: where
// two differ, a third one decides, and without one the download fails.
//
//	received --Gave--> blame.Quorum --Next--> second --seconded--> agreed: it counts
//	resumed bytes ---------^   ^                         |
//	                           '-- Lost, Expel <-- expose: the liar's bytes and its word
//
// Second copies are never written.

const (
	longestSecond = 8 << 20 // that is asked for at once
	leastSecond   = 1 << 20 // while more may come
	secondParts   = 64      // of the whole, at least so many
	ownSeconds    = 4       // at once
	peerSeconds   = 2       // of one peer
	secondRest    = 2 * time.Second
	loneliness    = 5 * time.Second // without a second machine before anything was compared
)

// quorum is what came twice. The loop owns it.
type quorum struct {
	of     *blame.Quorum            // nil: once is enough
	busy   map[string]int           // by machine
	rest   map[string]time.Duration // a machine that failed is left alone until then
	unfit  map[string]bool          // or for good
	failed error                    // the newest failure
	lonely time.Duration            // since when there are fewer than two machines; 0: there are
	moved  time.Duration            // when something agreed last
}

// seconded is what came of a second copy.
type seconded struct {
	id      int
	machine string // that was asked
	agreed  byterange.Range
	what    verdict
	dispute *dispute // what nobody could decide
	err     error
}

const ownMachine = "own"

// machineOf is whose line brought bytes of a giver.
func machineOf(giver string) string {
	if id, peer := peerOf(giver); peer {
		return "peer:" + id
	}
	return ownMachine
}

// twice reports whether everything is to come from two machines.
func (j *Job) twice() bool { return j.Quorum > 1 }

func newQuorum(d *download) quorum {
	if !d.job.twice() || d.file == nil {
		return quorum{}
	}
	q := quorum{of: blame.NewQuorum(), busy: map[string]int{}, rest: map[string]time.Duration{}, unfit: map[string]bool{}}
	for x := range d.file.Extents() {
		q.of.Gave(machineOf(x.Giver), x.Range)
	}
	return q
}

const oneMachine = "--quorum 2 compares what two machines bring: this one's own lines and a peer's, or two peers'; start peerd on another machine and name its tracker by --tracker, or leave --quorum out"

// duet refuses a quorum that can never be reached.
func (d *download) duet(ranges bool) error {
	switch {
	case !d.job.twice() || d.gen.Size == 0:
		return nil
	case !ranges || d.gen.Size < 0:
		return fmt.Errorf("%w: the origin serves no ranges, so one machine alone can bring the file; leave --quorum out", errdefs.Refused)
	case d.req.private != "":
		return fmt.Errorf("%w: the request is not shared with peers because %s; %s", errdefs.Refused, d.req.private, oneMachine)
	case d.level < origin.Weak && !d.vetting:
		return fmt.Errorf("%w: nothing would show that two machines' bytes belong together: the origin names no validator; leave --quorum out", errdefs.Refused)
	case d.roster == nil:
		return fmt.Errorf("%w: there are no peers; %s", errdefs.Refused, oneMachine)
	}
	return nil
}

// arrivedOnce enters bytes that were written.
func (l *loop) arrivedOnce(r byterange.Range) {
	if l.quorum.of == nil {
		return
	}
	for _, x := range l.d.file.Touching(r) {
		l.quorum.of.Gave(machineOf(x.Giver), x.Intersect(r))
	}
}

// seconders are who may be asked for a second copy: one witness per machine.
func (l *loop) seconders() (list []witness) {
	if own, ok := l.d.ownWitness(); ok && !l.quorum.unfit[ownMachine] {
		own.own = false
		list = append(list, own)
	}
	for _, peer := range l.table.streams() {
		if w := l.d.peerWitness(peer.info); !l.quorum.unfit[w.giver] && !l.d.outcasts.holds(w.giver) {
			list = append(list, w)
		}
	}
	return list
}

// second sends for second copies of what is there.
func (l *loop) second() {
	q, d := &l.quorum, l.d
	if q.of == nil || !l.roomForMore() {
		return
	}
	least, most := int64(leastSecond), min(max(d.gen.Size/secondParts, leastSecond), longestSecond)
	if l.sched.Complete() {
		least = 1
	}
	for _, w := range l.seconders() {
		m, at := machineOf(w.giver), peerSeconds
		if m == ownMachine {
			at = ownSeconds
		}
		for q.busy[m] < min(at, d.c.opts.Connections) && l.now() >= q.rest[m] {
			id, r, ok := q.of.Next(m, least, most)
			if !ok {
				break
			}
			q.busy[m]++
			d.work.Go(func() { d.send(d.second(l.ctx, id, w, r)) })
		}
	}
}

// roomForMore reports whether connections beside those that bring the first
// copies are within what the user allows.
func (l *loop) roomForMore() bool {
	over := l.spots.over
	return l.d.c.opts.Connections >= manyLanes || over > 0 && l.now()-over >= tickEvery
}

// seconding reports whether bytes of a complete download are yet to come a
// second time.
func (l *loop) seconding() bool {
	q := &l.quorum
	if q.of == nil {
		return false
	}
	if q.of.Left() == 0 { // what the file says counts
		for x := range l.d.file.Extents() {
			q.of.Gave(machineOf(x.Giver), x.Range)
		}
	}
	l.second()
	return q.of.Left() > 0
}

// second holds a range on disk against what a witness brings.
func (d *download) second(ctx context.Context, id int, w witness, r byterange.Range) seconded {
	e := seconded{id: id, machine: machineOf(w.giver), agreed: byterange.Range{Off: r.Off}}
	differs, err := d.confer(ctx, w, r, func(same byterange.Range) { e.agreed = byterange.Between(r.Off, same.End()) })
	if err != nil || differs == nil {
		e.err = err
		return e
	}
	m, giver := d.narrow(differs)
	if m == nil {
		return e // it was taken back meanwhile
	}
	e.what, e.err = d.arbitrate(ctx, giver, w, d.thirds(giver, w), m)
	if slices.ContainsFunc(e.what.liars, trusted) {
		e.err = fmt.Errorf("%w: two peers say the same about bytes %v, and this machine's own line something else: either may be right", errdefs.Corrupt, m.r)
	}
	if errors.Is(e.err, errdefs.Corrupt) {
		e.dispute = &dispute{m.r, giver}
	}
	return e
}

// narrow returns what of a block that differs is of the first giver whose part
// does, and that giver; nil if nothing differs any more.
func (d *download) narrow(m *mismatch) (*mismatch, string) {
	for _, x := range d.file.Touching(m.r) {
		r := x.Intersect(m.r)
		theirs, mine := m.content[r.Off-m.r.Off:r.End()-m.r.Off], make([]byte, r.Len)
		if _, err := d.file.ReadAt(mine, r.Off); err == nil && !bytes.Equal(mine, theirs) {
			return &mismatch{r: r, content: theirs}, x.Giver
		}
	}
	return nil, ""
}

// thirds are the witnesses on other machines than the two that differ.
func (d *download) thirds(giver string, w witness) (list []witness) {
	for _, third := range d.witnesses(giver) {
		if m := machineOf(third.giver); m != machineOf(giver) && m != machineOf(w.giver) {
			third.own = false
			list = append(list, third)
		}
	}
	return list
}

func (e seconded) handle(l *loop) error {
	q, d := &l.quorum, l.d
	q.busy[e.machine]--
	if !e.agreed.Empty() {
		q.of.Agreed(e.id, e.agreed)
		q.moved = l.now()
	}
	q.of.End(e.id)
	switch {
	case e.dispute != nil:
		return l.disputed(*e.dispute, e.err)
	case errors.Is(e.err, errGone):
	case e.err != nil:
		q.failed = e.err
		q.rest[e.machine] = l.now() + secondRest
		q.unfit[e.machine] = final(e.err)
		d.c.log.Debug("a second copy did not come", "machine", e.machine, "error", e.err)
	case e.what.damaged > 0:
		d.note(fmt.Sprintf("the disk changed bytes behind %v after they were written; they are fetched again", e.agreed))
		l.missing(byterange.Range{Len: d.gen.Size})
	}
	for _, liar := range e.what.liars {
		if err := l.expose(liar, errLied); err != nil {
			return err
		}
	}
	l.second()
	return nil
}

// solo gives up a quorum that is not to be had.
func (l *loop) solo(now time.Duration) error {
	q := &l.quorum
	if q.of == nil {
		return nil
	}
	patience := loneliness
	if q.moved > 0 {
		patience = l.d.c.opts.Patience
	}
	switch {
	case len(l.seconders()) >= 2:
		q.lonely = 0
	case q.lonely == 0:
		q.lonely = now
	case now-q.lonely > patience:
		return errors.Join(fmt.Errorf("%w: fewer than two machines are here; %s", errdefs.Refused, oneMachine), q.failed)
	}
	if idle := now - max(q.moved, l.spots.over); l.sched.Complete() && idle > l.d.c.opts.Patience {
		cause := q.failed
		if cause == nil {
			cause = errdefs.Unavailable
		}
		return fmt.Errorf("no second copy of the last %s came for %s: %w", humanize.IBytes(uint64(q.of.Left())), l.d.c.opts.Patience, cause)
	}
	return nil
}

// proof says in words what came twice.
func (q *quorum) proof(size int64) string {
	if q.of == nil {
		return ""
	}
	return fmt.Sprintf("every byte came from two machines and is the same (%s twice); that finds whoever lies alone", humanize.IBytes(uint64(size)))
}
