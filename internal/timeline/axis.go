package timeline

import (
	"fmt"
	"strconv"
	"time"
)

// tick is a mark on an axis.
type tick struct {
	at    int64
	label string
}

// timeTicks marks at most about ten round times up to end.
func timeTicks(end time.Duration) []tick {
	step := timeStep(end / 10)
	var ticks []tick
	for at := time.Duration(0); at <= end; at += step {
		ticks = append(ticks, tick{int64(at), clock(at, step, end)})
	}
	return ticks
}

// timeStep is the smallest round step that is at least so long.
func timeStep(least time.Duration) time.Duration {
	for unit := time.Microsecond; unit <= time.Second; unit *= 10 {
		for _, n := range []time.Duration{1, 2, 5} {
			if n*unit >= least && n*unit <= 30*time.Second {
				return n * unit
			}
		}
	}
	const day = 24 * time.Hour
	for _, step := range []time.Duration{
		10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	} {
		if step >= least {
			return step
		}
	}
	step := day
	for step < least && step < step*2 {
		step *= 2
	}
	return step
}

// clock writes a tick of the time axis.
func clock(at, step, end time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case at == 0:
		return "0"
	case end < time.Millisecond:
		return number(float64(at)/float64(time.Microsecond), 3) + " µs"
	case end < time.Second:
		return number(float64(at)/float64(time.Millisecond), 3) + " ms"
	case end < 2*time.Minute:
		return number(at.Seconds(), 3) + " s"
	case step >= day:
		return strconv.Itoa(int(at/day)) + " d"
	case step >= time.Hour:
		return strconv.Itoa(int(at/time.Hour)) + " h"
	case end >= time.Hour:
		return fmt.Sprintf("%d:%02d h", at/time.Hour, at/time.Minute%60)
	case step < time.Second:
		return fmt.Sprintf("%d:%04.1f min", at/time.Minute, (at % time.Minute).Seconds())
	}
	return fmt.Sprintf("%d:%02d min", at/time.Minute, at/time.Second%60)
}

// sizeTicks marks at most about nine offsets that are powers of two apart.
func sizeTicks(size int64) []tick {
	step := int64(1)
	for step < size/9+1 && step < 1<<62 {
		step *= 2
	}
	var ticks []tick
	for at := int64(0); at >= 0 && at <= size; at += step {
		ticks = append(ticks, tick{at, bytesText(at)})
	}
	return ticks
}

// rateTicks marks two or three rates between 0 and top, besides 0.
func rateTicks(top float64) []tick {
	step := int64(1)
	for float64(step)*4 <= top && step < 1<<60 {
		step *= 2
	}
	ticks := []tick{{0, "0"}}
	for at := step; float64(at) <= top; at += step {
		ticks = append(ticks, tick{at, bytesText(at) + "/s"})
	}
	return ticks
}

// bytesText writes bytes with a binary unit and three digits.
func bytesText(n int64) string {
	if n == 0 {
		return "0"
	}
	v, unit := float64(n), 0
	for v >= 1023.5 && unit < 6 {
		v /= 1024
		unit++
	}
	return number(v, 3) + " " + [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[unit]
}

// timeText writes a duration for reading.
func timeText(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return number(float64(d)/float64(time.Microsecond), 3) + " µs"
	case d < time.Second:
		return number(float64(d)/float64(time.Millisecond), 3) + " ms"
	case d < 2*time.Minute:
		return number(d.Seconds(), 3) + " s"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min %d s", d/time.Minute, d/time.Second%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", d/time.Hour, d/time.Minute%60)
	}
	return fmt.Sprintf("%d d %d h", d/(24*time.Hour), d/time.Hour%24)
}

// number writes v with so many digits, and without zeros behind the point.
func number(v float64, digits int) string {
	whole := len(strconv.FormatInt(int64(v), 10))
	s := strconv.FormatFloat(v, 'f', max(digits-whole, 0), 64)
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// percent writes a share.
func percent(part, whole int64) string {
	if whole <= 0 {
		return ""
	}
	share := 100 * float64(part) / float64(whole)
	if part > 0 && share < 0.1 {
		return "< 0.1 %"
	}
	return number(share, 2) + " %"
}
