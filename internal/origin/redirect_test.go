package origin_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

func TestRedirects(t *testing.T) {
	f := origintest.NewFile(100, 1)
	far := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/dir/f": f}})
	near := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/dir/f": f}})
	secure := origintest.New(t, origintest.Options{TLS: true})
	to := func(location string) origintest.File { return f.With(origintest.Fault{Location: location}) }
	near.Set("/dir/relative", to("f#x"))
	near.Set("/rooted", to("/dir/f"))
	near.Set("/far", to(far.URL+"/dir/f"))
	near.Set("/a", to("/b"))
	near.Set("/b", to("/a"))
	near.Set("/permanent", f.With(origintest.Fault{Status: 308, Location: "/dir/f"}))
	for i := range 12 {
		near.Set(fmt.Sprintf("/chain/%d", i), to(fmt.Sprintf("%d", i+1)))
	}
	near.Set("/chain/12", f)
	secure.Set("/down", to(near.URL+"/dir/f"))
	near.Set("/up", to(secure.URL+"/dir/f"))
	secure.Set("/dir/f", f)
	for _, tt := range []struct {
		url, final string
		kind       errdefs.Kind
	}{
		{near.URL + "/dir/relative", near.URL + "/dir/f", ""},
		{near.URL + "/rooted", near.URL + "/dir/f", ""},
		{near.URL + "/permanent", near.URL + "/dir/f", ""},
		{near.URL + "/far", far.URL + "/dir/f", ""},
		{near.URL + "/up", secure.URL + "/dir/f", ""},
		{near.URL + "/chain/2", near.URL + "/chain/12", ""},
		{near.URL + "/chain/1", "", errdefs.Redirects},
		{near.URL + "/a", "", errdefs.Redirects},
		{secure.URL + "/down", "", errdefs.Refused},
	} {
		line := newLine(t, origin.LineConfig{RootCAs: secure.Roots()})
		r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: tt.url})
		if errdefs.KindOf(err) != tt.kind {
			t.Errorf("%s: %v, want kind %q", tt.url, err, tt.kind)
		}
		if err != nil {
			continue
		}
		if n, err := readAll(t, r, f); n != 100 || err != nil || r.FinalURL != tt.final {
			t.Errorf("%s: %d bytes, %v, from %s", tt.url, n, err, r.FinalURL)
		}
	}
}

func TestHeadersStayAtTheirOrigin(t *testing.T) {
	f := origintest.NewFile(100, 1)
	far := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	near := origintest.New(t, origintest.Options{Files: map[string]origintest.File{
		"/f": f.With(origintest.Fault{Location: "/g?token=secret"}),
		"/g": f.With(origintest.Fault{Location: far.URL + "/f"}),
	}})
	h := http.Header{
		"Authorization": {"Basic secret"}, "Cookie": {"a=secret"}, "X-Api-Key": {"secret"}, "Referer": {"http://secret/"},
		"User-Agent": {"tester"}, "Accept-Language": {"de"}, "Range": {"bytes=77-78"}, "If-Range": {`"x"`}, "Accept-Encoding": {"gzip"}, "Host": {"secret"},
	}
	line := newLine(t, origin.LineConfig{})
	r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: near.URL + "/f", Header: h, First: 10})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = readAll(t, r, f)
	for _, e := range near.Requests() {
		if e.Header.Get("X-Api-Key") != "secret" || e.Header.Get("Authorization") == "" || e.Header.Get("Cookie") != "a=secret" || e.Header.Get("If-Range") != "" || e.Range != "bytes=0-9" {
			t.Errorf("the first origin was asked with %v", e.Header)
		}
	}
	for _, e := range far.Requests() {
		if strings.Contains(fmt.Sprint(e.Header), "secret") || e.Header.Get("User-Agent") != "tester" || e.Header.Get("Accept-Language") != "de" || e.Range != "bytes=0-9" {
			t.Errorf("the second origin was asked with %v", e.Header)
		}
	}
}

// TestSecretsStayBehind goes on within the second origin, and back to the
// first one: whatever comes after a change of origin was said by another.
func TestSecretsStayBehind(t *testing.T) {
	f := origintest.NewFile(100, 1)
	near := origintest.New(t, origintest.Options{})
	far := origintest.New(t, origintest.Options{Files: map[string]origintest.File{
		"/one": f.With(origintest.Fault{Location: "/two"}),
		"/two": f.With(origintest.Fault{Location: near.URL + "/end"}),
	}})
	near.Set("/start", f.With(origintest.Fault{Location: far.URL + "/one"}))
	near.Set("/end", f)
	line := newLine(t, origin.LineConfig{})
	r, err := line.Probe(t.Context(), origin.ProbeRequest{
		URL: near.URL + "/start", Header: http.Header{"Authorization": {"Basic secret"}}, First: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = readAll(t, r, f)
	requests := append(near.Requests(), far.Requests()...)
	if len(requests) != 4 {
		t.Errorf("%d requests", len(requests))
	}
	for _, e := range requests {
		if got := e.Header.Get("Authorization") != ""; got != (e.Path == "/start") {
			t.Errorf("%s: with credentials: %v", e.Path, got)
		}
	}
}

func TestTargetsAreRemembered(t *testing.T) {
	f := origintest.NewFile(100, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{
		"/f": f.With(origintest.Fault{Location: "/signed/1", Count: 1}, origintest.Fault{Location: "/signed/2", Skip: 1}),
		// Serves two requests, then its signature is over.
		"/signed/1": f.With(origintest.Fault{Skip: 2, Status: 403}),
		"/signed/2": f,
	}})
	line := newLine(t, origin.LineConfig{})
	res := origin.Resource{URL: srv.URL + "/f", Gen: pin(f)}
	for range 4 {
		r, err := line.Open(t.Context(), res, byterange.Range{Len: 100})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = readAll(t, r, f)
	}
	var paths []string
	for _, e := range srv.Requests() {
		paths = append(paths, e.Path)
	}
	want := "/f /signed/1 /signed/1 /signed/1 /f /signed/2 /signed/2"
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	// Another caller's headers may lead elsewhere.
	res.Header = http.Header{"Authorization": {"x"}}
	r, err := line.Open(t.Context(), res, byterange.Range{Len: 100})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = readAll(t, r, f)
	if e := srv.Requests(); e[len(e)-2].Path != "/f" {
		t.Errorf("a target was used for other headers")
	}
}

func TestCookies(t *testing.T) {
	f := origintest.NewFile(100, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{
		// Sends back to itself until the cookie is there.
		"/f": f.With(origintest.Fault{Count: 1, Location: "/f", Set: []string{"Set-Cookie: pass=1; Path=/"}}),
	}})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newLine(t, origin.LineConfig{}).Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + "/f", Jar: jar, Header: http.Header{"Cookie": {"own=2"}}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = readAll(t, r, f)
	e := srv.Requests()
	if len(e) != 2 || e[0].Header.Get("Cookie") != "own=2" || e[1].Header.Get("Cookie") != "own=2; pass=1" {
		t.Errorf("cookies sent: %q", e[1].Header["Cookie"])
	}
}

// TestRedirectToPrivate gives a public address to a loopback server: what the
// user names may be private, what a public server names may not.
func TestRedirectToPrivate(t *testing.T) {
	f := origintest.NewFile(100, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{
		"/f":       f,
		"/private": f.With(origintest.Fault{Location: "http://10.0.0.1/f"}),
		"/public":  f.With(origintest.Fault{Location: "http://9.9.9.9/f"}),
		"/bounce":  f.With(origintest.Fault{Location: "http://9.9.9.9/private"}),
	}})
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, strings.TrimPrefix(srv.URL, "http://"))
	}
	own := origin.LineConfig{Policy: origin.AllowAll(), Redirected: origin.PublicAddress(prefixes()), Dial: dial}
	peer := origin.LineConfig{Policy: origin.PublicOnly(nil, prefixes()), Dial: dial}
	for _, tt := range []struct {
		name, url string
		cfg       origin.LineConfig
		ok        bool
	}{
		{"own, private", "http://10.0.0.1/f", own, true},
		{"own, private to private", "http://10.0.0.1/private", own, true},
		{"own, private to public", "http://10.0.0.1/public", own, true},
		{"own, public to public", "http://1.1.1.1/public", own, true},
		{"own, public to private", "http://1.1.1.1/private", own, false},
		{"own, private to public to private", "http://10.0.0.1/bounce", own, false},
		{"peer, public to private", "http://1.1.1.1/private", peer, false},
		{"peer, private", "http://10.0.0.1/f", peer, false},
	} {
		line := newLine(t, tt.cfg)
		// A pooled connection to the private address must not help.
		if warm, err := line.Probe(t.Context(), origin.ProbeRequest{URL: "http://10.0.0.1/f"}); err == nil {
			_, _ = readAll(t, warm, f)
		}
		r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: tt.url})
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, errdefs.Refused) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			_, _ = readAll(t, r, f)
		}
	}
}

func TestProxy(t *testing.T) {
	f := origintest.NewFile(100, 1)
	// A proxy for plain http sees absolute URLs; the origin serves their paths.
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	t.Setenv("HTTP_PROXY", srv.URL)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newLine(t, origin.LineConfig{Proxy: http.ProxyURL(u), Redirected: origin.PublicAddress(nil)}).
		Probe(t.Context(), origin.ProbeRequest{URL: "http://origin.invalid/f"})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = readAll(t, r, f)
	before := srv.Total()
	line := newLine(t, origin.LineConfig{Policy: origin.PublicOnly(nil, nil), Proxy: http.ProxyURL(u)})
	if _, err := line.Probe(t.Context(), origin.ProbeRequest{URL: "http://origin.invalid/f"}); !errors.Is(err, errdefs.Refused) {
		t.Errorf("a proxy at a private address: %v, want Refused", err)
	}
	if _, err := newLine(t, origin.LineConfig{Policy: origin.PublicOnly(nil, nil)}).Probe(t.Context(), origin.ProbeRequest{URL: "http://10.1.2.3/f"}); !errors.Is(err, errdefs.Refused) {
		t.Errorf("with a proxy in the environment: %v, want Refused", err)
	}
	if srv.Total() != before {
		t.Error("the proxy was asked")
	}
}

// FuzzRedirects: whatever the chain, no request to another origin carries a
// secret, and only http and https URLs without userinfo and fragment are asked.
func FuzzRedirects(f *testing.F) {
	f.Add("https://a.example/x", "//b.example/y", "https://a.example/z")
	f.Add("http://a.example/x", "http://a.example:80/y", "http://A.example./z")
	f.Add("http://a.example/x", "http://a.example:8080/", "https://a.example")
	f.Add("http://a.example", "http:\\\\b.example", "?q#f")
	f.Fuzz(func(t *testing.T, start, one, two string) {
		caller := http.Header{"X-Api-Key": {"secret"}, "Authorization": {"secret"}, "Cookie": {"secret"}, "Referer": {"secret"}, "If-Match": {"secret"}, "accept": {"*/*"}}
		urls, headers, _ := origin.Hops(start, caller, []string{one, two})
		left := false
		for i, raw := range urls {
			u, err := url.Parse(raw)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Fragment != "" || u.Hostname() == "" {
				t.Fatalf("request %d goes to %q", i, raw)
			}
			first, err := url.Parse(urls[0])
			if err != nil {
				t.Fatal(err)
			}
			if first.Scheme == "https" && u.Scheme == "http" {
				t.Fatalf("from %q down to %q", urls[0], raw)
			}
			left = left || u.Scheme != first.Scheme || !strings.EqualFold(strings.TrimSuffix(u.Hostname(), "."), strings.TrimSuffix(first.Hostname(), ".")) ||
				u.Port() != first.Port() && u.Port() != "" && first.Port() != ""
			if left && strings.Contains(fmt.Sprint(headers[i]), "secret") {
				t.Fatalf("a secret went from %q to %q", urls[0], raw)
			}
			if headers[i].Get("Range") != "bytes=0-0" || headers[i].Get("Accept-Encoding") != "identity" || headers[i].Get("If-Match") != "" {
				t.Fatalf("header %v", headers[i])
			}
		}
	})
}
