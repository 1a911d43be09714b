package sim_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

const mbit = 1e6 / 8

// TestRandom runs seeds DDM_SIM_FIRST (0) to DDM_SIM_FIRST+DDM_SIM_SEEDS
// (10,000; fewer under the race detector): every byte arrives, none is
// assigned twice or lost, none is stuck, and few come twice.
func TestRandom(t *testing.T) {
	t.Parallel()
	const late = 256 << 10 // a frame that was under way
	seeds := 10000
	if raceDetector { // ten times as slow, and nothing here runs side by side
		seeds = 500
	}
	first, n := env("DDM_SIM_FIRST", 0), env("DDM_SIM_SEEDS", seeds)
	for seed := first; seed < first+n; seed++ {
		sc := sim.Random(uint64(seed))
		res, err := sim.Run(sc)
		// What a source sends after it was given up is not of the end-game.
		if limit := sc.Size/50 + late; err == nil && res.Stats.Duplicate > limit {
			err = fmt.Errorf("%d of %d bytes came twice, 2 %% may", res.Stats.Duplicate, sc.Size)
		}
		if err != nil {
			t.Fatalf("DDM_SIM_FIRST=%d DDM_SIM_SEEDS=1: %v", seed, err)
		}
	}
}

func env(name string, def int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return def
}

// The virtual clock is exact, so these are not timed assertions: the same
// scenario gives the same figures on every machine.
func TestEfficiency(t *testing.T) {
	t.Parallel()
	line := func(rate float64) sim.Line {
		return sim.Line{Rate: rate * mbit, Latency: 5 * time.Millisecond}
	}
	change := func(l sim.Line, c ...sim.Change) sim.Line { l.Changes = c; return l }
	late := func(l sim.Line, at time.Duration) sim.Line { l.Joins = at; return l }
	conns := func(n int, rate float64, c ...sim.Change) sim.Line {
		return sim.Line{Rate: 1e9, PerConn: rate, Lanes: n, Latency: 5 * time.Millisecond, Changes: c}
	}
	for _, tc := range []struct {
		name string
		sc   sim.Scenario
		want float64
	}{
		{"four equal", sim.Scenario{Size: 256 << 20, Lines: []sim.Line{line(25), line(25), line(25), line(25)}}, 0.985},
		{"eight equal", sim.Scenario{Size: 256 << 20, Lines: []sim.Line{line(12), line(12), line(12), line(12), line(12), line(12), line(12), line(12)}}, 0.98},
		{"uneven", sim.Scenario{Size: 440 << 20, Lines: []sim.Line{line(100), line(50), line(20), line(5)}}, 0.985},
		{"uneven to one", sim.Scenario{Size: 440 << 20, Lines: []sim.Line{line(100), line(50), line(20), line(5), line(1)}}, 0.985},
		{"drop to a hundredth", sim.Scenario{Size: 256 << 20, Lines: []sim.Line{line(50), change(line(50), sim.Change{At: 10 * time.Second, Kind: sim.SetRate, Rate: 0.5 * mbit})}}, 0.96},
		{"stall", sim.Scenario{Size: 256 << 20, Lines: []sim.Line{line(50), line(50), change(line(50), sim.Change{At: 7 * time.Second, Kind: sim.Stall})}}, 0.97},
		{"leave and join", sim.Scenario{Size: 256 << 20, Lines: []sim.Line{line(50), change(line(50), sim.Change{At: 7 * time.Second, Kind: sim.Leave}), late(line(50), 9*time.Second)}}, 0.97},
		{"drop, leave, join", sim.Scenario{Size: 256 << 20, Lines: []sim.Line{
			line(50), change(line(25), sim.Change{At: 6 * time.Second, Kind: sim.SetRate, Rate: 0.25 * mbit}),
			change(line(25), sim.Change{At: 9 * time.Second, Kind: sim.Leave}), late(line(50), 12*time.Second),
		}}, 0.95},
		{"per connection", sim.Scenario{Size: 64 << 20, Lines: []sim.Line{conns(8, 2<<20)}}, 0.91},
		{"one connection freezes", sim.Scenario{Size: 64 << 20, Lines: []sim.Line{conns(8, 2<<20, sim.Change{At: 1700 * time.Millisecond, Kind: sim.Slow, Rate: 1e-9})}}, 0.89},
		{"one connection drops", sim.Scenario{Size: 64 << 20, Lines: []sim.Line{conns(8, 2<<20, sim.Change{At: 1700 * time.Millisecond, Kind: sim.Slow, Rate: 32 << 10})}}, 0.89},
		{"every fifth request crawls", sim.Scenario{Size: 64 << 20, Lines: []sim.Line{{Rate: 1e9, PerConn: 2 << 20, Lanes: 8, Latency: 5 * time.Millisecond, SlowReq: 5}}}, 0.85},
	} {
		res, err := sim.Run(tc.sc)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		t.Logf("%-22s T*/T %.3f  T %.1fs  tail %.2fs  %+v", tc.name, res.Efficiency(), res.Time.Seconds(), res.Tail.Seconds(), res.Stats)
		if res.Efficiency() < tc.want {
			t.Errorf("%s: T*/T %.3f, want %.3f", tc.name, res.Efficiency(), tc.want)
		}
		if limit := tc.sc.Size / 50; res.Stats.Duplicate > limit {
			t.Errorf("%s: %d duplicate bytes, want at most %d", tc.name, res.Stats.Duplicate, limit)
		}
	}
}
