package sim_test

import (
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

// TestSwarm is about clients that want the same at the same time: each byte
// leaves the origin once, and all are done when it could have brought it.
func TestSwarm(t *testing.T) {
	t.Parallel()
	const size, origin, lan = 128 << 20, 200 * mbit, 1000 * mbit
	at := func(times ...time.Duration) (list []sim.Member) {
		for _, t := range times {
			list = append(list, sim.Member{Joins: t})
		}
		return list
	}
	second := time.Second
	for _, tt := range []struct {
		name    string
		sw      sim.Swarm
		origin  float64 // copies that may leave it
		last    float64 // of size/origin until the last one is done
		members []sim.Member
	}{
		{name: "alone", members: at(0), origin: 1.0001, last: 1.06},
		{name: "four at once", members: at(0, 0, 0, 0), origin: 1.01, last: 1.05},
		{name: "four at once, 16 lanes", members: at(0, 0, 0, 0), sw: sim.Swarm{Lanes: 16}, origin: 1.01, last: 1.05},
		{name: "eight staggered", members: at(0, second, 2*second, 3*second, 4*second, 5*second, 6*second, 7*second), origin: 1.01, last: 1.6},
		{name: "one has it all", members: append(at(0), sim.Member{Seeds: true}), origin: 0, last: 0.21},
		{name: "two have it all, three want it", members: append(at(0, 0, 0), sim.Member{Seeds: true}, sim.Member{Seeds: true}), origin: 0, last: 0.33},
		{name: "one of two dies", members: append(at(0), sim.Member{Dies: 3 * second}), origin: 1.02, last: 1.08},
		{name: "one of four freezes", members: append(at(0, 0, 0), sim.Member{Dies: 3 * second, Frozen: true}), origin: 1.02, last: 1.8},
		{name: "the tracker forgets", members: at(0, 0, 0, 0), sw: sim.Swarm{Outages: []sim.Outage{{From: 2 * second, To: 2*second + 500*time.Millisecond}}}, origin: 1.01, last: 1.05},
		{name: "the tracker is away", members: at(0, 0, 0, 0), sw: sim.Swarm{Outages: []sim.Outage{{From: 2 * second, To: time.Hour}}}, origin: 1.5, last: 1.5},
	} {
		tt.sw.Size, tt.sw.Origin, tt.sw.LAN, tt.sw.Audit, tt.sw.Members = size, origin, lan, true, tt.members
		res, err := sim.RunSwarm(tt.sw)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		copies, last := float64(res.FromOrigin)/size, res.Last.Seconds()/(size/float64(origin))
		t.Logf("%-20s %.4f copies, done after %.3f of the one copy's time: %v, wasted %d, duplicates %d %v", tt.name, copies, last, res.Done, res.Wasted, res.Duplicate, res.ByOrigin)
		if copies > tt.origin || last > tt.last {
			t.Errorf("%s: %.4f copies after %.3f, want %.4f and %.3f", tt.name, copies, last, tt.origin, tt.last)
		}
	}
}

// TestRandomSwarms runs seeds DDM_SIM_FIRST (0) to DDM_SIM_FIRST+DDM_SIM_SEEDS
// (2,000; fewer with -short or under the race detector): members come, die and
// freeze, the tracker goes and forgets, some can hardly send, and all who live
// get every byte.
func TestRandomSwarms(t *testing.T) {
	t.Parallel()
	seeds := 2000
	if testing.Short() || raceDetector {
		seeds = 150
	}
	first, n := env("DDM_SIM_FIRST", 0), env("DDM_SIM_SEEDS", seeds)
	worst := 0.0
	for seed := first; seed < first+n; seed++ {
		sw := sim.RandomSwarm(uint64(seed))
		res, err := sim.RunSwarm(sw)
		if err != nil {
			t.Fatalf("DDM_SIM_FIRST=%d DDM_SIM_SEEDS=1: %v", seed, err)
		}
		copies := float64(res.FromOrigin) / float64(sw.Size)
		if sim.Calm(sw) {
			worst = max(worst, copies)
			if float64(res.FromOrigin) > 1.03*float64(sw.Size)+1<<20 {
				t.Errorf("DDM_SIM_FIRST=%d DDM_SIM_SEEDS=1: %.3f copies left the origin", seed, copies)
			}
		}
	}
	t.Logf("at most %.3f copies where nobody died and the tracker was there", worst)
}
