package sim_test

import (
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

// TestSlowReplies is about an origin that thinks for seconds before each reply:
// every further request costs that much, and peers must not make the download
// slower than it is alone.
func TestSlowReplies(t *testing.T) {
	t.Parallel()
	run := func(latency time.Duration, peers int) time.Duration {
		line := sim.Line{Rate: 4 << 20, Latency: latency}
		own := line
		own.Local = true
		line.Joins = 250 * time.Millisecond
		sc := sim.Scenario{Size: 32 << 20, Probe: true, Lines: []sim.Line{own}}
		for range peers {
			sc.Lines = append(sc.Lines, line)
		}
		res, err := sim.Run(sc)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%v before each reply, %d peers: %v %+v", latency, peers, res.Time, res.Stats)
		return res.Time
	}
	for _, latency := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second, 6 * time.Second} {
		alone := run(latency, 0)
		if most := 8*time.Second + 2*latency + 400*time.Millisecond; alone > most { // the probe, the rest, and little more
			t.Errorf("%v before each reply: %v alone, want at most %v", latency, alone, most)
		}
		for peers := 1; peers <= 3; peers++ {
			if with := run(latency, peers); with > alone {
				t.Errorf("%v before each reply: %v with %d peers, %v without", latency, with, peers, alone)
			}
		}
	}
}
