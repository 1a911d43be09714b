package client

import (
	"slices"
	"sync"

	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/progress"
)

// Whoever is proved to lie while a download runs is cut off at once, and
// everything that it gave, and nothing proves right, is taken back. It is left
// out of what follows: of this attempt, and of those after it.

// outcasts are the givers that were exposed. The loop enters them; those who
// look for witnesses ask from everywhere.
type outcasts struct {
	mu     sync.Mutex
	givers map[string]bool
}

// add returns false if it was there already.
func (o *outcasts) add(giver string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.givers == nil {
		o.givers = map[string]bool{}
	}
	was := o.givers[giver]
	o.givers[giver] = true
	return !was
}

func (o *outcasts) any() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.givers) > 0
}

// holds reports whether a giver is one of those exposed, or its mirror is.
func (o *outcasts) holds(giver string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	id, peer := peerOf(giver)
	host, mirrored := mirrorOf(giver)
	return peer && o.givers["peer:"+id] || o.givers[giver] || mirrored && o.givers["own:\t"+host]
}

// remember leaves them out of later attempts too.
func (o *outcasts) remember(req *request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for giver := range o.givers {
		if id, peer := peerOf(giver); peer {
			req.suspects[id] = true
		} else if host, mirrored := mirrorOf(giver); mirrored {
			req.forget(host)
		}
	}
}

// culpable is who is to blame for what a giver brought: its mirror, if it is
// one besides the first. That may have it so, whoever fetched it, and can be
// left out without proof.
func culpable(giver string) string {
	if host, mirrored := mirrorOf(giver); mirrored {
		return "own:\t" + host
	}
	return giver
}

// expose leaves a liar out, and takes back what it gave.
func (l *loop) expose(liar string, why error) error {
	d := l.d
	id, peer := peerOf(liar)
	if peer {
		liar = "peer:" + id // wherever it fetched from
	}
	if !d.outcasts.add(liar) {
		return nil
	}
	if host, mirrored := mirrorOf(liar); mirrored {
		d.notes = append(d.notes, "the mirror "+host+" gave wrong bytes; it was left out, and what it gave was fetched again")
		d.rep.Source(progress.SourceChange{Name: host, Change: "banned", Reason: text(why)})
		if i := slices.IndexFunc(l.pool.mirrors, func(m *mirror) bool { return m.host == host }); i > 0 && !l.pool.mirrors[i].out {
			l.dropMirror(l.pool.mirrors[i], why)
		}
	} else if peer {
		d.notes = append(d.notes, "the peer "+d.roster.name(id)+" gave wrong bytes; it was left out, and what it gave was fetched again")
		if !l.cut(id, why) {
			d.rep.Source(progress.SourceChange{Name: d.roster.name(id), Change: "banned", Reason: text(why)})
		}
		l.streams.banned[id] = true
		if l.quorum.of != nil {
			l.quorum.of.Expel(machineOf(liar))
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

// sweep takes back what is there of liars, apart from pieces known to be right.
// It returns whether anything was.
func (l *loop) sweep() (some bool, err error) {
	if !l.d.outcasts.any() {
		return false, nil
	}
	theirs := map[string]*byterange.Set{}
	for x := range l.d.file.Extents() {
		if !l.d.outcasts.holds(x.Giver) {
			continue
		}
		if theirs[x.Giver] == nil {
			theirs[x.Giver] = &byterange.Set{}
		}
		proven := l.pieces.proven(x.Range)
		for r := range proven.Missing(x.Range) {
			theirs[x.Giver].Add(r)
		}
	}
	for giver, set := range theirs {
		for r := range set.All() {
			gone, err := l.withdraw(r, giver)
			if err != nil {
				return some, err
			}
			some = some || gone
		}
	}
	return some, nil
}

// withdraw takes back what a giver brought of a range, so that it is fetched
// again. It returns whether anything was there.
func (l *loop) withdraw(r byterange.Range, giver string) (bool, error) {
	gone, err := l.d.retract(r, giver)
	if err != nil {
		return false, err
	}
	for part := range gone.All() {
		done := l.sched.Done()
		l.lost(part)
		before := l.resumed.Subtract(part) // nobody was credited for that
		l.table.forfeit(giver, done-l.sched.Done()-before)
	}
	return gone.Len() > 0, nil
}

// worthless reports whether a source's bytes are a liar's.
func (l *loop) worthless(id schedule.SourceID) bool {
	return l.d.outcasts.any() && slices.ContainsFunc(l.table.order, func(r *row) bool {
		return r.id == id && l.d.outcasts.holds(r.giver())
	})
}
