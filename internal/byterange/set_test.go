package byterange_test

import (
	"slices"
	"testing"

	"ddm/internal/byterange"
)

func TestRange(t *testing.T) {
	r := byterange.Between(10, 20)
	if r.End() != 20 || r.Empty() || r.String() != "[10,20)" {
		t.Errorf("Between(10, 20) = %v", r)
	}
	if b := byterange.Between(20, 10); !b.Empty() || b.Off != 20 {
		t.Errorf("Between(20, 10) = %v, want empty at 20", b)
	}
	for _, c := range []struct {
		o, both  byterange.Range
		contains bool
	}{
		{byterange.Between(0, 10), byterange.Between(10, 10), false},
		{byterange.Between(0, 11), byterange.Between(10, 11), false},
		{byterange.Between(12, 15), byterange.Between(12, 15), true},
		{byterange.Between(10, 20), byterange.Between(10, 20), true},
		{byterange.Between(19, 30), byterange.Between(19, 20), false},
		{byterange.Between(50, 50), byterange.Between(50, 50), true},
	} {
		if got := r.Intersect(c.o); got != c.both {
			t.Errorf("%v.Intersect(%v) = %v, want %v", r, c.o, got, c.both)
		}
		if got := r.Contains(c.o); got != c.contains {
			t.Errorf("%v.Contains(%v) = %v", r, c.o, got)
		}
	}
}

const universe = 64

// bitmap is the oracle of Set: one bool per byte.
type bitmap [universe]bool

func (b *bitmap) put(r byterange.Range, v bool) (changed int64) {
	for i := r.Off; i < r.End(); i++ {
		if b[i] != v {
			b[i], changed = v, changed+1
		}
	}
	return changed
}

// runs lists the runs of bytes in r that are v.
func (b *bitmap) runs(r byterange.Range, v bool) (out []byterange.Range) {
	for i := r.Off; i < r.End(); i++ {
		if b[i] != v {
			continue
		}
		if n := len(out); n > 0 && out[n-1].End() == i {
			out[n-1].Len++
		} else {
			out = append(out, byterange.Range{Off: i, Len: 1})
		}
	}
	return out
}

// FuzzSet runs three-byte orders against a set and a bitmap.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 3, 9, 0, 9, 12, 1, 5, 10, 0, 0, 63, 1, 0, 63})
	f.Add([]byte{0, 1, 2, 0, 3, 4, 0, 5, 6, 0, 2, 5, 1, 3, 3})
	f.Fuzz(func(t *testing.T, orders []byte) {
		var s byterange.Set
		var b bitmap
		for ; len(orders) >= 3; orders = orders[3:] {
			r := byterange.Between(int64(orders[1]%universe), int64(orders[2]%(universe+1)))
			before := s.Clone()
			was := slices.Collect(before.All())
			if orders[0]%2 == 0 {
				if got, want := s.Add(r), b.put(r, true); got != want {
					t.Fatalf("Add(%v) = %d, want %d", r, got, want)
				}
			} else if got, want := s.Subtract(r), b.put(r, false); got != want {
				t.Fatalf("Subtract(%v) = %d, want %d", r, got, want)
			}
			if !slices.Equal(was, slices.Collect(before.All())) {
				t.Fatalf("a change reached the clone")
			}
			checkSet(t, &s, &b, r)
		}
	})
}

// TestSetSmall tries every order on every set of six bytes.
func TestSetSmall(t *testing.T) {
	t.Parallel()
	const bytes = 6
	for state := range 1 << bytes {
		for first := range int64(bytes) {
			for end := first + 1; end <= bytes; end++ {
				for _, add := range []bool{true, false} {
					s, b := small(state, bytes)
					r, change := byterange.Between(first, end), s.Subtract
					if add {
						change = s.Add
					}
					if got, want := change(r), b.put(r, add); got != want {
						t.Fatalf("state %b, add %v of %v: %d bytes, want %d", state, add, r, got, want)
					}
					checkSet(t, &s, &b, r)
				}
			}
		}
	}
}

// small returns the set and the bitmap of the bytes whose bits are 1 in state.
func small(state, bytes int) (s byterange.Set, b bitmap) {
	for i := range bytes {
		if state>>i&1 == 1 {
			s.Add(byterange.Range{Off: int64(i), Len: 1})
			b[i] = true
		}
	}
	return s, b
}

// TestTwoSets tries every set of six bytes with every other.
func TestTwoSets(t *testing.T) {
	t.Parallel()
	const bytes = 6
	for x := range 1 << bytes {
		for y := range 1 << bytes {
			a, _ := small(x, bytes)
			b, _ := small(y, bytes)
			_, want := small(x&^y, bytes)
			rest := a.Minus(&b)
			checkSet(t, &rest, &want, byterange.Range{Len: bytes})
			if a.Equal(&b) != (x == y) {
				t.Errorf("%06b equals %06b: %v", x, y, a.Equal(&b))
			}
		}
	}
}

// TestWholeCells tries every set of a few bytes on grids that their number is a
// multiple of, or not.
func TestWholeCells(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cell, size int }{{1, 5}, {3, 6}, {3, 7}, {3, 8}, {3, 9}, {4, 3}, {4, 4}} {
		for state := range 1 << c.size {
			held, have := small(state, c.size)
			var want bitmap
			for off := 0; off < c.size; off += c.cell {
				cell := byterange.Between(int64(off), int64(min(off+c.cell, c.size)))
				want.put(cell, len(have.runs(cell, false)) == 0)
			}
			whole := held.WholeCells(int64(c.cell), int64(c.size))
			checkSet(t, &whole, &want, byterange.Range{Len: int64(c.size)})
		}
	}
}

func checkSet(t *testing.T, s *byterange.Set, b *bitmap, r byterange.Range) {
	t.Helper()
	all := b.runs(byterange.Range{Len: universe}, true)
	if got := slices.Collect(s.All()); !slices.Equal(got, all) || s.Len() != len(all) {
		t.Fatalf("set holds %v, want %v", got, all)
	}
	var total, overlap int64
	for _, run := range all {
		total += run.Len
		overlap += run.Intersect(r).Len
	}
	if s.Bytes() != total {
		t.Fatalf("Bytes() = %d, want %d", s.Bytes(), total)
	}
	if s.Overlap(r) != overlap || s.Contains(r) != (overlap == r.Len) {
		t.Fatalf("Overlap(%v) = %d, want %d", r, s.Overlap(r), overlap)
	}
	if got, want := slices.Collect(s.Missing(r)), b.runs(r, false); !slices.Equal(got, want) {
		t.Fatalf("Missing(%v) = %v, want %v", r, got, want)
	}
	next, ok := s.Next(r.Off)
	want := b.runs(byterange.Between(r.Off, universe), true)
	if ok != (len(want) > 0) || ok && next != want[0] {
		t.Fatalf("Next(%d) = %v, %v, want first of %v", r.Off, next, ok, want)
	}
}
