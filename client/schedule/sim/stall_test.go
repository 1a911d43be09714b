package sim_test

import (
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

// TestStalledRangeMoves stops one of four lines at many moments: what it had
// under way runs elsewhere soon, whatever the others are busy with.
func TestStalledRangeMoves(t *testing.T) {
	t.Parallel()
	worst := time.Duration(0)
	for at := 3 * time.Second; at < 16*time.Second; at += 130 * time.Millisecond {
		line := sim.Line{Rate: 20 * mbit, Latency: 5 * time.Millisecond}
		stopped := line
		stopped.Changes = []sim.Change{{At: at, Kind: sim.Stall}}
		res, err := sim.Run(sim.Scenario{Size: 192 << 20, Lines: []sim.Line{line, line, line, stopped}})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range res.Spans {
			if s.Line != 3 || !s.EndedEarly || s.From > at || s.To < at {
				continue
			}
			missing, moved := s.Range.End(), time.Hour
			for _, o := range res.Spans {
				if o.Line != 3 && o.Range.Off <= missing && missing < o.Range.End() {
					moved = min(moved, o.From-at)
				}
			}
			worst = max(worst, moved)
		}
	}
	t.Logf("worst: %v", worst)
	if worst == 0 || worst > 3800*time.Millisecond {
		t.Errorf("a stopped line's range began elsewhere after %v, want at most 3.8s", worst)
	}
}
