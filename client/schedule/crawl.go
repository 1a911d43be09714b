package schedule

import "time"

// Some origins give a part of their requests a slow server. Once that was seen
// twice of one, its further replies are judged sooner, between ticks too, by what
// they brought themselves, and one that is late is asked for again.

const (
	watchEvery = 20 * time.Millisecond
	soonPlain  = 80 * time.Millisecond  // of a reply, until it may be judged then
	soonLate   = 100 * time.Millisecond // of a wait for a reply; doubled each time in a row
	missedTick = tickLength * 5 / 4
	knownWaits = 4 // replies without which none is late
)

// crawling reports whether a source's origin gives slow servers to some.
func (s *Scheduler) crawling(src *source) bool { return s.habits[src.origin].crawls >= 2 }

// notice keeps that an origin gave a slow server to one.
func (s *Scheduler) notice(origin int) {
	h := s.habits[origin]
	h.crawls++
	s.habits[origin] = h
}

// paused reports whether we ourselves did not run a moment ago, on a busy
// machine: what lanes brought meanwhile is about to be told.
func (s *Scheduler) paused() bool {
	return s.now-s.lastTick > missedTick && s.lastTick > 0 || s.now-s.resumed < frameDelay && s.resumed > 0
}

// bytesSince returns since when bytes may have come of which we hear now: since
// the tick that we missed, if we did.
func (s *Scheduler) bytesSince() time.Duration {
	if s.now-s.lastTick > missedTick && s.lastTick > 0 {
		return s.lastTick + tickLength
	}
	return s.now
}

// watch looks at the lanes of a source between two ticks, where it pays.
func (s *Scheduler) watch(src *source) {
	if src.memory || s.paused() || !s.crawling(src) || s.now-src.watched < watchEvery {
		return
	}
	s.checkCrawl(src)
	s.fillSource(src)
}

// overdue reports whether a reply is so late that another request would sooner
// be answered.
func (s *Scheduler) overdue(a *assignment) bool {
	src := a.src
	return a.answered == 0 && s.crawling(src) && src.waits.n >= knownWaits &&
		s.now-a.since > max(soonLate, 8*src.latency)<<min(a.lane.late, 6)
}

// present returns what a running request brings at this moment: of a young one
// only what it brought itself, for its lane's pulse still holds what the one
// before it did.
func (s *Scheduler) present(a *assignment) (rate float64, ok bool) {
	p := &a.lane.pulse
	if a.answered == 0 || s.now-a.answered >= s.window(a.src)+frameDelay {
		return s.lately(a.lane)
	}
	to := s.now - frameDelay - frameDelay/4 // bytes may wait in a frame
	if p.n > 0 && a.at > a.start {
		to = max(to, p.marks[0].at)
	}
	span := to - a.answered
	if span < pulseStep {
		return 0, false
	}
	return float64(a.at-a.start) / span.Seconds(), true
}
