package backoff_test

import (
	"math"
	"testing"
	"time"

	"ddm/internal/backoff"
)

func TestCeiling(t *testing.T) {
	doubling := backoff.Policy{Base: 100 * time.Millisecond, Max: 2 * time.Second, Factor: 2}
	for _, test := range []struct {
		name    string
		policy  backoff.Policy
		attempt int
		want    time.Duration
	}{
		{"first", doubling, 0, 100 * time.Millisecond},
		{"second", doubling, 1, 200 * time.Millisecond},
		{"fifth", doubling, 4, 1600 * time.Millisecond},
		{"capped", doubling, 5, 2 * time.Second},
		{"capped for ever", doubling, math.MaxInt, 2 * time.Second},
		{"negative attempt", doubling, -3, 100 * time.Millisecond},
		{"base above max", backoff.Policy{Base: time.Hour, Max: time.Second}, 0, time.Second},
		{"factor defaults to 2", backoff.Policy{Base: time.Second}, 3, 8 * time.Second},
		{"NaN factor", backoff.Policy{Base: time.Second, Factor: math.NaN()}, 1, 2 * time.Second},
		{"infinite factor", backoff.Policy{Base: time.Second, Max: time.Minute, Factor: math.Inf(1)}, 1, time.Minute},
		{"constant", backoff.Policy{Base: time.Second, Factor: 1}, math.MaxInt, time.Second},
		{"unlimited stays finite", backoff.Policy{Base: time.Second}, 1000, 365 * 24 * time.Hour},
		{"zero", backoff.Policy{}, 7, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.policy.Ceiling(test.attempt); got != test.want {
				t.Errorf("Ceiling(%d) = %v, want %v", test.attempt, got, test.want)
			}
		})
	}
}

func TestDelay(t *testing.T) {
	policy := backoff.Policy{Base: time.Second, Max: 8 * time.Second, Factor: 2}
	for _, test := range []struct {
		attempt int
		rnd     float64
		want    time.Duration
	}{
		{0, 0, 0},
		{0, 0.5, 500 * time.Millisecond},
		{2, 0.25, time.Second},
		{9, 0.5, 4 * time.Second},
		{9, 2, 8 * time.Second},
		{9, -1, 0},
		{9, math.NaN(), 0},
	} {
		if got := policy.Delay(test.attempt, test.rnd); got != test.want {
			t.Errorf("Delay(%d, %v) = %v, want %v", test.attempt, test.rnd, got, test.want)
		}
	}
}

func FuzzDelay(f *testing.F) {
	f.Add(int64(time.Second), int64(time.Minute), 2.0, 3, 0.5)
	f.Add(int64(math.MaxInt64), int64(0), math.Inf(1), math.MaxInt, 1.0)
	f.Fuzz(func(t *testing.T, base, top int64, factor float64, attempt int, rnd float64) {
		p := backoff.Policy{Base: time.Duration(base), Max: time.Duration(top), Factor: factor}
		if factor > 1 && factor < 1.0001 {
			t.Skip("grows for very many attempts")
		}
		ceiling, delay := p.Ceiling(attempt), p.Delay(attempt, rnd)
		if delay < 0 || delay > ceiling {
			t.Errorf("delay %v outside [0, %v]", delay, ceiling)
		}
		if top > 0 && ceiling > p.Max {
			t.Errorf("ceiling %v above %v", ceiling, p.Max)
		}
		if attempt < math.MaxInt && p.Ceiling(attempt+1) < ceiling {
			t.Errorf("ceiling falls after attempt %d", attempt)
		}
	})
}
