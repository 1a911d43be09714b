package sim

import (
	"math"
	"math/rand/v2"

	"ddm/client/flow"
)

// Policy says who sends which piece, the index of a source or flow.Nobody, and
// in which order pieces are asked for.
type Policy func(flow.Problem) (from, order []int)

// Flow is the planner.
func Flow() Policy {
	var pl flow.Planner
	return func(p flow.Problem) (from, order []int) {
		plan := pl.Plan(p)
		return plan.From, plan.Order
	}
}

// Greedy gives each piece, in order, to the holder that finishes first.
func Greedy() Policy {
	return func(p flow.Problem) (from, order []int) {
		ends := ready(p)
		from, order = make([]int, len(p.Pieces)), make([]int, len(p.Pieces))
		for i := range p.Pieces {
			from[i], order[i] = flow.Nobody, i
			for s := range p.Sources {
				if can(p, i, s) && (from[i] < 0 || after(p, ends, s) < after(p, ends, from[i])) {
					from[i] = s
				}
			}
			give(p, ends, from[i])
		}
		return from, order
	}
}

// TwoChoices gives each piece, in order, to that of two random holders that
// finishes first.
func TwoChoices(seed uint64) Policy {
	rnd := rand.New(rand.NewPCG(seed, 2))
	return func(p flow.Problem) (from, order []int) {
		ends := ready(p)
		from, order = make([]int, len(p.Pieces)), make([]int, len(p.Pieces))
		var able []int
		for i := range p.Pieces {
			able = able[:0]
			for s := range p.Sources {
				if can(p, i, s) {
					able = append(able, s)
				}
			}
			from[i], order[i] = flow.Nobody, i
			if len(able) > 0 {
				a := able[rnd.IntN(len(able))]
				b := able[rnd.IntN(len(able))]
				from[i] = a
				if after(p, ends, b) < after(p, ends, a) {
					from[i] = b
				}
			}
			give(p, ends, from[i])
		}
		return from, order
	}
}

// Makespan is how long a division of the pieces takes, in seconds.
func Makespan(p flow.Problem, from []int) float64 {
	ends, last := ready(p), 0.0
	for _, s := range from {
		give(p, ends, s)
		if s >= 0 {
			last = max(last, ends[s])
		}
	}
	return last
}

func can(p flow.Problem, piece, s int) bool {
	return p.Sources[s].Rate > 0 && (p.Sources[s].Origin || p.Pieces[piece].Holders.Has(s))
}

func ready(p flow.Problem) []float64 {
	ends := make([]float64, len(p.Sources))
	for s := range p.Sources {
		ends[s] = p.Sources[s].Ready.Seconds()
	}
	return ends
}

// after is when a source would be through with one more piece, in seconds.
func after(p flow.Problem, ends []float64, s int) float64 {
	if s < 0 {
		return math.Inf(1)
	}
	return ends[s] + float64(p.Size)/p.Sources[s].Rate
}

func give(p flow.Problem, ends []float64, s int) {
	if s >= 0 {
		ends[s] = after(p, ends, s)
	}
}
