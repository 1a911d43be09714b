//go:build linux

package main

import (
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"ddm/test/bench/chart"
	"ddm/test/bench/figure"
)

type plotName struct{ file, alt string }

func plotNames() []plotName {
	return []plotName{
		{"nodes.svg", "Time of a download over the number of lines, with the ideal"},
		{"speedup.svg", "Speed-up over the own line alone, by scenario"},
		{"cpu.svg", "CPU seconds per gigabyte, by tool"},
		{"odd.svg", "Time with odd connections, by tool"},
	}
}

// plots draws all that was measured.
func (b *bench) plots() error {
	drawn := []io.WriterTo{b.nodes(), b.speedUps(), b.cpus(), b.odds()}
	var errs []error
	for i, plot := range plotNames() {
		errs = append(errs, save(filepath.Join(b.out, plot.file), drawn[i]))
	}
	return errors.Join(errs...)
}

func save(file string, drawn io.WriterTo) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = drawn.WriteTo(f)
	return errors.Join(err, f.Close())
}

func (b *bench) nodes() chart.Lines {
	c := chart.Lines{
		Title: "256 MiB over a growing number of equal lines",
		Under: "40 Mbit/s each: the client's own and those of its peers; medians with the range of the rounds",
		X:     "lines", Y: "seconds",
	}
	found, ideal := chart.Series{Name: "ddm", Colour: chart.Blue}, chart.Series{Name: "ideal (sum of what curl gets on each)", Colour: chart.Grey, Dashed: true}
	for n := 1; n <= helpers+1; n++ {
		row := b.results.Row("2-equal", linesOf(n))
		if row == nil {
			continue
		}
		all := row.Values("seconds")
		found.Points = append(found.Points, chart.Point{X: float64(n), Y: row.Median("seconds"), Low: slices.Min(all), High: slices.Max(all)})
		ideal.Points = append(ideal.Points, chart.Point{X: float64(n), Y: row.Median("ideal_seconds")})
	}
	c.Series = []chart.Series{found, ideal}
	return c
}

// bar is a bar of a metric; false where there is nothing.
func bar(row *figure.Row, name, metric, mark string) (chart.Bar, bool) {
	all := row.Values(metric)
	if len(all) == 0 {
		return chart.Bar{}, false
	}
	colour := chart.Orange
	if row.Variant == ddm || row.Case == "2-equal" {
		colour = chart.Blue
	}
	return chart.Bar{
		Name: name, Colour: colour, Value: figure.Median(all), Low: slices.Min(all), High: slices.Max(all), Mark: figure.Median(row.Values(mark)),
	}, true
}

// place is a row of the results under another name.
type place struct{ name, c, variant string }

func (b *bench) group(name, metric, mark string, places ...place) (chart.Group, bool) {
	g := chart.Group{Name: name}
	for _, p := range places {
		if bar, found := bar(b.results.Row(p.c, p.variant), p.name, metric, mark); found {
			g.Bars = append(g.Bars, bar)
		}
	}
	return g, len(g.Bars) > 0
}

func (b *bench) speedUps() chart.Bars {
	c := chart.Bars{
		Title: "Speed-up over the own line alone",
		Under: "over curl on that line; the dashed mark is what all lines together could do",
		X:     "times as fast",
	}
	add := func(g chart.Group, any bool) {
		if any {
			c.Groups = append(c.Groups, g)
		}
	}
	var equal []place
	for n := 1; n <= helpers+1; n++ {
		equal = append(equal, place{linesOf(n), "2-equal", linesOf(n)})
	}
	add(b.group("equal lines of 40 Mbit/s", "speed_up", "ideal_speed_up", equal...))
	add(b.group("other lines", "speed_up", "ideal_speed_up",
		place{"100/50/20/5/1 Mbit/s", "3-uneven", ddm},
		place{"one of 4 drops to 1/100", "4-drop", ddm},
		place{"one killed, one joins", "5-kill-join", ddm},
		place{"drop, kill and join", "10-changes", ddm},
		place{"30 + 10 Mbit/s, one box", "11-two-lines", ddm}))
	add(b.group("2 MiB/s a connection, 4 at most", "speed_up", "ideal_speed_up",
		place{"own line", "6-limit", ddm},
		place{"with three peers", "6-limit-helpers", ddm}))
	return c
}

func (b *bench) cpus() chart.Bars {
	c := chart.Bars{
		Title: "What a gigabyte costs",
		Under: "user and system time; the origin's is left out; 1 GiB written to memory; lower is better",
		X:     "CPU seconds per GB",
	}
	for _, g := range []struct{ name, c string }{
		{"own line, origin on the same machine", "1-unlimited"},
		{"through one peer: peer and client", "7-relay"},
	} {
		if group, found := b.group(g.name, "cpu_s_per_gb", "", b.rows(g.c)...); found {
			c.Groups = append(c.Groups, group)
		}
	}
	return c
}

// rows lists the variants of a case, ours first.
func (b *bench) rows(c string) []place {
	var all []place
	for _, row := range b.results.Of(c) {
		all = append(all, place{row.Variant, c, row.Variant})
	}
	slices.SortStableFunc(all, func(a, b place) int {
		switch {
		case a.name == ddm && b.name != ddm:
			return -1
		case b.name == ddm && a.name != ddm:
			return 1
		default:
			return 0
		}
	})
	return all
}

func (b *bench) odds() chart.Bars {
	c := chart.Bars{
		Title: "Eight connections of 2 MiB/s, and one of them goes wrong",
		Under: "64 MiB from one source; the ideal is 4.2 s; given up after 20 s",
		X:     "seconds",
	}
	for _, g := range []struct{ name, c string }{
		{"all well", "9-plain"},
		{"one freezes at 40 %", "9-freeze"},
		{"one falls to 32 KiB/s at 40 %", "9-drop"},
		{"every fifth request gets 32 KiB/s", "9-fifth"},
	} {
		group, found := b.group(g.name, "seconds", "", b.rows(g.c)...)
		if !found {
			continue
		}
		for i := range group.Bars {
			group.Bars[i].Mark = 4.2
			if given := len(b.results.Row(g.c, group.Bars[i].Name).Values("gave_up")); given > 0 && !math.IsNaN(group.Bars[i].Value) {
				group.Bars[i].Note = "given up"
			}
		}
		c.Groups = append(c.Groups, group)
	}
	return c
}
