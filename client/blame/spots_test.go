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
