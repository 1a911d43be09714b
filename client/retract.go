package client

import (
	"errors"
	"fmt"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

// Some replies are condemned by what comes behind their bytes: one byte more
// than was promised, or a digest that is not theirs. What they brought is
// written by then, and has to be taken back.

// condemns reports whether an assignment that ended so brought nothing of use.
func condemns(err error) bool {
	return errdefs.KindOf(err) == errdefs.BadReply
}

// takeBack forgets what a condemned assignment brought, so that it is fetched
// again.
func (l *loop) takeBack(e ended) error {
	if !condemns(e.err) || e.brought.Empty() || e.in == nil {
		return nil
	}
	gone, err := l.d.retract(e.brought, e.in.giver)
	if err != nil {
		return err
	}
	for r := range gone.All() {
		l.lost(r)
	}
	l.table.debit(e.from, gone.Bytes())
	return nil
}

// retract takes bytes of a giver out of the target. It returns those that are
// not there any more.
func (d *download) retract(r byterange.Range, giver string) (gone byterange.Set, err error) {
	if d.file == nil {
		gone, err = d.stream.retract(r)
		return gone, err
	}
	var theirs byterange.Set
	for _, x := range d.file.Touching(r) {
		if x.Giver == giver {
			theirs.Add(x.Intersect(r))
		}
	}
	gone = d.file.Have()
	for part := range theirs.All() {
		_, dropErr := d.file.Drop(part)
		err = errors.Join(err, dropErr)
	}
	have := d.file.Have()
	for part := range have.All() {
		gone.Subtract(part)
	}
	return gone, err
}

// retract takes back what still waits in memory. What was written cannot be.
func (o *ordered) retract(r byterange.Range) (gone byterange.Set, err error) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	if r.Off < o.next {
		return gone, fmt.Errorf("%w: bytes that were written already are not what the origin sent", errdefs.Corrupt)
	}
	for off, p := range o.kept {
		if part := (byterange.Range{Off: off, Len: int64(len(p))}); r.Contains(part) {
			delete(o.kept, off)
			o.got.Subtract(part)
			gone.Add(part)
		}
	}
	return gone, nil
}

// missing gives back to the scheduler what it takes for arrived of a range and
// the file does not have. It returns whether there is any: then the download
// goes on.
func (l *loop) missing(within byterange.Range) bool {
	if l.d.file == nil {
		return false
	}
	have, some := l.d.file.Have(), false
	for r := range have.Missing(within) {
		l.d.c.log.Debug("bytes were taken back while they were counted", "range", r)
		l.lost(r)
		some = true
	}
	return some
}

// lost tells everybody that bytes are not there any more.
func (l *loop) lost(r byterange.Range) {
	l.sched.Lost(l.now(), r)
	l.pieces.lost(r)
	if l.quorum.of != nil {
		l.quorum.of.Lost(r)
	}
}
