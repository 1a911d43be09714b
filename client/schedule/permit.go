package schedule

import (
	"iter"
	"slices"
	"time"

	"ddm/internal/byterange"
)

// Permit says which bytes sources that are no memories may be given; nil: all,
// as it is at the beginning. What they were given counts as permitted only
// while it is in the set. What runs goes on whatever the set says; what waits
// behind it and is permitted no more is taken back. The set is copied.
//
// Permits and Config.Window do not go together: bytes that are permitted but
// far ahead would wait for ever for those that are not.
func (s *Scheduler) Permit(now time.Duration, set *byterange.Set) {
	s.now = now
	s.permit = nil
	if set != nil {
		c := set.Clone()
		s.permit = &c
	}
	for a, waits := range s.ofLines {
		if waits && !s.permitted(a.remaining()) {
			s.cancel(a, false)
		}
	}
	s.lookAhead()
	s.fillAll()
}

// ofLines yields what lines were asked for, on each lane the last first, and
// whether it waits for another one. What was yielded may be ended meanwhile.
func (s *Scheduler) ofLines(yield func(a *assignment, waits bool) bool) {
	for _, src := range s.order {
		if src.memory {
			continue
		}
		for _, l := range src.lanes {
			for i, a := range slices.Backward(l.queue) {
				if !yield(a, i > 0) {
					return
				}
			}
		}
	}
}

// leastLanes is how many lanes a line may have however many others there are.
const leastLanes = 2

// Among says how many ask the same origins for parts of the same resource, this
// client included: together they are to open about as many lanes as a client
// alone would. The line to the origin may be one for all; then more lanes of
// each bring nothing, and what is on its way to them when a range's end moves
// down leaves the origin in vain. It is 1 at the beginning.
func (s *Scheduler) Among(now time.Duration, n int) {
	s.now = now
	if n = max(n, 1); n == s.among {
		return
	}
	s.among = n
	for _, src := range s.order {
		if most := s.mayOpen(src); !src.memory && src.width > most {
			s.setWidth(src, most)
		}
	}
}

// mayOpen returns how many lanes a source may have.
func (s *Scheduler) mayOpen(src *source) int {
	return min(len(src.lanes), max(leastLanes, len(src.lanes)/max(s.among, 1)))
}

// permitted reports whether lines may be given all of r.
func (s *Scheduler) permitted(r byterange.Range) bool {
	return s.permit == nil || s.permit.Contains(r)
}

// forLines yields, in order, what of some unassigned bytes the lines may be
// given: what is permitted and no memory that works holds.
func (s *Scheduler) forLines(of *byterange.Set) iter.Seq[byterange.Range] {
	held := &s.heldNow().set
	return func(yield func(byterange.Range) bool) {
		for run := range of.All() {
			for free := range held.Missing(run) {
				for r := range s.permittedOf(free) {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}

// permittedOf yields the parts of r that are permitted.
func (s *Scheduler) permittedOf(r byterange.Range) iter.Seq[byterange.Range] {
	return func(yield func(byterange.Range) bool) {
		if s.permit == nil {
			yield(r)
			return
		}
		for off := r.Off; off < r.End(); {
			run, ok := s.permit.Next(off)
			part := run.Intersect(r)
			if !ok || part.Empty() || !yield(part) {
				return
			}
			off = part.End()
		}
	}
}

// nextForLines returns the lowest bytes that a line may be given, those first
// that somebody failed to bring. Where others are at it too and nobody says who
// fetches what, each begins at a place of its own.
func (s *Scheduler) nextForLines() (byterange.Range, bool) {
	for r := range s.forLines(&s.again) {
		return r, true
	}
	var lowest byterange.Range
	for r := range s.forLines(&s.todo) {
		if lowest.Empty() {
			lowest = r
		}
		if s.permit != nil || s.memories == 0 {
			break
		}
		if r.End() > s.place {
			return byterange.Between(max(r.Off, s.place), r.End()), true
		}
	}
	return lowest, !lowest.Empty()
}

// lastForLines returns the highest bytes that a line may be given.
func (s *Scheduler) lastForLines() (last byterange.Range, ok bool) {
	for last = range s.forLines(&s.todo) {
		ok = true
	}
	return last, ok
}

// Hunger returns how many bytes the lines could use for the next Config.Target
// beyond what is theirs to fetch: bytes that nobody was given, that no memory
// holds and that are not permitted. It is 0 if the memories bring it all.
func (s *Scheduler) Hunger(now time.Duration) int64 {
	s.now = now
	if s.permit == nil {
		return 0
	}
	var wish int64
	for _, src := range s.order {
		if src.memory || !s.mayAssign(src) {
			continue
		}
		for l := range src.inUse {
			wish += s.appetite(l) - l.work()
		}
	}
	var rest int64 // that a permit would make theirs
	for run := range s.todo.All() {
		for free := range s.heldNow().set.Missing(run) {
			mine := s.permit.Overlap(free)
			wish -= mine
			rest += free.Len - mine
		}
	}
	return max(0, min(wish, rest))
}

// appetite returns the bytes that a lane will bring in a target's time. While a
// source is finding out how many lanes pay, each counts for two: the next wave
// must not wait for permits.
func (s *Scheduler) appetite(l *lane) int64 {
	n := l.src.grant
	if rate, ok := l.speed(); ok {
		n = int64(rate * s.cfg.Target.Seconds())
	}
	if !l.src.ramp.settled && !l.src.onProbation() {
		n *= 2
	}
	return max(n, minRange)
}

// Unheld returns the bytes that nobody was given, that are not permitted, and
// that are said to be held although none of those who hold them works: what to
// insist on.
func (s *Scheduler) Unheld(now time.Duration) byterange.Set {
	s.now = now
	var set byterange.Set
	for _, src := range s.order {
		if !src.memory || s.leftTo(src) {
			continue
		}
		for r := range s.orphaned() {
			for off := r.Off; off < r.End(); {
				run, ok := src.held.Next(off)
				part := run.Intersect(r)
				if !ok || part.Empty() {
					break
				}
				set.Add(part)
				off = part.End()
			}
		}
	}
	return set
}

// Unsourced returns the bytes that nobody was given, that are not permitted, and
// that no memory which works holds: they come if a permit or a memory does.
func (s *Scheduler) Unsourced(now time.Duration) byterange.Set {
	s.now = now
	var set byterange.Set
	for r := range s.orphaned() {
		set.Add(r)
	}
	return set
}

// orphaned yields what Unsourced returns.
func (s *Scheduler) orphaned() iter.Seq[byterange.Range] {
	held := &s.heldNow().set
	return func(yield func(byterange.Range) bool) {
		if s.permit == nil {
			return
		}
		for run := range s.todo.All() {
			for free := range held.Missing(run) {
				for r := range s.permit.Missing(free) {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}

// ahead is what lies ahead of the lines, at the last tick.
type ahead struct {
	theirs  int64 // unassigned bytes that they may be given
	free    int64 // unassigned bytes that no memory holds, permitted or not
	starved bool  // one was idle although bytes are unassigned
}

// lookAhead finds out what there is for the lines.
func (s *Scheduler) lookAhead() {
	s.ahead = ahead{}
	if s.memories == 0 && s.permit == nil {
		return
	}
	for r := range s.forLines(&s.todo) {
		s.ahead.theirs += r.Len
	}
	for run := range s.todo.All() {
		for r := range s.heldNow().set.Missing(run) {
			s.ahead.free += r.Len
		}
	}
	for _, src := range s.order {
		if !src.memory && s.mayAssign(src) && src.busyLanes() < src.width && s.ahead.theirs == 0 && s.todo.Len() > 0 {
			s.ahead.starved = true
		}
	}
}

// linesHave returns how many bytes the lines are to bring, as it is now.
func (s *Scheduler) linesHave() int64 {
	if s.memories == 0 && s.permit == nil {
		return s.cfg.Size - s.done.Bytes()
	}
	return s.ahead.theirs + s.lineWork()
}

// linesMay returns how many bytes may still come to be theirs.
func (s *Scheduler) linesMay() int64 {
	if s.memories == 0 && s.permit == nil {
		return s.cfg.Size - s.done.Bytes()
	}
	return s.ahead.free + s.lineWork()
}

// lineWork returns the bytes that lines were asked for and did not bring yet.
func (s *Scheduler) lineWork() int64 {
	var n int64
	for _, src := range s.order {
		if !src.memory {
			n += src.work()
		}
	}
	return n
}
