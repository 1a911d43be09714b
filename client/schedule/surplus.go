package schedule

import (
	"time"

	"ddm/internal/byterange"
)

// Surplus returns the permitted bytes beyond those that the lines will use in
// the next Config.Target: what may be given back.
func (s *Scheduler) Surplus(now time.Duration) byterange.Set {
	s.now = now
	var set byterange.Set
	if s.permit == nil {
		return set
	}
	keep := s.wish()
	for r := range s.forLines(&s.todo) {
		if keep >= r.Len {
			keep -= r.Len
			continue
		}
		set.Add(byterange.Between(r.Off+keep, r.End()))
		keep = 0
	}
	return set
}

// wish is how many bytes the lines could be given besides what they have, for
// the next Config.Target.
func (s *Scheduler) wish() (n int64) {
	for _, src := range s.order {
		if src.memory || !s.mayAssign(src) {
			continue
		}
		for l := range src.inUse {
			n += s.appetite(l) - l.work()
		}
	}
	return max(n, 0)
}

// Underway returns what lines were asked for and did not bring yet.
func (s *Scheduler) Underway() (set byterange.Set) {
	for _, a := range s.live {
		if !a.src.memory {
			set.Add(a.remaining())
		}
	}
	return set
}

// worthOnce is how many bytes that somebody else was given are worth a cut: about
// as many are on their way behind one, and leave the origin in vain.
const worthOnce = 128 << 10

// Forbid moves down the ends of what lines are bringing where it runs into a
// set, as far as that is worth it: somebody else was given those bytes. They
// are unassigned then; Permit says whether lines may be given them again.
func (s *Scheduler) Forbid(now time.Duration, set *byterange.Set) {
	s.now = now
	for a, waits := range s.ofLines {
		rest := a.remaining()
		first, ok := set.Next(rest.Off)
		switch {
		case !ok || first.Intersect(rest).Empty() || a.twin != nil:
		case waits:
			s.cancel(a, false)
		default:
			s.cutFrom(a, max(a.at+s.inFlight(a.lane), first.Off), worthOnce)
		}
	}
	s.fillAll()
}
