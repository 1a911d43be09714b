package origin

import (
	"net/http"
	"strings"
	"time"
)

// The bounds of a wait that an origin may ask for.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 10 * time.Minute
)

// ParseRetryAfter reads a Retry-After field (RFC 9110, section 10.2.3) and
// clamps it to 1 s .. 10 min. An HTTP date is measured from date, the reply's
// own Date field: the local clock may be wrong. ok is false if the fields say
// nothing usable.
func ParseRetryAfter(field, date string) (wait time.Duration, ok bool) {
	field = strings.TrimSpace(field)
	if field == "" {
		return 0, false
	}
	if strings.Trim(field, "0123456789") == "" {
		var seconds time.Duration
		for _, digit := range []byte(field) {
			// Stop adding beyond the bound: the digits may go on for ever.
			seconds = min(seconds*10+time.Duration(digit-'0'), maxRetryAfter)
		}
		return clampRetryAfter(min(seconds, maxRetryAfter/time.Second) * time.Second), true
	}
	until, err := http.ParseTime(field)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(strings.TrimSpace(date))
	if err != nil {
		return 0, false
	}
	return clampRetryAfter(until.Sub(now)), true
}

func clampRetryAfter(d time.Duration) time.Duration {
	return min(max(d, minRetryAfter), maxRetryAfter)
}
