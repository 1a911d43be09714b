package schedule

import "time"

// climber finds out how many lanes of a source pay. At first it opens one more
// at every tick for as long as those that are open long enough to be judged
// bring what as many single lanes would; later, now and then, a single one.
type climber struct {
	next    time.Duration // nothing is tried before
	opened  time.Duration // when the newest lane was opened
	base    float64       // bytes per second of the source before the lane on trial; 0: none is on trial
	perLane float64       // the most that the first lane brought alone
	settled bool          // the first climb is over
	pause   time.Duration
}

// settle ends the climb and lets time pass before the next lane is tried.
func (c *climber) settle(now, pause time.Duration) {
	c.settled, c.base = true, 0
	c.pause = min(max(pause, 2*c.pause), 2*time.Minute)
	c.next = now + c.pause
}

const (
	rampTicks   = 3   // over which the lanes of the first climb are judged
	steadyTicks = 10  // over which a single lane is judged
	enoughLane  = 0.6 // of what one lane alone brought that each must bring on average
	worthLane   = 0.5 // of a mean lane that a further one must bring
	openingFor  = 2 * time.Second
	triedAgain  = 10 * time.Second
	refusedFor  = time.Minute
)

// climb opens, keeps or gives up lanes of a source. It is called at every tick.
func (s *Scheduler) climb(src *source) {
	c := &src.ramp
	switch {
	case src.state == Out || src.busyLanes() == 0:
	case !c.settled:
		s.ramp(src)
	case c.base > 0:
		s.judgeLane(src)
	case s.now >= c.next && s.enoughLeft():
		c.base = src.recentRate(steadyTicks)
		if c.base > 0 && s.openLane(src) {
			c.next = s.now + steadyTicks*tickLength + 2*src.latency
		} else {
			c.settle(s.now, triedAgain)
		}
	}
}

// ramp is the first climb.
func (s *Scheduler) ramp(src *source) {
	c := &src.ramp
	var rate float64
	judged := 0
	for _, l := range src.lanes[:src.width] {
		if l.born > 0 && s.now-l.born >= rampTicks*tickLength {
			rate += l.recentRate()
			judged++
		}
	}
	if judged == 0 || rate == 0 {
		return
	}
	if src.width == 1 {
		c.perLane = max(c.perLane, rate)
	}
	switch newest := src.lanes[src.width-1]; {
	case rate < enoughLane*c.perLane*float64(judged):
		s.setWidth(src, int(rate/c.perLane+0.5))
		c.settle(s.now, triedAgain)
	case newest.born == 0 && s.now-c.opened < openingFor:
		// It waits for its first byte: an origin that accepts no more refuses
		// one request and not many.
	case !s.enoughLeft() || !s.openLane(src):
		c.settle(s.now, triedAgain)
	}
}

// judgeLane keeps the lane on trial if the source brings more with it.
func (s *Scheduler) judgeLane(src *source) {
	c := &src.ramp
	if s.now < c.next {
		return
	}
	if gain := src.recentRate(steadyTicks) - c.base; gain < worthLane*c.base/float64(max(src.width-1, 1)) {
		s.setWidth(src, src.width-1)
		c.settle(s.now, triedAgain)
		return
	}
	c.base, c.next = 0, s.now
}

// openLane gives work to one more lane, if there may be one.
func (s *Scheduler) openLane(src *source) bool {
	if src.width >= len(src.lanes) || s.lanes >= s.cfg.AllLanes {
		return false
	}
	src.width++
	src.lanes[src.width-1].born = 0
	src.ramp.opened = s.now
	s.lanes++
	s.fillSource(src)
	return true
}

// enoughLeft reports whether there is work enough for a further lane to pay.
func (s *Scheduler) enoughLeft() bool {
	return s.rate <= 0 || float64(s.cfg.Size-s.done.Bytes())/s.rate > 1
}
