package timeline

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"ddm/internal/byterange"
)

// xAxis draws grid, frame and labels between top and bottom, and returns what
// turns a value into a coordinate.
func (d *drawing) xAxis(ticks []tick, end int64, top, bottom float64) func(int64) float64 {
	x := d.scale(end)
	d.grid(ticks, x, top, bottom)
	for _, t := range ticks {
		d.text("tick", x(t.at), bottom+16, t.label)
	}
	return x
}

func (d *drawing) scale(end int64) func(int64) float64 {
	return func(v int64) float64 {
		return plotLeft + plotWidth*min(max(float64(v)/float64(max(end, 1)), 0), 1)
	}
}

func (d *drawing) grid(ticks []tick, x func(int64) float64, top, bottom float64) {
	for _, t := range ticks {
		d.line("grid", x(t.at), top, x(t.at), bottom)
	}
	d.path("frame", box(plotLeft, top, plotWidth, bottom-top))
}

// bars draws coloured bars: each with a tip if there are few, else one path
// for each kind, the rarer ones on top.
func (d *drawing) bars(list []bar, x func(int64) float64, at func(bar) (y, h float64), tip func(bar) string) {
	tipped := len(list) <= mostTipped
	var early strings.Builder
	for i, why := range whys() {
		var path strings.Builder
		for _, b := range list {
			if b.kind.why() != i {
				continue
			}
			y, h := at(b)
			from, to := x(b.from), x(b.to)
			if to-from > 3 { // neighbours are told apart by a gap
				to -= 0.7
			}
			w := max(to-from, 0.8)
			if tipped {
				d.tipped(string(why), from, y, w, h, d.tipText(b, tip))
			} else {
				path.WriteString(box(from, y, w, h))
			}
			if b.kind.early() && w > 2 {
				early.WriteString(box(from, y, w, h))
			}
		}
		d.path(string(why), path.String())
	}
	d.path("early", early.String())
}

func (d *drawing) tipText(b bar, tip func(bar) string) string {
	text := d.rows[b.row].name + ": " + tip(b) + ", " + string(whys()[b.kind.why()])
	if b.count > 1 {
		return fmt.Sprintf("%s and others (%d assignments)", text, b.count)
	}
	if b.kind.early() {
		text += ", ended early"
	}
	return text
}

// cover gives the outline of ranges, merged as far as nobody could tell.
func (d *drawing) cover(ranges iter.Seq[byterange.Range], x func(int64) float64, y, h float64) string {
	var path strings.Builder
	from, to := -1.0, -1.0
	flush := func() {
		if from >= 0 {
			path.WriteString(box(from, y, max(to-from, 0.5), h))
		}
	}
	for r := range ranges {
		a, b := x(r.Off), x(r.End())
		if from < 0 || a-to > 0.3 {
			flush()
			from = a
		}
		to = b
	}
	flush()
	return path.String()
}

// rate draws the bytes per second of all sources together.
func (d *drawing) rate(brought []bar) {
	top, bottom := d.y, d.y+rateHeight
	values := d.p.flow.rates(int64(d.took), rateBins)
	if values == nil {
		values = rates(brought, int64(d.took), rateBins)
	}
	values = smooth(values, min(max(2, int(100*time.Millisecond*rateBins/d.took)), rateBins/16))
	full := 1.12 * max(slices.Max(values), 1)
	y := func(v float64) float64 { return bottom - rateHeight*min(v/full, 1) }
	d.text("", left, top+14, "all together")
	x := d.scale(int64(d.took))
	d.grid(timeTicks(d.took), x, top, bottom)
	for _, m := range rateTicks(full) {
		at := y(float64(m.at))
		d.line("grid", plotLeft, at, plotRight, at)
		d.text("ytick", plotLeft-6, at+4, m.label)
	}
	var curve strings.Builder
	curve.WriteString("M" + px(plotLeft) + " " + px(y(values[0])))
	for i, v := range values {
		middle := (float64(i) + 0.5) / float64(len(values))
		curve.WriteString("L" + px(plotLeft+plotWidth*middle) + " " + px(y(v)))
	}
	curve.WriteString("H" + px(plotRight))
	d.path("area", curve.String()+"V"+px(bottom)+"H"+px(plotLeft)+"z")
	d.path("curve", curve.String())
	d.y = bottom + 14
}

const rateBins = 290 // three pixels each

// flow counts the bytes that came, in bins that grow with the download.
type flow struct {
	bins []int64
	each int64 // nanoseconds of a bin
}

func (f *flow) add(at, n int64) {
	const most, finest = 2048, int64(10 * time.Millisecond)
	f.each = max(f.each, finest)
	for at/f.each >= most {
		for i := range f.bins {
			n := f.bins[i]
			f.bins[i] = 0
			f.bins[i/2] += n
		}
		f.bins = f.bins[:(len(f.bins)+1)/2]
		f.each *= 2
	}
	for int64(len(f.bins)) <= at/f.each {
		f.bins = append(f.bins, 0)
	}
	f.bins[at/f.each] += n
}

// rates returns bytes per second, or nil if nothing was counted.
func (f *flow) rates(end int64, n int) []float64 {
	if len(f.bins) == 0 {
		return nil
	}
	list := make([]bar, len(f.bins))
	for i, b := range f.bins {
		list[i] = bar{from: int64(i) * f.each, to: min(int64(i+1)*f.each, end), bytes: b}
	}
	return rates(list, end, n)
}

// rates spreads the bytes of each bar evenly over its time, and returns bytes
// per second.
func rates(list []bar, end int64, n int) []float64 {
	bins := make([]float64, n)
	bin := float64(end) / float64(n)
	for _, b := range list {
		from, to := float64(b.from)/bin, max(float64(b.to)/bin, float64(b.from)/bin+1e-9)
		for i := int(from); i < n && float64(i) < to; i++ {
			part := min(to, float64(i+1)) - max(from, float64(i))
			bins[i] += float64(b.bytes) * part / (to - from)
		}
	}
	for i := range bins {
		bins[i] /= bin / float64(time.Second)
	}
	return bins
}

// smooth is a moving mean over a value and so many on each side of it.
func smooth(values []float64, side int) []float64 {
	out := make([]float64, len(values))
	for i := range values {
		near := values[max(i-side, 0):min(i+side+1, len(values))]
		for _, v := range near {
			out[i] += v / float64(len(near))
		}
	}
	return out
}
