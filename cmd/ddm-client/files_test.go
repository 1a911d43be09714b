package main

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ddm/internal/command"
	"ddm/internal/config"
	"ddm/internal/errdefs"
)

func TestNetrc(t *testing.T) {
	t.Parallel()
	const file = `# a comment
machine example.org login joe password s3cret
machine Quoted.example
	login "jo e" password "a \"b\" #c"
machine macros.example login m password p
macdef init
  machine trap login x password y
  quit

machine onlylogin.example login solo
default login anonymous password guest # trailing comment
machine late.example login late password l8
machine noaccount.example account only
`
	n, err := parseNetrc(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ host, want string }{
		{"example.org", "joe:s3cret"},
		{"EXAMPLE.org:8080", "joe:s3cret"},
		{"quoted.example", `jo%20e:a%20%22b%22%20%23c`},
		{"macros.example", "m:p"},
		{"trap", "anonymous:guest"},
		{"onlylogin.example", "solo:"},
		{"late.example", "late:l8"},
		{"sub.example.org", "anonymous:guest"},
		{"noaccount.example", "anonymous:guest"},
		{"[::1]:80", "anonymous:guest"},
		{"", "anonymous:guest"},
	} {
		if got := n.find(tt.host); got == nil || got.String() != tt.want {
			t.Errorf("%s: %v, want %s", tt.host, got, tt.want)
		}
	}
	if got := (netrc{}).find("example.org"); got != nil {
		t.Errorf("empty: %v", got)
	}
	for _, tt := range []struct{ file, want string }{
		{"\nlogin x", "line 2: login stands before any machine"},
		{"machine", "line 1: nothing follows machine"},
		{"machine a login b\npasswd hunter2", `line 2: "pa..." where machine`},
		{"machine a login b password hunter2 secret", `"se..."`},
	} {
		if _, err := parseNetrc(tt.file); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v, want %q", tt.file, err, tt.want)
		}
	}
}

// FuzzNetrc: what can be written can be read back.
func FuzzNetrc(f *testing.F) {
	f.Add("host", "login", "pass word", "# junk\nmacdef x\n\n")
	f.Add("h", "\"", "\\", "default login a")
	f.Fuzz(func(t *testing.T, host, login, password, junk string) {
		if _, err := parseNetrc(junk); err != nil && err.Error() == "" {
			t.Error("an error without text")
		}
		quote := func(s string) string { return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"` }
		if strings.ContainsAny(host+login+password, "\n") || host == "" || strings.ContainsAny(host, ":[]") {
			return
		}
		n, err := parseNetrc("machine " + quote(host) + " login " + quote(login) + "\npassword " + quote(password))
		if err != nil {
			t.Fatal(err)
		}
		got := n.find(host)
		if pass, _ := got.Password(); got.Username() != login || pass != password {
			t.Errorf("%q, %q came back as %q, %q", login, password, got.Username(), pass)
		}
	})
}

func TestCookies(t *testing.T) {
	t.Parallel()
	const file = "# Netscape HTTP Cookie File\n\n" +
		".example.org\tTRUE\t/\tFALSE\t0\tall\t1\n" +
		"#HttpOnly_example.org\tFALSE\t/dir\tTRUE\t4102444800\thidden\t2\r\n" +
		"example.org\tFALSE\t/\tFALSE\t1\tlong-gone\t3\n" +
		".co.uk\tTRUE\t/\tFALSE\t0\tgreedy\t4\n" +
		"127.0.0.1\tFALSE\t/\tFALSE\t0\tlocal\t5\n" +
		"empty.example\tFALSE\t/\tFALSE\t0\tempty\n"
	jar, err := parseCookies(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		url  string
		want []string
	}{
		{"http://example.org/", []string{"all=1"}},
		{"https://example.org/dir/x", []string{"all=1", "hidden=2"}},
		{"http://example.org/dir/x", []string{"all=1"}},
		{"https://sub.example.org/dir/x", []string{"all=1"}},
		{"http://shop.co.uk/", nil},
		{"http://127.0.0.1:8080/", []string{"local=5"}},
		{"http://empty.example/", []string{"empty="}},
		{"http://other.example/", nil},
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range jar.Cookies(u) {
			got = append(got, c.Name+"="+c.Value)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.url, got, tt.want)
		}
	}
	for _, tt := range []struct{ file, want string }{
		{"\nname=value", "line 2: 1 fields"},
		{"a\tMAYBE\t/\tTRUE\t0\tn\tv", "TRUE or FALSE"},
		{"a\tTRUE\t/\tTRUE\tsoon\tn\tv", "seconds since 1970"},
		{"\tTRUE\t/\tTRUE\t0\tn\tv", "no domain"},
		{"a\tTRUE\t/\tTRUE\t0\t\tv", "no name"},
	} {
		if _, err := parseCookies(tt.file); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.file, err, tt.want)
		}
	}
}

func FuzzCookies(f *testing.F) {
	f.Add("a\tTRUE\t/\tFALSE\t0\tn\tv\n#HttpOnly_b\tFALSE\tx\tTRUE\t9999999999999999\tn\tv")
	f.Fuzz(func(t *testing.T, file string) {
		if jar, err := parseCookies(file); (jar == nil) == (err == nil) {
			t.Errorf("jar %v, error %v", jar, err)
		}
	})
}

func TestProxies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, given string
		env         []string
		url, want   string
		err         string
	}{
		{name: "nothing", url: "http://a/"},
		{name: "given", given: "http://p:1", env: []string{"HTTP_PROXY=http://other"}, url: "http://a/", want: "http://p:1"},
		{name: "given, for loopback too", given: "http://p:1", url: "http://127.0.0.1/", want: "http://p:1"},
		{name: "none", given: "none", env: []string{"HTTP_PROXY=http://p"}, url: "http://a/"},
		{name: "environment", env: []string{"HTTP_PROXY=p:1", "HTTPS_PROXY=socks5://s:2"}, url: "https://a/", want: "socks5://s:2"},
		{name: "lower case", env: []string{"http_proxy=http://p:1"}, url: "http://a/", want: "http://p:1"},
		{name: "all", env: []string{"ALL_PROXY=socks5h://s:2"}, url: "http://a/", want: "socks5h://s:2"},
		{name: "excepted", env: []string{"HTTP_PROXY=http://p:1", "NO_PROXY=a"}, url: "http://a/"},
		{name: "nonsense", env: []string{"HTTP_PROXY=ftp://x:y@p"}, err: "HTTP_PROXY: proxies by ftp are not spoken"},
	} {
		choose, err := proxies(tt.given, variables(tt.env...))
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := ""
		if choose != nil {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			u, err := choose(req)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			} else if u != nil {
				got = u.String()
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// variables is an environment for tests.
func variables(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

func TestLoadNetrc(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	load := func(file string, env ...string) error {
		s := session{std: command.Std{Lookup: variables(env...)}, cfg: config.Client{Netrc: true, NetrcFile: file}}
		find, err := s.loadNetrc()
		if err == nil {
			find("example.org") // must be callable, whatever the file holds
		}
		return err
	}
	if err := load("", "HOME="+home); err != nil {
		t.Errorf("no ~/.netrc: %v", err)
	}
	if err := load(filepath.Join(home, "missing"), "HOME="+home); !errors.Is(err, errdefs.OpenFile) {
		t.Errorf("named and missing: %v", err)
	}
	if err := load(""); !errors.Is(err, errdefs.Invalid) {
		t.Errorf("no home: %v", err)
	}
	if err := os.WriteFile(filepath.Join(home, ".netrc"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := load("", "HOME="+home); !errors.Is(err, errdefs.Invalid) || !strings.Contains(err.Error(), ".netrc: line 1") {
		t.Errorf("nonsense: %v", err)
	}
}
