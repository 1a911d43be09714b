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

// rate returns the bytes per second of about the last pulseWindow. ok is false
// if that was too short a time.
func (p *pulse) rate(now time.Duration) (rate float64, ok bool) {
	if p.n == 0 {
		return 0, false
	}
	from := p.marks[p.n-1]
	for _, m := range p.marks[:p.n] {
		if now-m.at >= pulseWindow {
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
