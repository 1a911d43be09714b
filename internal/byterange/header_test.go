package byterange_test

import (
	"math"
	"math/big"
	"regexp"
	"testing"

	"ddm/internal/byterange"
)

func TestFormatRange(t *testing.T) {
	for want, r := range map[string]byterange.Range{
		"bytes=0-0": {Len: 1},
		"bytes=5-9": {Off: 5, Len: 5},
		"bytes=9223372036854775806-9223372036854775806": {Off: math.MaxInt64 - 1, Len: 1},
	} {
		if got := byterange.FormatRange(r); got != want {
			t.Errorf("FormatRange(%v) = %q, want %q", r, got, want)
		}
	}
}

func TestParseContentRange(t *testing.T) {
	good := map[string]byterange.ContentRange{
		"bytes 0-0/1":   {Range: byterange.Range{Len: 1}, Complete: 1},
		"bytes 5-9/10":  {Range: byterange.Range{Off: 5, Len: 5}, Complete: 10},
		"Bytes 5-9/010": {Range: byterange.Range{Off: 5, Len: 5}, Complete: 10},
		"bytes 5-9/*":   {Range: byterange.Range{Off: 5, Len: 5}, Complete: -1},
		"bytes */0":     {Unsatisfied: true},
		"bytes */77":    {Unsatisfied: true, Complete: 77},
		"bytes 0-9223372036854775805/9223372036854775806": {Range: byterange.Range{Len: math.MaxInt64 - 1}, Complete: math.MaxInt64 - 1},
	}
	for field, want := range good {
		if got, err := byterange.ParseContentRange(field); err != nil || got != want {
			t.Errorf("ParseContentRange(%q) = %+v, %v, want %+v", field, got, err, want)
		}
	}
	for _, field := range []string{
		"", "bytes", "bytes ", "bytes 0-0", "bytes=0-0/1", "bytes  0-0/1", "bytes 0-0/1 ", "items 0-0/1",
		"bytes 1-0/5", "bytes 0-5/5", "bytes 0--1/0", "bytes -1-0/5", "bytes +0-1/5", "bytes 0-1/+5",
		"bytes 0-1/", "bytes /5", "bytes -/5", "bytes 0-/5", "bytes -4/5", "bytes */*", "bytes */", "bytes 0-1/5/6",
		"bytes 0-0/1, bytes 0-0/1", "bytes 0-0,2-3/9", "bytes 0-1/9223372036854775808",
		"bytes 0-9223372036854775807/*", "bytes 9223372036854775808-9223372036854775809/*", "bytes 0x0-1/5",
	} {
		if got, err := byterange.ParseContentRange(field); err == nil {
			t.Errorf("ParseContentRange(%q) = %+v, want an error", field, got)
		}
	}
}

// contentRange is the oracle: the grammar, and arithmetic without bounds.
func contentRange(field string) (first, last, complete *big.Int, star, ok bool) {
	m := regexp.MustCompile(`^(?i:bytes) (?:([0-9]+)-([0-9]+)|\*)/([0-9]+|\*)$`).FindStringSubmatch(field)
	if m == nil {
		return nil, nil, nil, false, false
	}
	number := func(s string) *big.Int {
		n, ok := new(big.Int).SetString(s, 10)
		if !ok {
			return nil
		}
		return n
	}
	first, last, complete = number(m[1]), number(m[2]), number(m[3])
	limit := big.NewInt(math.MaxInt64)
	switch {
	case first == nil:
		return nil, nil, complete, true, complete != nil && complete.Cmp(limit) <= 0
	case first.Cmp(last) > 0, last.Cmp(limit) >= 0:
		return nil, nil, nil, false, false
	case complete != nil && (complete.Cmp(limit) > 0 || complete.Cmp(last) <= 0):
		return nil, nil, nil, false, false
	}
	return first, last, complete, false, true
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-0/1", "bytes */5", "bytes 5-9/*", "bytes 0-9223372036854775807/9223372036854775808", "Bytes 00-1/5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		got, err := byterange.ParseContentRange(field)
		first, last, complete, star, ok := contentRange(field)
		if ok != (err == nil) {
			t.Fatalf("%q: error %v, the oracle says %v", field, err, ok)
		}
		if err != nil {
			return
		}
		if got.Unsatisfied != star {
			t.Fatalf("%q: Unsatisfied %v", field, got.Unsatisfied)
		}
		if !star && (got.Range.Off != first.Int64() || got.Range.End()-1 != last.Int64() || got.Range.Empty()) {
			t.Fatalf("%q: range %v", field, got.Range)
		}
		if complete == nil && got.Complete != -1 || complete != nil && got.Complete != complete.Int64() {
			t.Fatalf("%q: complete %d", field, got.Complete)
		}
	})
}
