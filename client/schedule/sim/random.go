package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Random returns the scenario of a seed: a few lines of very different rates
// with a random selection of every kind of trouble. One of them is honest: it
// may be slow or silent for a while, but it stays.
func Random(seed uint64) Scenario {
	rnd := rand.New(rand.NewPCG(seed, 0xddd))
	sc := Scenario{
		Size: 1 + rnd.Int64N(1<<(12+rnd.IntN(14))),
		Step: 20 * time.Millisecond, Limit: 6 * time.Hour, Audit: true,
	}
	trouble := rnd.IntN(4) // 0: none ... 3: much
	honest := rnd.IntN(1 + rnd.IntN(6))
	for i := range honest + 1 + rnd.IntN(4) {
		l := Line{
			Name: fmt.Sprintf("line%d", i), Rate: float64(int64(20e3) << rnd.IntN(11)),
			Latency: time.Duration(rnd.IntN(200)) * time.Millisecond, Lanes: 1 + rnd.IntN(16),
		}
		if rnd.IntN(3) == 0 {
			l.PerConn = l.Rate / float64(1+rnd.IntN(8))
		}
		if rnd.IntN(4) == 0 {
			l.MaxConn = 1 + rnd.IntN(6)
		}
		if i != honest && rnd.IntN(3) == 0 {
			l.Joins = time.Duration(rnd.IntN(8000)) * time.Millisecond
		}
		l.Changes = randomChanges(rnd, trouble, i == honest, l)
		sc.Lines = append(sc.Lines, l)
	}
	return sc
}

func randomChanges(rnd *rand.Rand, trouble int, honest bool, l Line) []Change {
	var list []Change
	for range rnd.IntN(1 + 3*trouble) {
		c := Change{At: time.Duration(rnd.IntN(10000)) * time.Millisecond, Kind: Kind(rnd.IntN(int(Slow) + 1))}
		switch c.Kind {
		case SetRate, Slow:
			c.Rate = l.Rate * []float64{0.01, 0.1, 0.5, 2, 100}[rnd.IntN(5)]
		case Refuse:
			c.Wait = time.Duration(rnd.IntN(3)) * time.Second
		default: // the others have no parameter
		}
		if honest && (c.Kind == Leave || c.Kind == Return || c.Kind == Deny) {
			continue
		}
		list = append(list, c)
	}
	if honest {
		list = append(list, Change{At: 12 * time.Second, Kind: Heal}, Change{At: 12 * time.Second, Kind: SetRate, Rate: l.Rate})
	}
	slices.SortStableFunc(list, func(a, b Change) int { return int(a.At - b.At) })
	return list
}
