// Package byterange is the arithmetic of byte ranges: half-open ranges, sets
// of them, and their one conversion to and from the inclusive form of the
// HTTP wire (RFC 9110, section 14). It is pure: no I/O, no clock, no lock.
package byterange

import "fmt"

// Range is the half-open run of bytes [Off, Off+Len). The zero Range is empty.
type Range struct {
	Off int64 // first byte
	Len int64 // bytes; never negative in a valid Range
}

// Between returns [start, end), or an empty range at start if end <= start.
func Between(start, end int64) Range {
	return Range{Off: start, Len: max(end-start, 0)}
}

// End returns the offset just behind the range.
func (r Range) End() int64 { return r.Off + r.Len }

// Empty reports whether the range holds no byte.
func (r Range) Empty() bool { return r.Len <= 0 }

// Intersect returns what both ranges hold; empty if they share nothing.
func (r Range) Intersect(o Range) Range {
	return Between(max(r.Off, o.Off), min(r.End(), o.End()))
}

// Contains reports whether every byte of o lies in r.
func (r Range) Contains(o Range) bool {
	return o.Empty() || (r.Off <= o.Off && o.End() <= r.End())
}

// String gives the half-open form, for logs.
func (r Range) String() string { return fmt.Sprintf("[%d,%d)", r.Off, r.End()) }
