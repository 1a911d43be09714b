package metalink_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"

	"ddm/internal/metalink"
)

func TestReadLinks(t *testing.T) {
	t.Parallel()
	base, err := url.Parse("https://origin.example/dir/a.iso")
	if err != nil {
		t.Fatal(err)
	}
	mirror := func(u string, priority int, location string) metalink.URL {
		return metalink.URL{URL: u, Priority: priority, Location: location}
	}
	for _, tt := range []struct {
		name   string
		fields []string
		want   metalink.Links
	}{
		{"nothing", nil, metalink.Links{}},
		{
			"as MirrorBrain sends it",
			[]string{
				`<http://origin.example/dir/a.iso.meta4>; rel=describedby; type="application/metalink4+xml"`,
				`<http://origin.example/dir/a.iso.torrent>; rel=describedby; type="application/x-bittorrent"`,
				`<http://de.example/a.iso>; rel=duplicate; pri=2; geo=DE`,
				`<http://gb.example/a.iso>; rel=duplicate; pri=1; geo=gb; depth=3`,
			},
			metalink.Links{
				Mirrors:   []metalink.URL{mirror("http://gb.example/a.iso", 1, "gb"), mirror("http://de.example/a.iso", 2, "de")},
				Described: []string{"http://origin.example/dir/a.iso.meta4"},
			},
		},
		{
			"one field, relative, quoted, with commas",
			[]string{
				`</b,c;d>; title="a, \"b\"; <c>" ; rel = "Duplicate next" ;PRI="7",,  <x.iso>;rel=duplicate;pref, <ftp://f/>; rel=duplicate`,
			},
			metalink.Links{Mirrors: []metalink.URL{mirror("https://origin.example/dir/x.iso", metalink.Last, ""), mirror("https://origin.example/b,c;d", 7, "")}},
		},
		{"preferred before better", []string{`<http://a/>; rel=duplicate; pri=1`, `<http://b/>; rel=duplicate; pri=9; pref`, `<http://b/>; rel=duplicate; pri=1`}, metalink.Links{Mirrors: []metalink.URL{mirror("http://b/", 9, ""), mirror("http://a/", 1, "")}}},
		{"about something else", []string{`<http://a/>; rel=duplicate; anchor="#x"`, `<http://b/>; rel=next`, `<http://c/>`}, metalink.Links{}},
		{"the first rel counts", []string{`<http://a/>; rel=next; rel=duplicate`}, metalink.Links{}},
		{"senseless priority", []string{`<http://a/#frag>; rel=duplicate; pri=-5`}, metalink.Links{Mirrors: []metalink.URL{mirror("http://a/", metalink.Last, "")}}},
		{"malformed", []string{`http://a/; rel=duplicate`, `<http://a/; rel=duplicate`, `<http://a/>; rel="duplicate`, `<http://a/> rel=duplicate`, `<http://a/>; rel="\`, `<:>; rel=duplicate`}, metalink.Links{}},
		{"what came before a fault counts", []string{`<http://a/>; rel=duplicate, oops, <http://b/>; rel=duplicate`}, metalink.Links{Mirrors: []metalink.URL{mirror("http://a/", metalink.Last, "")}}},
		{"parameters without value", []string{`<http://a/>; rel=duplicate; pref ; geo`}, metalink.Links{Mirrors: []metalink.URL{mirror("http://a/", metalink.Last, "")}}},
	} {
		if got := metalink.ReadLinks(tt.fields, base); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
	many := metalink.ReadLinks([]string{strings.Repeat("<http://a/>;rel=duplicate,", 5000)}, base)
	if len(many.Mirrors) != 1 {
		t.Errorf("%d mirrors", len(many.Mirrors))
	}
}

// FuzzReadLinks: every link leads somewhere, best first; and one that is
// written properly before anything else is found.
func FuzzReadLinks(f *testing.F) {
	f.Add(`<http://a/>; rel=duplicate; pri=1; geo=de, <b>; rel="describedby"; type="application/metalink4+xml"`, "a, \"b\\")
	f.Add(`<>;;=;"`, "")
	f.Fuzz(func(t *testing.T, field, title string) {
		base := &url.URL{Scheme: "http", Host: "h", Path: "/d/f"}
		got := metalink.ReadLinks([]string{field}, base)
		for _, u := range got.Mirrors {
			if p, err := url.Parse(u.URL); err != nil || p.Host == "" || u.Priority < 1 || u.Priority > metalink.Last {
				t.Errorf("%+v of %q", u, field)
			}
		}
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(title)
		got = metalink.ReadLinks([]string{`<m>; title="` + quoted + `"; rel=duplicate; pri=3, ` + field}, base)
		want := metalink.URL{URL: "http://h/d/m", Priority: 3}
		for _, u := range got.Mirrors {
			if u.URL == want.URL {
				return
			}
		}
		t.Errorf("%+v: no %+v", got, want)
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"a.meta4": true, "/d/A.METALINK": true, "a.meta4.gz": false, "meta4": false} {
		if metalink.IsName(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
	for kind, want := range map[string]bool{"application/metalink4+xml": true, "Application/Metalink+XML; charset=utf-8": true, "application/xml": false, "": false} {
		if metalink.IsMediaType(kind) != want {
			t.Errorf("%s: %v", kind, !want)
		}
	}
}
