package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/command/commandtest"
	"ddm/tracker"
)

// serve runs a server until the test ends.
func serve(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// realTracker runs one on loopback and returns its address.
func realTracker(t *testing.T) string {
	t.Helper()
	server, err := tracker.New(tracker.Config{Listen: "127.0.0.1:0", Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, server.Run)
	return server.Addr().String()
}

// await runs a call until it prints what is wanted.
func await(t *testing.T, call commandtest.Call, want string) commandtest.Result {
	t.Helper()
	for range 100 {
		if got := call.Do(t, run); strings.Contains(got.Stdout, want) {
			return got
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("%q is never printed", want)
	return commandtest.Result{}
}

// TestShareListGet offers a file, finds it in the list, fetches it by its name
// and by its digest, and withdraws it when it changes.
func TestShareListGet(t *testing.T) {
	t.Parallel()
	addr := realTracker(t)
	dir, into := t.TempDir(), t.TempDir()
	truth := bytes.Repeat([]byte("0123456789abcdef"), 200_000)
	sum := fmt.Sprintf("sha256:%x", sha256.Sum256(truth))
	path := filepath.Join(dir, "big file.iso")
	if err := os.WriteFile(path, truth, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var stdout, stderr commandtest.Output
	wait := commandtest.Call{Args: []string{"share", "--tracker", addr, path}}.Start(ctx, t, run, &stdout, &stderr)

	table := await(t, commandtest.Call{Args: []string{"ls", "--tracker", addr}}, sum)
	hasAll(t, "stdout", table.Stdout, []string{"NAME", "HOLDERS", "big file.iso", "3.1 MiB"})
	rows := commandtest.Call{Args: []string{"ls", "--json", "--tracker", addr}}.Do(t, run)
	var row struct {
		Name    string
		Size    int64
		Holders int
	}
	if err := json.Unmarshal([]byte(rows.Stdout), &row); err != nil || row.Name != "big file.iso" || row.Size != int64(len(truth)) || row.Holders != 1 {
		t.Errorf("%v: %+v", err, rows)
	}
	for _, word := range []string{"ddm:big file.iso", sum, "ddm:" + sum} {
		got := commandtest.Call{Args: []string{"--tracker", addr, "-d", into, "--overwrite", word}}.Do(t, run)
		saved, err := os.ReadFile(filepath.Join(into, "big file.iso"))
		if got.Status != 0 || err != nil || !bytes.Equal(saved, truth) {
			t.Errorf("%s: %+v, %v, %d bytes", word, got, err, len(saved))
		}
	}
	missing := commandtest.Call{Args: []string{"--tracker", addr, "-d", into, "ddm:none"}}.Do(t, run)
	hasAll(t, "stderr", missing.Stderr, []string{"nobody offers ddm:none"})
	if missing.Status == 0 {
		t.Error("what nobody offers was fetched")
	}
	if err := os.WriteFile(path, truth[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, commandtest.Call{Args: []string{"ls", "--tracker", addr}}, fmt.Sprintf("sha256:%x", sha256.Sum256(truth[:100])))
	stop()
	if end := wait(); end.Status != 0 {
		t.Errorf("%+v", end)
	}
	await(t, commandtest.Call{Args: []string{"ls", "--tracker", addr}}, "nothing is shared")
	if strings.Contains(table.Stdout+rows.Stdout, dir) {
		t.Error("a path is shown to others")
	}
}

func TestShareRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"share"}, 28, "share needs files or folders"},
		{[]string{"share", "--digest", "x"}, 28, "--digest: means nothing to share"},
		{[]string{"share", "/nowhere/at/all"}, 15, "/nowhere/at/all"},
		{[]string{"ls", "x"}, 28, "ls takes flags only"},
		{[]string{"ls", "--tracker", "127.0.0.1:1"}, 6, "tracker 127.0.0.1:1: "},
		{[]string{"--local-only", "ddm:x"}, 28, "--local-only: ddm:x comes from peers alone"},
		{[]string{"-o", "f", "ddm:x", "ddm:y"}, 28, "one name cannot serve 2 downloads"},
	} {
		got := commandtest.Call{Args: c.args}.Do(t, run)
		if got.Status != c.status || !strings.Contains(got.Stderr, c.stderr) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}
