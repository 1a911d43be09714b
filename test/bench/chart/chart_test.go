package chart_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"ddm/test/bench/chart"
)

// TestWellFormed draws awkward charts and reads them as XML.
func TestWellFormed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]io.WriterTo{
		"no lines": chart.Lines{Title: "a < b & \"c\""},
		"one point": chart.Lines{Series: []chart.Series{
			{Name: "only", Points: []chart.Point{{X: 1, Y: 2, Low: 1, High: 3}}},
		}},
		"two lines": chart.Lines{Title: "t", Under: "u", X: "x", Y: "y", Series: []chart.Series{
			{Name: "solid", Colour: chart.Blue, Points: []chart.Point{{X: 1, Y: 50, Low: 49, High: 52}, {X: 2, Y: 25, Low: 25, High: 25}}},
			{Name: "dashed", Colour: chart.Grey, Dashed: true, Points: []chart.Point{{X: 1, Y: 48}, {X: 2, Y: 24}}},
		}},
		"no bars": chart.Bars{},
		"bars": chart.Bars{Title: "t", X: "s", Groups: []chart.Group{
			{Name: "g", Bars: []chart.Bar{{Name: "<b>", Value: 0, Mark: math.NaN()}, {Value: 3.25, Low: 3, High: 4, Mark: 5, Note: "gave up"}}},
		}},
	} {
		var b strings.Builder
		if _, err := c.WriteTo(&b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Errorf("%s: %v in\n%s", name, err, &b)
				break
			}
		}
		if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
			t.Errorf("%s: a number is none:\n%s", name, &b)
		}
	}
}

// TestNumbers finds the values where a reader looks for them.
func TestNumbers(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	c := chart.Bars{Groups: []chart.Group{{Bars: []chart.Bar{
		{Value: 0.5, Mark: math.NaN()}, {Value: 12.34, Mark: math.NaN()}, {Value: 123.4, Mark: math.NaN(), Note: "gave up"}, {Value: 2, Mark: math.NaN()},
	}}}}
	if _, err := c.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">0.500<", ">12.3<", ">123 gave up<", ">2.00<"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in\n%s", want, &b)
		}
	}
}
