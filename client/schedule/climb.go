package schedule

import "time"

// climber finds out how many lanes of a source pay. At first it opens lanes in
// waves that double their number, for as long as those that are open long
// enough to be judged bring what as many single lanes would; later, now and
// then, a single one.
//
// A wave's lanes are opened one after another, each when the last one's reply
// began, so that an origin which accepts no more refuses one request and not
// many. The next wave does not wait for the judgement of the last: what was
// opened in vain ends with its range.
type climber struct {
	next    time.Duration // nothing is tried before
	looked  time.Duration // when the first climb was looked at last
	doubt   time.Duration // since when those there are seem to be too many; 0: they do not
	want    int           // lanes that the present wave leads to
	base    float64       // bytes per second of the source before the lanes on trial; 0: none is on trial
	trial   int           // lanes on trial, or to be tried next: twice as many after each success
	perLane float64       // the most that one lane brought
	settled bool          // the first climb is over
	pause   time.Duration

	proven   int  // lanes that had a reply at the same time
	refusals int  // since a reply began last
	limited  bool // it was refused a lane
}

// habit is what sources found out about an origin: what it gives to one, it
// probably gives to others.
type habit struct {
	width   int     // lanes of one source that each brought perLane
	perLane float64 // bytes per second
	most    int     // lanes with which a source was refused one more; 0: none was
	crawls  int     // replies of it that were far slower than others from their first byte on
}

// settle ends the climb and lets time pass before the next lane is tried.
func (c *climber) settle(now, pause time.Duration) {
	c.settled, c.base, c.trial = true, 0, 1
	c.pause = min(max(pause, 2*c.pause), 2*time.Minute)
	c.next = now + c.pause
}

const (
	ripeAfter   = 90 * time.Millisecond  // of a lane's life until the next wave may follow
	matureAfter = 200 * time.Millisecond // until it is judged; both longer where replies are slow to begin
	steadyTicks = 10                     // over which a single lane is judged
	enoughLane  = 0.6                    // of what one lane alone brought that each must bring on average
	worthLane   = 0.5                    // of a mean lane that a further one must bring
	aloneFor    = 300 * time.Millisecond // of Source.Alone
	openingFor  = 2 * time.Second        // that a lane's first reply is waited for before the next is opened
	secondLook  = time.Second
	triedAgain  = 2 * time.Second // the first time: what was seen in a climb's tenths of a second may have been chance
	refusedFor  = time.Minute
	idleFor     = 500 * time.Millisecond // after which a lane is a new one
)

// climb opens, keeps or gives up lanes of a source. It is called at every tick.
func (s *Scheduler) climb(src *source) {
	c := &src.ramp
	switch {
	case src.state == Out || src.busyLanes() == 0 || src.heldUp(s.now):
	case !c.settled:
		s.ramp(src)
	case c.base > 0 && s.ahead.starved:
		c.base, c.next = 0, s.now+triedAgain // it has not enough to do to be judged
	case c.base > 0:
		s.judgeLanes(src)
	case s.now >= c.next && src.lent == nil && s.enoughLeft(src):
		s.tryLanes(src)
	}
}

// tryLanes puts further lanes on trial.
func (s *Scheduler) tryLanes(src *source) {
	c := &src.ramp
	if most := s.habits[src.origin].most; most > 0 && src.width >= most && c.pause < refusedFor {
		c.settle(s.now, refusedFor) // another source was refused that
		return
	}
	base, opened := src.recentRate(steadyTicks), 0
	for base > 0 && opened < c.trial && s.openLane(src) {
		opened++
	}
	if opened == 0 {
		c.settle(s.now, triedAgain)
		return
	}
	c.base, c.trial = base, opened
	c.next = s.now + steadyTicks*tickLength + 2*src.latency
}

// ramp is the first climb.
func (s *Scheduler) ramp(src *source) {
	c := &src.ramp
	if s.paused() || src.heldUp(s.now) {
		return
	}
	c.looked = s.now
	v := s.view(src)
	c.perLane = max(c.perLane, v.fastest)
	if v.judged > 1 && v.rate < enoughLane*c.perLane*float64(v.judged) {
		if c.doubt == 0 {
			c.doubt, c.want = s.now, src.width
		}
		if s.now-c.doubt >= tickLength { // what a pause of ours kept back was told since
			before := src.width
			s.setWidth(src, int(v.rate/c.perLane+0.5))
			c.settle(s.now, triedAgain)
			if s.permit == nil { // in a swarm it may be the others who have the origin's rest
				c.next = s.now + secondLook
				c.trial = max(1, min(before-src.width, 2*src.width)) // they pay if a busy machine was to blame
			}
		}
		return
	}
	c.doubt = 0
	others := s.habits[src.origin]
	if v.judged > others.width {
		others.width, others.perLane = v.judged, c.perLane
		s.habits[src.origin] = others
	}
	c.want = min(2*v.ripe, 4*max(v.mature, 1))
	if v.ripe > 0 && c.perLane >= enoughLane*others.perLane {
		c.want = max(c.want, others.width)
	}
	most := s.mayOpen(src)
	if others.most > 0 {
		most = min(most, others.most)
	}
	c.want = min(c.want, most)
	if v.mature >= most || s.lanes >= s.cfg.AllLanes && v.mature >= src.width {
		if others.most > 0 && v.mature >= others.most {
			c.settle(s.now, refusedFor)
		} else {
			c.settle(s.now, triedAgain)
		}
		return
	}
	s.widen(src)
}

// view is what a source's lanes are at a moment of its first climb.
type view struct {
	ripe, mature int     // lanes that are so old
	judged       int     // of the mature, those that do not crawl; all if most do
	rate         float64 // that they bring together
	fastest      float64 // of the mature, or of the one lane there is
}

func (s *Scheduler) view(src *source) view {
	var v view
	scale := max(1, min(float64(src.latency)/float64(30*time.Millisecond), 5)) // slow replies start slowly
	rates := make([]float64, 0, 16)
	for _, l := range src.lanes {
		rate, ok := l.pulse.rate(s.now)
		if l.head() == nil || l.born == 0 || !ok {
			continue
		}
		age := float64(s.now - l.born)
		if age >= scale*float64(ripeAfter) && (src.width > 1 || !src.alone || age >= float64(aloneFor)) {
			v.ripe++
		}
		if age >= scale*float64(matureAfter) {
			v.mature++
			rates = append(rates, rate)
		}
		if age >= scale*float64(matureAfter) || src.width == 1 {
			v.fastest = max(v.fastest, rate)
		}
	}
	for _, rate := range rates {
		if rate >= crawlShare*v.fastest {
			v.judged++
			v.rate += rate
		}
	}
	if len(rates) > 2*v.judged { // slow servers are few: these take from each other on a full line
		v.judged, v.rate = len(rates), 0
		for _, rate := range rates {
			v.rate += rate
		}
	}
	return v
}

// widen opens lanes up to what the present wave leads to, few at a time.
func (s *Scheduler) widen(src *source) {
	c := &src.ramp
	if c.settled || !s.mayAssign(src) || !s.enoughLeft(src) {
		return
	}
	opening := 0
	for _, l := range src.lanes {
		if a := l.head(); a != nil && l.born == 0 && s.now-a.since < openingFor {
			opening++
		}
	}
	atOnce := max(1, src.width/4)
	if others := s.habits[src.origin].width; src.width < others {
		atOnce = others
	}
	for ; src.width < c.want && opening < atOnce; opening++ {
		if !s.openLane(src) {
			return
		}
	}
}

// answered notes that a request of the source got its reply.
func (c *climber) answered(src *source) {
	c.refusals = 0
	c.proven = max(c.proven, src.answeredLanes())
}

// judgeLanes keeps as many of the lanes on trial as the source brings more with.
func (s *Scheduler) judgeLanes(src *source) {
	c := &src.ramp
	if s.now < c.next {
		return
	}
	mean := c.base / float64(max(src.width-c.trial, 1))
	gain := src.recentRate(steadyTicks) - c.base
	if gain < worthLane*mean*float64(c.trial) {
		worth := max(0, int(gain/mean+worthLane))
		s.setWidth(src, src.width-c.trial+min(worth, c.trial-1))
		c.settle(s.now, triedAgain)
		return
	}
	c.base, c.pause, c.next = 0, 0, s.now
	c.trial *= 2
}

// openLane gives work to one more lane, if there may be one.
func (s *Scheduler) openLane(src *source) bool {
	if src.width >= s.mayOpen(src) || s.lanes >= s.cfg.AllLanes {
		return false
	}
	src.width++
	s.lanes++
	s.fillSource(src)
	return true
}

// enoughLeft reports whether there is work enough for a further lane to pay:
// its first byte comes a reply's wait later, and so does its next range's.
func (s *Scheduler) enoughLeft(src *source) bool {
	rate := max(s.lineRate, src.ramp.perLane)
	return rate <= 0 || float64(s.linesMay())/rate > 1+6*src.latency.Seconds()
}
