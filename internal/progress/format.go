package progress

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// unitOf returns how many bytes the IEC unit of n has, its name, and the decimals
// to show. Four digits before the point belong to the next unit: columns stay
// narrow.
func unitOf(n float64) (div float64, name string, decimals int) {
	if n < 999.5 {
		return 1, "B", 0
	}
	div = 1024
	for _, name := range [...]string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if n/div < 999.95 {
			return div, name, 1
		}
		div *= 1024
	}
	return div, "EiB", 1
}

// formatBytes spells a number of bytes: "1.4 GiB".
func formatBytes(n int64) string {
	div, unit, decimals := unitOf(float64(max(n, 0)))
	return fmt.Sprintf("%.*f %s", decimals, float64(max(n, 0))/div, unit)
}

// formatOf spells how much of a total is there, in the unit of the total and of
// constant width: " 0.4/1.4 GiB".
func formatOf(n, total int64) string {
	div, unit, decimals := unitOf(float64(max(total, 0)))
	all := fmt.Sprintf("%.*f", decimals, float64(max(total, 0))/div)
	return fmt.Sprintf("%*.*f/%s %s", len(all), decimals, float64(max(n, 0))/div, all, unit)
}

// formatRate spells bytes per second: "11.9 MiB/s".
func formatRate(r float64) string {
	r = sane(r)
	div, unit, decimals := unitOf(r)
	return fmt.Sprintf("%.*f %s/s", decimals, r/div, unit)
}

// sane makes 0 of what is no rate: negative, infinite, not a number.
func sane(r float64) float64 {
	if r < 0 || math.IsInf(r, 0) || math.IsNaN(r) {
		return 0
	}
	return r
}

// formatDuration spells a time: "0.4s", "9s", "1m03s", "2h05m", "3d04h".
func formatDuration(d time.Duration) string {
	d = max(d, 0)
	if d < 9950*time.Millisecond {
		if tenths := d.Round(100 * time.Millisecond); tenths%time.Second != 0 {
			return fmt.Sprintf("%.1fs", tenths.Seconds())
		}
	}
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
}

// formatETA spells the time left in whole seconds, "--" if it is unknown.
func formatETA(d time.Duration) string {
	if d < 0 {
		return "--"
	}
	return formatDuration(d.Round(time.Second))
}

// percent returns how much of total n is, rounded down: 100 is the whole only.
func percent(n, total int64) int {
	if total <= 0 {
		return 100
	}
	return int(min(100*(float64(max(n, 0))/float64(total)), 100))
}

// plural spells a count with its noun: "1 range", "2 ranges".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// maxText bounds a text of the network, in bytes; the longest path fits.
const maxText = 4096

// clean makes a text of the network fit to be shown on one line: neither control
// characters nor marks that reverse the direction of what follows reach a terminal.
func clean(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + ellipsis
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// ellipsis stands for what was cut; two columns in every locale.
const ellipsis = ".."

// cells returns how many columns of a terminal s takes; it has no control character.
func cells(s string) int {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return measure().StringWidth(s)
		}
	}
	return len(s)
}

// measure judges widths as terminals of today do, whatever the locale says.
func measure() *runewidth.Condition { return &runewidth.Condition{StrictEmojiNeutral: true} }

// cut shortens s to at most width columns, in its middle: names differ at both ends.
func cut(s string, width int) string {
	if cells(s) <= width {
		return s
	}
	m := measure()
	if width < 8 {
		return m.Truncate(s, max(width, 0), "")
	}
	head := m.Truncate(s, (width-len(ellipsis)+1)/2, "")
	room := width - cells(head) - len(ellipsis)
	return head + ellipsis + strings.TrimLeft(m.TruncateLeft(s, cells(s)-room, ""), " ")
}

// padRight cuts or fills s to exactly width columns.
func padRight(s string, width int) string {
	s = cut(s, width)
	return s + strings.Repeat(" ", max(width-cells(s), 0))
}

// padLeft fills s to width columns from the left.
func padLeft(s string, width int) string {
	return strings.Repeat(" ", max(width-cells(s), 0)) + s
}
