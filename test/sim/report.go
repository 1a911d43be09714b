package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"ddm/client/schedule/sim"
	"ddm/internal/timeline"
)

// one runs a scenario, prints its figures and draws it.
func one(title string, sc sim.Scenario, svg string, out io.Writer) error {
	p := &timeline.Picture{Title: title, Size: sc.Size}
	sc.Arrived = p.Arrived
	res, err := sim.Run(sc)
	if err == nil {
		err = figures(title, sc, res, out)
	}
	if svg == "" {
		return err
	}
	fill(p, sc, res, err)
	return errors.Join(err, save(svg, p))
}

// figures prints what a run came to.
func figures(title string, sc sim.Scenario, res sim.Result, out io.Writer) error {
	t := newTable(out)
	t.say("%s: %s over %s", title, humanize.IBytes(uint64(sc.Size)), plural(len(sc.Lines), "line"))
	t.say("  T*/T\t%s", efficiency(res))
	t.say("  time\t%s, ideal %s", seconds(res.Time), ideal(res))
	t.say("  last 1 %%\t%s, %.1f %% of the time", seconds(res.Tail), 100*res.Tail.Seconds()/res.Time.Seconds())
	st := res.Stats
	t.say("  assignments\t%d: %d taken over, %s, %s", st.Assignments, st.Reassigned, plural(st.Steals, "steal"), copies(st.Copies))
	t.say("  trouble\t%s, %s, %d refused", plural(st.Stalls, "stall"), plural(st.Resets, "reset"), res.Busy)
	t.say("  duplicates\t%s, %.2f %%", humanize.IBytes(uint64(st.Duplicate)), 100*float64(st.Duplicate)/float64(sc.Size))
	for i, l := range sc.Lines {
		share := 100 * float64(res.Bytes[i]) / float64(sc.Size)
		t.say("  %s\t%s, %.1f %%", l.Name, humanize.IBytes(uint64(res.Bytes[i])), share)
	}
	return t.Flush()
}

// table prints columns.
type table struct{ *tabwriter.Writer }

func newTable(out io.Writer) table { return table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

func (t table) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t, format+"\n", args...) // an output that fails shows when flushed
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func copies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return fmt.Sprintf("%d copies", n)
}

// comparable reports whether there is an ideal to compare with: lines that
// refuse bring nothing in the ideal, although what they run goes on.
func comparable(res sim.Result) bool { return res.Ideal > 0 && res.Ideal <= res.Time }

func efficiency(res sim.Result) string {
	if !comparable(res) {
		return "-"
	}
	return fmt.Sprintf("%.3f", res.Efficiency())
}

func ideal(res sim.Result) string {
	if res.Ideal == 0 {
		return "not reached by then"
	}
	return seconds(res.Ideal)
}

// fill enters a run into its picture; err is why it failed, or nil.
func fill(p *timeline.Picture, sc sim.Scenario, res sim.Result, err error) {
	p.Took = res.Time
	st := res.Stats
	p.Notes = []string{fmt.Sprintf("simulated · T*/T %s · ideal %s · last 1 %% in %s · %s · %s",
		efficiency(res), ideal(res), seconds(res.Tail), plural(st.Stalls, "stall"), plural(st.Resets, "reset"))}
	if err != nil {
		p.Notes = append(p.Notes, "failed: "+err.Error())
	}
	for _, l := range sc.Lines {
		p.Row(l.Name)
	}
	for _, s := range res.Spans {
		p.Add(timeline.Span{
			Row: s.Line, Lane: s.Lane, From: s.From, To: s.To, First: s.First, Last: s.Last,
			Range: s.Range, Why: timeline.Why(s.Why), EndedEarly: s.EndedEarly,
		})
	}
}

func save(name string, p *timeline.Picture) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(p.WriteSVG(f), f.Close())
}

// outcome is one run of many.
type outcome struct {
	seed uint64
	sc   sim.Scenario
	res  sim.Result
	err  error
}

func (o outcome) lost() time.Duration { return o.res.Time - o.res.Ideal }

const (
	shown = 5               // of the worst
	brief = 5 * time.Second // shorter downloads are not judged by efficiency: their start is most of them
)

// many runs seeds and names the worst.
func many(ctx context.Context, first, last uint64, out io.Writer) error {
	var mu sync.Mutex
	var failed, slowest, costliest []outcome
	judged, sum := 0, 0.0
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for seed, more := first, true; more && ctx.Err() == nil; seed++ {
		more = seed < last
		g.Go(func() error {
			o := outcome{seed: seed, sc: sim.Random(seed)}
			o.res, o.err = sim.Run(o.sc)
			o.res.Spans = nil // many of them would be much
			mu.Lock()
			defer mu.Unlock()
			switch {
			case o.err != nil:
				failed = worst(failed, o, func(a, b outcome) int { return cmp.Compare(a.seed, b.seed) })
				judged++
			case comparable(o.res):
				judged++
				sum += o.res.Efficiency()
				costliest = worst(costliest, o, func(a, b outcome) int { return cmp.Compare(b.lost(), a.lost()) })
				if o.res.Ideal >= brief {
					slowest = worst(slowest, o, func(a, b outcome) int { return cmp.Compare(a.res.Efficiency(), b.res.Efficiency()) })
				}
			}
			return nil
		})
	}
	_ = g.Wait() // nothing but nil is returned
	if err := ctx.Err(); err != nil {
		return err
	}
	t := newTable(out)
	list := func(title string, all []outcome) {
		t.say("%s", title)
		for _, o := range all {
			if o.err != nil {
				t.say("  seed %d\t%v", o.seed, o.err)
				continue
			}
			t.say("  seed %d\tT*/T %s\ttook %s\tideal %s\t%s over %s", o.seed, efficiency(o.res), seconds(o.res.Time), ideal(o.res),
				humanize.IBytes(uint64(o.sc.Size)), plural(len(o.sc.Lines), "line"))
		}
	}
	t.say("seeds %d to %d, %d of them with an ideal to compare with; mean T*/T %.3f", first, last, judged, sum/float64(max(judged, 1)))
	list(fmt.Sprintf("worst efficiency, of those that take %s at best", brief), slowest)
	list("most time lost", costliest)
	if len(failed) > 0 {
		list("failed", failed)
	}
	if err := t.Flush(); err != nil || len(failed) == 0 {
		return err
	}
	return errors.New("there are seeds that failed; --seed N --svg FILE shows one")
}

// worst keeps the first few in an order, of which ties go to the lower seed.
func worst(list []outcome, o outcome, order func(a, b outcome) int) []outcome {
	list = append(list, o)
	slices.SortFunc(list, func(a, b outcome) int { return cmp.Or(order(a, b), cmp.Compare(a.seed, b.seed)) })
	return list[:min(len(list), shown)]
}
