// Package chart draws what the bench found as SVG: lines over a number, and
// bars. It knows just enough of drawing for that.
//
//	Lines, Bars -> WriteTo -> one SVG element, for light and dark pages alike
package chart

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Colours that go together; a reader who sees none tells them by place and name.
const (
	Blue   = "#2563eb"
	Orange = "#ea7c1a"
	Green  = "#15915a"
	Violet = "#8b5cf6"
	Grey   = "#8a93a3"
)

const (
	width     = 760.0
	margin    = 24.0
	headRoom  = 76.0 // title and what stands under it
	rowHeight = 20.0
	gap       = 8.0 // between groups of bars
)

// Point is a value with the lowest and the highest of the rounds.
type Point struct{ X, Y, Low, High float64 }

// Series is one line of a chart.
type Series struct {
	Name, Colour string
	Dashed       bool
	Points       []Point
}

// Lines is a chart of values over a number.
type Lines struct {
	Title, Under string
	X, Y         string // what the axes say
	Series       []Series
}

// WriteTo implements [io.WriterTo].
func (c Lines) WriteTo(w io.Writer) (int64, error) {
	const height, left, bottom = 460.0, 70.0, 56.0
	var s svg
	s.open(height, c.Title, c.Under)
	minX, maxX, maxY := c.extent()
	stepY := step(maxY)
	maxY = math.Ceil(maxY/stepY) * stepY
	x := func(v float64) float64 { return left + 16 + (v-minX)/(maxX-minX)*(width-left-margin-32) }
	y := func(v float64) float64 { return height - bottom - v/maxY*(height-bottom-headRoom-24) }
	for v := 0.0; v <= maxY+stepY/2; v += stepY {
		s.line("grid", left, y(v), width-margin, y(v))
		s.text("tick end", left-8, y(v)+4, number(v))
	}
	for v := minX; v <= maxX; v++ {
		s.text("tick mid", x(v), height-bottom+18, number(v))
	}
	s.text("axis mid", (left+width-margin)/2, height-14, c.X)
	s.printf(`<text class="axis mid" transform="rotate(-90 20 %s)" x="20" y="%[1]s">%s</text>`, px((height-bottom+headRoom)/2), escape(c.Y))
	legend := left
	for _, series := range c.Series {
		s.series(series, x, y)
		dash := ""
		if series.Dashed {
			dash = ` stroke-dasharray="6 4"`
		}
		s.printf(`<path d="M%s %sh22" stroke="%s" stroke-width="2.5" fill="none"%s/>`, px(legend), px(headRoom), series.Colour, dash)
		s.text("tick", legend+28, headRoom+4, series.Name)
		legend += 28 + 7.2*float64(len(series.Name)) + 24
	}
	return s.writeTo(w)
}

func (c Lines) extent() (minX, maxX, maxY float64) {
	minX, maxX = math.Inf(1), math.Inf(-1)
	for _, series := range c.Series {
		for _, p := range series.Points {
			minX, maxX, maxY = min(minX, p.X), max(maxX, p.X), max(maxY, p.Y, p.High)
		}
	}
	if minX >= maxX { // nothing, or one place only
		minX, maxX = min(minX, 1), max(maxX, 1)+1
		minX = min(minX, maxX-1)
	}
	return minX, maxX, max(maxY, 1e-9)
}

func (s *svg) series(c Series, x, y func(float64) float64) {
	var path strings.Builder
	for i, p := range c.Points {
		verb := "L"
		if i == 0 {
			verb = "M"
		}
		fmt.Fprintf(&path, "%s%s %s", verb, px(x(p.X)), px(y(p.Y)))
	}
	dash := ""
	if c.Dashed {
		dash = ` stroke-dasharray="6 4"`
	}
	s.printf(`<path d="%s" fill="none" stroke="%s" stroke-width="2"%s/>`, path.String(), c.Colour, dash)
	if c.Dashed {
		return
	}
	for _, p := range c.Points {
		s.printf(`<path d="M%s %sV%s" stroke="%s" stroke-width="1.5"/>`, px(x(p.X)), px(y(p.Low)), px(y(p.High)), c.Colour)
		s.printf(`<circle cx="%s" cy="%s" r="3.5" fill="%s"/>`, px(x(p.X)), px(y(p.Y)), c.Colour)
	}
}

// Bar is a value with the lowest and the highest of the rounds.
type Bar struct {
	Name, Colour     string
	Value, Low, High float64
	Mark             float64 // the ideal, drawn as a tick; NaN: none
	Note             string  // stands after the value
}

// Group is some bars under one heading.
type Group struct {
	Name string
	Bars []Bar
}

// Bars is a chart of horizontal bars.
type Bars struct {
	Title, Under string
	X            string // the unit
	Groups       []Group
}

// WriteTo implements [io.WriterTo].
func (c Bars) WriteTo(w io.Writer) (int64, error) {
	const left = 190.0
	height, maxX := headRoom+44, 0.0
	for _, g := range c.Groups {
		height += rowHeight*float64(len(g.Bars)+1) + gap
		for _, b := range g.Bars {
			maxX = max(maxX, b.Value, b.High, zero(b.Mark))
		}
	}
	maxX = max(maxX, 1e-9)
	x := func(v float64) float64 { return left + v/maxX*(width-left-margin-90) }
	var s svg
	s.open(height, c.Title, c.Under)
	bottom := height - 44
	for v := 0.0; v <= maxX; v += step(maxX) {
		s.line("grid", x(v), headRoom-8, x(v), bottom)
		s.text("tick mid", x(v), bottom+16, number(v))
	}
	s.text("axis mid", (left+width-margin-90)/2, height-10, c.X)
	y := headRoom
	for _, g := range c.Groups {
		s.text("group", margin, y+13, g.Name)
		y += rowHeight
		for _, b := range g.Bars {
			s.bar(b, x, left, y)
			y += rowHeight
		}
		y += gap
	}
	return s.writeTo(w)
}

func (s *svg) bar(b Bar, x func(float64) float64, left, y float64) {
	middle := y + rowHeight/2 - 1
	s.text("tick end", left-8, middle+4, b.Name)
	s.printf(`<rect x="%s" y="%s" width="%s" height="%s" rx="2" fill="%s"/>`, px(left), px(y+2), px(x(b.Value)-left), px(rowHeight-6), b.Colour)
	if b.High > b.Low {
		s.printf(`<path class="spread" d="M%s %sH%s"/>`, px(x(b.Low)), px(middle), px(x(b.High)))
	}
	end := max(x(b.Value), x(b.High))
	if !math.IsNaN(b.Mark) {
		s.printf(`<path class="mark" d="M%s %sv%s"/>`, px(x(b.Mark)), px(y), px(rowHeight-2))
		end = max(end, x(b.Mark))
	}
	s.text("tick", end+8, middle+4, strings.TrimSpace(digits(b.Value)+" "+b.Note))
}

func zero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// step is a round distance for about six ticks.
func step(most float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(most/6)))
	for _, f := range []float64{1, 2, 5} {
		if most/(f*power) <= 6.5 {
			return f * power
		}
	}
	return 10 * power
}

// digits writes three digits that count.
func digits(v float64) string {
	if v == 0 {
		return "0"
	}
	return strconv.FormatFloat(v, 'f', max(0, 2-int(math.Floor(math.Log10(math.Abs(v))))), 64)
}

// number is for ticks: nothing behind the point that is not needed.
func number(v float64) string {
	switch {
	case math.Abs(v) >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
	}
}

func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

// svg is an element that grows.
type svg struct{ strings.Builder }

const style = `<style>
text{font:13px system-ui,"DejaVu Sans",sans-serif;fill:#1f2937}
.title{font-size:17px;font-weight:600}.under,.axis{font-size:12.5px;fill:#4b5563}
.tick{font-size:12.5px}.group{font-weight:600}.end{text-anchor:end}.mid{text-anchor:middle}
.grid{stroke:#e5e7eb;fill:none}.spread{stroke:#111827;stroke-opacity:.55;stroke-width:1.5}
.mark{stroke:#111827;stroke-width:2;stroke-dasharray:3 2}
</style>
`

func (s *svg) printf(format string, args ...any) {
	fmt.Fprintf(&s.Builder, format, args...)
	s.WriteByte('\n')
}

func (s *svg) open(height float64, title, under string) {
	s.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" width="%[1]s" height="%[2]s" role="img" aria-label="%s">`, px(width), px(height), escape(title))
	s.WriteString(style)
	s.printf(`<rect width="100%%" height="100%%" rx="6" fill="#fff"/>`)
	s.text("title", margin, 30, title)
	s.text("under", margin, 50, under)
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	s.printf(`<path class="%s" d="M%s %sL%s %s"/>`, class, px(x1), px(y1), px(x2), px(y2))
}

func (s *svg) text(class string, x, y float64, text string) {
	s.printf(`<text class="%s" x="%s" y="%s">%s</text>`, class, px(x), px(y), escape(text))
}

func (s *svg) writeTo(w io.Writer) (int64, error) {
	s.WriteString("</svg>\n")
	n, err := io.WriteString(w, s.String())
	return int64(n), err
}
