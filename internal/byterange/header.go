package byterange

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ContentRange is a parsed Content-Range field (RFC 9110, section 14.4).
type ContentRange struct {
	Range       Range // what the body holds; empty if Unsatisfied
	Complete    int64 // bytes of the whole; -1: the origin wrote "*"
	Unsatisfied bool  // the form "bytes */N" that goes with a 416
}

// errContentRange is what every malformed field fails with.
var errContentRange = errors.New("malformed Content-Range")

// FormatRange gives the Range field that asks for r: one closed range, never
// an open or a suffix one (RFC 9110, section 14.2). r must not be empty.
func FormatRange(r Range) string {
	return "bytes=" + strconv.FormatInt(r.Off, 10) + "-" + strconv.FormatInt(r.End()-1, 10)
}

// ParseContentRange reads a Content-Range field strictly: unit bytes, digits
// only, first <= last < complete, and everything fits an int64. A field that
// a recipient must not use (RFC 9110, section 14.4) is an error.
func ParseContentRange(field string) (ContentRange, error) {
	unit, rest, ok := strings.Cut(field, " ")
	span, total, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 || !strings.EqualFold(unit, "bytes") {
		return ContentRange{}, fmt.Errorf("%w %.60q: want \"bytes first-last/length\"", errContentRange, field)
	}
	complete, ok := int64(-1), true
	if total != "*" {
		complete, ok = parseDigits(total)
	}
	if !ok {
		return ContentRange{}, fmt.Errorf("%w %.60q: bad length", errContentRange, field)
	}
	if span == "*" {
		if complete < 0 {
			return ContentRange{}, fmt.Errorf("%w %.60q: says nothing", errContentRange, field)
		}
		return ContentRange{Complete: complete, Unsatisfied: true}, nil
	}
	a, b, ok := strings.Cut(span, "-")
	first, okFirst := parseDigits(a)
	last, okLast := parseDigits(b)
	if !ok || !okFirst || !okLast || first > last || last == math.MaxInt64 || (complete >= 0 && complete <= last) {
		return ContentRange{}, fmt.Errorf("%w %.60q: impossible range", errContentRange, field)
	}
	return ContentRange{Range: Between(first, last+1), Complete: complete}, nil
}

// parseDigits reads 1*DIGIT; signs, spaces and values above int64 fail.
func parseDigits(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false // ParseInt would take a sign
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
