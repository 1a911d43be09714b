package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ddm/internal/command/commandtest"
)

func TestEnds(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "t.toml")
	if err := os.WriteFile(file, []byte("limit-rate = 5\nlissten = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	busy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = busy.Close() })
	for _, tt := range []struct {
		name           string
		args, env      []string
		status         int
		stdout, stderr []string
	}{
		{"help", []string{"--help"}, nil, 0, []string{"--allow-origin RULE", "(default :7430)", "DDM_PEERD_LOG_LEVEL"}, nil},
		{"version", []string{"--version"}, nil, 0, []string{"peerd "}, nil},
		{"shipped file", []string{"--check-config", "--config=../../configs/peerd.toml"}, nil, 0, []string{"is valid (read ../../configs/peerd.toml)"}, nil},
		{"wrong file", []string{"--check-config", "--config", file}, nil, 28, nil, []string{file + ":1: limit-rate: 5 has no unit", file + ":2: lissten: unknown key: did you mean listen?"}},
		{"wrong file, run", []string{"--config", file}, nil, 28, nil, []string{file + ":1: limit-rate", "--help"}},
		{"variable", nil, []string{"DDM_PEERD_ALLOW_ORIGIN=10.0.0.0/8,10.0.0.0/99"}, 28, nil, []string{`peerd: DDM_PEERD_ALLOW_ORIGIN: `, `10.0.0.0/99`}},
		{"flag", []string{"--lisen=:1"}, nil, 28, nil, []string{"peerd: unknown flag: --lisen\n"}},
		{"store of nobody", []string{"store", "list"}, nil, 28, nil, []string{"--state-dir: say where the peer keeps its state"}},
		{"store, what", []string{"store", "burn", "--state-dir", t.TempDir()}, nil, 28, nil, []string{`store wants one of list, verify, prune, clear, not "burn"`}},
		{"store, size", []string{"--store-size", "5"}, nil, 28, nil, []string{"--store-size", `"5"`}},
		{"empty store", []string{"store", "list", "--state-dir", t.TempDir()}, nil, 0, []string{"the store is empty"}, nil},
		{"empty store, verified", []string{"store", "verify", "--state-dir", t.TempDir()}, nil, 0, []string{"0 pieces are as they were, 0 were not"}, nil},
		{"empty store, pruned", []string{"store", "prune", "--state-dir", t.TempDir()}, nil, 0, []string{"0 B went, 0 B are left"}, nil},
		{"empty store, cleared", []string{"store", "clear", "--state-dir", t.TempDir()}, nil, 0, []string{"0 B went"}, nil},
		{"limit of nothing", []string{"--receive-limit", "1GiB"}, nil, 28, nil, []string{"--receive-limit: nothing is taken without a folder"}},
		{"no folder", []string{"--receive", file + "/in", "--http=off", "--listen=127.0.0.1:0"}, nil, 1, nil, []string{"--receive", file}},
		{"argument", []string{"start"}, nil, 28, nil, []string{`peerd: "start" is not understood: there are flags only`}},
		{"missing file", []string{"--config=/nonexistent/t.toml"}, nil, 28, nil, []string{"/nonexistent/t.toml: no such file"}},
		{"address in use", []string{"--listen", busy.Addr().String(), "--http=off"}, nil, 1, nil, []string{"address already in use", "another program listens there"}},
		{"address of nobody", []string{"--listen", "198.51.100.77:0", "--http=off"}, nil, 1, nil, []string{"198.51.100.77:0", "no interface of this machine"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := commandtest.Call{Args: tt.args, Env: tt.env}.Do(t, run)
			if got.Status != tt.status {
				t.Errorf("status %d, want %d", got.Status, tt.status)
			}
			for _, want := range tt.stdout {
				if !strings.Contains(got.Stdout, want) {
					t.Errorf("no %q on stdout:\n%s", want, got.Stdout)
				}
			}
			for _, want := range tt.stderr {
				if !strings.Contains(got.Stderr, want) {
					t.Errorf("no %q on stderr:\n%s", want, got.Stderr)
				}
			}
		})
	}
}

func TestServesUntilTold(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stdout, stderr commandtest.Output
	wait := commandtest.Call{Args: []string{"--listen=127.0.0.1:0", "--http=127.0.0.1:0", "--tracker=127.0.0.1:1", "--allow-origin=10.0.0.0/8"}}.Start(ctx, t, run, &stdout, &stderr)
	stderr.Await(t, "ready")
	stop()
	if got := wait(); got.Status != 0 || got.Stdout != "" || !strings.Contains(got.Stderr, "plaintext") {
		t.Errorf("%+v", got)
	}
}
