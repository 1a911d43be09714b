package schedule

import "time"

// The caller may have requests of its own to make over a source's line: to look
// at what others brought. Where an origin allows so many connections and no
// more, such a request would be refused or, while the source finds out how many
// those are, be taken for one of them: then it needs the place of a lane.

// Crowded reports whether a request of the caller's own, beside those that a
// source was given, might cost it a lane, or be one more than there may be: it
// is finding out how many it may have, was refused one more, or has all that
// the limits allow.
func (s *Scheduler) Crowded(id SourceID) bool {
	src := s.sources[id]
	switch {
	case src == nil:
		return false
	case src.ramp.limited || s.habits[src.origin].most > 0:
		return true
	case src.busyLanes() == 0:
		return false
	}
	return !src.ramp.settled || src.width > 1 && (src.width == len(src.lanes) || s.lanes >= s.cfg.AllLanes)
}

// Lend asks for the place of one of a source's lanes, and reports whether it is
// free: it is to be asked again until then. The lane whose work ends first gets
// no more until GiveBack. A source that has one lane, or does not know yet how
// many pay, lends none.
func (s *Scheduler) Lend(now time.Duration, id SourceID) bool {
	s.now = now
	src := s.sources[id]
	if src == nil || !src.usable(now) {
		return false
	}
	if src.lent == nil && src.ramp.settled && src.ramp.base == 0 && src.width > 1 {
		src.lent = s.nextFree(src)
		for len(src.lent.queue) > 1 {
			s.cancel(src.lent.queue[len(src.lent.queue)-1], false)
		}
		s.fillAll()
	}
	return src.lent != nil && src.lent.head() == nil && src.busyLanes() < src.width
}

// GiveBack ends what Lend began, whether the place was free already or not.
func (s *Scheduler) GiveBack(now time.Duration, id SourceID) {
	s.now = now
	if src := s.sources[id]; src != nil && src.lent != nil {
		src.lent = nil
		s.fillAll()
	}
}

// nextFree returns the lane in use whose running assignment ends first.
func (s *Scheduler) nextFree(src *source) *lane {
	var first *lane
	var least time.Duration
	for l := range src.inUse {
		var left time.Duration
		if a := l.head(); a != nil {
			left = s.paceLeft(l, a.remaining().Len)
		}
		if first == nil || left < least {
			first, least = l, left
		}
	}
	return first
}
