package schedule

import (
	"time"

	"ddm/internal/byterange"
)

const (
	worthStealing = 60 * time.Millisecond // what a steal must save at least
	worthRefusal  = 700 * time.Millisecond
	worthSurprise = 500 * time.Millisecond // if more may come twice than should
	worthTwice    = 400 * time.Millisecond // in a swarm
	closeFor      = 300 * time.Millisecond // after a reply was cut, until its origin knows
	stealGrid     = 16 << 10
	hedgeAfter    = 500 * time.Millisecond
	paceAfter     = 400 * time.Millisecond // of a request until its own rate counts
	hiccup        = 20 * time.Millisecond  // that this machine and what it is told may be late by
	maxCopyShare  = 0.02                   // of the resource: bytes that the end-game may fetch twice
)

// help gives an idle lane part of what another lane has: the tail of the one
// that needs the longest, or, when all tails are too short, a copy.
func (s *Scheduler) help(thief *lane) {
	if s.cfg.NoSteal || s.blocked > 0 && s.now-s.blocked < blockedFor {
		return // what the receiver does not take from one, it would not take from another
	}
	if victim := s.slowest(thief); victim == nil || !s.steal(thief, victim) {
		s.copyLast(thief)
	}
}

// slowest returns the lane with the most time left, other than the thief.
func (s *Scheduler) slowest(thief *lane) *lane {
	var victim *lane
	var longest time.Duration
	for _, src := range s.order {
		for _, l := range src.lanes {
			if l == thief || l.head() == nil || l.queue[len(l.queue)-1].twin != nil || !s.mayTail(thief.src, l) {
				continue
			}
			if left := s.paceLeft(l, l.work()); left > longest {
				victim, longest = l, left
			}
		}
	}
	return victim
}

// steal moves the end of the victim's last assignment down, so that both lanes
// are expected to end together.
func (s *Scheduler) steal(thief, victim *lane) bool {
	last := victim.queue[len(victim.queue)-1]
	fast, slow := s.expected(thief), s.pace(victim)
	delay := s.startDelay(thief.src)
	left := s.paceLeft(victim, victim.work()) - delay
	if left < s.worth(thief, slow) {
		return false
	}
	// x/fast + delay = (work-x)/slow
	take := int64(left.Seconds() * fast * slow / (fast + slow))
	if thief.src.onProbation() {
		take = min(take, firstRange)
	}
	risk := s.atRisk() + s.surprise(victim)
	if left < worthSurprise && s.stats.Duplicate+risk > s.mayDuplicate() {
		return false
	}
	waiting := last.answered == 0
	floor := last.at
	if !waiting { // what is in flight cannot be stolen
		floor += s.inFlight(victim)
	}
	if thief.src.memory {
		floor = max(floor, thief.src.tailHeld(last.remaining()))
	}
	cut := max(last.end-take, floor)
	if grid := (cut + stealGrid - 1) / stealGrid * stealGrid; grid < last.end {
		cut = grid
	}
	stolen := byterange.Between(cut, last.end)
	if waiting && floor <= last.at && float64(cut-last.at) < fast*worthStealing.Seconds() { // a request is not worth what would be left
		cut = last.at
		stolen = byterange.Between(cut, last.end)
	}
	if stolen.Len < stealGrid && !(waiting && cut <= last.at) {
		return false
	}
	s.stats.Steals++
	s.risk, s.risked = risk, s.now
	if cut <= last.at { // all of it, and not a byte has come
		s.cancel(last, false)
		s.takeFromTodo(stolen)
	} else {
		s.shrink(last, cut)
	}
	s.assign(thief, stolen, Steal, last)
	return true
}

// worth returns what a steal or a copy must save at least. Where an origin
// allows a source so many requests and no more, one that was cut counts until
// its connection is closed: the next of that source may be refused, and
// everybody asked to wait.
// In a swarm each byte is to leave the origin once, and what is on its way behind
// a cut leaves it in vain: whoever will have brought its part before everything
// else is here needs no help.
func (s *Scheduler) worth(thief *lane, pace float64) time.Duration {
	switch {
	case thief.src.memory:
		return worthStealing
	case s.habits[thief.src.origin].most > 0 && s.now < thief.src.closing:
		return worthRefusal
	case s.among > 1:
		return worthTwice + s.allIn(thief, pace)
	}
	return worthStealing
}

// allIn returns when everything will be here if it goes on as it does, or if a lane
// helps the one of that pace that is at work alone.
func (s *Scheduler) allIn(thief *lane, pace float64) time.Duration {
	return seconds(float64(s.cfg.Size-s.done.Bytes()) / max(s.rate, s.expected(thief)+pace))
}

// inFlight returns how many bytes of a lane may have left the origin without
// our being told.
func (s *Scheduler) inFlight(l *lane) int64 {
	if _, known := l.speed(); !known {
		return max(frameSize, l.brought()) // what grows without a clock doubles
	}
	rate := s.pace(l)
	return int64(rate*s.startDelay(l.src).Seconds() + min(rate*frameDelay.Seconds(), frameSize))
}

// surprise returns how many bytes more than expected may be on their way from a
// lane: what it brings at its best while everybody here is held up for a moment.
func (s *Scheduler) surprise(l *lane) int64 {
	return int64(max(l.best, l.meter.rate(), s.pace(l)) * hiccup.Seconds())
}

// atRisk returns the surprises of the cuts of late, of which nothing was told yet.
func (s *Scheduler) atRisk() int64 {
	if s.now-s.risked < tickLength {
		return s.risk
	}
	return 0
}

// mayDuplicate returns how many bytes may come twice.
func (s *Scheduler) mayDuplicate() int64 { return int64(maxCopyShare * float64(s.cfg.Size)) }

// pace returns what a lane brings at this moment: less than its moving average
// if the running request got a slow server.
func (s *Scheduler) pace(l *lane) float64 {
	rate := s.expected(l)
	if !l.meter.known() { // what it brought tells more than what others do
		rate = max(rate, l.pulse.young(s.now))
	}
	patience := paceAfter
	if a := l.head(); a != nil && a.at == a.start {
		patience += 2 * max(l.src.latency, s.slowestStart) // it may just wait for its first byte
	}
	if a := l.head(); a != nil && (s.now-a.since > patience || s.grown(a, rate)) {
		if recent, ok := s.lately(l); ok {
			rate = max(min(rate, 1.25*recent), minRate)
		}
	}
	return rate
}

// grown reports whether a reply is so old that at a rate it would have filled a
// frame: then what it brought tells.
func (s *Scheduler) grown(a *assignment, rate float64) bool {
	age := s.now - a.answered
	return a.answered > 0 && age >= max(plainAfter, min(6*a.src.latency, time.Second)) && rate*age.Seconds() >= frameSize
}

// paceLeft returns how long a lane will need for some of its work at its pace,
// with what is left of the wait for its reply.
func (s *Scheduler) paceLeft(l *lane, work int64) time.Duration {
	var wait time.Duration
	if a := l.head(); a != nil && a.answered == 0 {
		wait = max(0, s.startDelay(l.src)-(s.now-a.since))
		if wait == 0 && s.crawling(l.src) {
			wait = s.now - a.since // as long again
		}
	}
	return wait + seconds(float64(work)/s.pace(l))
}

// startDelay returns the time from an order to its first byte.
func (s *Scheduler) startDelay(src *source) time.Duration {
	if src.latency == 0 {
		return max(50*time.Millisecond, s.slowestStart)
	}
	return src.latency
}

// copyLast asks an idle lane for a second copy of the assignment that is
// expected to end last, if that would come sooner and the budget allows it.
func (s *Scheduler) copyLast(thief *lane) {
	var slow *assignment
	var longest time.Duration
	for _, src := range s.order {
		for _, l := range src.lanes {
			for i, a := range l.queue {
				if l == thief || a.twin != nil || i > 0 || !s.mayCopy(thief.src, a) {
					continue
				}
				if left := s.paceLeft(l, a.remaining().Len); left > longest {
					slow, longest = a, left
				}
			}
		}
	}
	if slow == nil {
		return
	}
	rest := slow.remaining()
	need := s.startDelay(thief.src) + seconds(float64(rest.Len)/s.expected(thief))
	twice := s.stats.Duplicate
	if slow.answered > 0 || s.now-slow.since <= hedgeAfter+2*s.slowestStart { // a copy of nothing costs nothing
		twice += s.copying() + rest.Len
	}
	if need+s.worth(thief, s.pace(slow.lane)) > longest || twice > s.mayDuplicate() {
		return
	}
	s.stats.Copies++
	c := s.assign(thief, rest, Copy, slow)
	c.twin, slow.twin = slow, c
}

// copying returns the bytes that running copies may still duplicate at most.
func (s *Scheduler) copying() int64 {
	var n int64
	for _, a := range s.live {
		if a.twin != nil && a.answered > 0 {
			n += a.remaining().Len
		}
	}
	return n
}
