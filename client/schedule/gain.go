package schedule

import (
	"slices"
	"time"
)

// One rule values sources: what does the whole gain while this one runs? Peers
// behind one router, peers beside an own line that fills the LAN, metered
// lines: all may bring bytes that the others would have brought as fast. They
// are found by looking, not by configuration: at what the total does when
// sources join, and at what the others do while one of them pauses.

const (
	joinLook   = 12                     // ticks after a join until the total is judged
	pauseLook  = 4                      // ticks of a pause
	worthGain  = 0.1                    // of its own rate that a source must add to the total
	doubtful   = 0.5                    // of it: less than that calls for a pause
	maxLookFor = 0.006                  // of what is left: the most that a look may cost
	lookEvery  = 30 * time.Second       // doubled each time with the same result
	maxSpare   = 8                      // ... up to so many times as long
	settling   = 3 * time.Second        // after a join, before a source may pause
	longPause  = 10 * time.Second       // a pause that does not come about is given up
	tickLength = 100 * time.Millisecond // nominal
)

// trial is the one look that is under way.
type trial struct {
	joined  []*source // judged by what the total gained since they joined
	pausing *source   // judged by what the others gain while it pauses
	base    float64   // bytes per second before
	ticks   int       // since the look began; a pause counts from its first idle tick
	since   time.Duration
	own     float64 // the pausing source's rate before
}

func (src *source) sparedNow(now time.Duration) bool { return src.spare > now }

// recentRate returns what a source brought over the last n ticks, per second.
func (src *source) recentRate(n int) float64 {
	bytes, ok := src.recent(n, 0)
	if !ok {
		return 0
	}
	return float64(bytes) / (float64(n) * tickLength.Seconds())
}

// recentTotal is the same for all sources but one.
func (s *Scheduler) recentTotal(n int, but *source) float64 {
	var sum float64
	for _, src := range s.order {
		if src != but && !src.memory {
			sum += src.recentRate(n)
		}
	}
	return sum
}

// presentTotal is what all sources but one bring at this moment.
func (s *Scheduler) presentTotal(but *source) float64 {
	var sum float64
	for _, src := range s.order {
		if src != but && !src.memory {
			rate, _ := src.pulse.rate(s.now)
			sum += rate
		}
	}
	return sum
}

// recall ends every look and lets those left alone work again: somebody fell
// out, and what added nothing may add now.
func (s *Scheduler) recall() {
	s.endTrial()
	for _, src := range s.order {
		src.spare = 0
	}
}

func (s *Scheduler) endTrial() {
	if s.trial.pausing != nil {
		s.trial.pausing.pausing = false
	}
	s.trial = trial{}
}

// tryJoined begins to look at the total because src joined.
func (s *Scheduler) tryJoined(src *source) {
	if src.memory || src.local && src.metered == 0 || s.trial.pausing != nil {
		return
	}
	if len(s.trial.joined) == 0 {
		base := s.presentTotal(src)
		if base == 0 {
			return // nobody to compare with
		}
		s.trial = trial{base: base}
	}
	s.trial.joined = append(s.trial.joined, src)
	s.trial.ticks = 0
}

// weigh goes on with the look that is under way, or begins one. It is called
// at every tick.
func (s *Scheduler) weigh() {
	s.weighMetered()
	switch t := &s.trial; {
	case s.ahead.starved: // what they bring says nothing
		s.endTrial()
	case len(t.joined) > 0:
		if t.ticks++; t.ticks >= joinLook {
			s.judgeJoined()
		}
	case t.pausing != nil:
		s.watchPause()
	default:
		s.beginPause()
	}
}

// judgeJoined leaves those that joined alone if the total did not rise.
func (s *Scheduler) judgeJoined() {
	t := s.trial
	s.endTrial()
	var brought float64
	for _, src := range t.joined {
		brought += src.recentRate(joinLook / 2)
		src.looked = s.now
	}
	gain := s.recentTotal(joinLook/2, nil) - t.base
	for _, src := range t.joined {
		switch {
		case s.sources[src.id] != src || src.state != Idle || brought == 0:
		case gain < worthGain*brought && gain < worthGain*t.base:
			s.leaveSpare(src)
		case src.metered > 0 && src.recentRate(joinLook/2) < src.metered*(t.base+max(gain, 0)):
			s.leaveSpare(src)
		default:
			src.spared = 0
			if gain < doubtful*brought {
				src.looked = s.now - lookEvery // what was there before may have been about to grow: look again soon
			}
		}
	}
}

// leaveSpare gives a source no work for a while. What it has not begun goes
// to the others; what runs, ends. Where it is the receiver who is slow, most of
// what it was asked for is on its way, and comes.
func (s *Scheduler) leaveSpare(src *source) {
	src.spare = s.now + lookEvery<<min(src.spared, 3)
	src.spared = min(src.spared+1, maxSpare)
	if src.heldUp(s.now) {
		return
	}
	for _, l := range src.lanes {
		for len(l.queue) > 1 {
			s.cancel(l.queue[len(l.queue)-1], false)
		}
	}
}

// beginPause chooses a source to look at, if there is one to which a look
// costs next to nothing of what is left.
func (s *Scheduler) beginPause() {
	left := float64(s.cfg.Size - s.done.Bytes())
	running := 0
	for _, src := range s.order {
		if src.busyLanes() > 0 && !src.memory {
			running++
		}
	}
	if running < 2 {
		return
	}
	i := slices.IndexFunc(s.order, func(src *source) bool {
		r := src.rate()
		return !src.local && !src.memory && src.busyLanes() > 0 && src.state == Idle && r > 0 &&
			s.now-src.joined > settling && s.now-src.looked > lookEvery/2 &&
			r*pauseLook*tickLength.Seconds() <= maxLookFor*left
	})
	if i < 0 {
		return
	}
	src := s.order[i]
	src.pausing = true
	s.trial = trial{pausing: src, since: s.now}
}

// watchPause waits until the source is idle, then looks at the others.
func (s *Scheduler) watchPause() {
	t := &s.trial
	src := t.pausing
	if s.now-t.since > longPause {
		s.endTrial()
		src.looked = s.now
		return
	}
	if src.busyLanes() > 0 {
		t.base = s.recentTotal(steadyTicks, src)
		t.own = max(t.own, src.recentRate(pauseLook))
		return
	}
	if t.ticks++; t.ticks <= pauseLook {
		return
	}
	gain := s.recentTotal(pauseLook, src) - t.base
	own := t.own
	s.endTrial()
	src.looked = s.now
	if own > 0 && gain > (1-worthGain*4)*own {
		s.leaveSpare(src)
		return
	}
	src.spared = 0
	s.fillSource(src)
}
