package origin_test

import (
	"net/http"
	"strings"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

// TestLinks: what redirects and the reply itself link to is told, each beside
// the URL that it is relative to.
func TestLinks(t *testing.T) {
	t.Parallel()
	f := origintest.NewFile(100, 1)
	linked := func(f origintest.File, link string) origintest.File {
		f.Header = http.Header{"Link": {link}}
		return f
	}
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{
		"/a":   f.With(origintest.Fault{Location: "/b", Set: []string{"Link: <1>"}}),
		"/b":   f.With(origintest.Fault{Location: "/d/c"}),
		"/d/c": linked(f, "<2>"),
	}})
	line := newLine(t, origin.LineConfig{})
	r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + "/a"})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = readAll(t, r, f)
	var got []string
	for _, l := range r.Links {
		got = append(got, l.URL.Path+" "+strings.Join(l.Fields, ","))
	}
	if want := "/a <1>; /d/c <2>"; strings.Join(got, "; ") != want {
		t.Errorf("links %q, want %q", got, want)
	}
	if r.Guarded {
		t.Error("a reply from loopback counts as public")
	}
}

// TestGuarded: a URL that a public server named leads nowhere that its
// redirects may not.
func TestGuarded(t *testing.T) {
	t.Parallel()
	f := origintest.NewFile(100, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{
		"/f": f, "/r": f.With(origintest.Fault{Location: "/f"}),
	}})
	line := newLine(t, origin.LineConfig{Policy: origin.AllowAll(), Redirected: origin.PublicAddress(nil)})
	for _, path := range []string{"/f", "/r", "/f"} { // a remembered way in helps nobody
		r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + path})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = readAll(t, r, f)
		if _, err = line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + path, Guarded: true}); errdefs.KindOf(err) != errdefs.Refused {
			t.Errorf("%s, probe: %v", path, err)
		}
		_, err = line.Open(t.Context(), origin.Resource{URL: srv.URL + path, Gen: pin(f), Guarded: true}, byterange.Range{Len: 10})
		if errdefs.KindOf(err) != errdefs.Refused {
			t.Errorf("%s, range: %v", path, err)
		}
	}
}
