package figure_test

import (
	"encoding/json"
	"math"
	"testing"

	"ddm/test/bench/figure"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 9, 2}, 3},
	} {
		if got := figure.Median(tc.values); got != tc.want {
			t.Errorf("%v: %v, want %v", tc.values, got, tc.want)
		}
	}
	if got := figure.Median(nil); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
}

func TestFluid(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rate    float64
		changes []figure.Change
		want    float64
	}{
		"steady":             {10, nil, 10},
		"a drop":             {10, []figure.Change{{At: 5, Rate: -5}}, 15},
		"a drop and a join":  {10, []figure.Change{{At: 8, Rate: 10}, {At: 4, Rate: -5}}, 10.666666666666666},
		"too late to matter": {10, []figure.Change{{At: 11, Rate: -10}}, 10},
		"nothing left":       {10, []figure.Change{{At: 5, Rate: -10}}, math.Inf(1)},
	} {
		if got := figure.Fluid(100, tc.rate, tc.changes...); math.Abs(got-tc.want) > 1e-9 && got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	var r figure.Results
	for _, v := range []float64{0.95, 0.98, 0.97, math.NaN()} {
		r.Add("2", "ddm", "efficiency", v)
	}
	r.Add("2", "ddm", "duplicates", 0)
	at := []figure.Place{{"2", "ddm", "efficiency"}}
	for name, tc := range map[string]struct {
		goal    figure.Goal
		value   float64
		reached bool
	}{
		"median":       {figure.Goal{Source: at, Least: true, Bound: 0.97}, 0.97, true},
		"median, most": {figure.Goal{Source: at, Bound: 0.96}, 0.97, false},
		"worst, least": {figure.Goal{Source: at, Least: true, Worst: true, Bound: 0.95}, 0.95, true},
		"worst, most":  {figure.Goal{Source: at, Worst: true, Bound: 0.97}, 0.98, false},
		"nothing":      {figure.Goal{Source: []figure.Place{{"9", "ddm", "efficiency"}}, Bound: 1}, math.NaN(), false},
	} {
		v := tc.goal.Judge(&r)
		if v.Reached != tc.reached || v.Value != tc.value && !(math.IsNaN(v.Value) && math.IsNaN(tc.value)) {
			t.Errorf("%s: %v reached %v, want %v %v", name, v.Value, v.Reached, tc.value, tc.reached)
		}
	}
	text, err := json.Marshal(&r)
	const want = `[{"case":"2","variant":"ddm","metrics":{"duplicates":{"median":0,"values":[0]},"efficiency":{"median":0.97,"values":[0.95,0.98,0.97]}}}]`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v; want %s", text, err, want)
	}
}
