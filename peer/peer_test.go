package peer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/peer"
)

// run starts a peer on loopback and ends it with the test.
func run(t *testing.T, cfg peer.Config) *peer.Server {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	p, err := peer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return p
}

func TestMonitor(t *testing.T) {
	p := run(t, peer.Config{HTTP: "127.0.0.1:0"})
	get := func(path string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.HTTPAddr().String()+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %d, %v", path, resp.StatusCode, err)
		}
		return string(body)
	}
	get("/healthz")
	get("/readyz")
	text := get("/metrics")
	for _, name := range []string{"fetched_bytes_total", "sent_bytes_total", "running_assignments", "streams"} {
		if !strings.Contains(text, "\nddm_peer_"+name+" 0") {
			t.Errorf("no metric %s in:\n%s", name, text)
		}
	}
	if _, port, err := net.SplitHostPort(p.Addr().String()); err != nil || port == "0" {
		t.Errorf("address %v", p.Addr())
	}
}

func TestIDIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "peerd")
	first := run(t, peer.Config{StateDir: dir}).ID()
	if again := run(t, peer.Config{StateDir: dir}).ID(); again != first {
		t.Errorf("id %s became %s", first, again)
	}
	if other := run(t, peer.Config{}).ID(); other == first {
		t.Error("two peers with one id")
	}
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, "id"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", path, info, err, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the state directory: %v, %v", entries, err)
	}
}

func TestNewRefuses(t *testing.T) {
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "id"), []byte("../../x"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := run(t, peer.Config{}).Addr().String()
	for name, test := range map[string]struct {
		cfg  peer.Config
		want error
	}{
		"address taken":   {peer.Config{Listen: taken}, errdefs.Unavailable},
		"monitor taken":   {peer.Config{Listen: "127.0.0.1:0", HTTP: taken}, errdefs.Unavailable},
		"broken id":       {peer.Config{Listen: "127.0.0.1:0", StateDir: broken}, errdefs.Invalid},
		"bad tracker":     {peer.Config{Listen: "127.0.0.1:0", Trackers: []string{"nonsense"}}, errdefs.Invalid},
		"no interface":    {peer.Config{Listen: "127.0.0.1:0", Lines: []lines.Spec{{Interface: "no-such-if0"}}}, errdefs.Invalid},
		"state is a file": {peer.Config{Listen: "127.0.0.1:0", StateDir: filepath.Join(broken, "id")}, errdefs.MakeDir},
	} {
		if p, err := peer.New(test.cfg); !errors.Is(err, test.want) || p != nil {
			t.Errorf("%s: %v, %v, want %v", name, p, err, test.want)
		}
	}
}

func TestMissingInterfaceClosesItsLine(t *testing.T) {
	file := one(newFile())
	w := newWorld(t, peer.Config{Lines: []lines.Spec{{Interface: "no-such-if0"}, {Interface: "127.0.0.1"}}}, file)
	s := w.open(urlOf("/f"), file["/f"])
	lines := s.opened.GetLines()
	if len(lines) != 2 || !lines[0].GetClosed() || lines[1].GetClosed() || lines[1].GetName() != "127.0.0.1" || lines[1].GetId() != 1 {
		t.Errorf("lines %v", lines)
	}
	s.assign(1, 0, 0, 10)
	s.await(1)
	s.want(1, unavailable, 0)
	s.assignLine(2, 1, 0, 10)
	s.await(2)
	s.want(2, none, 10)
	if !strings.Contains(w.log.String(), "no-such-if0") {
		t.Errorf("no warning:\n%s", w.log)
	}
}
