package sim_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

// TestEveryFifthCrawls is about an origin that gives every fifth request a slow
// server: 8 connections of 2 MiB/s, 64 MiB. With pauses the client is on a busy
// machine besides, and must not take that for anything that lanes did.
func TestEveryFifthCrawls(t *testing.T) {
	t.Parallel()
	const ideal = 4200 * time.Millisecond
	for _, tc := range []struct {
		name         string
		pauses       bool
		middle, most float64 // times the ideal
	}{
		{"quiet", false, 1.16, 1.25},
		{"busy", true, 1.27, 1.9},
	} {
		var all []float64
		for i := range 60 {
			sc := sim.Scenario{Size: 64<<20 + int64(i-30)*32<<10, Step: 2 * time.Millisecond, Probe: true, Lines: []sim.Line{{
				Rate: 1e9, PerConn: 2 << 20, Lanes: 8, Latency: time.Duration(1+i%5) * time.Millisecond, SlowReq: 5, Local: true,
			}}}
			if tc.pauses {
				sc.Pauses = sim.RandomPauses(rand.New(rand.NewPCG(uint64(i), 0)))
			}
			res, err := sim.Run(sc)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, float64(res.Time)/float64(ideal))
		}
		slices.Sort(all)
		middle, most := all[len(all)/2], all[len(all)-1]
		t.Logf("%s: %.3f to %.3f, the middle %.3f", tc.name, all[0], most, middle)
		if middle > tc.middle || most > tc.most {
			t.Errorf("%s: the middle is %.3f of the ideal time and the most %.3f, want %.3f and %.3f", tc.name, middle, most, tc.middle, tc.most)
		}
	}
}

// TestPausesCostNoLanes downloads over one connection after the other of a
// source that gives little to each, while the client itself is held up: it must
// find that all of them pay, and replace none.
func TestPausesCostNoLanes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		res, err := sim.Run(sim.Scenario{
			Size: 128 << 20, Probe: true, Step: 2 * time.Millisecond, Pauses: sim.RandomPauses(rand.New(rand.NewPCG(seed, 1))),
			Lines: []sim.Line{{Rate: 1e9, PerConn: 2 << 20, Lanes: 8, Latency: 3 * time.Millisecond, Local: true}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if res.Efficiency() < 0.8 || res.Stats.Resets > 0 {
			t.Errorf("seed %d: T*/T %.3f, %d connections replaced", seed, res.Efficiency(), res.Stats.Resets)
		}
	}
}

// TestLoneLaneCrawls gives the only connection that a source may have a slow
// server, right after the source had failed: nothing is there to compare it with
// but what it brought before.
func TestLoneLaneCrawls(t *testing.T) {
	t.Parallel()
	res, err := sim.Run(sim.Scenario{Size: 32 << 20, Lines: []sim.Line{{
		Rate: 2 << 20, Lanes: 1, Latency: 200 * time.Millisecond,
		Changes: []sim.Change{{At: 3 * time.Second, Kind: sim.Err}, {At: 3500 * time.Millisecond, Kind: sim.Heal}, {At: 4300 * time.Millisecond, Kind: sim.Slow, Rate: 800}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if lost := res.Time - res.Ideal; lost > 4*time.Second {
		t.Errorf("it lost %v (%+v)", lost, res.Stats)
	}
}
