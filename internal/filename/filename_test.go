package filename_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"ddm/internal/filename"
)

func TestDisposition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ header, want string }{
		{`attachment; filename="plain.txt"`, "plain.txt"},
		{`attachment; filename=token.txt`, "token.txt"},
		{`ATTACHMENT ; FileName = "case.txt" ; size=5`, "case.txt"},
		{`inline;filename=a.txt;`, "a.txt"},
		{`filename=notype.txt`, "notype.txt"},
		{`attachment filename=nosemicolon.txt`, "nosemicolon.txt"},
		{`attachment; filename=two words.txt`, "two words.txt"},
		{`attachment; filename="semi;colon.txt"; x=y`, "semi;colon.txt"},
		{`attachment; filename=a=b.txt`, "a=b.txt"},
		{`attachment; filename="say \"hi\".txt"`, "say _hi_.txt"},
		{`attachment; filename="never closed.txt`, "never closed.txt"},
		{`attachment; filename="first.txt"; filename="second.txt"`, "first.txt"},
		{`attachment; filename=""; filename="second.txt"`, "second.txt"},
		{`attachment; filename="plain.txt"; filename*=UTF-8''%e2%82%ac%20rates.txt`, "€ rates.txt"},
		{`attachment; filename*=UTF-8''%e2%82%ac.txt; filename="plain.txt"`, "€.txt"},
		{`attachment; filename*=iso-8859-1'en'%A3%20rates.txt`, "£ rates.txt"},
		{`attachment; filename*=utf-8'de'na%C3%AFve.txt`, "naïve.txt"},
		{`attachment; filename*="UTF-8''quoted%20star.txt"`, "quoted star.txt"},
		{`attachment; filename*=noquotes%20at-all.txt`, "noquotes at-all.txt"},
		{`attachment; filename*=UTF-8''100%.txt`, "100%.txt"},
		{`attachment; filename*=UTF-8''broken%zz%4.txt`, "broken%zz%4.txt"},
		{`attachment; filename*=UTF-8''; filename="plain.txt"`, "plain.txt"},
		{`attachment; filename*=UTF-8''%ff%fe.txt`, "ÿþ.txt"},
		{"attachment; filename=\"caf\xe9.txt\"", "café.txt"},
		{"attachment; filename=\"café.txt\"", "café.txt"},
		{`attachment; filename="=?UTF-8?B?w6RiYy50eHQ=?="`, "äbc.txt"},
		{`attachment; filename="=?ISO-8859-1?Q?=E4bc.txt?="`, "äbc.txt"},
		{`attachment; filename="=?x?broken"`, "=_x_broken"},
		{`attachment; filename="%E4%BD%A0%E5%A5%BD.txt"`, "你好.txt"},
		{`attachment; filename="50%25.txt"`, "50%25.txt"},
		{`attachment; filename="../../etc/passwd"`, "passwd"},
		{`attachment; filename="..\..\x.exe"`, "x.exe"},
		{`attachment; filename="C:\\dir\\y.exe"`, "y.exe"},
		{`attachment; filename*=UTF-8''..%2f..%2fetc%2fshadow`, "shadow"},
		{`attachment; filename*=UTF-8''a%00b.txt`, "ab.txt"},
		{`attachment; filename=".bashrc"`, "bashrc"},
		{`attachment; filename="-rf"`, "rf"},
	} {
		if got := filename.FromResponse(c.header, "", ""); got != c.want {
			t.Errorf("%s: %q, want %q", c.header, got, c.want)
		}
	}
}

func TestWithoutDisposition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ disposition, final, original, want string }{
		{"", "https://cdn/abc123", "https://h/d/file.iso", "file.iso"},
		{"", "https://cdn/real.iso?sig=1", "https://h/", "real.iso"},
		{"attachment", "", "https://h/a.zip?name=evil.exe#f", "a.zip"},
		{`attachment; filename="///"`, "", "https://h/a.zip", "a.zip"},
		{`attachment; filename="..."`, "", "https://h/a.zip", "a.zip"},
		{"", "", "https://h/dir/", "dir"},
		{"", "", "https://h//dir///", "dir"},
		{"", "", "https://h/a%20b%2520c.txt", "a b%20c.txt"},
		{"", "", "https://h/..%2f..%2fpasswd", "passwd"},
		{"", "", "https://h/%2e%2e", "download"},
		{"", "https://h/?download=x.iso", "https://h?file=y.iso", "download"},
		{"", "", "http://[::1]:80/x", "x"},
		{"", "://", "mailto:a@b", "download"},
		{"", "", "", "download"},
		{"", "", "https://h/%e4.txt", "_.txt"},
	} {
		if got := filename.FromResponse(c.disposition, c.final, c.original); got != c.want {
			t.Errorf("%q %q %q: %q, want %q", c.disposition, c.final, c.original, got, c.want)
		}
	}
}

func TestSanitize(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 300)
	for _, c := range []struct{ in, want string }{
		{"", "download"},
		{".", "download"},
		{"..", "download"},
		{"...", "download"},
		{"a/", "download"},
		{"/etc/passwd", "passwd"},
		{`a\b/c\d.txt`, "d.txt"},
		{"a\x00\r\n\t\x7fb", "ab"},
		{"abc\u202etxt.exe", "abctxt.exe"},
		{"\u200ezero\u200bwidth\ufeff", "zerowidth"},
		{`<a>:"b"|?*`, "_a___b____"},
		{"trailing. . .", "trailing"},
		{" . -leading", "leading"},
		{"CON", "_CON"},
		{"con.txt", "_con.txt"},
		{"Nul .tar.gz", "_Nul .tar.gz"},
		{"COM0", "_COM0"},
		{"lpt9.x", "_lpt9.x"},
		{"COM²", "_COM²"},
		{"conin$", "_conin$"},
		{"CONSOLE", "CONSOLE"},
		{"COM10", "COM10"},
		{"cafe\u0301.txt", "café.txt"},
		{"bad\xff\xfeutf8", "bad_utf8"},
		{long + ".tar.gz", strings.Repeat("a", 153) + ".tar.gz"},
		{long, long[:160]},
		{"x." + long, ("x." + long)[:160]},
		{strings.Repeat("é", 100) + ".iso", strings.Repeat("é", 78) + ".iso"},
		{strings.Repeat("a ", 100) + ".iso", strings.TrimRight(strings.Repeat("a ", 78), " ") + ".iso"},
	} {
		got := filename.Sanitize(c.in)
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
		if why := broken(got); why != "" {
			t.Errorf("%q: %q %s", c.in, got, why)
		}
	}
}

// broken says what is wrong with a name, judged by other means than those that
// made it.
func broken(name string) string {
	switch {
	case name == "" || len(name) > 160:
		return "has a bad length"
	case !utf8.ValidString(name) || !norm.NFC.IsNormalString(name):
		return "is not UTF-8 in NFC"
	case !filepath.IsLocal(name) || filepath.Base(name) != name:
		return "is no local component"
	case strings.ContainsAny(name, "/\\<>:\"|?*\x00"):
		return "has forbidden characters"
	case strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-"):
		return "begins badly"
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return "ends badly"
	}
	for _, r := range name {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return "has invisible characters"
		}
	}
	base, _, _ := strings.Cut(strings.ToLower(name), ".")
	base = strings.TrimSpace(base)
	if slices.Contains([]string{"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}, base) {
		return "is a device"
	}
	if len(base) >= 4 && (base[:3] == "com" || base[:3] == "lpt") && utf8.RuneCountInString(base[3:]) == 1 && strings.ContainsAny(base[3:], "0123456789¹²³") {
		return "is a port"
	}
	if filename.Sanitize(name) != name {
		return "changes when sanitised again"
	}
	return ""
}

func FuzzSanitize(f *testing.F) {
	for _, s := range []string{
		"", "..", "con.", "a\u0301", "\u202e", strings.Repeat("\u0344", 90), "aux . . ", "com\u00b9.\u0301",
		"\u1fef\u037e", strings.Repeat("x", 159) + "\u0301", "- .-CON .x", "<\u0338",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := filename.Sanitize(s); broken(got) != "" {
			t.Errorf("%q: %q %s", s, got, broken(got))
		}
	})
}

func FuzzFromResponse(f *testing.F) {
	f.Add(`attachment; filename="a.txt"; filename*=UTF-8''b%20c`, "https://h/x", "https://h/y/")
	f.Add(`a=b;filename="\\\"`, "%", "http://h/%2f%5c%00")
	f.Add(`filename*=iso-8859-1''%ff'%`, "", "")
	f.Add(`filename==?utf-8?q?=00?=`, "", "")
	f.Fuzz(func(t *testing.T, disposition, final, original string) {
		if got := filename.FromResponse(disposition, final, original); broken(got) != "" {
			t.Errorf("%q %q %q: %q %s", disposition, final, original, got, broken(got))
		}
	})
}
