// Package backoff decides how long to wait before trying again.
//
//	attempt 0, 1, 2, ...  ->  Policy.Ceiling  ->  x a random number in [0, 1)  ->  wait
//
// The wait is drawn from the whole of [0, ceiling) ("full jitter"), so that
// many who failed together do not come back together. The package is pure: it
// holds no clock, no randomness and no count of attempts.
package backoff

import "time"

// Policy describes waits that grow by Factor from Base up to Max.
type Policy struct {
	Base   time.Duration // ceiling of the first wait; <= 0: no wait at all
	Max    time.Duration // no ceiling is higher; <= 0: unlimited
	Factor float64       // growth from one attempt to the next; < 1: 2
}

// longest is the ceiling of a Policy without Max. It leaves room to add the
// wait to a time.
const longest = 365 * 24 * time.Hour

// Ceiling returns the longest wait before the given attempt; the first one
// after a failure is number 0, and a negative number is read as 0.
func (p Policy) Ceiling(attempt int) time.Duration {
	factor, top := p.Factor, p.Max
	if !(factor >= 1) { // NaN too
		factor = 2
	}
	if top <= 0 {
		top = longest
	}
	if p.Base <= 0 {
		return 0
	}
	wait := float64(p.Base)
	for range attempt {
		if factor == 1 || wait >= float64(top) {
			break
		}
		wait *= factor
	}
	if wait >= float64(top) {
		return top
	}
	return time.Duration(wait)
}

// Delay returns the wait before the given attempt: rnd, a random number in
// [0, 1), of its ceiling. An rnd outside is read as the nearer end.
func (p Policy) Delay(attempt int, rnd float64) time.Duration {
	if !(rnd > 0) { // NaN too
		return 0
	}
	return time.Duration(min(rnd, 1) * float64(p.Ceiling(attempt)))
}
