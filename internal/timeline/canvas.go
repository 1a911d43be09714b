package timeline

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// canvas writes SVG elements. The first error of the writer stays and comes
// back from end.
type canvas struct{ w *bufio.Writer }

func newCanvas(w io.Writer) *canvas { return &canvas{bufio.NewWriter(w)} }

func (c *canvas) end() error { return c.w.Flush() }

func (c *canvas) printf(format string, args ...any) {
	fmt.Fprintf(c.w, format, args...) //nolint:errcheck // bufio keeps the error for Flush
}

func (c *canvas) rect(class string, x, y, w, h float64) {
	c.printf("<rect class=%q x=%q y=%q width=%q height=%q/>\n", class, px(x), px(y), px(w), px(h))
}

// tipped is a rect that says what it is when one points at it.
func (c *canvas) tipped(class string, x, y, w, h float64, tip string) {
	c.printf("<rect class=%q x=%q y=%q width=%q height=%q><title>%s</title></rect>\n", class, px(x), px(y), px(w), px(h), escape(tip))
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	c.printf("<path class=%q d=\"M%s %sL%s %s\"/>\n", class, px(x1), px(y1), px(x2), px(y2))
}

func (c *canvas) path(class, d string) {
	if d != "" {
		c.printf("<path class=%q d=%q/>\n", class, d)
	}
}

func (c *canvas) text(class string, x, y float64, s string) {
	c.printf("<text class=%q x=%q y=%q>%s</text>\n", class, px(x), px(y), escape(s))
}

// label is a text cut to so many columns, with the whole of it as its tip.
func (c *canvas) label(class string, x, y float64, s string, columns int) {
	s = clean(s)
	c.printf("<text class=%q x=%q y=%q>%s<title>%s</title></text>\n", class, px(x), px(y), escape(shorten(s, columns)), escape(shorten(s, 500)))
}

// box is the outline of a rectangle as path data.
func box(x, y, w, h float64) string {
	return "M" + px(x) + " " + px(y) + "h" + px(w) + "v" + px(h) + "h" + px(-w) + "z"
}

// px writes a coordinate with one digit behind the point.
func px(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64)
}

// clean replaces what is not UTF-8, would not show, or would turn the text
// round.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// escape makes text safe as the content of an element.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(clean(s))) // a Builder takes everything
	return b.String()
}

// shorten cuts clean text to so many columns, in the middle: names that begin
// alike are told apart by their ends. Wide characters fill two columns.
func shorten(s string, columns int) string {
	runes := []rune(s)
	total := 0
	for _, r := range runes {
		total += columnsOf(r)
	}
	if total <= columns {
		return s
	}
	head, used := 0, 0
	for used+columnsOf(runes[head]) <= columns*3/5 {
		used += columnsOf(runes[head])
		head++
	}
	tail := len(runes)
	for tail > head && used+columnsOf(runes[tail-1]) < columns { // one is the ellipsis
		tail--
		used += columnsOf(runes[tail])
	}
	return string(runes[:head]) + "…" + string(runes[tail:])
}

func columnsOf(r rune) int {
	if r >= 0x1100 {
		return 2
	}
	return 1
}
