package schedule

import "time"

// pulse is what a lane brought lately, by the times at which it was told. Bytes
// come in frames, one in frameDelay from a slow lane: counting those that fall
// into a tick or three would be wrong by half, while the bytes between two
// frames belong to the time between them.
type pulse struct {
	marks [pulseMarks]mark // the newest first
	n     int
}

// mark is how many bytes a lane had brought at a moment.
type mark struct {
	at    time.Duration
	total int64
}

const (
	pulseMarks  = 8
	pulseStep   = 50 * time.Millisecond  // between marks, at least
	frameSize   = 256 << 10              // bytes that are told at once, at most
	frameDelay  = 100 * time.Millisecond // that bytes wait for their frame to fill, at most
	pulseWindow = 300 * time.Millisecond // that a lane is judged by

	longestWindow = 4 * time.Second // where few frames come
)

// begin forgets what was seen: a connection answers for the first time.
func (p *pulse) begin(now time.Duration) {
	p.marks[0], p.n = mark{at: now}, 1
}

func (p *pulse) add(now time.Duration, bytes int64) {
	if p.n == 0 {
		p.begin(now)
	}
	now = max(now, p.marks[0].at) // what several lanes tell may be out of order
	next := mark{now, p.marks[0].total + bytes}
	if p.n == 1 || now-p.marks[1].at >= pulseStep {
		p.n = min(p.n+1, pulseMarks)
		copy(p.marks[1:p.n], p.marks[:p.n-1])
	}
	p.marks[0] = next
}

// window is over how long a lane of a source is judged. A peer's lanes share a
// stream: if that is what limits them (a slow LAN), full frames come in turn, and
// a lane that waits for its own is as good as the others.
func (s *Scheduler) window(src *source) time.Duration {
	rate, ok := src.pulse.rate(s.now)
	lanes := src.answeredLanes()
	if src.local || src.memory || lanes < 2 || !ok || rate <= 0 {
		return pulseWindow
	}
	turn := seconds(float64(lanes) * float64(src.frame) / rate)
	return max(pulseWindow, min(3*turn, longestWindow))
}

// lately returns what a lane brings at this moment; ok is false if that cannot be
// told yet.
func (s *Scheduler) lately(l *lane) (rate float64, ok bool) {
	return l.pulse.over(s.now, s.window(l.src))
}

// rate returns the bytes per second of about the last pulseWindow. ok is false
// if that was too short a time.
func (p *pulse) rate(now time.Duration) (rate float64, ok bool) { return p.over(now, pulseWindow) }

// over is rate for another window, as far back as marks reach.
func (p *pulse) over(now, window time.Duration) (rate float64, ok bool) {
	if p.n == 0 {
		return 0, false
	}
	from := p.marks[p.n-1]
	for _, m := range p.marks[:p.n] {
		if now-m.at >= window {
			from = m
			break
		}
	}
	span := max(p.marks[0].at, now-frameDelay-frameDelay/4) - from.at // bytes may wait in a frame
	if span < pulseStep {
		return 0, false
	}
	return float64(p.marks[0].total-from.total) / span.Seconds(), true
}

// young returns the bytes per second since all that is remembered began, as if that
// were no shorter than a step: before rate can tell, it is at least so much.
func (p *pulse) young(now time.Duration) float64 {
	if p.n == 0 {
		return 0
	}
	first := p.marks[p.n-1]
	return float64(p.marks[0].total-first.total) / max(now-first.at, pulseStep).Seconds()
}
