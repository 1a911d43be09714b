package sim_test

import (
	"slices"
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

// TestLanes is about connections that are found out: an origin that gives
// little per connection and refuses more than some per address.
func TestLanes(t *testing.T) {
	t.Parallel()
	conns := func(most int, rate float64) sim.Line {
		return sim.Line{Rate: 1e9, PerConn: rate, MaxConn: most, Latency: 20 * time.Millisecond}
	}
	own := func(l sim.Line) sim.Line { l.Local = true; return l }
	later := func(l sim.Line) sim.Line { l.Joins = 250 * time.Millisecond; return l }
	four := []sim.Line{conns(4, 1<<20), conns(4, 1<<20), conns(4, 1<<20), conns(4, 1<<20)}
	for _, tc := range []struct {
		name string
		sc   sim.Scenario
		want float64
	}{
		{"four per address, four sources", sim.Scenario{Size: 960 << 20, Lines: four}, 0.96},
		{"four per address, one source", sim.Scenario{Size: 64 << 20, Lines: []sim.Line{conns(4, 2<<20)}}, 0.90},
		{"five per address", sim.Scenario{Size: 256 << 20, Lines: []sim.Line{conns(5, 2<<20), conns(5, 2<<20)}}, 0.93},
		{"four per address, own line and three peers", sim.Scenario{Size: 256 << 20, Probe: true, Lines: []sim.Line{
			own(conns(4, 2<<20)), later(conns(4, 2<<20)), later(conns(4, 2<<20)), later(conns(4, 2<<20)),
		}}, 0.95},
		{"no limit but ours", sim.Scenario{Size: 512 << 20, Lines: []sim.Line{conns(0, 1<<20)}}, 0.93},
	} {
		res, err := sim.Run(tc.sc)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		t.Logf("%-32s T*/T %.3f  T %.1fs  refused %d  %+v", tc.name, res.Efficiency(), res.Time.Seconds(), res.Busy, res.Stats)
		if res.Efficiency() < tc.want {
			t.Errorf("%s: T*/T %.3f, want %.3f", tc.name, res.Efficiency(), tc.want)
		}
		if res.Busy >= 10 {
			t.Errorf("%s: %d requests refused, fewer than 10 wanted", tc.name, res.Busy)
		}
	}
}

// TestSettles is about an origin that gives 1 MiB/s to a connection and refuses
// the fifth of an address: each source settles on four within 5 s and stays
// there, and fewer than 10 requests are refused in all.
func TestSettles(t *testing.T) {
	t.Parallel()
	for _, sources := range []int{1, 2, 4, 8} {
		sc := sim.Scenario{Size: int64(sources) * 4 * 40 << 20, Probe: true}
		for i := range sources {
			l := sim.Line{Rate: 1e9, PerConn: 1 << 20, MaxConn: 4, Latency: 20 * time.Millisecond, Local: i == 0}
			if i > 0 {
				l.Joins = 220 * time.Millisecond
			}
			sc.Lines = append(sc.Lines, l)
		}
		res, err := sim.Run(sc)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d sources: T*/T %.3f, %d refused", sources, res.Efficiency(), res.Busy)
		if res.Busy >= 10 || res.Efficiency() < 0.95 {
			t.Errorf("%d sources: T*/T %.3f, %d requests refused", sources, res.Efficiency(), res.Busy)
		}
		for at := 5 * time.Second; at < res.Time-5*time.Second; at += 3 * time.Second {
			running := make([]int, sources)
			seen := map[[2]int]bool{} // a lane's next request begins in the step in which the last one ends
			for _, span := range res.Spans {
				if lane := [2]int{span.Line, span.Lane}; span.From <= at && at < span.To && !seen[lane] {
					seen[lane] = true
					running[span.Line]++
				}
			}
			slices.Sort(running)
			// One may be on its way into or out of a pause, to see what it is worth.
			if slices.ContainsFunc(running[1:], func(n int) bool { return n != 4 }) || running[0] > 4 {
				t.Errorf("%d sources: at %v they have %v connections, 4 each wanted", sources, at, running)
			}
		}
	}
}

// TestRefusedLater is about an origin that allows fewer connections than before,
// because somebody else behind our address has some, and about one that still
// counts those that were closed.
func TestRefusedLater(t *testing.T) {
	t.Parallel()
	for linger := range 4 {
		own := sim.Line{
			Rate: 1e9, PerConn: 1 << 20, MaxConn: 4, Latency: 20 * time.Millisecond, Linger: time.Duration(linger) * 150 * time.Millisecond, Local: true,
			Changes: []sim.Change{
				{At: 4 * time.Second, Kind: sim.Allow, Most: 3},
				{At: 6 * time.Second, Kind: sim.Allow, Most: 2},
				{At: 8 * time.Second, Kind: sim.Slow, Rate: 1 << 10},
				{At: 10 * time.Second, Kind: sim.Allow, Most: 4},
			},
		}
		peer := sim.Line{Rate: 2 << 20, Latency: 20 * time.Millisecond, Joins: 220 * time.Millisecond}
		res, err := sim.Run(sim.Scenario{Size: 256 << 20, Probe: true, Lines: []sim.Line{own, peer, peer, peer}})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("closed connections count %v longer: T*/T %.3f, %d refused", own.Linger, res.Efficiency(), res.Busy)
		if res.Busy >= 10 || res.Efficiency() < 0.85 {
			t.Errorf("closed connections count %v longer: T*/T %.3f, %d requests refused", own.Linger, res.Efficiency(), res.Busy)
		}
	}
}

// TestHog is about lines that are full with one connection, which keeps most of
// the line when others come: those crawl because of it, and are no reason to
// open more.
func TestHog(t *testing.T) {
	t.Parallel()
	for _, hog := range []float64{0.9, 0.97} {
		line := sim.Line{Rate: 12.4e6 / 8, Latency: 5 * time.Millisecond, Hog: hog}
		own := line
		own.Local = true
		res, err := sim.Run(sim.Scenario{Size: 64 << 20, Lines: []sim.Line{own, line, line, line}})
		if err != nil {
			t.Fatal(err)
		}
		running := make(map[int]int) // most at a time, by line
		for _, span := range res.Spans {
			n := 0
			for _, other := range res.Spans {
				if other.Line == span.Line && other.From <= span.From && span.From < other.To {
					n++
				}
			}
			running[span.Line] = max(running[span.Line], n)
		}
		t.Logf("hog %.2f: T*/T %.3f, at most %v connections", hog, res.Efficiency(), running)
		for line, n := range running {
			if n > 10 { // a lane that was just replaced among them
				t.Errorf("hog %.2f: line %d had %d connections", hog, line, n)
			}
		}
		if res.Efficiency() < 0.96 {
			t.Errorf("hog %.2f: T*/T %.3f", hog, res.Efficiency())
		}
	}
}
