package sim_test

import (
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

// TestGain is about sources from which the whole gains nothing: they are left
// alone after a look, and the look costs next to nothing.
func TestGain(t *testing.T) {
	t.Parallel()
	line := func(rate float64) sim.Line {
		return sim.Line{Rate: rate * mbit, Latency: 5 * time.Millisecond, Joins: 300 * time.Millisecond}
	}
	own := func(rate float64) sim.Line {
		return sim.Line{Rate: rate * mbit, Latency: 5 * time.Millisecond, Local: true}
	}
	behind := func(l sim.Line, group string) sim.Line { l.Group = group; return l }
	metered := func(l sim.Line, share float64) sim.Line { l.Metered = share; return l }
	for _, tc := range []struct {
		name string
		sc   sim.Scenario
		most []float64 // share of the bytes that each line may bring at most
		want float64
	}{
		{
			"own line fills the origin",
			sim.Scenario{Size: 512 << 20, Origin: 100 * mbit, Lines: []sim.Line{own(100), line(100), line(100)}},
			[]float64{1, 0.15, 0.15},
			0.97,
		},
		{
			"three peers behind one router",
			sim.Scenario{
				Size: 768 << 20, Groups: map[string]float64{"router": 30 * mbit},
				Lines: []sim.Line{own(20), behind(line(30), "router"), behind(line(30), "router"), behind(line(30), "router")},
			},
			[]float64{0.45, 1, 1, 1},
			0.97,
		},
		{
			"peers behind the own router",
			sim.Scenario{
				Size: 512 << 20, Groups: map[string]float64{"router": 50 * mbit},
				Lines: []sim.Line{behind(own(50), "router"), behind(line(50), "router"), behind(line(50), "router")},
			},
			[]float64{1, 0.15, 0.15},
			0.97,
		},
		{
			"a metered line that adds little",
			sim.Scenario{Size: 256 << 20, Lines: []sim.Line{own(50), metered(line(5), 0.2)}},
			[]float64{1, 0.05},
			0.90,
		},
		{
			"a metered line that adds much",
			sim.Scenario{Size: 256 << 20, Lines: []sim.Line{own(50), metered(line(50), 0.2)}},
			[]float64{0.55, 0.55},
			0.97,
		},
		{
			"everybody adds",
			sim.Scenario{Size: 768 << 20, Lines: []sim.Line{own(50), line(50), line(25), line(10)}},
			[]float64{0.4, 0.4, 0.22, 0.1},
			0.97,
		},
	} {
		res, err := sim.Run(tc.sc)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		t.Logf("%-32s T*/T %.3f  T %.1fs  %v %+v", tc.name, res.Efficiency(), res.Time.Seconds(), res.Bytes, res.Stats)
		if res.Efficiency() < tc.want {
			t.Errorf("%s: T*/T %.3f, want %.3f", tc.name, res.Efficiency(), tc.want)
		}
		for i, most := range tc.most {
			if share := float64(res.Bytes[i]) / float64(tc.sc.Size); share > most {
				t.Errorf("%s: line %d brought %.0f %%, at most %.0f %% wanted", tc.name, i, 100*share, 100*most)
			}
		}
	}
}
