package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ddm/client"
	"ddm/internal/command/commandtest"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

// hasAll holds a text against its parts.
func hasAll(t *testing.T, what, text string, want []string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q on %s:\n%s", w, what, text)
		}
	}
}

func TestEndsBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wrong := write("wrong.toml", "jobs = 3\n\ntimeout = 5\noverwriet = true\n")
	list := write("list", "http://a.invalid/\n# no\nftp://b/\n")
	empty := write("empty", "# nothing\n\n")
	cookies := write("cookies", "name=value\n")
	const u = "http://a.invalid/f"
	for _, tt := range []struct {
		name           string
		args, env      []string
		stdin          string
		status         int
		stdout, stderr []string
	}{
		{name: "help", args: []string{"--help"}, stdout: []string{"ddm-client [get] [flags] URL...", "peers [--json]", "-o, --output FILE", "DDM_CLIENT_LOG_LEVEL"}},
		{name: "help of a verb", args: []string{"peers", "-h"}, stdout: []string{"Usage:"}},
		{name: "version", args: []string{"-V"}, stdout: []string{"ddm-client "}},
		{name: "shipped file", args: []string{"--check-config", "--config=../../configs/client.toml"}, stdout: []string{"the configuration is valid (read ../../configs/client.toml)"}},
		{name: "no file", args: []string{"--check-config"}, stdout: []string{"no file was read"}},
		{name: "wrong file", args: []string{"--check-config", "--config", wrong}, status: 28, stderr: []string{
			wrong + ":3: timeout: 5 has no unit", wrong + ":4: overwriet: unknown key: did you mean overwrite?",
		}},
		{name: "wrong variable", args: []string{u}, env: []string{"DDM_CLIENT_RETRY=some"}, status: 28, stderr: []string{`ddm-client: DDM_CLIENT_RETRY: "some" is not a whole number`}},
		{name: "unknown flag", args: []string{"--frobnicate", u}, status: 28, stderr: []string{"ddm-client: unknown flag: --frobnicate\n", `Try "ddm-client --help".`}},
		{name: "no URL", status: 28, stderr: []string{"no URL to download is given"}},
		{name: "no URL, verb", args: []string{"get"}, status: 28, stderr: []string{"no URL to download is given"}},
		{name: "no URL in a file", args: []string{"-i", empty}, status: 28, stderr: []string{empty + " holds no URL"}},
		{name: "no URL in stdin", args: []string{"-i", "-"}, status: 28, stderr: []string{"stdin holds no URL"}},
		{name: "bad URL in a file", args: []string{"-i", list}, status: 28, stderr: []string{list + `:3: "ftp://b/": ftp is not spoken`}},
		{name: "bad URL in stdin", args: []string{"-i", "-"}, stdin: "\nx\n", status: 28, stderr: []string{`stdin:2: "x" is no URL`}},
		{name: "missing input", args: []string{"-i", filepath.Join(dir, "none")}, status: 15, stderr: []string{"--input-file: open"}},
		{name: "scheme", args: []string{"ftp://h/f"}, status: 28, stderr: []string{"ftp is not spoken: http and https are"}},
		{name: "no scheme", args: []string{"h.example/f"}, status: 28, stderr: []string{"as in https://h.example/f"}},
		{name: "output of several", args: []string{"-o", "x", u, u}, status: 28, stderr: []string{"--output: one name cannot serve 2 downloads"}},
		{name: "stdout of several", args: []string{"-o", "-", u, u}, status: 28, stderr: []string{"--output: one name cannot serve 2 downloads"}},
		{name: "stdout of none", args: []string{"-o", "-"}, status: 28, stderr: []string{"no URL"}},
		{name: "output is a folder", args: []string{"-o", "x/", u}, status: 28, stderr: []string{`--output: "x/" is a folder`}},
		{name: "JSON and stdout", args: []string{"--json", "-o", "-", u}, status: 28, stderr: []string{"--json: cannot be combined with --output -"}},
		{name: "no source left", args: []string{"--no-local", "--local-only", u}, status: 28, stderr: []string{"no source would be left"}},
		{name: "checksum of several", args: []string{"--checksum", "md5:d41d8cd98f00b204e9800998ecf8427e", u, u}, status: 28, stderr: []string{"--checksum: one checksum cannot serve 2 downloads"}},
		{name: "picture of several", args: []string{"--timeline", "x.svg", u, u}, status: 28, stderr: []string{"--timeline: one picture cannot show 2 downloads"}},
		{name: "picture of nothing", args: []string{"--timeline", "x.svg", "--dry-run", u}, status: 28, stderr: []string{"--timeline: with --dry-run there is nothing to draw"}},
		{name: "picture in no folder", args: []string{"--timeline", filepath.Join(dir, "none", "x.svg"), u}, status: 16, stderr: []string{"the picture: open"}},
		{name: "checksum", args: []string{"--checksum", "md5:00", u}, status: 28, stderr: []string{"--checksum: md5 has 32 hexadecimal digits, not 2"}},
		{name: "header", args: []string{"-H", "x", u}, status: 28, stderr: []string{"--header: a header must be written"}},
		{name: "cookies", args: []string{"--load-cookies", cookies, u}, status: 28, stderr: []string{"--load-cookies: " + cookies + ": line 1: 1 fields"}},
		{name: "missing cookies", args: []string{"--load-cookies", cookies + "x", u}, status: 15, stderr: []string{"--load-cookies: open"}},
		{name: "proxy variable", args: []string{u}, env: []string{"http_proxy=gopher://x"}, status: 28, stderr: []string{"http_proxy: proxies by gopher are not spoken"}},
		{name: "interface", args: []string{"--interface", "nosuch0", u}, status: 28, stderr: []string{"nosuch0"}},
		{name: "all at once", args: []string{"-o", "..", "--checksum", "x", "ftp://h/", "http:///"}, status: 28, stderr: []string{"--output: ", "--checksum: ", "ftp is not spoken", "names no host"}},
		{name: "peers with a URL", args: []string{"peers", u}, status: 28, stderr: []string{"peers takes flags only"}},
		{name: "peers with a flag of get", args: []string{"peers", "-o", "x", "--digest"}, status: 28, stderr: []string{"--output: means nothing to peers", "--digest: means nothing to peers"}},
		{name: "a plan of two", args: []string{"plan", u, u}, status: 28, stderr: []string{"plan explains one download, not 2"}},
		{name: "a plan of nothing", args: []string{"plan"}, status: 28, stderr: []string{"no URL"}},
		{name: "a plan with a flag of get", args: []string{"plan", "--digest", u}, status: 28, stderr: []string{"--digest: means nothing to plan"}},
		{name: "a plan without an origin", args: []string{"plan", "--retry", "0", "http://127.0.0.1:1/x"}, status: 6, stderr: []string{"ddm-client: "}},
		{name: "nobody to ask", args: []string{"peers", "--tracker", "127.0.0.1:1"}, status: 6, stderr: []string{"ddm-client: tracker 127.0.0.1:1: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := commandtest.Call{Args: tt.args, Env: tt.env, Stdin: tt.stdin}.Do(t, run)
			if got.Status != tt.status {
				t.Errorf("status %d, want %d", got.Status, tt.status)
			}
			hasAll(t, "stdout", got.Stdout, tt.stdout)
			hasAll(t, "stderr", got.Stderr, tt.stderr)
			if tt.status != 0 && got.Stdout != "" {
				t.Errorf("an error wrote to stdout: %s", got.Stdout)
			}
		})
	}
}

// site is an origin with what the tests need.
func site(t *testing.T) *httptest.Server {
	t.Helper()
	modified := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	mux := http.NewServeMux()
	serve := func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", modified, strings.NewReader("content of "+r.URL.Path))
	}
	mux.HandleFunc("/f/", serve)
	mux.HandleFunc("/private/", func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "joe" || password != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		serve(w, r)
	})
	mux.HandleFunc("/cookie/", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("pass"); err != nil || c.Value != "1" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		serve(w, r)
	})
	mux.HandleFunc("/header/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-A") != "b" || r.UserAgent() != "me" || r.Referer() != "http://r/" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		serve(w, r)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestGet(t *testing.T) {
	t.Parallel()
	s := site(t)
	host := strings.TrimPrefix(s.URL, "http://")
	files := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(files, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	netrcFile := write("netrc", "machine 127.0.0.1 login joe password s3cret\n")
	cookies := write("cookies", "127.0.0.1\tFALSE\t/\tFALSE\t0\tpass\t1\n")
	list := write("list", s.URL+"/f/1\n"+s.URL+"/f/2\t"+s.URL+"/f/2\n")
	const sum = "sha256:13d1bf3d0f1f8ecf3e3ae7e1ea1b80d2e2c1f5ba4fe6b8a1b8d7b6bd1fb0ae8a" // of something else
	for _, tt := range []struct {
		name           string
		args           []string
		status         int
		saved          []string // names; each holds "content of" its URL's path
		stdout, stderr []string
	}{
		{name: "plain", args: []string{s.URL + "/f/a"}, saved: []string{"f/a"}},
		{name: "several", args: []string{s.URL + "/f/a", s.URL + "/f/b", "-j1"}, saved: []string{"f/a", "f/b"}},
		{name: "list", args: []string{"-i", list}, saved: []string{"f/1", "f/2"}},
		{name: "stdout", args: []string{"-o", "-", s.URL + "/f/a"}, stdout: []string{"content of /f/a"}},
		{name: "user", args: []string{"--user=joe:s3cret", s.URL + "/private/a"}, saved: []string{"private/a"}},
		{name: "user in the URL", args: []string{"http://joe:s3cret@" + host + "/private/a"}, saved: []string{"private/a"}},
		{name: "netrc", args: []string{"--netrc-file", netrcFile, s.URL + "/private/a"}, saved: []string{"private/a"}},
		{name: "no user", args: []string{s.URL + "/private/a?k=hunter2"}, status: 24, stderr: []string{"/private/a?...: not authorized", s.URL + "/private/a", "--user"}},
		{name: "cookies", args: []string{"--load-cookies", cookies, s.URL + "/cookie/a"}, saved: []string{"cookie/a"}},
		{name: "headers", args: []string{"-HX-A:b", "-U", "me", "--referer=http://r/", s.URL + "/header/a"}, saved: []string{"header/a"}},
		{name: "not found", args: []string{s.URL + "/none"}, status: 3},
		{name: "first failure counts", args: []string{s.URL + "/f/a", s.URL + "/none", s.URL + "/private/a"}, status: 3, saved: []string{"f/a"}},
		{name: "checksum", args: []string{"--checksum", sum, s.URL + "/f/a"}, status: 32},
		{name: "nobody there", args: []string{"--retry=0", "http://127.0.0.1:1/f"}, status: 6},
		{name: "JSON", args: []string{"--json", s.URL + "/none"}, status: 3, stdout: []string{`"event":"error"`, `"exit":3`, `"kind":"not found"`}},
		{name: "dry run", args: []string{"--dry-run", s.URL + "/f/a"}, stdout: []string{"a"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			got := commandtest.Call{Args: append([]string{"--local-only", "--proxy=none", "-d", dir}, tt.args...)}.Do(t, run)
			if got.Status != tt.status {
				t.Errorf("status %d, want %d: %s", got.Status, tt.status, got.Stderr)
			}
			hasAll(t, "stdout", got.Stdout, tt.stdout)
			hasAll(t, "stderr", got.Stderr, tt.stderr)
			if strings.Contains(got.Stderr+got.Stdout, "hunter2") {
				t.Errorf("the URL's query is shown:\n%s", got.Stderr)
			}
			for _, path := range tt.saved {
				data, err := os.ReadFile(filepath.Join(dir, filepath.Base(path)))
				if err != nil || string(data) != "content of /"+path {
					t.Errorf("%s: %q, %v", path, data, err)
				}
			}
		})
	}
}

// TestInterrupted ends a download that waits for its origin.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 16)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stdout, stderr commandtest.Output
	wait := commandtest.Call{Args: []string{"--local-only", "-j1", "-d", t.TempDir(), s.URL + "/a", s.URL + "/b"}}.Start(ctx, t, run, &stdout, &stderr)
	<-asked
	stop()
	got := wait()
	if got.Status != 7 || strings.Count(got.Stderr, "interrupted; what arrived is kept: the same command goes on") != 2 {
		t.Errorf("%+v", got)
	}
}

// TestPeers lists one peer that registered with a real tracker.
func TestPeers(t *testing.T) {
	t.Parallel()
	server, err := tracker.New(tracker.Config{Listen: "127.0.0.1:0", Heartbeat: time.Hour, Lease: 3 * time.Hour, Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, server.Run)
	addr := server.Addr().String()
	empty := commandtest.Call{Args: []string{"peers", "--tracker", addr}}.Do(t, run)
	if empty.Status != 0 || empty.Stdout != "no peers\n" {
		t.Errorf("%+v", empty)
	}
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = ddmv1.NewTrackerServiceClient(conn).Register(t.Context(), &ddmv1.RegisterRequest{Peer: &ddmv1.PeerInfo{
		Id: "id1", Name: "attic", Address: "192.168.7.7:7430", Version: "v1", BootId: "b",
		Lines: []*ddmv1.Line{{Name: "eth0", LimitBytesPerSecond: 5, Metered: true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	table := commandtest.Call{Args: []string{"--tracker", addr, "peers"}}.Do(t, run)
	hasAll(t, "stdout", table.Stdout, []string{"NAME", "attic", "192.168.7.7:7430", "eth0", " ago", "v1"})

	lines := commandtest.Call{Args: []string{"peers", "--json", "--tracker", addr}}.Do(t, run)
	var row map[string]any
	if err := json.Unmarshal([]byte(lines.Stdout), &row); err != nil || strings.Count(lines.Stdout, "\n") != 1 {
		t.Fatalf("%v: %+v", err, lines)
	}
	for _, field := range []string{"name", "id", "address", "version", "lines", "last_heartbeat", "load"} {
		if row[field] == nil {
			t.Errorf("no %s in %s", field, lines.Stdout)
		}
	}
}

// TestPlanShown prints what was planned, for people and for programs.
func TestPlanShown(t *testing.T) {
	t.Parallel()
	o := &client.Outlook{
		URL: "http://h/f", Name: "f\x1b", Size: 3 << 20, Identity: "strong", Expected: 90 * time.Second, Notes: []string{"careful"},
		Sources: []client.Prospect{
			{Name: "own line", Kind: "local", Rate: 1 << 20, Basis: "measured", Bytes: 3 << 20, Time: 3 * time.Second},
			{Name: "attic", Kind: "peer", Basis: "unknown"},
		},
		Bottleneck: client.Bottleneck{Sources: []string{"own line"}, Bytes: 3 << 20, Needs: 3 * time.Second},
		Bounds:     client.Bounds{OneCopy: 2500 * time.Millisecond},
	}
	var b strings.Builder
	if err := showOutlook(&b, o, time.Time{}); err != nil || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%v: %q", err, b.String())
	}
	hasAll(t, "stdout", b.String(), []string{"f?", "3.0 MiB, identity strong", "1m30s", "own line: 3.0 s for 3.0 MiB", "one copy over all lines 2.5 s", "careful", "1.0 MiB/s", "not known"})
	b.Reset()
	if err := showOutlookJSON(&b, o, time.Time{}); err != nil {
		t.Fatal(err)
	}
	var row map[string]any
	if err := json.Unmarshal([]byte(b.String()), &row); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Fatalf("%v: %s", err, b.String())
	}
	hasAll(t, "stdout", b.String(), []string{
		`"event":"outlook"`, `"expected_seconds":90`, `"client_server_seconds":null`, `"one_copy_seconds":2.5`,
		`"bottleneck":{"sources":["own line"],"receiver":false,"bytes":3145728,"seconds":3}`, `"rate":null,"basis":"unknown"`,
	})
	for _, receiver := range []bool{true, false} {
		b.Reset()
		o.Bottleneck = client.Bottleneck{Receiver: receiver}
		want := map[bool]string{true: "this machine's own limit", false: "no rate is known"}[receiver]
		if err := showOutlook(&b, o, time.Time{}); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%v: %q lacks %q", err, b.String(), want)
		}
	}
}

func TestPeerTableIsPlain(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err := showPeers(&b, []*ddmv1.PeerInfo{
		{Name: "evil\x1b[2J\n", LastHeartbeat: timestamppb.New(now.Add(time.Second)), Lines: []*ddmv1.Line{{Name: "a"}, {}}},
		{},
	}, now)
	if err != nil || strings.ContainsAny(b.String(), "\x1b") || strings.Count(b.String(), "\n") != 3 {
		t.Errorf("%v: %q", err, b.String())
	}
	hasAll(t, "stdout", b.String(), []string{"evil?[2J?", "0s ago", "a,-"})
}
