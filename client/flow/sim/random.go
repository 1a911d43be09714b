package sim

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"ddm/client/flow"
)

// Kinds are the ways in which pieces are spread in random scenarios. In the
// first everybody has everything.
func Kinds() []string {
	return []string{"everybody", "random", "beginnings", "runs", "one-has-all"}
}

// Kind is the kind of a seed's scenario, an index of Kinds.
func Kind(seed uint64) int { return int(seed % uint64(len(Kinds()))) }

// Random makes the scenario of a seed.
func Random(seed uint64) Scenario {
	rnd := rand.New(rand.NewPCG(seed, 1))
	sc := Scenario{Name: Kinds()[Kind(seed)], Piece: 1 << 20, Holders: make([]flow.Set, 100+rnd.IntN(600))}
	sum := 0.0
	for range 2 + rnd.IntN(11) {
		r := math.Exp(rnd.Float64()*3) * 2e6
		sum += r
		sc.Sources = append(sc.Sources, Source{Rate: r, Guess: r * (0.7 + 0.6*rnd.Float64())})
	}
	spread(rnd, &sc)
	holders := len(sc.Sources)
	if rnd.IntN(2) == 0 {
		r := sum * (0.02 + 0.2*rnd.Float64())
		sc.Sources = append(sc.Sources, Source{Rate: r, Guess: r, Origin: true})
	}
	whole := time.Duration(float64(len(sc.Holders)) * float64(sc.Piece) / sum * float64(time.Second))
	for range rnd.IntN(4) {
		c := Change{At: time.Duration(rnd.Float64() * float64(whole)), Source: rnd.IntN(holders)}
		c.Rate = sc.Sources[c.Source].Rate * math.Exp(rnd.Float64()*2-1)
		if len(sc.Sources) > holders && rnd.IntN(2) == 0 {
			c.Rate = 0 // the origin replaces it
		}
		sc.Changes = append(sc.Changes, c)
	}
	slices.SortFunc(sc.Changes, func(a, b Change) int { return int(a.At - b.At) })
	for i, c := range sc.Changes { // who left stays away
		if c.Rate == 0 {
			for j := i + 1; j < len(sc.Changes); j++ {
				if sc.Changes[j].Source == c.Source {
					sc.Changes[j].Rate = 0
				}
			}
		}
	}
	return sc
}

// spread says who has what. Every piece has a holder.
func spread(rnd *rand.Rand, sc *Scenario) {
	n, pieces := len(sc.Sources), len(sc.Holders)
	has := func(s, i int) bool { return true }
	switch Kind := sc.Name; Kind {
	case "random":
		part := 0.1 + 0.5*rnd.Float64()
		has = func(int, int) bool { return rnd.Float64() < part }
	case "beginnings":
		until := make([]int, n)
		for s := range until {
			until[s] = 1 + rnd.IntN(pieces)
		}
		has = func(s, i int) bool { return i < until[s] }
	case "runs":
		length := 8 + rnd.IntN(64)
		part := 0.15 + 0.4*rnd.Float64()
		chosen := make(map[[2]int]bool)
		for s := range n {
			for run := range pieces/length + 1 {
				chosen[[2]int{s, run}] = rnd.Float64() < part
			}
		}
		has = func(s, i int) bool { return chosen[[2]int{s, i / length}] }
	case "one-has-all":
		some := pieces/4 + rnd.IntN(pieces/2)
		has = func(s, i int) bool { return s == 0 || i < some }
	}
	for i := range sc.Holders {
		for s := range n {
			if has(s, i) {
				sc.Holders[i].Add(s)
			}
		}
		if sc.Holders[i].Len() == 0 {
			sc.Holders[i].Add(rnd.IntN(n))
		}
	}
}
