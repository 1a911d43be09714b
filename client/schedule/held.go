package schedule

import (
	"cmp"
	"slices"
	"time"

	"ddm/internal/byterange"
)

// A source may be a memory: it gives what it holds, and nothing else. What a
// memory that works holds, the lines leave to it.

// union is what the memories that work hold together, remembered until one of
// them comes, goes, fails or holds less.
type union struct {
	set     byterange.Set
	sources []*source
	stale   bool
}

// Waiting reports whether any byte of a set is unassigned: what else it holds
// came, or is on its way.
func (s *Scheduler) Waiting(set *byterange.Set) bool {
	for r := range set.All() {
		if s.todo.Overlap(r) > 0 {
			return true
		}
	}
	return false
}

// beginning returns from where on bytes are asked for that memories hold: a place
// of this client's own, so that clients which begin together do not ask for the
// same. Where everybody has everything, nobody waits for what this one has: then
// it begins at the beginning, as whoever reads it and hashes it does.
func (s *Scheduler) beginning() int64 {
	if s.scattered() {
		return s.place
	}
	return 0
}

// scattered reports whether a memory does not hold everything.
func (s *Scheduler) scattered() bool {
	return slices.ContainsFunc(s.order, func(src *source) bool { return src.memory && src.held.Bytes() < s.cfg.Size })
}

// Held tells that a memory holds more, or no more all that it held. What it was
// asked for of the latter is given to others.
func (s *Scheduler) Held(now time.Duration, id SourceID, came, gone byterange.Set) {
	s.now = now
	src := s.sources[id]
	if src == nil || !src.memory {
		return
	}
	for r := range came.All() {
		src.held.Add(r)
	}
	for r := range gone.All() {
		src.held.Subtract(r)
	}
	s.plan.stale = true
	if gone.Len() > 0 {
		s.union.stale = true
		s.takeBack(src)
	}
	if slices.Contains(s.heldNow().sources, src) {
		for r := range came.All() {
			s.union.set.Add(r)
		}
	}
	s.yield(src)
	s.fillAll()
}

// takeBack ends what a memory was asked for and holds no more.
func (s *Scheduler) takeBack(src *source) {
	for _, l := range src.lanes {
		for _, a := range slices.Clone(l.queue) {
			end := a.at
			if run, ok := src.held.Next(a.at); ok && run.Off == a.at {
				end = run.End()
			}
			switch {
			case end >= a.end:
			case end == a.at || a.twin != nil:
				s.cancel(a, false)
			default:
				s.todo.Add(byterange.Between(end, a.end))
				s.shrink(a, end)
			}
		}
	}
}

// yield leaves to a memory what lines were to bring of what it holds: all that
// waits, and of what runs all from there on, if that is worth it.
func (s *Scheduler) yield(memory *source) {
	if !s.leftTo(memory) {
		return
	}
	for a, waits := range s.ofLines {
		switch {
		case a.twin != nil || memory.held.Overlap(a.remaining()) == 0:
		case waits:
			s.cancel(a, false)
		default:
			ahead := byterange.Between(a.at+s.inFlight(a.lane), a.end)
			s.cut(a, memory.firstHeld(ahead))
		}
	}
}

// firstHeld returns where in a range the first run begins that the memory holds
// and that is worth a connection; the range's end if there is none.
func (src *source) firstHeld(r byterange.Range) int64 {
	for off := r.Off; off < r.End(); {
		run, ok := src.held.Next(off)
		if run = run.Intersect(r); !ok || run.Empty() {
			break
		}
		if run.Len >= worthACut {
			return run.Off
		}
		off = run.End()
	}
	return r.End()
}

// tailHeld returns from where on the memory holds the end of a range; the
// range's end if it does not.
func (src *source) tailHeld(r byterange.Range) int64 {
	from := r.Off
	for gap := range src.held.Missing(r) {
		from = gap.End()
	}
	return from
}

// leftTo reports whether lines leave to a memory what it holds: it works, and is
// not hopelessly slow.
func (s *Scheduler) leftTo(src *source) bool {
	return src.memory && src.usable(s.now) && !src.onProbation() && !src.hopeless
}

// heldNow returns what the memories that work hold.
func (s *Scheduler) heldNow() *union {
	u := &s.union
	if s.memories == 0 && len(u.sources) == 0 {
		return u
	}
	same, n := !u.stale, 0
	for _, src := range s.order {
		if s.leftTo(src) {
			same = same && n < len(u.sources) && u.sources[n] == src
			n++
		}
	}
	if same && n == len(u.sources) {
		return u
	}
	*u = union{}
	for _, src := range s.order {
		if s.leftTo(src) {
			u.sources = append(u.sources, src)
		}
	}
	u.fill()
	s.plan.stale = true
	return u
}

// fill finds out what the sources hold together.
func (u *union) fill() {
	var runs []byterange.Range
	for _, src := range u.sources {
		runs = slices.AppendSeq(runs, src.held.All())
	}
	slices.SortFunc(runs, func(a, b byterange.Range) int { return cmp.Compare(a.Off, b.Off) })
	for _, r := range runs { // in order: each is added at the end
		u.set.Add(r)
	}
}

// firstOfBoth returns the first run behind off that both sets have.
func firstOfBoth(a, b *byterange.Set, off int64) (byterange.Range, bool) {
	for {
		x, ok := a.Next(off)
		if !ok {
			return byterange.Range{}, false
		}
		y, ok := b.Next(x.Off)
		if !ok {
			return byterange.Range{}, false
		}
		if r := x.Intersect(y); !r.Empty() {
			return r, true
		}
		off = y.Off
	}
}

// patience is how long a memory must need for what it was asked for until a line
// may take part of it or copy it.
const patience = 3 * time.Second

// mayTail reports whether a source may take the tail of what a lane was given
// last: a memory what it holds, a line what it may be given.
func (s *Scheduler) mayTail(thief *source, victim *lane) bool {
	rest := victim.queue[len(victim.queue)-1].remaining()
	if thief.memory {
		return victim.src != thief && thief.tailHeld(rest) < rest.End()
	}
	return !victim.src.memory || s.tooLong(victim) && s.permitted(rest)
}

// mayCopy is the same for all of what an assignment is to bring.
func (s *Scheduler) mayCopy(thief *source, a *assignment) bool {
	if thief.memory {
		return a.src != thief && thief.held.Contains(a.remaining())
	}
	return !a.src.memory || s.tooLong(a.lane) && s.permitted(a.remaining())
}

// tooLong reports whether lines need not wait for what a memory was asked for.
func (s *Scheduler) tooLong(l *lane) bool {
	return l.src.hopeless || l.meter.known() && s.timeLeft(l) > patience
}
