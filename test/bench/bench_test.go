//go:build linux

package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"ddm/test/bench/figure"
)

// TestGoalsAreMeasured finds a case for every figure, so that none stays
// unmeasured for a wrong name.
func TestGoalsAreMeasured(t *testing.T) {
	t.Parallel()
	known := caseNames()
	tabled := []string{}
	for _, s := range sections() {
		tabled = append(tabled, s.cases...)
	}
	for _, g := range goals() {
		for _, p := range g.Source {
			if !slices.Contains(known, p.Case) {
				t.Errorf("%s: there is no case %s", g.What, p.Case)
			}
		}
	}
	for _, c := range known {
		if !slices.Contains(tabled, c) {
			t.Errorf("case %s is in no table", c)
		}
	}
}

func TestChosen(t *testing.T) {
	t.Parallel()
	for only, want := range map[string]string{
		"":           strings.Join(caseNames(), " "),
		"1":          "1-unlimited 1-shaped",
		"9-drop,3":   "9-drop 3-uneven",
		"1-shaped":   "1-shaped",
		"2":          "2-equal 2-long",
		"6-limit":    "6-limit 6-limit-helpers",
		"11":         "11-two-lines",
		"9-nonsense": "",
		"1,":         "",
	} {
		groups, err := chosen(only)
		var got []string
		for _, g := range groups {
			for _, c := range g.cases {
				got = append(got, c.name)
			}
		}
		if strings.Join(got, " ") != want || (err != nil) != (want == "") {
			t.Errorf("%q: %v, %v; want %q", only, got, err, want)
		}
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", "c"}
	for round, want := range []string{"abc", "bca", "cab", "abc"} {
		if got := strings.Join(rotate(all, round), ""); got != want {
			t.Errorf("round %d: %s, want %s", round, got, want)
		}
	}
	if strings.Join(all, "") != "abc" {
		t.Errorf("the list itself became %v", all)
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	now := time.Now()
	m := &meter{from: time.Second, to: 3 * time.Second, start: now.Add(-10 * time.Second)}
	if rate, ok := m.rate(); ok {
		t.Errorf("nothing came, but the rate is %v", rate)
	}
	m.opened, m.before, m.closed, m.after = now, 100, now.Add(2*time.Second), 700
	if rate, ok := m.rate(); !ok || rate != 300 {
		t.Errorf("rate %v, %v; want 300", rate, ok)
	}
	m.closed = now.Add(time.Second / 2)
	if _, ok := m.rate(); ok {
		t.Error("half a second of two is enough")
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	zero := time.Unix(1000, 0)
	at := func(s int) time.Time { return zero.Add(time.Duration(s) * time.Second) }
	p := &process{started: zero, ended: at(9), written: []progress{{at(1), 50}, {at(4), 989}, {at(6), 990}, {at(8), 1000}}}
	for bytes, want := range map[int64]time.Time{0: at(8), 10: at(6), 11: at(4), 900: at(4), 2000: at(1)} {
		if got := p.missing(bytes); !got.Equal(want) {
			t.Errorf("all but %d: %v, want %v", bytes, got.Sub(zero), want.Sub(zero))
		}
	}
	if got := (&process{started: zero}).missing(1); !got.Equal(zero) {
		t.Errorf("never looked at: %v", got)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	var r figure.Results
	r.Add("9", "axel", "seconds", 30)
	r.Add("9", "axel", "seconds", 5)
	r.Add("9", "axel", "gave_up", 1)
	for got, want := range map[string]string{
		cell(r.Row("9", "axel"), "seconds"): "17.5 (1 of 2 given up)",
		cell(r.Row("9", "axel"), "none"):    "",
		number(0):                           "0",
		number(0.98765):                     "0.988",
		number(12.345):                      "12.3",
		number(1234.5):                      "1234",
		bound(figure.Verdict{Goal: figure.Goal{Bound: 2, Unit: " %"}}):     "<= 2 %",
		bound(figure.Verdict{Goal: figure.Goal{Bound: 0.97, Least: true}}): ">= 0.97",
		value(figure.Verdict{Value: math.NaN()}):                           "not measured",
		word(figure.Verdict{Runs: 3}):                                      "NOT reached",
		word(figure.Verdict{Runs: 3, Reached: true}):                       "reached",
		plural(1, "round") + ", " + plural(2, "round"):                     "1 round, 2 rounds",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
