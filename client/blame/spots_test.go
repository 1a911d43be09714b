package blame_test

import (
	"math/rand/v2"
	"testing"

	"ddm/client/blame"
	"ddm/internal/byterange"
)

// TestSpots: at most one part in a hundred is looked at, within the file and
// only where something is; each giver's first bytes and both ends are.
func TestSpots(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		size := []int64{0, 1, 99, 100, 5000, 1 << 20, 48 << 20, 10 << 30}[rng.IntN(8)]
		s := blame.NewSpots(size, rng.Int64N)
		var seen byterange.Set
		var spent, arrived int64
		for at := int64(0); at < size; {
			r := byterange.Range{Off: at, Len: min(size-at, 1+rng.Int64N(size/50+1))}
			at = r.End()
			arrived += r.Len
			s.Gave(string(rune('a'+rng.IntN(8))), r)
			got, ok := s.Next(arrived, func(want byterange.Range) byterange.Range {
				if want.Off < 0 || want.End() > size || want.Empty() {
					t.Fatalf("seed %d: %v of %d bytes", seed, want, size)
				}
				return want.Intersect(byterange.Range{Len: arrived})
			})
			if ok {
				spent += got.Len
				seen.Add(got)
			}
		}
		for got, ok := s.Next(size, func(want byterange.Range) byterange.Range { return want }); ok; got, ok = s.Next(size, func(want byterange.Range) byterange.Range { return want }) {
			spent += got.Len
			seen.Add(got)
		}
		if spent > size/100 {
			t.Fatalf("seed %d: %d bytes of %d", seed, spent, size)
		}
		if size >= 48<<20 && (seen.Overlap(byterange.Range{Len: 1}) == 0 || seen.Overlap(byterange.Between(size-min(size/1600, 64<<10), size)) == 0) {
			t.Fatalf("seed %d: the ends of %d bytes were not looked at", seed, size)
		}
	}
}

// Several who look at the same content look at no more of it than one does, and
// at no fewer places each.
func TestSpotsAmongSeveral(t *testing.T) {
	const size, n = 128 << 20, 8
	var all int64
	for member := range n {
		rng := rand.New(rand.NewPCG(uint64(member), 1))
		s := blame.NewSpots(size, rng.Int64N)
		s.Gave("peer:early", byterange.Range{Len: 1 << 20})
		s.Among(n)
		s.Gave("peer:late", byterange.Range{Off: 1 << 20, Len: 1 << 20})
		looks := 0
		for {
			r, ok := s.Next(size, func(r byterange.Range) byterange.Range { return r })
			if !ok {
				break
			}
			if r.Off < 0 || r.End() > size || r.Empty() {
				t.Fatalf("looks at %v", r)
			}
			looks++
			all += r.Len
		}
		if looks < 16 {
			t.Errorf("%d looks", looks)
		}
	}
	if all > size/100 {
		t.Errorf("%d bytes are looked at, %d times %d", all, n, all/n)
	}
}
