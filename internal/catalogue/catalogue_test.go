package catalogue_test

import (
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

func key(t *testing.T, url string) catalogue.Key {
	t.Helper()
	k, err := catalogue.KeyOf(url)
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return k
}

func TestKeyOf(t *testing.T) {
	seen := map[catalogue.Key]string{}
	for _, spellings := range [][]string{
		{"http://host/f", "HTTP://Host:80/f#part", "http://host/%66"},
		{"http://host/", "http://host", "http://host:"},
		{"https://host/f"},
		{"http://host:81/f"},
		{"http://host/F"},
		{"http://host/f?a=1&b=2"},
		{"http://host/f?b=2&a=1"},
		{"http://host/a%2fb", "http://host/a%2Fb"},
		{"http://host/a/b"},
	} {
		first := key(t, spellings[0])
		for _, s := range spellings[1:] {
			if key(t, s) != first {
				t.Errorf("%s and %s differ", spellings[0], s)
			}
		}
		if other, taken := seen[first]; taken {
			t.Errorf("%s and %s are one", spellings[0], other)
		}
		seen[first] = spellings[0]
	}
	for _, bad := range []string{"", "ftp://host/f", "http://user:word@host/f", "http://host/" + strings.Repeat("x", 9000)} {
		if _, err := catalogue.KeyOf(bad); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// The wire depends on these bytes: peers of two versions must agree.
func TestNamesStay(t *testing.T) {
	const wantKey = "b4bfc3e2315c5bc56f6614a2dc806ed0e00c2288ac83da769dc11249d1b232ff"
	const wantTag = "0814c614210c5dc2e00f37e23f219098b520e0b1dd88be72b962a54cd826264f"
	tag, ok := catalogue.TagOf(origin.Generation{Size: 1 << 20, ETag: `"v1"`})
	if k := key(t, "http://host/f?token=secret"); hex.EncodeToString(k[:]) != wantKey {
		t.Errorf("key %s", hex.EncodeToString(k[:]))
	}
	if !ok || hex.EncodeToString(tag[:]) != wantTag {
		t.Errorf("tag %s, %v", hex.EncodeToString(tag[:]), ok)
	}
}

func TestTagOf(t *testing.T) {
	seen := map[catalogue.Tag]origin.Generation{}
	for _, gen := range []origin.Generation{
		{Size: 10, ETag: `"a"`},
		{Size: 11, ETag: `"a"`},
		{Size: 10, ETag: `"b"`},
		{Size: 10, ETag: `"a"`, Coding: "gzip"},
		{Size: 10, ETag: `"ag"`, Coding: "zip"},
	} {
		tag, ok := catalogue.TagOf(gen)
		if other, taken := seen[tag]; !ok || taken {
			t.Errorf("%+v: %v, like %+v", gen, ok, other)
		}
		seen[tag] = gen
	}
	dated, _ := catalogue.TagOf(origin.Generation{Size: 10, ETag: `"a"`, LastModified: "Sat, 01 Jan 2022 00:00:00 GMT"})
	if _, known := seen[dated]; !known {
		t.Error("a date beside a strong ETag makes another generation")
	}
	for _, gen := range []origin.Generation{{}, {Size: 10}, {Size: 10, ETag: `W/"a"`}, {Size: -1, ETag: `"a"`}, {Size: 0, ETag: `"a"`}, {Size: 10, ETag: "a"}} {
		if _, ok := catalogue.TagOf(gen); ok {
			t.Errorf("%+v can be shared", gen)
		}
	}
}

func TestSet(t *testing.T) {
	run := func(off, n int64) *ddmv1.Run { return &ddmv1.Run{Offset: off, Length: n} }
	for _, tt := range []struct {
		name string
		runs []*ddmv1.Run
		want []byterange.Range
		ok   bool
	}{
		{"none", nil, nil, true},
		{"all", []*ddmv1.Run{run(0, 100)}, []byterange.Range{{Len: 100}}, true},
		{"touching", []*ddmv1.Run{run(0, 1), run(1, 1), run(9, 1)}, []byterange.Range{{Len: 2}, {Off: 9, Len: 1}}, true},
		{"overlapping", []*ddmv1.Run{run(0, 2), run(1, 1)}, nil, false},
		{"descending", []*ddmv1.Run{run(5, 1), run(1, 1)}, nil, false},
		{"empty run", []*ddmv1.Run{run(5, 0)}, nil, false},
		{"nil run", []*ddmv1.Run{nil}, nil, false},
		{"negative", []*ddmv1.Run{run(-1, 2)}, nil, false},
		{"beyond the end", []*ddmv1.Run{run(99, 2)}, nil, false},
		{"overflow", []*ddmv1.Run{run(1, math.MaxInt64)}, nil, false},
		{"far overflow", []*ddmv1.Run{run(math.MaxInt64, math.MaxInt64)}, nil, false},
		{"too many", []*ddmv1.Run{run(0, 1), run(2, 1), run(4, 1), run(6, 1)}, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := catalogue.Set(tt.runs, 100, 3)
			if got := slices.Collect(set.All()); tt.ok != (err == nil) || !slices.Equal(got, tt.want) {
				t.Errorf("%v, %v", got, err)
			}
			if err != nil && !errors.Is(err, errdefs.Invalid) {
				t.Error(err)
			}
		})
	}
}

func TestRunsTellTheLowest(t *testing.T) {
	var set byterange.Set
	for i := range int64(catalogue.MaxRuns + 10) {
		set.Add(byterange.Range{Off: 2 * i, Len: 1})
	}
	runs := catalogue.Runs(&set)
	back, err := catalogue.Set(runs, 1<<20, catalogue.MaxRuns)
	if err != nil || len(runs) != catalogue.MaxRuns || back.Bytes() != catalogue.MaxRuns {
		t.Errorf("%d runs, %d bytes, %v", len(runs), back.Bytes(), err)
	}
	if last, _ := back.Last(); last.Off != 2*(catalogue.MaxRuns-1) {
		t.Errorf("ends with %v", last)
	}
}

func FuzzKeyOf(f *testing.F) {
	f.Add("http://host/f?a=%41#x")
	f.Add("HTTP://[::1]:080/%7e/%zz")
	f.Add("http://host/%25%34%31")
	f.Fuzz(func(t *testing.T, url string) {
		k, err := catalogue.KeyOf(url)
		if err != nil {
			if !errors.Is(err, errdefs.Invalid) {
				t.Error(err)
			}
			return
		}
		canonical, err := origin.Canonical(url)
		if err != nil {
			t.Fatal(err)
		}
		for _, spelling := range []string{canonical, url + "#", strings.Replace(canonical, "http", "HTTP", 1)} {
			if strings.Contains(url, "#") && spelling == url+"#" {
				continue
			}
			if again, err := catalogue.KeyOf(spelling); len(spelling) <= 8<<10 && (err != nil || again != k) {
				t.Errorf("%q and %q: %v", url, spelling, err)
			}
		}
	})
}

func FuzzSet(f *testing.F) {
	f.Add(int64(0), int64(5), int64(7), int64(3), int64(100))
	f.Add(int64(1), int64(math.MaxInt64), int64(math.MinInt64), int64(-3), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a, n, b, m, size int64) {
		set, err := catalogue.Set([]*ddmv1.Run{{Offset: a, Length: n}, {Offset: b, Length: m}}, size, 2)
		if err != nil {
			if !errors.Is(err, errdefs.Invalid) {
				t.Error(err)
			}
			return
		}
		if last, ok := set.Last(); !ok || last.End() > size || last.End() < last.Off || set.Bytes() != n+m {
			t.Errorf("let through %v of %d", last, size)
		}
	})
}
