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
	more := rand.New(rand.NewPCG(seed, 0xc1a))
	for i := range sc.Lines {
		if more.IntN(6) == 0 {
			sc.Lines[i].SlowReq = 2 + more.IntN(6)
		}
	}
	if more.IntN(4) == 0 {
		sc.Pauses = RandomPauses(more)
	}
	return sc
}

// RandomPauses returns the pauses of a client on a busy machine.
func RandomPauses(rnd *rand.Rand) (list []Pause) {
	for at := time.Duration(0); at < 20*time.Second; {
		at += time.Duration(rnd.IntN(600)) * time.Millisecond
		p := Pause{at, at + time.Duration(rnd.IntN(200))*time.Millisecond}
		list, at = append(list, p), p.To
	}
	return list
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

// RandomSwarm returns the swarm of a seed. Its first member stays.
func RandomSwarm(seed uint64) Swarm {
	rnd := rand.New(rand.NewPCG(seed, 0x5a))
	sw := Swarm{
		Size: 1 + rnd.Int64N(1<<(18+rnd.IntN(8))), Origin: float64(int64(200e3) << rnd.IntN(6)),
		Seed: seed, Lanes: 1 + rnd.IntN(8), Limit: 3 * time.Hour, Audit: true,
	}
	sw.LAN = sw.Origin * float64(int64(1)<<rnd.IntN(8)) / 2
	whole := time.Duration(float64(sw.Size) / sw.Origin * float64(time.Second))
	trouble := rnd.IntN(3)
	for i := range 1 + rnd.IntN(8) {
		m := Member{Joins: time.Duration(rnd.Int64N(int64(whole) + 1))}
		if rnd.IntN(2) == 0 || i == 0 {
			m.Joins = 0
		}
		if i > 0 && trouble > 0 && rnd.IntN(3) == 0 {
			m.Dies, m.Frozen = m.Joins+time.Duration(rnd.Int64N(int64(whole)+1)), rnd.IntN(2) == 0
		}
		if trouble == 2 && rnd.IntN(4) == 0 {
			m.Upload = sw.Origin / float64(int64(1)<<rnd.IntN(10))
		}
		m.Seeds = i > 0 && rnd.IntN(8) == 0
		sw.Members = append(sw.Members, m)
	}
	if trouble > 0 && rnd.IntN(2) == 0 {
		from := time.Duration(rnd.Int64N(int64(whole) + 1))
		sw.Outages = []Outage{{from, from + time.Duration(rnd.IntN(8000))*time.Millisecond}}
	}
	return sw
}

// Calm reports whether nothing happens in a swarm for which the origin would be
// asked twice for a byte: where the LAN is slower than the origin, its bytes may
// come sooner.
func Calm(sw Swarm) bool {
	return sw.LAN >= 2*sw.Origin && len(sw.Outages) == 0 && !slices.ContainsFunc(sw.Members, func(m Member) bool { return m.Dies > 0 || m.Upload > 0 })
}
