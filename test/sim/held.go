package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"ddm/client/flow/sim"
)

// held fetches the held pieces of many seeds under each policy, and says what
// the maximum flow is worth.
func held(ctx context.Context, first, last uint64, out io.Writer) error {
	var mu sync.Mutex
	var all []sim.Comparison
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for seed, more := first, true; more && ctx.Err() == nil; seed++ {
		more = seed < last
		g.Go(func() error {
			c, err := sim.Compare(seed)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, c)
			return err
		})
	}
	if err := cmp.Or(g.Wait(), ctx.Err()); err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b sim.Comparison) int { return cmp.Compare(a.Seed, b.Seed) })
	t := newTable(out)
	t.say("the flow's time over that of\tgreedy: best\tmedian\tworst\ttwo choices: best\tmedian\tworst\torigin bytes over greedy's")
	for k, name := range sim.Kinds() {
		var greedy, two []float64
		var bytes, others float64
		for _, c := range all {
			if sim.Kind(c.Seed) == k {
				greedy, two = append(greedy, c.OverGreedy()), append(two, c.OverTwoRandom())
				bytes, others = bytes+c.Flow.FromOrigin, others+c.Greedy.FromOrigin
			}
		}
		if len(greedy) > 0 {
			t.say("  %s\t%s\t%s\t%.3f", name, spread(greedy), spread(two), bytes/max(others, 1))
		}
	}
	slowest := slices.MaxFunc(all, func(a, b sim.Comparison) int {
		return cmp.Or(cmp.Compare(worse(a), worse(b)), cmp.Compare(b.Seed, a.Seed))
	})
	t.say("worst: seed %d: flow %s, greedy %s, two choices %s", slowest.Seed,
		seconds(slowest.Flow.Time), seconds(slowest.Greedy.Time), seconds(slowest.TwoRandom.Time))
	return t.Flush()
}

func worse(c sim.Comparison) float64 { return max(c.OverGreedy(), c.OverTwoRandom()) }

// spread gives the first, the middle and the last of some ratios.
func spread(ratios []float64) string {
	slices.Sort(ratios)
	return fmt.Sprintf("%.3f\t%.3f\t%.3f", ratios[0], ratios[len(ratios)/2], ratios[len(ratios)-1])
}
