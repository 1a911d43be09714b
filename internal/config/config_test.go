package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"ddm/internal/config"
	"ddm/internal/errdefs"
)

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

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLayers adds one layer after another; each must win over those before.
func TestLayers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	system, user := filepath.Join(dir, "etc"), filepath.Join(dir, "home")
	explicit := filepath.Join(dir, "own.toml")
	var env []string
	var args []string
	for _, step := range []struct {
		name string
		add  func()
		want string
	}{
		{"default", func() {}, ":7420"},
		{"system", func() { write(t, filepath.Join(system, "tracker.toml"), `listen = ":1"`+"\n"+`lease = "9s"`) }, ":1"},
		{"user", func() {
			write(t, filepath.Join(user, "ddm", "tracker.toml"), `listen = ":2"`)
			env = append(env, "XDG_CONFIG_HOME="+user)
		}, ":2"},
		{"explicit", func() {
			write(t, explicit, `listen = ":3"`)
			args = append(args, "--config", explicit)
		}, ":3"},
		{"environment", func() { env = append(env, "DDM_TRACKER_LISTEN=:4") }, ":4"},
		{"flag", func() { args = append(args, "--listen=:5") }, ":5"},
	} {
		step.add()
		var cfg config.Tracker
		loaded, err := config.TrackerProgram(&cfg).Load(args, config.Environment{Lookup: variables(env...), SystemDir: system})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if cfg.Listen != step.want {
			t.Errorf("%s: listen = %q, want %q", step.name, cfg.Listen, step.want)
		}
		if step.name != "default" && cfg.Lease != 9*time.Second {
			t.Errorf("%s: lease = %s: a higher layer forgot what it does not name", step.name, cfg.Lease)
		}
		if got := slices.Contains(loaded.Flags, "listen"); got != (step.name == "flag") {
			t.Errorf("%s: flags %q", step.name, loaded.Flags)
		}
	}
}

func TestListsReplaceLowerLayers(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "peerd.toml"), `tracker = ["a", "b:1"]`)
	for _, tt := range []struct {
		name string
		args []string
		env  []string
		want []string
	}{
		{"default", nil, nil, []string{"127.0.0.1:7420"}},
		{"file", []string{"--config", file}, nil, []string{"a:7420", "b:1"}},
		{"environment", []string{"--config", file}, []string{"DDM_PEERD_TRACKER=c, d:2,"}, []string{"c:7420", "d:2"}},
		{
			"flags",
			[]string{"--config", file, "--tracker", "::1", "--tracker=[fe80::1%eth0]:9"},
			[]string{"DDM_PEERD_TRACKER=c"},
			[]string{"[::1]:7420", "[fe80::1%eth0]:9"},
		},
		{"empty variable counts as unset", []string{"--config", file}, []string{"DDM_PEERD_TRACKER="}, []string{"a:7420", "b:1"}},
	} {
		var cfg config.Peerd
		_, err := config.PeerdProgram(&cfg).Load(tt.args, config.Environment{Lookup: variables(tt.env...), SystemDir: t.TempDir()})
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !slices.Equal(cfg.Trackers, tt.want) {
			t.Errorf("%s: trackers %q, want %q", tt.name, cfg.Trackers, tt.want)
		}
	}
}

// TestProblems has one wrong file per row; every line of want must be part of
// the error, with FILE standing for the file's name, and nothing else.
func TestProblems(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		env, args  []string
		want       []string
	}{
		{"unknown key", "listen = \":1\"\nlisten-on = 2", nil, nil, []string{`FILE:2: listen-on: unknown key`}},
		{"misspelt", "\nlog_level = \"info\"", nil, nil, []string{`FILE:2: log_level: unknown key: did you mean log-level?`}},
		{"case", `Listen = ":1"`, nil, nil, []string{`FILE:1: Listen: unknown key: did you mean listen?`}},
		{
			"unknown tables", "[server]\nport = 1\n\n[server.tls]\n\ncert = \"x\"\n[empty]\n[[many]]\nx = 1\n[[many]]\n", nil, nil,
			[]string{
				`FILE:2: server.port: unknown key`, `FILE:6: server.tls.cert: unknown key`, `FILE:7: empty: unknown key`,
				`FILE:10: many: unknown key`,
			},
		},
		{
			"dotted and inline", "a.b.c = 1\nx = { y = 1,\n z = 2 }\n\"quo.ted\".k = 1", nil, nil,
			[]string{`FILE:1: a.b.c: unknown key`, `FILE:2: x.y: unknown key`, `FILE:3: x.z: unknown key`, `FILE:4: "quo.ted".k: unknown key`},
		},
		{"bare integer", "lease = 5", nil, nil, []string{`FILE:1: lease: 5 has no unit: write a string with one, such as "6s"`}},
		{"bad unit", "lease = \"5 parsecs\"", nil, nil, []string{`FILE:1: lease: "5 parsecs" is no duration: write a number and a unit, such as "6s"`}},
		{"no unit", "lease = \"5\"", nil, nil, []string{`FILE:1: lease: "5" is no duration`}},
		{"out of range", "heartbeat = \"-1s\"\nlease = \"100h\"", nil, nil, []string{
			`FILE:1: heartbeat: -1s is not between 50ms and 1h`, `FILE:2: lease: 100h is not between 100ms and 2h`,
		}},
		{"level", "log-level = \"verbose\"", nil, nil, []string{`FILE:1: log-level: "verbose" is not one of trace, debug, info, warn, error`}},
		{"types", "listen = 7420\nlog-json = \"yes\"\nstate-dir = [\"a\"]\nhttp = 1.5\nlog-level = 2026-01-01\nlease = {a = 1}", nil, nil, []string{
			`FILE:1: listen: must be a string`, `FILE:2: log-json: must be true or false`, `FILE:3: state-dir: must be a string`,
			`FILE:4: http: must be a string`, `FILE:5: log-level: must be a string`, `FILE:6: lease: must be a string`,
		}},
		{"addresses", "listen = \"7420\"\nhttp = \":http\"", nil, nil, []string{
			`FILE:1: listen: "7420" is no address: write HOST:PORT`, `FILE:2: http: ":http" is no address: the port must be a number`,
		}},
		{"syntax", "listen = \":1\"\nlease = ", nil, nil, []string{`FILE:2: toml: error`, `lease = `}},
		{"twice", "lease = \"6s\"\nlease = \"7s\"", nil, nil, []string{`FILE:2: toml: error: Key 'lease' has already been defined`}},
		{"across settings", "\nheartbeat = \"4s\"", nil, nil, []string{`lease: 6s is less than two heartbeats of 4s`}},
		{"across settings, placed", "\nlease = \"3s\"", nil, nil, []string{`FILE:2: lease: 3s is less than two heartbeats of 2s`}},
		{
			"all layers at once", "bad = 1\nlease = 5",
			[]string{"DDM_TRACKER_LOG_LEVEL=loud", "DDM_TRACKER_LOG_JSON=maybe"},
			[]string{"--heartbeat=1", "--listen", "x"},
			[]string{
				`FILE:1: bad: unknown key`, `FILE:2: lease: 5 has no unit`, `DDM_TRACKER_LOG_LEVEL: "loud" is not one of`,
				`DDM_TRACKER_LOG_JSON: "maybe" is not true or false`, `--heartbeat: "1" is no duration`, `--listen: "x" is no address`,
			},
		},
		{"overridden and wrong", `listen = "x"`, nil, []string{"--listen=:1"}, []string{`FILE:1: listen: "x" is no address`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := write(t, filepath.Join(t.TempDir(), "t.toml"), tt.file)
			var cfg config.Tracker
			_, err := config.TrackerProgram(&cfg).Load(append([]string{"--config", file}, tt.args...),
				config.Environment{Lookup: variables(tt.env...), SystemDir: t.TempDir()})
			wantProblems(t, err, file, tt.want)
			if !errors.Is(err, errdefs.Invalid) {
				t.Errorf("%v is not of kind invalid", err)
			}
		})
	}
}

func wantProblems(t *testing.T, err error, file string, want []string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	text := strings.ReplaceAll(err.Error(), file, "FILE")
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if ok && !strings.Contains(text, "toml:") && len(joined.Unwrap()) != len(want) {
		t.Errorf("%d problems, want %d:\n%s", len(joined.Unwrap()), len(want), text)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		env  []string
		want string // part of the error; "": none
	}{
		{"nothing anywhere", nil, nil, ""},
		{"a file for a directory", nil, []string{"XDG_CONFIG_HOME=" + write(t, filepath.Join(dir, "plain"), "")}, ""},
		{"named and missing", []string{"--config", filepath.Join(dir, "missing.toml")}, nil, "missing.toml"},
		{"named without a name", []string{"--config", ""}, nil, "empty"},
		{"a directory", []string{"--config", dir}, nil, "is a directory"},
		{"too large", []string{"--config", write(t, filepath.Join(dir, "big.toml"), strings.Repeat("#", 300<<10))}, nil, "larger than 256 KiB"},
	} {
		_, err := config.TrackerProgram(new(config.Tracker)).Load(tt.args,
			config.Environment{Lookup: variables(tt.env...), SystemDir: filepath.Join(dir, "none")})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestClientValues goes through the kinds of values by flags.
func TestClientValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string // part of the error; "": valid
		ok   func(config.Client) bool
	}{
		{[]string{"--limit-rate=5MiB"}, "", func(c config.Client) bool { return c.LimitRate == 5<<20 }},
		{[]string{"--limit-rate=5MiB/s"}, "", func(c config.Client) bool { return c.LimitRate == 5<<20 }},
		{[]string{"--limit-rate", "1.5 MB"}, "", func(c config.Client) bool { return c.LimitRate == 1_500_000 }},
		{[]string{"--limit-rate=500k"}, "", func(c config.Client) bool { return c.LimitRate == 500<<10 }},
		{[]string{"--limit-rate=0"}, "", func(c config.Client) bool { return c.LimitRate == 0 }},
		{[]string{"--limit-rate=5000"}, "the unit is missing", nil},
		{[]string{"--limit-rate=1,5MiB"}, "the number is malformed", nil},
		{[]string{"--limit-rate=-1MiB"}, "the number is malformed", nil},
		{[]string{"--limit-rate=5 apples"}, "number or unit is unknown", nil},
		{[]string{"--limit-rate=1.2.3MB"}, "number or unit is unknown", nil},
		{[]string{"--limit-rate=9EiB"}, "too large", nil},
		{[]string{"--limit-rate=99999EiB"}, "number or unit is unknown", nil},
		{[]string{"-x", "16"}, "", func(c config.Client) bool { return c.Connections == 16 }},
		{[]string{"-x", "1000"}, "1000 is not between 0 and 256", nil},
		{[]string{"-x", "many"}, `"many" is not a whole number`, nil},
		{[]string{"-j", "0"}, "0 is not between 1 and 256", nil},
		{[]string{"-j", "99999999999999999999"}, "is not between", nil},
		{[]string{"-H", "a:b", "-H", "X-C:  d "}, "", func(c config.Client) bool {
			return slices.Equal(c.Headers, []string{"a: b", "X-C: d"})
		}},
		{[]string{"-H", "nonsense"}, "must be written 'Name: value'", nil},
		{[]string{"-H", "a b: c"}, "no header name", nil},
		{[]string{"-H", "a: b\r\nc: d"}, "control character", nil},
		{[]string{"-H", "Range: bytes=0-1"}, "chosen by the download itself", nil},
		{[]string{"-U", "a\nb"}, "control character", nil},
		{[]string{"--user", "joe"}, "user:password", nil},
		{[]string{"--user", "joe:s:cret"}, "", func(c config.Client) bool { return c.User == "joe:s:cret" }},
		{[]string{"--proxy", "proxy:3128"}, "", func(c config.Client) bool { return c.Proxy == "http://proxy:3128" }},
		{[]string{"--proxy", "NONE"}, "", func(c config.Client) bool { return c.Proxy == "none" }},
		{[]string{"--proxy", "ftp://proxy"}, "proxies by ftp are not spoken", nil},
		{[]string{"--proxy", "http://"}, "is no proxy", nil},
		{[]string{"--tracker", "box"}, "", func(c config.Client) bool { return slices.Equal(c.Trackers, []string{"box:7420"}) }},
		{[]string{"--tracker", ":7420"}, "names no host", nil},
		{[]string{"--tracker", "box:0"}, "nobody can be reached at port 0", nil},
		{[]string{"--tracker", "box:70000"}, "the port must be a number", nil},
		{[]string{"--tracker", "http://box"}, "is no", nil},
		{[]string{"--interface", "a b"}, "neither an interface nor an address", nil},
		{[]string{"--no-local", "--local-only"}, "no source would be left", nil},
		{[]string{"--no-share", "--share-for", "1m"}, "nothing is given", nil},
		{[]string{"--share-for", "90s"}, "", func(c config.Client) bool { return c.ShareFor == 90*time.Second }},
		{[]string{"--no-local", "--local-only=false"}, "", func(c config.Client) bool { return c.NoLocal }},
		{[]string{"--json", "-o", "-"}, "both would write to stdout", nil},
		{[]string{"--netrc-file=x"}, "", func(c config.Client) bool { return c.Netrc && c.NetrcFile == "x" }},
		{[]string{"--retry-wait=5"}, `"5" is no duration: write a number and a unit, such as "1s"`, nil},
		{[]string{"--digest=maybe"}, `"maybe" is not true or false`, nil},
		{[]string{"--nonsense"}, "unknown flag: --nonsense", nil},
		{[]string{"-Z"}, "unknown shorthand flag: 'Z'", nil},
		{[]string{"--dir"}, "flag needs an argument: --dir", nil},
	} {
		var cfg config.Client
		_, err := config.ClientProgram(&cfg).Load(tt.args, config.Environment{SystemDir: t.TempDir()})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%q: %v", tt.args, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%q: %v, want %q", tt.args, err, tt.want)
		case tt.ok != nil && !tt.ok(cfg):
			t.Errorf("%q: taken as %+v", tt.args, cfg)
		}
	}
}

func TestPeerdValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string // part of the error; "": valid
	}{
		{[]string{"--allow-origin=10.0.0.0/8", "--allow-origin=mirror.lan:8080"}, ""},
		{[]string{"--allow-origin=10.0.0.0/99"}, "--allow-origin: "},
		{[]string{"--advertise=box:7430", "--name=attic", "--http=off", "--listen=[::]:0"}, ""},
		{[]string{"--advertise=box"}, "write HOST:PORT"},
		{[]string{"--name=" + strings.Repeat("x", 65)}, "65 bytes are more than 64"},
		{[]string{"--name=a\x1b[31m"}, "control character"},
		{[]string{"--max-assignments=0"}, "0 is not between 1 and 4096"},
	} {
		_, err := config.PeerdProgram(new(config.Peerd)).Load(tt.args, config.Environment{SystemDir: t.TempDir()})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.want)
		}
	}
}

func TestSecretsAreNotRepeated(t *testing.T) {
	t.Parallel()
	env := variables("DDM_CLIENT_USER=hunter2", "DDM_CLIENT_HEADER=Cookie: hunter2\x01\nhunter2", "DDM_CLIENT_PROXY=ftp://hunter2:hunter2@h")
	_, err := config.ClientProgram(new(config.Client)).Load(nil, config.Environment{Lookup: env, SystemDir: t.TempDir()})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v, want an error without the secret", err)
	}
}

func TestScopes(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "c.toml"), "output = \"x\"\nuser = \"a:b\"")
	var cfg config.Client
	env := variables("DDM_CLIENT_OUTPUT=y", "DDM_CLIENT_USER=c:d", "DDM_CLIENT_PORT=tcp://10.0.0.1:80")
	_, err := config.ClientProgram(&cfg).Load([]string{"--config", file}, config.Environment{Lookup: env, SystemDir: t.TempDir()})
	wantProblems(t, err, file, []string{
		`FILE:1: output: cannot be set in a file: use the flag --output`, `FILE:2: user: cannot be set in a file`,
	})
	if cfg.Output != "" || cfg.User != "c:d" {
		t.Errorf("output %q, user %q", cfg.Output, cfg.User)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want config.Mode
		rest int
	}{
		{nil, config.Run, 0},
		{[]string{"a", "--listen=:1", "--", "--b"}, config.Run, 2},
		{[]string{"--help", "--version", "--config=missing"}, config.ShowHelp, 0},
		{[]string{"-V", "--config=missing"}, config.ShowVersion, 0},
		{[]string{"--check-config"}, config.CheckOnly, 0},
	} {
		loaded, err := config.TrackerProgram(new(config.Tracker)).Load(tt.args, config.Environment{SystemDir: t.TempDir()})
		if err != nil || loaded.Mode != tt.want || len(loaded.Args) != tt.rest {
			t.Errorf("%q: %+v, %v", tt.args, loaded, err)
		}
	}
}

func TestHelpNamesEverything(t *testing.T) {
	t.Parallel()
	program := config.ClientProgram(new(config.Client))
	var b bytes.Buffer
	if err := program.Help(&b); err != nil {
		t.Fatal(err)
	}
	help := b.String()
	for _, s := range program.Settings {
		if !strings.Contains(help, "--"+s.Name) {
			t.Errorf("--%s is not in the help", s.Name)
		}
	}
	for _, want := range []string{"(default 3)", "(default 10s)", "DDM_CLIENT_LOG_LEVEL", "client.toml", "--check-config"} {
		if !strings.Contains(help, want) {
			t.Errorf("%q is not in the help", want)
		}
	}
	for line := range strings.Lines(help) {
		if len(line) > 100 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
}

// FuzzFile feeds arbitrary files to the strictest program: whatever is wrong
// is an error of kind invalid, and what loads is in range.
func FuzzFile(f *testing.F) {
	for _, name := range []string{"tracker", "peerd", "client"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "configs", name+".toml"))
		if err != nil {
			f.Fatal(err)
		}
		// Comments teach the fuzzer nothing, and it minimizes them for minutes.
		f.Add(regexp.MustCompile(`(?m)^#.*\n|^\n`).ReplaceAll(data, nil))
	}
	f.Add([]byte("lease = 5\nheartbeat = \"9999h\"\n[a.b]\nc = [[1], {x = 1}]\n"))
	f.Add([]byte("tracker = [\"[::1]\", \":1\", 5]\nlimit-rate = \"1e9GiB\"\n\"\" = 1\n[[x]]\n[[x.y]]\nz = nan"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := write(t, filepath.Join(t.TempDir(), "f.toml"), string(data))
		env := config.Environment{SystemDir: t.TempDir()}
		args := []string{"--config", file}
		var tr config.Tracker
		if _, err := config.TrackerProgram(&tr).Load(args, env); err == nil {
			if tr.Lease < 2*tr.Heartbeat || tr.Heartbeat <= 0 {
				t.Errorf("lease %s, heartbeat %s", tr.Lease, tr.Heartbeat)
			}
		} else if !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%v is not of kind invalid", err)
		}
		var c config.Client
		if _, err := config.ClientProgram(&c).Load(args, env); err == nil && (c.LimitRate < 0 || c.Jobs < 1 || c.Timeout <= 0) {
			t.Errorf("out of range: %+v", c)
		}
	})
}
