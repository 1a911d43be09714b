package blame_test

import (
	"fmt"
	"slices"
	"testing"

	"ddm/client/blame"
	"ddm/internal/byterange"
)

// tape gives the bytes of a fuzzed input as chance.
type tape struct{ left []byte }

// below returns a number below n, 0 at the tape's end.
func (t *tape) below(n int64) int64 {
	var v int64
	for i := 0; i < 3 && len(t.left) > 0; i++ {
		v = v<<8 | int64(t.left[0])
		t.left = t.left[1:]
	}
	return v % max(n, 1)
}

// FuzzJudge: while those who are trusted are honest, and of all others more are
// honest than not, nobody honest is blamed, and three claims decide. The order
// of the claims means nothing, and who contradicts what is right is blamed.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{0, 1, 0})
	f.Add([]byte{0, 1, 2})
	f.Add([]byte{1, 1, 4})
	f.Add([]byte{4, 5, 0, 1})
	f.Fuzz(func(t *testing.T, input []byte) {
		var claims []blame.Claim
		honest, trustworthy := 0, true
		for i, b := range input[:min(len(input), 12)] {
			c := blame.Claim{Source: fmt.Sprint(i), Content: fmt.Sprint(b % 4), Trusted: b&4 != 0}
			if c.Content == "0" {
				honest++
			} else if c.Trusted {
				trustworthy = false
			}
			claims = append(claims, c)
		}
		right, liars, decided := blame.Judge(claims)
		for _, c := range claims {
			if lied := slices.Contains(liars, c.Source); decided && lied == (c.Content == right) || !decided && lied {
				t.Fatalf("%v: right is %q, %v, liars %q", claims, right, decided, liars)
			}
		}
		if trustworthy && 2*honest > len(claims) {
			if decided && right != "0" {
				t.Fatalf("%v: the honest are blamed: %q", claims, liars)
			}
			if !decided && len(claims) >= 3 {
				t.Fatalf("%v: nothing is decided", claims)
			}
		}
		slices.Reverse(claims)
		again, others, same := blame.Judge(claims)
		slices.Sort(liars)
		slices.Sort(others)
		if again != right || same != decided || !slices.Equal(liars, others) {
			t.Fatalf("%v: %q, %q, %v; the other way round %q, %q, %v", claims, right, liars, decided, again, others, same)
		}
	})
}

// FuzzHunt: whoever gave what, and however often a witness fails, rounds of hunt
// and replacement end with a right file, blame nobody who is honest, and fetch
// no byte more than once again.
func FuzzHunt(f *testing.F) {
	f.Add([]byte("one liar in bulk, and a file that is longer than its samples"))
	f.Add([]byte{0, 3, 200, 1, 255, 255, 255, 0, 0, 1})
	f.Fuzz(func(t *testing.T, input []byte) {
		chance := &tape{input}
		givers, liar := 1+chance.below(6), fmt.Sprint(chance.below(6))
		var h huntee
		for range 1 + chance.below(60) {
			x := blame.Given{Range: byterange.Range{Off: h.size, Len: 1 + chance.below(3<<20)}, Giver: fmt.Sprint(chance.below(givers))}
			h.given = append(h.given, x)
			h.size = x.End()
			if x.Giver == liar && chance.below(3) == 0 {
				h.wrong.Add(byterange.Range{Off: x.Off + chance.below(x.Len), Len: 1})
			}
		}
		for round := 0; h.wrong.Len() > 0; round++ {
			if round > 1 {
				t.Fatalf("one liar, and a third round")
			}
			h.round(t, chance, liar)
		}
		if h.spent > h.size || h.spent != h.again.Bytes() {
			t.Fatalf("%d bytes fetched again of %d, %d of them once", h.spent, h.size, h.again.Bytes())
		}
	})
}

// huntee is a file in which somebody lied.
type huntee struct {
	given        []blame.Given
	wrong, again byterange.Set
	size, spent  int64
}

func (h *huntee) fetch(r byterange.Range) {
	h.spent += r.Len
	h.again.Add(r)
	h.wrong.Subtract(r)
}

// round is one hunt, and the replacement after it.
func (h *huntee) round(t *testing.T, chance *tape, liar string) {
	t.Helper()
	var given []blame.Given
	for _, g := range h.given {
		for r := range h.again.Missing(g.Range) {
			given = append(given, blame.Given{Range: r, Giver: g.Giver})
		}
	}
	hunt := blame.New(given, chance.below)
	failures := chance.below(8)
	for g, ok := hunt.Next(); ok; g, ok = hunt.Next() {
		if failures > 0 && chance.below(4) == 1 { // nothing came of it
			failures--
			hunt.Back(g)
			continue
		}
		if h.wrong.Overlap(g.Range) > 0 {
			hunt.Blame(g.Giver)
		}
		h.fetch(g.Range)
	}
	if got := hunt.Liars(); !slices.Equal(got, []string{liar}) {
		t.Fatalf("%q are blamed, and %s lied", got, liar)
	}
	unseen := hunt.Unseen(liar)
	for r := range unseen.All() {
		h.fetch(r)
	}
}

// FuzzSpots: whatever comes in whatever order, and whatever of it is gone again
// when it is looked for, at most one part in a hundred is looked at, of what is
// there alone, and it ends.
func FuzzSpots(f *testing.F) {
	f.Add(int64(48<<20), []byte("abcdefghijklmnopqrstuvwxyz"))
	f.Add(int64(410_000), []byte{0, 1, 2, 3})
	f.Add(int64(99), []byte{})
	f.Fuzz(func(t *testing.T, size int64, input []byte) {
		size &= 1<<30 - 1
		chance := &tape{input}
		s := blame.NewSpots(size, chance.below)
		var there, seen byterange.Set
		var spent int64
		look := func(want byterange.Range) byterange.Range {
			if want.Off < 0 || want.Empty() || want.End() > size {
				t.Fatalf("%v of %d bytes", want, size)
			}
			if there.Contains(want) && chance.below(5) != 1 {
				return want
			}
			return byterange.Range{}
		}
		next := func() bool {
			r, ok := s.Next(there.Bytes(), look)
			if ok {
				spent += r.Len
				seen.Add(r)
			}
			if spent > size/100 || ok && !there.Contains(r) {
				t.Fatalf("%d bytes of %d were looked at, at last %v", spent, size, r)
			}
			return ok
		}
		for len(chance.left) > 0 && size > 0 {
			r := byterange.Range{Off: chance.below(size)}
			r.Len = min(1+chance.below(size), size-r.Off)
			there.Add(r)
			s.Gave(fmt.Sprint(chance.below(9)), r)
			next()
		}
		there.Add(byterange.Range{Len: size})
		for n := 0; next(); n++ {
			if n > 1<<20 {
				t.Fatal("it does not end")
			}
		}
	})
}
