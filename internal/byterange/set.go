package byterange

import (
	"iter"
	"slices"
	"sort"
)

// Set is a set of bytes, held as sorted ranges that neither overlap nor touch.
// The zero Set is empty and ready. It is not safe for concurrent use.
type Set struct {
	ranges []Range
	bytes  int64
}

// Bytes returns how many bytes the set holds.
func (s *Set) Bytes() int64 { return s.bytes }

// Len returns the number of separate ranges.
func (s *Set) Len() int { return len(s.ranges) }

// All yields the ranges in ascending order. The set must not change meanwhile.
func (s *Set) All() iter.Seq[Range] { return slices.Values(s.ranges) }

// Clone returns an independent copy.
func (s *Set) Clone() Set {
	return Set{ranges: slices.Clone(s.ranges), bytes: s.bytes}
}

// after returns the index of the first range that ends behind off.
func (s *Set) after(off int64) int {
	return sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].End() > off })
}

// Add puts the bytes of r into the set and returns how many of them are new.
func (s *Set) Add(r Range) int64 {
	if r.Empty() {
		return 0
	}
	// Ranges that only touch r are merged with it too: hence End() >= Off.
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].End() >= r.Off })
	j, merged, old := i, r, int64(0)
	for ; j < len(s.ranges) && s.ranges[j].Off <= r.End(); j++ {
		merged = Between(min(merged.Off, s.ranges[j].Off), max(merged.End(), s.ranges[j].End()))
		old += s.ranges[j].Len
	}
	s.ranges = slices.Replace(s.ranges, i, j, merged)
	s.bytes += merged.Len - old
	return merged.Len - old
}

// Subtract takes the bytes of r out of the set and returns how many were in it.
func (s *Set) Subtract(r Range) int64 {
	if r.Empty() {
		return 0
	}
	i := s.after(r.Off)
	j, removed := i, int64(0)
	var keep []Range
	for ; j < len(s.ranges) && s.ranges[j].Off < r.End(); j++ {
		have := s.ranges[j]
		removed += have.Intersect(r).Len
		if left := Between(have.Off, r.Off); !left.Empty() {
			keep = append(keep, left)
		}
		if right := Between(r.End(), have.End()); !right.Empty() {
			keep = append(keep, right)
		}
	}
	s.ranges = slices.Replace(s.ranges, i, j, keep...)
	s.bytes -= removed
	return removed
}

// Overlap returns how many bytes of r the set holds.
func (s *Set) Overlap(r Range) int64 {
	var n int64
	for i := s.after(r.Off); i < len(s.ranges) && s.ranges[i].Off < r.End(); i++ {
		n += s.ranges[i].Intersect(r).Len
	}
	return n
}

// Contains reports whether every byte of r is in the set.
func (s *Set) Contains(r Range) bool { return s.Overlap(r) == max(r.Len, 0) }

// Next returns the first run of the set that holds a byte at or behind off,
// cut so that it does not begin before off; ok is false if there is none.
func (s *Set) Next(off int64) (r Range, ok bool) {
	i := s.after(off)
	if i == len(s.ranges) {
		return Range{}, false
	}
	return Between(max(off, s.ranges[i].Off), s.ranges[i].End()), true
}

// Last returns the highest run of the set; ok is false if the set is empty.
func (s *Set) Last() (r Range, ok bool) {
	if len(s.ranges) == 0 {
		return Range{}, false
	}
	return s.ranges[len(s.ranges)-1], true
}

// Missing yields, in ascending order, the runs of r that the set does not
// hold. The set must not change meanwhile.
func (s *Set) Missing(r Range) iter.Seq[Range] {
	return func(yield func(Range) bool) {
		at := r.Off
		for i := s.after(r.Off); i < len(s.ranges) && s.ranges[i].Off < r.End(); i++ {
			if gap := Between(at, s.ranges[i].Off); !gap.Empty() && !yield(gap) {
				return
			}
			at = s.ranges[i].End()
		}
		if gap := Between(at, r.End()); !gap.Empty() {
			yield(gap)
		}
	}
}

// Equal reports whether both sets hold the same bytes.
func (s *Set) Equal(o *Set) bool { return slices.Equal(s.ranges, o.ranges) }

// Minus returns what the set holds and o does not.
func (s *Set) Minus(o *Set) (rest Set) {
	for r := range s.All() {
		for part := range o.Missing(r) {
			rest.Add(part)
		}
	}
	return rest
}

// WholeCells returns the cells of a grid that the set holds all of. Their edges
// are the multiples of cell; the last one ends at size and may be shorter.
func (s *Set) WholeCells(cell, size int64) (whole Set) {
	for r := range s.All() {
		off, end := (r.Off+cell-1)/cell*cell, size
		if r.End() < size {
			end = r.End() / cell * cell
		}
		whole.Add(Between(off, end))
	}
	return whole
}
