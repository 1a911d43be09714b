// Package figure keeps what the bench measured and judges it: pure arithmetic.
//
//	run of a case -> Results.Add -> medians -> table, plots, JSON
//	                                   \----> Goal.Judge -> reached or not
package figure

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
)

// Results holds every value measured, by case, variant (a tool, a number of
// lines) and metric. The zero value is empty and ready.
type Results struct{ rows []*Row }

// Row is what was measured of one variant of a case.
type Row struct {
	Case, Variant string

	metrics []string // in the order of their first value
	values  map[string][]float64
}

// Add notes a value of one round. NaN is no value.
func (r *Results) Add(c, variant, metric string, value float64) {
	if math.IsNaN(value) {
		return
	}
	row := r.Row(c, variant)
	if row == nil {
		row = &Row{Case: c, Variant: variant, values: make(map[string][]float64)}
		r.rows = append(r.rows, row)
	}
	if _, known := row.values[metric]; !known {
		row.metrics = append(row.metrics, metric)
	}
	row.values[metric] = append(row.values[metric], value)
}

// Row finds the row of a variant; nil: nothing was measured.
func (r *Results) Row(c, variant string) *Row {
	for _, row := range r.rows {
		if row.Case == c && row.Variant == variant {
			return row
		}
	}
	return nil
}

// Of lists the rows of a case, in the order in which they came.
func (r *Results) Of(c string) []*Row {
	return slices.DeleteFunc(slices.Clone(r.rows), func(row *Row) bool { return row.Case != c })
}

// Values gives the values of a metric over the rounds.
func (row *Row) Values(metric string) []float64 {
	if row == nil {
		return nil
	}
	return row.values[metric]
}

// Median of a metric; NaN where there is none.
func (row *Row) Median(metric string) float64 { return Median(row.Values(metric)) }

// MarshalJSON writes the metrics with medians and all values.
func (row *Row) MarshalJSON() ([]byte, error) {
	type metric struct {
		Median float64   `json:"median"`
		Values []float64 `json:"values"`
	}
	metrics := make(map[string]metric)
	for _, name := range row.metrics {
		metrics[name] = metric{row.Median(name), row.values[name]}
	}
	return json.Marshal(struct {
		Case    string            `json:"case"`
		Variant string            `json:"variant"`
		Metrics map[string]metric `json:"metrics"`
	}{row.Case, row.Variant, metrics})
}

// MarshalJSON writes all rows.
func (r *Results) MarshalJSON() ([]byte, error) { return json.Marshal(r.rows) }

// Median of some values; NaN of none.
func Median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Goal is a figure to reach.
type Goal struct {
	What   string // in words
	Source []Place
	Least  bool // the bound is the least allowed, not the most
	Worst  bool // every value must reach it, not the median
	Bound  float64
	Unit   string
}

// Place is where a goal's values come from.
type Place struct{ Case, Variant, Metric string }

// Verdict is a goal against what was measured.
type Verdict struct {
	Goal
	Value   float64 // NaN: nothing was measured
	Reached bool
	Runs    int
}

// Judge holds a goal against the results.
func (g Goal) Judge(r *Results) Verdict {
	var all []float64
	for _, p := range g.Source {
		all = append(all, r.Row(p.Case, p.Variant).Values(p.Metric)...)
	}
	v := Verdict{Goal: g, Value: Median(all), Runs: len(all)}
	if g.Worst && len(all) > 0 {
		v.Value = slices.Max(all)
		if g.Least {
			v.Value = slices.Min(all)
		}
	}
	v.Reached = g.Least && v.Value >= g.Bound || !g.Least && v.Value <= g.Bound
	return v
}

// Change is what happens to the sum of the lines in the middle of a download.
type Change struct {
	At   float64 // seconds after the start
	Rate float64 // bytes per second more (or less)
}

// Fluid is the time in seconds that lines with this rate, in bytes per second,
// and these changes need for a file at least: infinite if they never do.
func Fluid(size, rate float64, changes ...Change) float64 {
	var now float64
	for _, c := range slices.SortedFunc(slices.Values(changes), func(a, b Change) int { return cmp.Compare(a.At, b.At) }) {
		brought := rate * (c.At - now)
		if brought >= size {
			break
		}
		size, now, rate = size-brought, c.At, rate+c.Rate
	}
	return now + size/max(0, rate)
}
