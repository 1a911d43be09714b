package sim_test

import (
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

// TestMetered is about lines whose bytes cost: they are used where they
// shorten the download by more than their share, and else only looked at.
func TestMetered(t *testing.T) {
	t.Parallel()
	line := func(rate, metered float64, change ...sim.Change) sim.Line {
		return sim.Line{Rate: rate * mbit, Latency: 5 * time.Millisecond, Local: true, Metered: metered, Changes: change}
	}
	later := func(l sim.Line, at time.Duration) sim.Line { l.Joins = at; return l }
	for _, tc := range []struct {
		name        string
		sc          sim.Scenario
		least, most []float64 // share of the bytes that each line brings
	}{
		{
			"an own line that adds little",
			sim.Scenario{Size: 512 << 20, Lines: []sim.Line{line(50, 0), later(line(5, 0.2), 300*time.Millisecond)}},
			[]float64{0.95, 0},
			[]float64{1, 0.03},
		},
		{
			"both from the start",
			sim.Scenario{Size: 512 << 20, Lines: []sim.Line{line(50, 0), line(5, 0.2)}},
			[]float64{0.95, 0},
			[]float64{1, 0.03},
		},
		{
			"an own line that adds a third",
			sim.Scenario{Size: 512 << 20, Lines: []sim.Line{line(50, 0), line(25, 0.2)}},
			[]float64{0.6, 0.3},
			[]float64{0.7, 0.35},
		},
		{
			"a third, and half is asked for",
			sim.Scenario{Size: 512 << 20, Lines: []sim.Line{line(50, 0), line(25, 0.5)}},
			[]float64{0.9, 0},
			[]float64{1, 0.08},
		},
		{
			"nothing but metered lines",
			sim.Scenario{Size: 256 << 20, Lines: []sim.Line{line(30, 0.4), line(30, 0.4)}},
			[]float64{0.45, 0.45},
			[]float64{0.55, 0.55},
		},
		{
			"nothing but lines of which one must do",
			sim.Scenario{Size: 512 << 20, Lines: []sim.Line{line(30, 1), line(30, 1)}},
			[]float64{0.2, 0.2},
			[]float64{0.8, 0.8}, // and which one may change
		},
		{
			"six that are a sixth each",
			sim.Scenario{Size: 768 << 20, Lines: []sim.Line{line(20, 0.2), line(20, 0.2), line(20, 0.2), line(20, 0.2), line(20, 0.2), line(20, 0.2)}},
			[]float64{0, 0, 0, 0, 0, 0},
			[]float64{0.25, 0.25, 0.25, 0.25, 0.25, 0.25},
		},
		{
			"only where there is nothing else, and then there is nothing else",
			sim.Scenario{Size: 256 << 20, Lines: []sim.Line{line(50, 0, sim.Change{At: 20 * time.Second, Kind: sim.Deny}), line(50, 1)}},
			[]float64{0.4, 0.3},
			[]float64{0.7, 0.6},
		},
		{
			"worth it until the free line is fast",
			sim.Scenario{Size: 1 << 30, Lines: []sim.Line{line(20, 0, sim.Change{At: 20 * time.Second, Kind: sim.SetRate, Rate: 200 * mbit}), line(20, 0.2)}},
			[]float64{0.85, 0.04},
			[]float64{0.96, 0.1},
		},
	} {
		res, err := sim.Run(tc.sc)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		t.Logf("%-60s T %.1fs  %v %+v", tc.name, res.Time.Seconds(), res.Bytes, res.Stats)
		for i := range tc.most {
			if share := float64(res.Bytes[i]) / float64(tc.sc.Size); share > tc.most[i] || share < tc.least[i] {
				t.Errorf("%s: line %d brought %.1f %%, wanted %.0f to %.0f %%", tc.name, i, 100*share, 100*tc.least[i], 100*tc.most[i])
			}
		}
	}
}
