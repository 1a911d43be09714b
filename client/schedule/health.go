package schedule

import (
	"slices"
	"time"
)

const (
	stallAfter     = 2 * time.Second
	loneStallAfter = 5 * time.Second // before its first byte, or with nobody else to ask
	maxCoolDown    = 60 * time.Second
	goodFor        = time.Minute // after which an old failure is forgotten
	crawlAfter     = 500 * time.Millisecond
	beatenFor      = 2 * tickLength         // by its siblings
	plainAfter     = 150 * time.Millisecond // of a reply, where frames fill faster than that
	rememberFor    = 500 * time.Millisecond // what an idle sibling brought
	refusedPause   = 200 * time.Millisecond // of a lane that had a place before
	crawlShare     = 1.0 / 4                // of what its siblings bring
	fallenShare    = 1.0 / 8                // of what the lane itself brought
	strikesAtOut   = 3                      // failures in a row before a source is left alone
)

// stallLimit returns how long an assignment may be silent. A source that never
// sent a byte gets more time, and more again each time that was not enough (an
// origin that thinks for seconds must not be asked anew for ever). So does one
// whose bytes nobody else could fetch.
func (s *Scheduler) stallLimit(a *assignment, alone bool) time.Duration {
	limit := max(stallAfter, 4*a.src.latency)
	if alone || (a.src.latency == 0 && a.at == a.start) {
		limit = max(limit, loneStallAfter)
	}
	if a.at == a.start {
		limit = max(limit, 4*s.slowestStart)
		limit <<= min(a.src.silences, 3)
	}
	return limit
}

// checkStalls gives away what silent lanes hold. If the whole source is
// silent, all that it holds is given away and it is left alone for a while.
func (s *Scheduler) checkStalls(src *source) {
	busy := src.busyLanes()
	var silent []*assignment
	var limit time.Duration
	for _, l := range src.lanes {
		a := l.head()
		if a == nil {
			continue
		}
		limit = s.stallLimit(a, busy == 1 && s.onlyUsable(src))
		if s.now-a.lastByte >= limit {
			silent = append(silent, a)
		}
	}
	dead := busy > 0 && s.now-src.lastByte >= limit // whatever was tried meanwhile
	if len(silent) == 0 && !dead {
		return
	}
	s.stats.Stalls++
	if len(silent) == busy || dead {
		src.silences++
		s.dropAll(src, true)
		s.leaveAlone(src, Stalled, 0)
		return
	}
	for _, a := range silent {
		s.cancel(a, true)
		a.lane.renew()
		a.lane.meter.reset()
	}
}

// onlyUsable reports whether no other source could be given work.
func (s *Scheduler) onlyUsable(src *source) bool {
	return !slices.ContainsFunc(s.order, func(o *source) bool { return o != src && o.usable(s.now) })
}

// leaveAlone keeps a source without work for a wait that doubles each time it
// comes back without bringing a byte.
func (s *Scheduler) leaveAlone(src *source, as State, wait time.Duration) {
	if s.now-src.failedAt > goodFor {
		src.backoff = 0
	}
	d := min(time.Second<<min(src.backoff, 6), maxCoolDown)
	src.state, src.until = as, s.now+max(d, wait)
	s.recall()
	src.backoff++
	src.failedAt, src.proven = s.now, false
	src.grant = firstRange
	src.strikes = 0
	for _, l := range src.lanes { // what it could do before says nothing about after
		l.renew()
		l.meter.reset()
	}
}

// judge draws the conclusions of an assignment's end.
func (s *Scheduler) judge(a *assignment, how Outcome, wait time.Duration, brought bool) {
	src := a.src
	switch how {
	case OK:
		src.strikes = 0
	case Never:
		s.dropAll(src, false)
		src.state = Out
		s.recall()
	case Busy:
		s.refused(src, a.lane, wait)
	case Failed:
		src.strikes++
		if !brought || src.strikes >= strikesAtOut {
			s.dropAll(src, false)
			s.leaveAlone(src, Cooling, wait)
		}
	}
}

// refused halves the lanes, or, if others of the source run, settles on those.
// What waits on the lane would be asked for at once, and be refused too.
// A wait that the origin asks for binds the source; it binds all sources of that
// origin when the own line or two of them report it.
func (s *Scheduler) refused(src *source, l *lane, wait time.Duration) {
	c := &src.ramp
	for len(l.queue) > 0 {
		s.cancel(l.queue[len(l.queue)-1], false)
	}
	l.renew()
	l.wait = s.now + max(refusedPause, 2*src.latency)
	working := 0
	for _, l := range src.lanes {
		if l.head() != nil && l.born > 0 {
			working++
		}
	}
	c.limited = true
	c.refusals++
	switch {
	case working == 0:
		s.setWidth(src, src.width/2)
		c.settle(s.now, refusedFor)
		s.dropAll(src, false)
		s.leaveAlone(src, Cooling, wait)
	case working < c.proven && c.refusals <= 1:
		// So many were accepted before: the origin may still count a connection
		// that was closed.
	default:
		s.setWidth(src, min(src.width, working))
		c.settle(s.now, refusedFor)
		c.proven = working
		h := s.habits[src.origin]
		h.most = working
		s.habits[src.origin] = h
	}
	if wait <= 0 {
		return
	}
	till := s.now + wait
	src.hold = max(src.hold, till)
	h := s.held[src.origin]
	if src.local || (h.till > s.now && h.by != src.id) {
		h.until = max(h.until, min(till, s.now+maxCoolDown))
	}
	h.by, h.till = src.id, till
	s.held[src.origin] = h
}

// hold is an origin that asked to be left alone.
type hold struct {
	until time.Duration // by everybody
	by    SourceID      // who reported the newest wait
	till  time.Duration // and until when
}

// setWidth changes how many lanes get work. Lanes beyond finish what runs and
// give back what waits.
func (s *Scheduler) setWidth(src *source, n int) {
	src.width = max(1, n)
	inUse := 0
	for _, l := range src.lanes {
		if l.head() == nil {
			continue
		}
		if inUse++; inUse <= src.width {
			continue
		}
		for len(l.queue) > 1 {
			s.cancel(l.queue[len(l.queue)-1], false)
		}
	}
}

// checkCrawl replaces lanes that bring far less than their siblings do, or than
// they did before: a frozen path, a slow server behind a balancer. That its
// siblings do better is proof; a lane that has none, or whose siblings crawl
// too, may be on a line that became slow, and is left as it is for longer each
// time.
func (s *Scheduler) checkCrawl(src *source) {
	if s.paused() || src.heldUp(s.now) {
		return
	}
	src.watched = s.now
	rates := make([]float64, 0, 16)
	for _, l := range src.lanes {
		a := l.head()
		switch rate, ok := s.lately(l); {
		case a == nil && l.meter.known() && s.now-l.idle < rememberFor:
			rates = append(rates, l.meter.rate()) // as it was
		case a != nil && a.answered > 0 && ok:
			rates = append(rates, rate)
		}
	}
	slices.Sort(rates)
	for _, l := range src.lanes {
		beaten, fallen := s.crawls(l, rates)
		if !beaten && !fallen {
			l.slow = 0
			continue
		}
		if l.slow == 0 {
			l.slow = s.now
		}
		patience := crawlAfter
		if beaten {
			patience = beatenFor
			if a := l.head(); a.answered == 0 && l.late > 0 || s.now-a.answered < 2*pulseWindow {
				patience = 0 // it never was better
			}
		}
		if s.now-l.slow < patience {
			continue
		}
		if beaten && patience == 0 {
			s.notice(src.origin)
		}
		s.replace(l, beaten)
	}
}

// crawls reports whether a lane is far slower than its siblings, whose rates
// come in order, and whether it is than it was itself.
func (s *Scheduler) crawls(l *lane, rates []float64) (beaten, fallen bool) {
	a := l.head()
	if a == nil {
		return false, false
	}
	if s.overdue(a) {
		l.late++
		l.src.sawFirstByte(s.now - a.since)
		return true, false
	}
	waits := a.answered == 0 && s.now-a.since < 2*crawlAfter+4*max(l.src.latency, s.slowestStart)
	if waits {
		return false, false
	}
	window := s.window(l.src)
	turns := window > pulseWindow
	fallen = s.now-max(a.since, a.answered) >= max(crawlAfter, window) && s.now >= l.calm && l.meter.rate() < fallenShare*l.best
	rate, known := s.present(a)
	if len(rates) < 2 || !known {
		return false, fallen
	}
	if a.answered == 0 {
		return rate < crawlShare*rates[len(rates)/2], fallen
	}
	share := crawlShare
	if len(rates) == 2 { // one of them is this one: the other may have had luck
		share /= 2
	}
	median := rates[len(rates)/2]
	ripe := max(window, min(6*l.src.latency, time.Second)) // connections begin slowly
	// While lanes are being opened, one on a full line may begin slowly.
	plain := l.src.ramp.settled && s.grown(a, median) || s.crawling(l.src) && s.now-a.answered >= max(soonPlain, min(6*l.src.latency, time.Second))
	return (s.now-a.answered >= ripe || plain && !turns) && rate < share*median, fallen
}

// replace cancels what a lane does, so that the next range gets a connection
// of its own.
func (s *Scheduler) replace(l *lane, proven bool) {
	s.stats.Resets++
	orphans := s.orphans
	s.cancel(l.head(), true)
	s.orphans = orphans // the next free lane is soon enough
	l.renew()
	l.meter.reset()
	if !proven {
		l.calm = s.now + 5*time.Second<<min(l.resets, 5)
		l.resets++
		l.best /= 4
	}
}
