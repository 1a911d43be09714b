package client

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"ddm/client/schedule"
	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/internal/quota"
	ddmv1 "ddm/proto/ddm/v1"
)

// Sources come and go with lines: own ones as this machine finds them, a
// peer's as it says.
//
//	lines.Set --open, closed--> syncOwn -----+
//	                                         +--> table, scheduler: join, leave
//	stream --LinesChanged--> linesChanged ---'

// lookEvery is how many ticks pass between two looks at the own lines.
const lookEvery = 20

// open returns the own lines that may be used now, those first whose bytes
// cost nothing.
func (c *Client) open() []lines.Line {
	if c.own == nil {
		return nil
	}
	list := slices.DeleteFunc(c.own.Lines(), func(l lines.Line) bool { return l.Closed != nil })
	slices.SortStableFunc(list, func(a, b lines.Line) int { return cmp.Compare(a.Spec.Metered, b.Spec.Metered) })
	return list
}

// closed says why there is no own line to use: the first thing that time will
// mend if there is one; nil: none was to be used.
func (c *Client) closed() (err error) {
	if c.own == nil {
		return nil
	}
	for _, l := range c.own.Lines() {
		if err == nil || !spent(err) && spent(l.Closed) {
			err = l.Closed
		}
	}
	return err
}

// spent reports whether a quota is used up.
func spent(err error) bool {
	_, ok := errors.AsType[*quota.SpentError](err)
	return ok
}

// syncOwn makes sources of the own lines that are open, and takes those off
// that are not. While others are measured, lines whose bytes cost wait.
func (l *loop) syncOwn() error {
	if !l.mixed {
		return nil // one line began, and nobody can go on for it
	}
	open := l.d.c.open()
	for _, r := range slices.Clone(l.table.order) {
		if r.here && r.local != nil && !slices.ContainsFunc(open, func(o lines.Line) bool { return o.ID == r.line }) {
			l.removeOwn(r)
		}
	}
	wait := !l.alone.over(l.now(), l.table) && l.table.anyHere()
	for _, line := range open {
		if wait && line.Spec.Metered > 0 {
			continue
		}
		if err := l.ownSources(line); err != nil {
			return err
		}
	}
	l.obey()
	return nil
}

// lookAtOwn finds out, now and then, which own lines are open.
func (l *loop) lookAtOwn() error {
	if l.d.c.own == nil {
		return nil
	}
	joins := l.alone.ended && !l.settled // the lines that waited for this
	l.settled = l.alone.ended
	if !joins && l.ticks%lookEvery != 0 {
		return nil
	}
	l.d.c.own.Refresh()
	return l.syncOwn()
}

// addOwn makes an own line a source of a mirror. The probe's reply, if there
// is one, is its first assignment.
func (l *loop) addOwn(line lines.Line, m *mirror, p *probed) (*row, error) {
	d := l.d
	src := newLocalSource(l.ctx, d, line.Origin, m, d.c.opts.Connections, l.mixed)
	join := schedule.Source{Latency: m.wait}
	if p != nil {
		join.Running, join.Latency, join.Since = p.reply.Range, p.reply.FirstByte, p.at.Sub(d.began)
	}
	sid, id := l.table.addLocal(l.now(), src, line, join)
	d.rec.joined(sid, src.name)
	if id != 0 {
		d.rec.assigned(0, schedule.Assign{ID: id, Source: sid, Range: join.Running, Why: schedule.Fresh})
		if err := src.adopt(id, p.reply, p.stop); err != nil {
			return nil, err
		}
		p.reply = nil // the runner's now
	}
	if m.n == 0 && (line.Spec.Metered == 0 || p != nil) {
		l.alone.watch(sid)
	}
	return l.table.row(sid), nil
}

// removeOwn takes an own line off; what it did not bring goes to the others.
func (l *loop) removeOwn(r *row) {
	reason := "this line is closed"
	for _, line := range l.d.c.own.Lines() {
		if line.ID == r.line && line.Closed != nil {
			reason = text(line.Closed)
			l.failed(line.Closed, true)
		}
	}
	l.d.work.Go(r.local.close) // its ends are events: the loop must not wait for them
	l.removeRow(r, reason)
}

// removeRow ends a source. Its assignments must end by themselves, or be
// cancelled before.
func (l *loop) removeRow(r *row, reason string) {
	r.why = reason
	l.table.leave(l.now(), r)
	l.d.rec.left(l.now(), r.id)
	l.table.change(l.d.rep, r, "left", reason)
}

// linesChanged replaces the lines of a peer.
type linesChanged struct {
	peer  *remoteSource
	lines []*ddmv1.Line
}

func (e linesChanged) handle(l *loop) error {
	e.peer.opened.Lines = e.lines
	if !l.table.peers[e.peer] || slices.Contains(l.streams.ready, e.peer) {
		return nil // it joins with these
	}
	for _, r := range slices.Clone(l.table.order) {
		if r.here && r.peer == e.peer && r.line != storeLine && !slices.ContainsFunc(e.lines, func(line *ddmv1.Line) bool {
			return line.GetId() == r.line && !line.GetClosed()
		}) {
			l.cancelAll(r)
			l.removeRow(r, whyClosed(e.lines, r.line))
		}
	}
	l.join(e.peer)
	return nil
}

// whyClosed is what a peer says of a line that it no longer offers.
func whyClosed(list []*ddmv1.Line, id uint32) string {
	for _, line := range list {
		if line.GetId() == id && line.GetClosedBecause() != nil {
			return errdefs.FromFailure(line.GetClosedBecause()).Error()
		}
	}
	return "the peer closed this line"
}

// checkLines judges what a peer says of its lines.
func checkLines(list []*ddmv1.Line) error {
	if n := len(list); n == 0 || n > maxLines {
		return fmt.Errorf("%w: %s: it has %d lines", errdefs.Corrupt, tableClosed, n)
	}
	for i, line := range list {
		if slices.ContainsFunc(list[:i], func(o *ddmv1.Line) bool { return o.GetId() == line.GetId() }) {
			return fmt.Errorf("%w: %s: two of its lines are number %d", errdefs.Corrupt, tableClosed, line.GetId())
		}
		if share := line.GetMeteredShare(); !(share >= 0 && share <= 1) {
			return fmt.Errorf("%w: %s: a line is metered by a share of %v", errdefs.Corrupt, tableClosed, share)
		}
	}
	return nil
}

// metered is the share by which a peer's line must shorten the download.
func metered(line *ddmv1.Line) float64 {
	if !line.GetMetered() {
		return 0
	}
	return cmp.Or(line.GetMeteredShare(), lines.DefaultShare)
}
