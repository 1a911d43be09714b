package sim

import "fmt"

// Comparison is one scenario under each policy.
type Comparison struct {
	Seed                    uint64
	Flow, Greedy, TwoRandom Result
}

// Compare runs the scenario of a seed under each policy.
func Compare(seed uint64) (Comparison, error) {
	sc, c := Random(seed), Comparison{Seed: seed}
	for _, run := range []struct {
		into   *Result
		policy Policy
	}{{&c.Flow, Flow()}, {&c.Greedy, Greedy()}, {&c.TwoRandom, TwoChoices(seed)}} {
		var err error
		if *run.into, err = Run(sc, run.policy); err != nil {
			return c, fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return c, nil
}

// OverGreedy is the flow's time as a part of the greedy one's.
func (c Comparison) OverGreedy() float64 { return c.Flow.Time.Seconds() / c.Greedy.Time.Seconds() }

// OverTwoRandom is the flow's time as a part of that of two random choices.
func (c Comparison) OverTwoRandom() float64 {
	return c.Flow.Time.Seconds() / c.TwoRandom.Time.Seconds()
}
