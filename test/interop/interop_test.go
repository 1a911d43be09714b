//go:build unix

package interop_test

import (
	"bytes"
	compress "compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ddm/internal/origin/origintest"
	"ddm/test/program"
)

// size is odd, and more than the ranges that a peer begins with.
const size = 5<<20 + 4711

var programs program.Set

func TestMain(m *testing.M) {
	code := m.Run()
	programs.Remove()
	os.Exit(code)
}

// row is what to expect of a folder.
type row struct {
	identity string
	shared   bool // peers may fetch it
}

var expected = map[string]row{
	strong: {"strong", true},
	weak:   {"weak", true},
	young:  {"none", false},
	bare:   {"none", false},
	whole:  {"strong", false},
	gzip:   {"strong", true},
	coded:  {"strong", false},
	slow:   {"strong", true},
}

// TestServers downloads every folder of every server that is installed: over
// the own line, over the own line and two peers, and over the peers alone. What
// comes is what curl gets.
func TestServers(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("skipped: curl is not installed")
	}
	dir := publish(t)
	_, tracker := programs.Tracker(t)
	programs.Peer(t, tracker, "ann", "127.0.0.2")
	programs.Peer(t, tracker, "bob", "127.0.0.3")
	programs.AwaitPeers(t, tracker, 2)
	for _, s := range servers {
		t.Run(s.name, func(t *testing.T) {
			base := s.start(t, dir)
			for _, folder := range s.folders {
				want := expected[folder]
				if s.name == "python" {
					want.identity = "weak" // it knows no ETag
				}
				t.Run(folder, func(t *testing.T) {
					url := base + "/" + folder + "/data.txt"
					truth := curl(t, url)
					for mode, args := range map[string][]string{
						"own":   {"--local-only"},
						"both":  {"--tracker", tracker},
						"peers": {"--tracker", tracker, "--no-local"},
					} {
						t.Run(mode, func(t *testing.T) { compare(t, url, args, truth, want, mode) })
					}
				})
			}
		})
	}
}

// TestMirrors fetches one file from all servers that know ranges and are
// installed. Each tags it in its own way; their dates agree.
func TestMirrors(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("skipped: curl is not installed")
	}
	dir := publish(t)
	_, tracker := programs.Tracker(t)
	programs.Peer(t, tracker, "ann", "127.0.0.2")
	programs.AwaitPeers(t, tracker, 1)
	var urls []string
	for _, s := range servers {
		if s.installed() && slices.Contains(s.folders, strong) {
			urls = append(urls, s.start(t, dir)+"/"+slow+"/data.txt")
		}
	}
	if len(urls) < 2 {
		t.Skip("skipped: fewer than two of the servers are installed")
	}
	truth := curl(t, strings.Replace(urls[0], "/"+slow+"/", "/"+strong+"/", 1))
	for mode, args := range map[string][]string{"own": {"--local-only"}, "both": {"--tracker", tracker}, "peers": {"--tracker", tracker, "--no-local"}} {
		t.Run(mode, func(t *testing.T) {
			to := t.TempDir()
			args := append(args, "--insecure", "--json", "--dir", to, "--mirror")
			p := program.Start(t, programs.Path(t, "ddm-client"), append(args, urls...)...)
			if status := p.Wait(t); status != 0 {
				t.Fatalf("exit %d", status)
			}
			if got, err := os.ReadFile(filepath.Join(to, "data.txt")); err != nil || !bytes.Equal(got, truth) {
				t.Errorf("%d bytes that are not curl's %d: %v", len(got), len(truth), err)
			}
			done, _ := p.Event("done")
			used := map[string]bool{}
			for _, src := range done.Sources {
				if _, at, ok := strings.Cut(src.Name, "@"); ok && src.Bytes > 0 {
					used[at] = true
				}
			}
			if len(used) < 2 || done.Identity != "weak" {
				t.Errorf("identity %s over %v", done.Identity, used)
			}
		})
	}
}

func compare(t *testing.T, url string, args []string, truth []byte, want row, mode string) {
	t.Helper()
	dir := t.TempDir()
	p := program.Start(t, programs.Path(t, "ddm-client"), append(args, "--insecure", "--json", "--dir", dir, url)...)
	status := p.Wait(t)
	if mode == "peers" && !want.shared {
		if status != 41 {
			t.Errorf("exit %d: peers fetched what they cannot share", status)
		}
		return
	}
	if status != 0 {
		t.Fatalf("exit %d", status)
	}
	got, err := os.ReadFile(filepath.Join(dir, "data.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, truth) {
		t.Errorf("%d bytes that are not curl's %d", len(got), len(truth))
	}
	done, _ := p.Event("done")
	sampled := mode == "both" && want.identity == "none" && done.Identity == "sampled" // a peer was in time
	if done.Identity != want.identity && !sampled {
		t.Errorf("identity %s, want %s", done.Identity, want.identity)
	}
	for _, src := range done.Sources {
		if (src.Kind == "peer") && src.Bytes > 0 && !want.shared && !sampled || mode == "peers" && src.Kind != "peer" {
			t.Errorf("%s (%s) brought %d bytes", src.Name, src.Kind, src.Bytes)
		}
	}
}

// publish makes the site: one file in every folder.
func publish(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ddm-interop-") //nolint:usetesting // the servers' users must reach it: t.TempDir is closed to them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // servers may give up their rights
		t.Fatal(err)
	}
	data := origintest.Content{Seed: 5}.Bytes(0, size)
	for i := range data {
		data[i] = 'a' + data[i]%16 // can be compressed
	}
	var packed bytes.Buffer
	w := compress.NewWriter(&packed)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	old := time.Date(2020, time.May, 6, 7, 8, 9, 0, time.UTC)
	for folder := range expected {
		in := filepath.Join(dir, "www", folder)
		if err := os.MkdirAll(in, 0o755); err != nil {
			t.Fatal(err)
		}
		files := map[string][]byte{"data.txt": data}
		if folder == coded {
			files["data.txt.gz"] = packed.Bytes()
		}
		for name, content := range files {
			path := filepath.Join(in, name)
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			at := old
			if folder == young {
				at = time.Now().Add(time.Hour) // it stays young
			}
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// curl fetches a URL in one piece, and checks that ranges are as they should be.
func curl(t *testing.T, url string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "curl", "-sSf", url).Output()
	if err != nil {
		t.Fatal(err)
	}
	head, err := exec.CommandContext(t.Context(), "curl", "-sSf", "-o", os.DevNull, "-D", "-", "-r", "1-2", url).Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", head)
	if partial := bytes.Contains(head, []byte(" 206 ")); partial == (strings.Contains(url, "/"+whole+"/") || strings.Contains(url, "/"+coded+"/")) {
		t.Fatalf("the server is not set up as it should be:\n%s", head)
	}
	return out
}
