//go:build lab && linux

package lab_test

import (
	"math"
	"testing"
	"time"

	"ddm/test/lab/fileserver"
)

// TestElsewhere holds the judge of the SIGSTOP figure to made-up logs.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	zero := time.Unix(1000, 0)
	at := func(s float64) time.Time { return zero.Add(time.Duration(s * float64(time.Second))) }
	stuck := request{client: "victim", off: 100, end: 200, sent: 30, start: at(-1), fin: at(60)}
	for name, tc := range map[string]struct {
		others []request
		want   time.Duration
	}{
		"nobody":              {nil, math.MaxInt64},
		"its rest":            {[]request{{client: "b", off: 110, end: 200, start: at(2.5), fin: at(4)}}, 2500 * time.Millisecond},
		"the stolen tail":     {[]request{{client: "b", off: 150, end: 200, start: at(1), fin: at(4)}}, math.MaxInt64},
		"the range before":    {[]request{{client: "b", off: 0, end: 100, start: at(1), fin: at(4)}}, math.MaxInt64},
		"begun before":        {[]request{{client: "b", off: 90, end: 300, start: at(-0.5), fin: at(4)}}, math.MaxInt64},
		"the victim itself":   {[]request{{client: "victim", off: 110, end: 200, start: at(1), fin: at(2)}}, math.MaxInt64},
		"the first of two":    {[]request{{client: "b", off: 130, end: 140, start: at(3), fin: at(4)}, {client: "c", off: 120, end: 140, start: at(2), fin: at(4)}}, 2 * time.Second},
		"a late, larger one":  {[]request{{client: "b", off: 50, end: 500, start: at(7), fin: at(9)}}, 7 * time.Second},
		"another's, no match": {[]request{{client: "b", off: 300, end: 400, start: at(1), fin: at(2)}}, math.MaxInt64},
	} {
		if got := elsewhere(append(tc.others, stuck), "victim", zero); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	swallowed := request{client: "victim", off: 100, end: 200, sent: 100, start: at(-1), fin: at(60)}
	next := request{client: "b", off: 200, end: 300, start: at(1), fin: at(2)}
	if got := elsewhere([]request{swallowed, next}, "victim", zero); got != math.MaxInt64 {
		t.Errorf("the next range was taken for the stuck one after %v", got)
	}
	ended := request{client: "victim", off: 0, end: 10, sent: 10, start: at(-3), fin: at(-2)}
	if got := elsewhere([]request{ended}, "victim", zero); got >= 0 {
		t.Errorf("no request was open, got %v", got)
	}
}

func TestPair(t *testing.T) {
	t.Parallel()
	log := []fileserver.Entry{
		{Event: "start", ID: 1, Client: "a", Path: "/x", Range: "bytes=5-9"},
		{Event: "start", ID: 2, Client: "b", Path: "/y", Range: "bytes=0-9"},
		{Event: "start", ID: 3, Client: "c", Path: "/x"},
		{Event: "end", ID: 3, Client: "c", Path: "/x", Bytes: 7},
		{Event: "end", ID: 1, Client: "a", Path: "/x", Range: "bytes=5-9", Bytes: 3},
	}
	want := []request{{client: "c", off: 0, end: 100, sent: 7}, {client: "a", off: 5, end: 10, sent: 3}}
	got := pair(log, "/x", 100)
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
