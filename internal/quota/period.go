package quota

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ddm/internal/errdefs"
)

// Period is how long a quota holds before it is fresh again. The zero value is
// a month.
type Period int

// The periods, by the calendar of the machine's time zone.
const (
	Month Period = iota
	Day
)

// ParsePeriod reads "day" or "month".
func ParsePeriod(s string) (Period, error) {
	switch strings.ToLower(s) {
	case "day":
		return Day, nil
	case "month":
		return Month, nil
	}
	return 0, fmt.Errorf("%w: %q is no period: write day or month", errdefs.Invalid, s)
}

// String gives "day" or "month".
func (p Period) String() string {
	if p == Day {
		return "day"
	}
	return "month"
}

// Bounds returns the period that holds now, in now's time zone: start is in
// it, end is the first moment of the next one.
func (p Period) Bounds(now time.Time) (start, end time.Time) {
	y, m, d := now.Date()
	if p == Day {
		return time.Date(y, m, d, 0, 0, 0, 0, now.Location()), time.Date(y, m, d+1, 0, 0, 0, 0, now.Location())
	}
	return time.Date(y, m, 1, 0, 0, 0, 0, now.Location()), time.Date(y, m+1, 1, 0, 0, 0, 0, now.Location())
}

// Limit is how many bytes a line may bring per period. The zero value is no
// limit.
type Limit struct {
	Bytes  int64 // 0: no limit
	Period Period
}

// String says it for people: "5.0 GiB a month".
func (l Limit) String() string {
	if l.Bytes <= 0 {
		return "no quota"
	}
	return fmt.Sprintf("%s a %s", humanize.IBytes(uint64(l.Bytes)), l.Period)
}

// SpentError says that a line's quota is used up. Its kind is errdefs.Refused:
// the bytes must come another way.
type SpentError struct {
	Line  string
	Limit Limit
	Until time.Time     // when the next period begins
	Wait  time.Duration // until then
}

// Error is one sentence.
func (e *SpentError) Error() string {
	return fmt.Sprintf("the quota of line %s (%s) is used up; it is fresh again on %s",
		e.Line, e.Limit, e.Until.Format("2006-01-02 at 15:04"))
}

// Unwrap gives the kind and the wait.
func (e *SpentError) Unwrap() []error {
	return []error{errdefs.Refused, errdefs.RetryAfter(e.Wait)}
}

// account is what a line brought, by day and by month, so that a limit may
// change its period at any time.
type account struct {
	Day        string `json:"day"` // 2006-01-02
	DayBytes   int64  `json:"day_bytes"`
	Month      string `json:"month"` // 2006-01
	MonthBytes int64  `json:"month_bytes"`
	Line       string `json:"line"` // for people
}

const (
	dayForm   = "2006-01-02"
	monthForm = "2006-01"
)

// at returns the account as it stands now: a period that is over is forgotten.
// A clock that was set back starts no period anew: what the future spent is
// carried over.
func (a account) at(now time.Time) account {
	if day := now.Format(dayForm); a.Day < day {
		a.Day, a.DayBytes = day, 0
	} else {
		a.Day = day
	}
	if month := now.Format(monthForm); a.Month < month {
		a.Month, a.MonthBytes = month, 0
	} else {
		a.Month = month
	}
	return a
}

// spent returns the bytes of the running period.
func (a account) spent(p Period) int64 {
	if p == Day {
		return a.DayBytes
	}
	return a.MonthBytes
}

// left returns what l still allows, never less than 0.
func (a account) left(l Limit) int64 { return max(0, l.Bytes-a.spent(l.Period)) }

// add enters n bytes; a negative n gives back.
func (a account) add(n int64) account {
	a.DayBytes = max(0, a.DayBytes+n)
	a.MonthBytes = max(0, a.MonthBytes+n)
	return a
}

// Sizes of what is reserved ahead.
const (
	minSlice = 1 << 20
	maxSlice = 16 << 20
	busy     = 500 * time.Millisecond // a slice that lasts for less is too small
)

// nextSlice returns how many bytes to reserve after a slice of last bytes that
// held for so long, with left bytes allowed: about one reservation a second,
// and small ones towards the end, where lines share what is left.
func nextSlice(last int64, held time.Duration, left int64) int64 {
	n := last
	switch {
	case held < busy:
		n *= 2
	case held > 4*busy:
		n /= 2
	}
	n = min(max(n, minSlice), maxSlice)
	return min(max(min(n, left/8), min(minSlice, left)), left)
}
