package timeline

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// The picture's columns, in pixels: names, the plot, figures.
const (
	width     = 1200.0
	left      = 28.0
	plotLeft  = 190.0
	plotRight = 1060.0
	plotWidth = plotRight - plotLeft
	right     = width - 28
)

// Heights and limits.
const (
	rateHeight = 84.0
	partHeight = 14.0
	laneSpace  = 1000.0 // that all lanes share, if it lets them be seen
	mostRows   = 64     // more sources share the last row
	mostLanes  = 32     // of a row; more share
	mostTipped = 3000   // bars that can be pointed at, in a view
	mostDrawn  = 10000  // bars in a view
)

const style = `
text{font-family:"Helvetica Neue",Helvetica,Arial,"Liberation Sans","DejaVu Sans",sans-serif;font-size:12px;fill:#1f2933}
.head{font-size:20px;font-weight:600}.note{font-size:13px;fill:#52606d}.view{font-size:14px;font-weight:600}
.figure{text-anchor:end}.quiet{fill:#7b8794}.tick{font-size:11px;fill:#52606d;text-anchor:middle}.ytick{font-size:11px;fill:#52606d;text-anchor:end}
.paper{fill:#fff}.zebra{fill:#f5f7fa}.frame{fill:none;stroke:#cbd2d9}.grid{stroke:#e4e7eb;fill:none}
.area{fill:#d9e6f2}.curve{fill:none;stroke:#34689b;stroke-width:1.5;stroke-linejoin:round}
.fresh{fill:#62aadb}.again{fill:#00805c}.steal{fill:#e69f00}.copy{fill:#b5329b}
.early{fill:url(#hatch)}.held{fill:#9aa5b1}.stop{fill:#1f2933}.before{fill:#cbd2d9}.whole{fill:#52606d}
`

// drawing is a picture on its way to a canvas.
type drawing struct {
	*canvas
	p     *Picture
	rows  []row
	size  int64
	took  time.Duration
	lanes [][]int // of each row: track by lane
	laneH float64
	tops  []float64 // of the rows over time, from the view's top; one more than rows
	y     float64   // so far
}

// WriteSVG draws what was collected. The same spans give the same bytes.
func (p *Picture) WriteSVG(w io.Writer) error {
	d := &drawing{canvas: newCanvas(w), p: p, size: p.Size, took: p.Took}
	if d.size <= 0 {
		d.size = p.parts.end
	}
	d.took = max(d.took, time.Duration(p.held.end), time.Microsecond)
	held, brought, parts := d.fold()
	d.arrange(held)

	top := 60 + 19*float64(len(p.Notes)) + 40
	overTime := rateHeight + 14 + d.tops[len(d.rows)]
	overFile := float64(len(d.rows)+1) * (partHeight + 6)
	height := top + overTime + 64 + overFile + 50
	if len(d.rows) == 0 {
		height = top
	}
	d.printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%s\" height=\"%s\" viewBox=\"0 0 %s %s\" role=\"img\">\n", px(width), px(height), px(width), px(height))
	d.printf("<title>%s</title>\n<style>%s</style>\n", escape(p.Title), style)
	d.printf("<defs><pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><path d=\"M1 0v5\" stroke=\"#fff\" stroke-width=\"2\" stroke-opacity=\".75\"/></pattern>")
	d.printf("<clipPath id=\"names\"><path d=%q/></clipPath></defs>\n", box(left, 0, plotLeft-left-8, height))
	d.rect("paper", 0, 0, width, height)
	d.header()
	if len(d.rows) > 0 {
		d.legend()
		d.rate(brought)
		d.overTime(held, brought)
		d.overFile(parts)
	}
	d.printf("</svg>\n")
	return d.end()
}

// fold lets the sources that brought least share the last row, if there are
// too many.
func (d *drawing) fold() (held, brought, parts []bar) {
	p := d.p
	d.rows = p.rows
	if len(p.rows) <= mostRows {
		return p.held.list, p.brought.list, p.parts.list
	}
	order := make([]int, len(p.rows))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.rows[b].bytes, p.rows[a].bytes) })
	keep := slices.Sorted(slices.Values(order[:mostRows-1]))
	others := row{name: fmt.Sprintf("%d others", len(p.rows)-len(keep))}
	to := make([]int, len(p.rows))
	for i := range to {
		to[i] = len(keep)
	}
	d.rows = nil
	for i, from := range keep {
		to[from] = i
		d.rows = append(d.rows, p.rows[from])
	}
	for i, r := range p.rows {
		if to[i] == len(keep) {
			others.bytes += r.bytes
		}
	}
	d.rows = append(d.rows, others)
	move := func(list []bar) []bar {
		list = slices.Clone(list)
		for i := range list {
			if list[i].row = to[list[i].row]; list[i].row == len(keep) {
				list[i].lane = 0
			}
		}
		return list
	}
	return move(p.held.list), move(p.brought.list), move(p.parts.list)
}

// arrange gives every lane that was used a track, and every row its height.
func (d *drawing) arrange(held []bar) {
	d.lanes = make([][]int, len(d.rows))
	total := 0
	for _, b := range held {
		if lanes := d.lanes[b.row]; !slices.Contains(lanes, b.lane) {
			d.lanes[b.row] = append(lanes, b.lane)
		}
	}
	for i, lanes := range d.lanes {
		slices.Sort(lanes)
		total += d.tracks(i)
	}
	d.laneH = min(max(laneSpace/float64(max(total, 1)), 3), 14)
	d.tops = []float64{0}
	for i := range d.rows {
		h := max(float64(d.tracks(i))*d.laneH+6, 20)
		d.tops = append(d.tops, d.tops[i]+h)
	}
}

func (d *drawing) tracks(row int) int { return max(min(len(d.lanes[row]), mostLanes), 1) }

// track returns where a lane's track begins and how high it is.
func (d *drawing) track(row, lane int) (y, h float64) {
	i, _ := slices.BinarySearch(d.lanes[row], lane)
	n := d.tracks(row)
	if all := len(d.lanes[row]); all > n {
		i = i * n / all
	}
	h = d.laneH
	middle := (d.tops[row] + d.tops[row+1]) / 2
	y = middle - h*float64(n)/2 + h*float64(i)
	if h >= 5 {
		return y + 0.5, h - 1
	}
	return y, h - 0.4
}

func (d *drawing) header() {
	p := d.p
	d.label("head", left, 42, p.Title, 92)
	d.y = 46
	for _, note := range append([]string{d.facts()}, p.Notes...) {
		d.y += 19
		d.label("note", left, d.y, note, 170)
	}
}

// facts is the line under the title.
func (d *drawing) facts() string {
	got := d.p.covered.Bytes()
	if len(d.rows) == 0 {
		return "nothing was fetched"
	}
	text := bytesText(got)
	if before := d.p.before.Bytes(); before > 0 {
		text += " (and " + bytesText(before) + " there before)"
	}
	if got+d.p.before.Bytes() < d.size {
		text += " of " + bytesText(d.size)
	}
	text += " in " + timeText(d.took) + " · " + bytesText(int64(float64(got)/d.took.Seconds())) + "/s"
	if n := len(d.p.rows); n == 1 {
		text += " · 1 source"
	} else {
		text += fmt.Sprintf(" · %d sources", n)
	}
	if twice := d.p.bytes - got; twice > 0 {
		text += " · " + bytesText(twice) + " came twice (" + percent(twice, got) + ")"
	}
	return text
}

// legend explains the colours, with how many assignments had each.
func (d *drawing) legend() {
	x, y := left, d.y+16
	entry := func(class, name string) {
		d.rect(class, x, y, 22, 11)
		if class == "early" {
			d.rect("stop", x+20.4, y, 1.6, 11)
		}
		d.text("", x+28, y+10, name)
		x += 28 + 6.6*float64(len(name)) + 22
	}
	one := [...]string{"new", "taken over", "stolen tail", "second copy"}
	many := [...]string{"new", "taken over", "stolen tails", "second copies"}
	for i, why := range whys() {
		name := many[i]
		if d.p.counts[i] == 1 {
			name = one[i]
		}
		entry(string(why), fmt.Sprintf("%d %s", d.p.counts[i], name))
	}
	d.rect("fresh", x, y, 22, 11)
	entry("early", "ended early")
	d.rect("held", x, y+4, 22, 3)
	d.text("", x+28, y+10, "waiting or silent")
	x += 28 + 6.6*17 + 22
	if d.p.before.Bytes() > 0 {
		entry("before", "there before")
	}
	d.y = y + 24
}

// overTime draws a row per source with its lanes over time.
func (d *drawing) overTime(held, brought []bar) {
	top := d.y
	d.zebra(func(i int) (y, h float64) { return top + d.tops[i], d.tops[i+1] - d.tops[i] })
	bottom := top + d.tops[len(d.rows)]
	x := d.xAxis(timeTicks(d.took), int64(d.took), top, bottom)
	cell := int64(d.took) / int64(plotWidth)
	at := func(b bar) (y, h float64) {
		y, h = d.track(b.row, b.lane)
		return top + y, h
	}

	held = fit(slices.Clone(held), cell, mostDrawn)
	var lines, stops string
	lines, stops = d.heldPaths(held, x, at)
	d.path("held", lines)
	d.bars(fit(slices.Clone(brought), cell, mostDrawn), x, at, func(b bar) string {
		return fmt.Sprintf("%s to %s, %s", timeText(time.Duration(b.from)), timeText(time.Duration(b.to)), bytesText(b.bytes))
	})
	d.path("stop", stops)
	for i, r := range d.rows {
		y := top + (d.tops[i]+d.tops[i+1])/2 + 4
		d.name(r, y)
		if r.bytes > 0 {
			d.text("figure", right-48, y, bytesText(r.bytes))
			d.text("figure quiet", right, y, percent(r.bytes, d.p.bytes))
		}
	}
	d.y = bottom + 34
}

// heldPaths gives the thin lines of lanes that are at work, and the strokes
// where an assignment ended early.
func (d *drawing) heldPaths(held []bar, x func(int64) float64, at func(bar) (y, h float64)) (lines, stops string) {
	var l, s []byte
	for _, b := range held {
		y, h := at(b)
		from, to := x(b.from), x(b.to)
		thin := min(max(h/4, 1), 2)
		l = append(l, box(from, y+(h-thin)/2, max(to-from, 0.5), thin)...)
		if b.kind.early() {
			s = append(s, box(to-1.2, y, 1.2, h)...)
		}
	}
	return string(l), string(s)
}

// overFile draws a row per source with what it brought of the file.
func (d *drawing) overFile(parts []bar) {
	d.y += 26
	d.text("view", left, d.y-10, "Who brought which part of the file")
	top := d.y
	const step = partHeight + 6
	d.zebra(func(i int) (y, h float64) { return top + step*float64(i), step })
	all := top + step*float64(len(d.rows))
	x := d.xAxis(sizeTicks(d.size), d.size, top, all+step)
	d.bars(fit(slices.Clone(parts), d.size/int64(plotWidth), mostDrawn), x, func(b bar) (y, h float64) {
		return top + step*float64(b.row) + 3, partHeight
	}, func(b bar) string {
		return fmt.Sprintf("%s to %s", bytesText(b.from), bytesText(b.to))
	})
	for i, r := range d.rows {
		d.name(r, top+step*float64(i)+14)
	}
	d.text("quiet", left, all+14, "all together")
	d.path("before", d.cover(d.p.before.All(), x, all+6, partHeight-6))
	d.path("whole", d.cover(d.p.covered.All(), x, all+6, partHeight-6))
	missing := d.size - d.p.covered.Bytes() - d.p.before.Bytes()
	if missing > 0 {
		d.text("figure quiet", right, all+14, bytesText(missing)+" missing")
	}
}

func (d *drawing) name(r row, y float64) {
	d.printf("<g clip-path=\"url(#names)\">")
	d.label("name", left, y, r.name, 23)
	d.printf("</g>\n")
}

// zebra shades every other row.
func (d *drawing) zebra(at func(int) (y, h float64)) {
	for i := 0; i < len(d.rows); i += 2 {
		y, h := at(i)
		d.rect("zebra", left-8, y, right-left+16, h)
	}
}
