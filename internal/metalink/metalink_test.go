package metalink_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/filename"
	"ddm/internal/metalink"
)

const (
	v4   = `<metalink xmlns="urn:ietf:params:xml:ns:metalink">`
	v3   = `<metalink version="3.0" xmlns="http://www.metalinker.org/">`
	md5a = "d41d8cd98f00b204e9800998ecf8427e"
	md5b = "0cc175b9c0f1b6a831c399e269772661"
	sha  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

func sum(t *testing.T, algorithm, hex string) digest.Digest {
	t.Helper()
	d, ok := digest.FromHex(algorithm, hex)
	if !ok {
		t.Fatal(algorithm, hex)
	}
	return d
}

func TestParse(t *testing.T) {
	t.Parallel()
	a, b := sum(t, "md5", md5a), sum(t, "md5", md5b)
	pieces := &digest.Pieces{Length: 4, Algorithm: digest.MD5, Sums: [][]byte{a.Sum, b.Sum}}
	for _, tt := range []struct {
		name, text string
		want       []metalink.File
	}{
		{"version 4", `<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<metalink xmlns="urn:ietf:params:xml:ns:metalink" xmlns:x="urn:other">
  <published>2009-05-15T12:23:23Z</published><generator>some/1</generator>
  <file name="a.iso">
    <identity>A</identity><description>d</description>
    <size> 7 </size><x:size>9</x:size>
    <hash type="md5">` + md5a + `</hash><hash type="sha-256"> ` + strings.ToUpper(sha) + ` </hash><hash type="whirlpool">zz</hash>
    <pieces length="4" type="md5"><hash>` + md5a + `</hash><hash>` + md5b + `</hash></pieces>
    <pieces length="2" type="tiger"><hash>x</hash></pieces>
    <signature mediatype="application/pgp-signature">abc</signature>
    <url>http://last.example/a.iso</url>
    <url location="DE" priority="20"> https://de.example/a.iso?x=1&amp;y=2 </url>
    <url priority="1">http://first.example/a.iso</url>
    <url priority="1">http://first.example/a.iso</url>
    <url priority="2">ftp://ftp.example/a.iso</url>
    <metaurl mediatype="torrent">http://t.example/a.torrent</metaurl>
  </file>
  <file name="b"><url>http://b.example/</url></file>
</metalink>
<!-- the end -->
`, []metalink.File{
			{Name: "a.iso", Size: 7, Digests: []digest.Digest{sum(t, "sha256", sha), a}, Pieces: pieces, URLs: []metalink.URL{
				{URL: "http://first.example/a.iso", Priority: 1},
				{URL: "https://de.example/a.iso?x=1&y=2", Priority: 20, Location: "de"},
				{URL: "http://last.example/a.iso", Priority: metalink.Last},
			}},
			{Name: "b", Size: -1, URLs: []metalink.URL{{URL: "http://b.example/", Priority: metalink.Last}}},
		}},
		{"version 3", `<?xml version="1.0"?>` + v3 + `<publisher><name>x</name></publisher><files><file name="d/a.iso"><size>7</size>
<verification><hash type="md5">` + md5a + `</hash>
<pieces length="4" type="md5"><hash piece="1">` + md5b + `</hash><hash piece="0">` + md5a + `</hash></pieces></verification>
<resources maxconnections="1"><url type="http" location="de" preference="90">http://de.example/a</url>
<url type="http" preference="100">http://best.example/a</url><url type="ftp" preference="100">ftp://f/a</url>
<url type="http">http://last.example/a</url></resources></file></files></metalink>`, []metalink.File{
			{Name: "d/a.iso", Size: 7, Digests: []digest.Digest{a}, Pieces: pieces, URLs: []metalink.URL{
				{URL: "http://best.example/a", Priority: 1},
				{URL: "http://de.example/a", Priority: 11, Location: "de"},
				{URL: "http://last.example/a", Priority: metalink.Last},
			}},
		}},
		{"pieces of an unknown size", v4 + `<file name="a"><pieces length="4" type="md5"><hash>` + md5a + `</hash><hash>` + md5b + `</hash></pieces></file></metalink>`, []metalink.File{
			{Name: "a", Size: -1, Pieces: pieces},
		}},
		{"the stronger pieces", v4 + `<file name="a"><pieces length="4" type="sha-256"><hash>` + sha + `</hash></pieces><pieces length="4" type="md5"><hash>` + md5a + `</hash></pieces></file></metalink>`, []metalink.File{
			{Name: "a", Size: -1, Pieces: &digest.Pieces{Length: 4, Algorithm: digest.SHA256, Sums: [][]byte{sum(t, "sha256", sha).Sum}}},
		}},
		{"names are as written", v4 + `<file name="../../etc/passwd"/><file name="C:\x"/></metalink>`, []metalink.File{
			{Name: "../../etc/passwd", Size: -1}, {Name: `C:\x`, Size: -1},
		}},
	} {
		got, err := metalink.Parse(strings.NewReader(tt.text))
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s:\n%+v\nwant\n%+v\n%v", tt.name, got, tt.want, err)
		}
	}
}

// TestHostile is what no document may do.
func TestHostile(t *testing.T) {
	t.Parallel()
	one := func(inner string) string { return v4 + `<file name="a">` + inner + `</file></metalink>` }
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "ends too early"},
		{"no XML", "hello", "ends too early"},
		{"web page", "<!DOCTYPE html><html></html>", "document type"},
		{"bomb", `<!DOCTYPE metalink [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>` + one(`<size>&b;</size>`), "document type"},
		{"external entity", `<!DOCTYPE metalink SYSTEM "file:///etc/passwd">` + one(``), "document type"},
		{"unknown entity", one(`<size>&x;</size>`), "entity"},
		{"doctype behind", one(``) + `<!DOCTYPE a>`, "something follows the root"},
		{"two roots", one(``) + one(``), "something follows the root"},
		{"text behind", one(``) + "x", "text follows the root"},
		{"cut", one(``)[:80], "unexpected EOF"},
		{"another root", `<metafile xmlns="urn:ietf:params:xml:ns:metalink"/>`, "its root is <metafile>"},
		{"no namespace", `<metalink><file name="a"/></metalink>`, "version is not known"},
		{"no file", v4 + `</metalink>`, "describes 0 files"},
		{"no name", v4 + `<file/></metalink>`, "has no name"},
		{"long name", v4 + `<file name="` + strings.Repeat("a", 9<<10) + `"/></metalink>`, "too long"},
		{"twice", v4 + `<file name="a"/><file name="a"/></metalink>`, `"a" twice`},
		{"negative size", one(`<size>-1</size>`), `"-1" is no size`},
		{"signed size", one(`<size>+1</size>`), `"+1" is no size`},
		{"hexadecimal size", one(`<size>0x10</size>`), "is no size"},
		{"no size", one(`<size></size>`), "is no size"},
		{"size beyond 63 bits", one(`<size>9223372036854775808</size>`), "is no size"},
		{"two sizes", one(`<size>1</size><size>2</size>`), "2 sizes"},
		{"bad hash", one(`<hash type="md5">xyz</hash>`), "is no md5"},
		{"hash of another length", one(`<hash type="md5">` + sha + `</hash>`), "is no md5"},
		{"two hashes", one(`<hash type="md5">` + md5a + `</hash><hash type="md5">` + md5b + `</hash>`), "two different md5"},
		{"pieces without length", one(`<pieces type="md5"><hash>` + md5a + `</hash></pieces>`), "is no piece length"},
		{"pieces of no length", one(`<pieces type="md5" length="0"><hash>` + md5a + `</hash></pieces>`), "no length"},
		{"pieces of negative length", one(`<pieces type="md5" length="-4"><hash>` + md5a + `</hash></pieces>`), "is no piece length"},
		{"no pieces", one(`<pieces type="md5" length="4"/>`), "is empty"},
		{"bad piece", one(`<pieces type="md5" length="4"><hash>zz</hash></pieces>`), "is no md5"},
		{"too few pieces", one(`<size>1000000000000</size><pieces type="md5" length="1"><hash>` + md5a + `</hash></pieces>`), "do not fit"},
		{"too many pieces", one(`<size>4</size><pieces type="md5" length="4"><hash>` + md5a + `</hash><hash>` + md5a + `</hash></pieces>`), "do not fit"},
		{"priority 0", one(`<url priority="0">http://a/</url>`), "priority outside"},
		{"priority beyond", one(`<url priority="1000000">http://a/</url>`), "priority outside"},
		{"negative priority", one(`<url priority="-3">http://a/</url>`), "priority outside"},
		{"bad URL", one(`<url>http://a b/%zz</url>`), "does not parse"},
		{"long URL", one(`<url>http://a/` + strings.Repeat("a", 9<<10) + `</url>`), "does not parse"},
		{"many URLs", one(strings.Repeat(`<url>http://a/</url>`, 1001)), "1001 URLs"},
		{"many files", v4 + strings.Repeat(`<file name="a"/>`, 1001) + `</metalink>`, "1001 files"},
		{"nested deep", v4 + strings.Repeat(`<file name="a">`, 20000), ""},
		{"too large", one(strings.Repeat(" ", metalink.MaxSize)), "larger than 8 MiB"},
		{"piece numbers", v3 + `<files><file name="a"><verification><pieces length="4" type="md5"><hash piece="1">` + md5a + `</hash></pieces></verification></file></files></metalink>`, "piece number 1 is one too many"},
		{"piece number twice", v3 + `<files><file name="a"><verification><pieces length="4" type="md5"><hash piece="0">` + md5a + `</hash><hash piece="0">` + md5a + `</hash></pieces></verification></file></files></metalink>`, "piece number 0 is one too many"},
		{"piece number huge", v3 + `<files><file name="a"><verification><pieces length="4" type="md5"><hash piece="9999999999">` + md5a + `</hash></pieces></verification></file></files></metalink>`, "one too many"},
	} {
		got, err := metalink.Parse(strings.NewReader(tt.text))
		if !errors.Is(err, errdefs.Invalid) || got != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, %.200v; want %q", tt.name, got, err, tt.want)
		}
		if err != nil && strings.Count(err.Error(), "Metalink document") != 1 {
			t.Errorf("%s: says it twice: %v", tt.name, err)
		}
	}
	if _, err := metalink.Parse(broken{}); !errors.Is(err, errdefs.OpenFile) {
		t.Errorf("unreadable: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrClosedPipe }

// FuzzParse: what passes keeps every promise of the types, and its names can
// be made safe.
func FuzzParse(f *testing.F) {
	f.Add(v4+`<file name="../a"><size>7</size><hash type="md5">`+md5a+`</hash><pieces length="4" type="md5"><hash>`+md5a+`</hash><hash>`+md5b+`</hash></pieces><url priority="3" location="de">http://a/</url></file></metalink>`, "x", int64(5))
	f.Add(v3+`<files><file name="a"><size>4</size><verification><hash type="sha1">zz</hash><pieces length="4" type="md5"><hash piece="0">`+md5a+`</hash></pieces></verification><resources><url preference="500">http://a/</url></resources></file></files></metalink>`, "a&b<c>", int64(-1))
	f.Fuzz(func(t *testing.T, text, name string, size int64) {
		all, err := metalink.Parse(strings.NewReader(text))
		if (err == nil) != (len(all) > 0) || err != nil && !errors.Is(err, errdefs.Invalid) {
			t.Fatalf("%d files, %v", len(all), err)
		}
		for _, file := range all {
			judge(t, file)
		}
		var escaped strings.Builder
		if err := xml.EscapeText(&escaped, []byte(name)); err != nil {
			t.Fatal(err)
		}
		all, err = metalink.Parse(strings.NewReader(v4 + fmt.Sprintf(`<file name="%s"><size>%d</size></file></metalink>`, escaped.String(), size)))
		if good := name != "" && size >= 0 && len(name) < 1<<10; good && err != nil || err == nil && (!good && len(name) < 1<<10 || all[0].Size != size) {
			t.Errorf("%q of %d bytes: %+v, %v", name, size, all, err)
		}
	})
}

func judge(t *testing.T, file metalink.File) {
	t.Helper()
	if file.Name == "" || file.Size < -1 || filename.Sanitize(file.Name) == "" {
		t.Errorf("%+v", file)
	}
	for _, d := range file.Digests {
		if len(d.Sum) == 0 || len(d.Sum) != digest.Size(d.Algorithm) {
			t.Errorf("digest %+v", d)
		}
	}
	if p := file.Pieces; p != nil {
		if p.Length <= 0 || len(p.Sums) == 0 || file.Size >= 0 && p.Fits(file.Size) != nil {
			t.Errorf("pieces %+v", p)
		}
	}
	last := 1
	for _, u := range file.URLs {
		if u.Priority < last || u.Priority > metalink.Last || !strings.HasPrefix(strings.ToLower(u.URL), "http") {
			t.Errorf("URL %+v", u)
		}
		last = u.Priority
	}
}
