package originlease

import (
	"math"
	"time"
)

// pace measures how fast a member brings what it leased: bytes over the time in
// which it had a lease, both fading.
type pace struct {
	bytes, seconds float64
	last           time.Time
	idle           time.Duration // without a lease, up to last
}

// pass lets time go by, in which the member had a lease or not.
func (p *pace) pass(now time.Time, busy bool) {
	d := now.Sub(p.last)
	switch {
	case p.last.IsZero():
	case d <= 0:
		return
	case busy:
		p.idle = 0
		p.fade(d)
	default:
		if p.idle += d; p.idle > forget {
			*p = pace{}
		}
	}
	p.last = now
}

func (p *pace) fade(d time.Duration) {
	left := math.Exp(-d.Seconds() / fade.Seconds())
	p.bytes, p.seconds = p.bytes*left, p.seconds*left+d.Seconds()
}

func (p *pace) bring(bytes int64) { p.bytes += float64(bytes) }

// rate is in bytes per second; not ok: it was looked at too shortly.
func (p *pace) rate() (rate float64, ok bool) {
	return p.bytes / max(p.seconds, 1e-9), p.seconds >= 0.5
}
