package peer_test

import (
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

func TestCheckURL(t *testing.T) {
	for raw, ok := range map[string]bool{
		"http://example.com/a?b=c":                        true,
		"https://example.com":                             true,
		"https://[2606:2800:220:1::1]:8443/x":             true,
		"HTTP://EXAMPLE.COM/":                             true,
		"http://example.com/" + strings.Repeat("a", 8000): true,
		"http://example.com/" + strings.Repeat("a", 8200): false,
		"":                              false,
		"/a":                            false,
		"example.com/a":                 false,
		"ftp://example.com/a":           false,
		"file:///etc/passwd":            false,
		"http:///a":                     false,
		"http:example.com":              false,
		"http://:80/":                   false,
		"http://user@example.com/":      false,
		"http://user:pw@example.com/":   false,
		"http://@example.com/":          false,
		"http://example.com/#f":         false,
		"http://example.com/#":          false,
		"http://example.com:0/":         false,
		"http://example.com:65536/":     false,
		"http://example.com:http/":      false,
		"http://exa mple.com/":          false,
		"http://example.com/\r\nX: y":   false,
		"gopher://example.com/":         false,
		"unix:///var/run/docker.sock":   false,
		"http+unix://%2Fvar%2Frun/info": false,
	} {
		err := peer.CheckURL(raw)
		if ok != (err == nil) || !ok && !errors.Is(err, errdefs.Invalid) {
			t.Errorf("checkURL(%.60q) = %v", raw, err)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("the error repeats a secret: %v", err)
		}
	}
}

func TestCheckHeaders(t *testing.T) {
	h := func(pairs ...string) (out []*ddmv1.Header) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, &ddmv1.Header{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	for _, test := range []struct {
		name   string
		fields []*ddmv1.Header
		ok     bool
	}{
		{"none", nil, true},
		{"all four", h("User-Agent", "x", "accept", "*/*", "ACCEPT-LANGUAGE", "de", "Referer", "http://a/"), true},
		{"nil field", []*ddmv1.Header{nil}, false},
		{"cookie", h("Cookie", "a=b"), false},
		{"authorization", h("authorization", "x"), false},
		{"host", h("Host", "x"), false},
		{"range", h("Range", "bytes=0-"), false},
		{"line break in the value", h("Accept", "a\r\nHost: b"), false},
		{"line break in the name", h("Accept\r\nHost", "b"), false},
		{"too long", h("Accept", strings.Repeat("a", 17<<10)), false},
		{"too many", h(strings.Fields(strings.Repeat("Accept x ", 9))...), false},
	} {
		o := openOf("http://example.com/", origintest.NewFile(1, 1))
		o.Resource.Headers = test.fields
		if _, err := peer.CheckOpen(o); test.ok != (err == nil) || !test.ok && !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestPublicURL(t *testing.T) {
	for raw, want := range map[string]string{
		"https://user:pw@example.com:1/a%2Fb?sig=secret#f": "https://example.com:1/a%2Fb",
		"http://example.com": "http://example.com",
		"%zz":                "",
	} {
		if got := peer.PublicURL(raw); got != want {
			t.Errorf("publicURL(%q) = %q, want %q", raw, got, want)
		}
	}
}

// FuzzOpen: whatever comes, no panic; what passes is harmless.
func FuzzOpen(f *testing.F) {
	for _, o := range []*ddmv1.Open{
		nil,
		{},
		openOf("http://example.com/a?b", origintest.NewFile(1, 1)),
		openOf("https://u@[::1]:0/#", origintest.File{Size: -1}),
		{Resource: &ddmv1.Resource{Url: "http://a", Headers: []*ddmv1.Header{nil, {Name: "referer", Value: "\x00"}}}},
	} {
		raw, err := proto.Marshal(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o := new(ddmv1.Open)
		if proto.Unmarshal(raw, o) != nil {
			return
		}
		res, err := peer.CheckOpen(o)
		if err != nil {
			if !errors.Is(err, errdefs.Invalid) {
				t.Errorf("kind %v", errdefs.KindOf(err))
			}
			return
		}
		u, err := url.Parse(res.URL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "" || len(res.URL) > 8<<10 {
			t.Errorf("passed: %q", res.URL)
		}
		if _, err := http.NewRequestWithContext(t.Context(), http.MethodGet, res.URL, nil); err != nil {
			t.Errorf("passed, but cannot be asked: %v", err)
		}
		for name, values := range res.Header {
			if !slices.Contains([]string{"User-Agent", "Accept", "Accept-Language", "Referer"}, name) || strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
				t.Errorf("passed: header %q: %q", name, values)
			}
		}
		if res.Gen.Size < 0 {
			t.Errorf("passed: size %d", res.Gen.Size)
		}
	})
}

// FuzzAssign: what passes lies within the resource and the grant.
func TestCheckMirror(t *testing.T) {
	mirror := func(index uint32, url string, size int64) *ddmv1.Mirror {
		return &ddmv1.Mirror{Index: index, Resource: &ddmv1.Resource{Url: url, Generation: &ddmv1.Generation{Size: size}}}
	}
	const good = "http://b.example/f"
	for _, tc := range []struct {
		name string
		m    *ddmv1.Mirror
		n    int
		ok   bool
	}{
		{"the first", mirror(1, good, 5), 1, true},
		{"the last", mirror(15, good, 5), 15, true},
		{"one too many", mirror(16, good, 5), 16, false},
		{"none", nil, 1, false},
		{"Open's number", mirror(0, good, 5), 1, false},
		{"a gap", mirror(2, good, 5), 1, false},
		{"another length", mirror(1, good, 6), 1, false},
		{"no length", mirror(1, good, -1), 1, false},
		{"a secret", mirror(1, "http://me:pw@b.example/f", 5), 1, false},
	} {
		res, err := peer.CheckMirror(tc.m, tc.n, 5)
		if tc.ok != (err == nil) || !tc.ok && !errors.Is(err, errdefs.Invalid) || tc.ok && res.URL != good {
			t.Errorf("%s: %v, %v", tc.name, res.URL, err)
		}
	}
}

func FuzzAssign(f *testing.F) {
	f.Add(uint64(1), uint32(0), uint32(0), int64(0), int64(1), int64(1))
	f.Add(uint64(0), uint32(math.MaxUint32), uint32(math.MaxUint32), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64))
	f.Add(uint64(1), uint32(0), uint32(15), int64(-1), int64(-1), int64(0))
	f.Add(uint64(1), uint32(0), uint32(15), int64(3), int64(4), int64(7))
	f.Add(uint64(1), uint32(0), uint32(15), int64(3), int64(5), int64(7))
	f.Add(uint64(1), uint32(0), uint32(16), int64(3), int64(4), int64(7))
	f.Fuzz(func(t *testing.T, id uint64, line, lane uint32, off, n, size int64) {
		a := &ddmv1.Assign{AssignmentId: id, LineId: line, Lane: lane, Offset: off, Length: n}
		r, err := peer.CheckAssign(a, 16, max(size, 0))
		fits := off >= 0 && n >= 1 && n <= max(size, 0) && off <= max(size, 0)-n && lane < 16
		if fits != (err == nil) || err == nil && (r.Off != off || r.Len != n) {
			t.Errorf("checkAssign(%v) = %v, %v; fits: %v", a, r, err, fits)
		}
	})
}
