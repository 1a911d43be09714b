package blame_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"ddm/client/blame"
	"ddm/internal/byterange"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		claims  []blame.Claim
		right   string
		liars   []string
		decided bool
	}{
		{"nobody", nil, "", nil, false},
		{"one", []blame.Claim{{"a", "x", false}}, "", nil, false},
		{"two agree", []blame.Claim{{"a", "x", false}, {"b", "x", false}}, "", nil, false},
		{"two differ", []blame.Claim{{"a", "x", false}, {"b", "y", false}}, "", nil, false},
		{"the own line wins", []blame.Claim{{"a", "x", false}, {"own", "y", true}}, "y", []string{"a"}, true},
		{"against two", []blame.Claim{{"a", "x", false}, {"b", "x", false}, {"own", "y", true}}, "y", []string{"a", "b"}, true},
		{"own lines differ", []blame.Claim{{"a", "x", false}, {"own", "y", true}, {"other", "z", true}}, "", nil, false},
		{"two of three", []blame.Claim{{"a", "x", false}, {"b", "y", false}, {"c", "x", false}}, "x", []string{"b"}, true},
		{"three opinions", []blame.Claim{{"a", "x", false}, {"b", "y", false}, {"c", "z", false}}, "", nil, false},
		{"half of four", []blame.Claim{{"a", "x", false}, {"b", "y", false}, {"c", "x", false}, {"d", "y", false}}, "", nil, false},
	} {
		right, liars, decided := blame.Judge(tc.claims)
		if right != tc.right || !slices.Equal(liars, tc.liars) || decided != tc.decided {
			t.Errorf("%s: %q, %q, %v", tc.name, right, liars, decided)
		}
	}
}

// TestJudgeByChance: whoever is blamed lied, as long as the own line or most of
// those asked are honest.
func TestJudgeByChance(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10_000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		n := 2 + rng.IntN(6)
		lying := rng.IntN((n + 1) / 2) // fewer than half
		var claims []blame.Claim
		for i := range n {
			c := blame.Claim{Source: fmt.Sprint(i), Content: "right"}
			if i < lying {
				c.Content = fmt.Sprint("lie ", rng.IntN(2))
			}
			claims = append(claims, c)
		}
		if rng.IntN(2) == 0 {
			claims = append(claims, blame.Claim{Source: "own", Content: "right", Trusted: true})
		}
		rng.Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
		right, liars, decided := blame.Judge(claims)
		if decided && (right != "right" || len(liars) != lying) {
			t.Fatalf("seed %d: %q, liars %q of %d: %v", seed, right, liars, lying, claims)
		}
		if !decided && len(claims) > 2 {
			t.Fatalf("seed %d: nothing decided: %v", seed, claims)
		}
	}
}

// file is a simulated download: who gave which piece, and which of those are
// wrong.
type file struct {
	given []blame.Given
	wrong byterange.Set
	liars map[string]bool
	size  int64
}

func newFile(rng *rand.Rand) file {
	f := file{liars: map[string]bool{}}
	givers := 2 + rng.IntN(8)
	share := []float64{1, 0.5, 0.05, 0}[rng.IntN(4)] // of a liar's pieces that are wrong; 0: one byte
	for range rng.IntN(3) {
		f.liars[fmt.Sprint(rng.IntN(givers))] = true
	}
	for range 20 + rng.IntN(100) {
		r := byterange.Range{Off: f.size, Len: 1 + rng.Int64N(1<<20)}
		g := fmt.Sprint(rng.IntN(givers))
		f.given = append(f.given, blame.Given{Range: r, Giver: g})
		if f.liars[g] && rng.Float64() < share {
			f.wrong.Add(r)
		}
		f.size = r.End()
	}
	if share == 0 {
		for _, x := range f.given {
			if f.liars[x.Giver] && f.wrong.Len() == 0 {
				f.wrong.Add(byterange.Range{Off: x.Off + rng.Int64N(x.Len), Len: 1})
			}
		}
	}
	return f
}

// TestHunt: rounds of hunt and replacement end with a right file, blame nobody
// who is honest, and fetch no byte more than once again.
func TestHunt(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		f := newFile(rng)
		var again byterange.Set // fetched a second time
		var spent int64
		fetch := func(r byterange.Range) { spent += r.Len; again.Add(r) }
		for round := 0; f.wrong.Len() > 0; round++ {
			if round > len(f.liars) {
				t.Fatalf("seed %d: %d rounds for %d liars", seed, round, len(f.liars))
			}
			var given []blame.Given
			for _, g := range f.given {
				for r := range again.Missing(g.Range) {
					given = append(given, blame.Given{Range: r, Giver: g.Giver})
				}
			}
			h := blame.New(given, rng.Int64N)
			for g, ok := h.Next(); ok; g, ok = h.Next() {
				fetch(g.Range)
				if f.wrong.Overlap(g.Range) > 0 {
					h.Blame(g.Giver)
					f.wrong.Subtract(g.Range) // the right bytes are at hand
				}
			}
			if len(h.Liars()) == 0 {
				t.Fatalf("seed %d: wrong bytes, and nobody found: %v", seed, f.wrong)
			}
			for _, liar := range h.Liars() {
				if !f.liars[liar] {
					t.Fatalf("seed %d: %s is honest", seed, liar)
				}
				unseen := h.Unseen(liar)
				for r := range unseen.All() {
					fetch(r)
					f.wrong.Subtract(r)
				}
			}
		}
		if spent > f.size || spent != again.Bytes() {
			t.Fatalf("seed %d: %d bytes fetched again of %d, %d of them once", seed, spent, f.size, again.Bytes())
		}
	}
}

// TestHuntInBulk: who lies everywhere is found by samples, not by comparing
// everything.
func TestHuntInBulk(t *testing.T) {
	t.Parallel()
	var given []blame.Given
	for i := range int64(800) {
		given = append(given, blame.Given{Range: byterange.Range{Off: i << 20, Len: 1 << 20}, Giver: fmt.Sprint(i % 8)})
	}
	h := blame.New(given, rand.New(rand.NewPCG(1, 3)).Int64N)
	var spent int64
	for g, ok := h.Next(); ok; g, ok = h.Next() {
		if spent += g.Len; g.Giver == "3" {
			h.Blame(g.Giver)
		}
	}
	if !slices.Equal(h.Liars(), []string{"3"}) || spent > 8<<20 {
		t.Errorf("%q after %d bytes", h.Liars(), spent)
	}
}

// TestHuntTakesTurns: who lies in a few places is found long before everything
// was compared, even if it gave least.
func TestHuntTakesTurns(t *testing.T) {
	t.Parallel()
	const rounds, all = 200, 62 << 20
	var spent int64
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var given []blame.Given
		for i := range int64(62) {
			giver := "liar"
			if i >= 6 {
				giver = fmt.Sprint(i % 7)
			}
			given = append(given, blame.Given{Range: byterange.Range{Off: i << 20, Len: 1 << 20}, Giver: giver})
		}
		var wrong byterange.Set
		for range 4 {
			wrong.Add(byterange.Range{Off: rng.Int64N(6 << 20), Len: 1})
		}
		h := blame.New(given, rng.Int64N)
		for g, ok := h.Next(); ok; g, ok = h.Next() {
			if spent += g.Len; wrong.Overlap(g.Range) > 0 {
				h.Blame(g.Giver)
			}
		}
		unseen := h.Unseen("liar")
		spent += unseen.Bytes()
	}
	if mean := float64(spent) / rounds / all; mean > 0.5 {
		t.Errorf("%.2f of the file come again", mean)
	} else {
		t.Logf("%.2f of the file come again", mean)
	}
}
