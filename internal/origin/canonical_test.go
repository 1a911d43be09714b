package origin_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://host/f":                     "http://host/f",
		"HTTP://Host.Example:80/F":          "http://host.example/F",
		"https://host:443":                  "https://host/",
		"https://host:80/":                  "https://host:80/",
		"http://host:443/":                  "http://host:443/",
		"http://host:/":                     "http://host/",
		"http://host:08080/":                "http://host:8080/",
		"http://host/a%2fb%7ec%c3%a9":       "http://host/a%2Fb~c%C3%A9",
		"http://host/a b":                   "http://host/a%20b",
		"http://host/f?A=%2f&b=%41#frag":    "http://host/f?A=%2F&b=A",
		"http://host?x":                     "http://host/?x",
		"http://host/f?":                    "http://host/f?",
		"http://host/f?q=100%%411":          "http://host/f?q=100%%411", // 100%A1 is another
		"http://[2001:DB8:0:0::1]:80/":      "http://[2001:db8::1]/",
		"http://[2001:db8::1]:81/":          "http://[2001:db8::1]:81/",
		"http://host/a/../b/./c":            "http://host/a/../b/./c",
		"http://host./f":                    "http://host./f",
		"http://host/f?b=1&a=2":             "http://host/f?b=1&a=2",
		"http://host/f#only":                "http://host/f",
		"https://host:65535/%E4%BD%A0?%3f=": "https://host:65535/%E4%BD%A0?%3F=",
	} {
		if got, err := origin.Canonical(raw); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{
		"", "/f", "ftp://host/f", "http:f", "http:///f", "http://u:p@host/secret", "http://host/%zz",
		"http://host/" + strings.Repeat("a", 9000),
	} {
		got, err := origin.Canonical(raw)
		if got != "" || !errors.Is(err, errdefs.Invalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.40q: %q, %v", raw, got, err)
		}
	}
}

// FuzzCanonical: what comes out names the same resource, and is its own
// canonical spelling.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		"HTTP://Host:80/%7e?%2f#x", "https://[::1%25lo]:443/", "http://host/f?q=100%%411", "http://host:/a%2Fb/../c?", "http://h\u00c4st/\u00e4",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := origin.Canonical(raw)
		if err != nil {
			return
		}
		if twice, err := origin.Canonical(once); twice != once || err != nil {
			t.Fatalf("%q becomes %q, and that %q, %v", raw, once, twice, err)
		}
		before, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		after, err := url.Parse(once)
		if err != nil {
			t.Fatalf("%q of %q: %v", once, raw, err)
		}
		path := before.Path
		if path == "" {
			path = "/"
		}
		if after.Path != path || decoded(after.RawQuery) != decoded(before.RawQuery) || after.Fragment != "" {
			t.Fatalf("%q is not %q", once, raw)
		}
		if reserved(after.EscapedPath()) != reserved(before.EscapedPath()) {
			t.Fatalf("%q has other separators than %q", once, raw)
		}
	})
}

func decoded(query string) string {
	if s, err := url.PathUnescape(query); err == nil {
		return s
	}
	return query
}

// reserved counts the bytes that separate, as an encoded one does not.
func reserved(path string) (n int) {
	for _, c := range []byte(path) {
		if strings.IndexByte(":/?#[]@!$&'()*+,;=", c) >= 0 {
			n++
		}
	}
	if path == "" {
		n = 1 // the slash that it gets
	}
	return n
}
