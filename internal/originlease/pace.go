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
}

// pass lets time go by.
func (p *pace) pass(now time.Time, busy bool) {
	switch d := now.Sub(p.last); {
	case p.last.IsZero() || busy && d <= 0:
		p.last = now
	case busy:
		p.last = now
		p.fade(d)
	case d > forget:
		*p = pace{}
	}
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
