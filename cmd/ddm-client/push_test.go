package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ddm/client"
	"ddm/cmd/peerd/receive"
	"ddm/internal/command/commandtest"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/peer"
)

// realReceiver runs a peer on loopback that takes files into the folder that it
// returns.
func realReceiver(t *testing.T, tracker, name string, takes bool) string {
	t.Helper()
	dir, shelf := t.TempDir(), offer.NewShelf()
	var server *peer.Server
	engine, err := client.New(client.Options{
		Trackers: []string{tracker}, NoLocal: true,
		Share: &client.Sharing{Shelf: shelf, Name: name, Serve: func() (string, error) { return server.Advertised(), nil }},
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := peer.Config{Name: name, Listen: "127.0.0.1:0", Trackers: []string{tracker}, Shelf: shelf}
	if takes {
		cfg.Receiver = &receive.Folder{Dir: dir, Engine: engine}
	}
	if server, err = peer.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = engine.Close()
		shelf.Close()
	})
	serve(t, server.Run)
	await(t, commandtest.Call{Args: []string{"peers", "--tracker", tracker}}, name)
	return dir
}

// random writes a file that nothing compresses, and returns its path.
func random(t *testing.T, name string, size int) (path string, content []byte) {
	t.Helper()
	path, content = filepath.Join(t.TempDir(), name), make([]byte, size)
	_, _ = rand.New(rand.NewSource(int64(size))).Read(content)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

// TestPush hands a file out to two peers that take some and one that does not.
func TestPush(t *testing.T) {
	t.Parallel()
	tracker := realTracker(t)
	folders := []string{realReceiver(t, tracker, "p1", true), realReceiver(t, tracker, "p2", true)}
	realReceiver(t, tracker, "p3", false)
	path, truth := random(t, "big file.iso", 5_000_000)

	first := commandtest.Call{Args: []string{"push", "--tracker", tracker, path}}.Do(t, run)
	hasAll(t, "stderr", first.Stderr, []string{"p1 ", "p2 ", "complete", "p3 has no copy", "peerd --receive DIR", "100%", "pushed"})
	if first.Status != 0 || first.Stdout != "" {
		t.Errorf("%+v", first)
	}
	for _, dir := range folders {
		if got, err := os.ReadFile(filepath.Join(dir, "big file.iso")); err != nil || !bytes.Equal(got, truth) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%v, %v", entries, err)
		}
	}

	again := commandtest.Call{Args: []string{"push", "--json", "--tracker", tracker, "--peer", "p1", "--peer", "p2", path}}.Do(t, run)
	var last struct {
		Event   string
		Size    int64
		Digest  string
		Sources []struct {
			Name, Kind, State, Note string
			Size, Bytes             int64
		}
	}
	lines := strings.Split(strings.TrimSpace(again.Stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || again.Status != 0 || last.Event != "done" ||
		last.Size != int64(len(truth)) || len(last.Sources) != 2 || last.Sources[0].Note != "it had it already" || last.Sources[0].Size != last.Size {
		t.Errorf("%v: %+v", err, again)
	}

	named := commandtest.Call{Args: []string{"push", "--tracker", tracker, "--peer", "p3", path}}.Do(t, run)
	hasAll(t, "stderr", named.Stderr, []string{"0 of 1 peer has a copy", "p3"})
	if named.Status != exitRefused {
		t.Errorf("%+v", named)
	}
	other, _ := random(t, "big file.iso", 4_000_000)
	taken := commandtest.Call{Args: []string{"push", "--tracker", tracker, other}}.Do(t, run)
	hasAll(t, "stderr", taken.Stderr, []string{"another file has that name", "0 of 3 peers have a copy"})
	if taken.Status != exitExists {
		t.Errorf("%+v", taken)
	}
	nobody := commandtest.Call{Args: []string{"push", "--tracker", tracker, "--peer", "p9", path}}.Do(t, run)
	hasAll(t, "stderr", nobody.Stderr, []string{"no peer is called p9"})
	if nobody.Status != exitNotFound {
		t.Errorf("%+v", nobody)
	}
}

// TestPushOfAFileThatChanges: it is noticed, said, and nobody keeps half of each.
func TestPushOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	tracker := realTracker(t)
	dir := realReceiver(t, tracker, "p1", true)
	path, _ := random(t, "f.bin", 100_000_000)
	var stdout, stderr commandtest.Output
	wait := commandtest.Call{Args: []string{"push", "--json", "--tracker", tracker, path}}.Start(t.Context(), t, run, &stdout, &stderr)
	stdout.Await(t, `"change":"joined"`)
	if err := os.Truncate(path, 1000); err != nil {
		t.Fatal(err)
	}
	got := wait()
	if got.Status == 0 { // it was faster
		t.Skip("everything had come already")
	}
	hasAll(t, "stderr", got.Stderr, []string{"was changed while it was handed out"})
	if got.Status != exitChanged {
		t.Errorf("%+v", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, "f.bin")); err == nil {
		t.Error("a copy of a file that changed was kept")
	}
}

// TestPushIsInterrupted: it ends at once everywhere, with 7.
func TestPushIsInterrupted(t *testing.T) {
	t.Parallel()
	tracker := realTracker(t)
	dir := realReceiver(t, tracker, "p1", true)
	path, _ := random(t, "f.bin", 100_000_000)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout, stderr commandtest.Output
	wait := commandtest.Call{Args: []string{"push", "--json", "--tracker", tracker, path}}.Start(ctx, t, run, &stdout, &stderr)
	stdout.Await(t, `"change":"joined"`)
	interrupt()
	got := wait()
	if got.Status == 0 {
		t.Skip("everything had come already")
	}
	hasAll(t, "stderr", got.Stderr, []string{"interrupted", "what peers have is kept"})
	if got.Status != exitInterrupted {
		t.Errorf("%+v", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, "f.bin")); err == nil {
		t.Error("half a copy has the final name")
	}
}

func TestPushRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path, _ := random(t, "f.bin", 10)
	for _, c := range []struct {
		args   []string
		status int
		stderr string
	}{
		{[]string{"push"}, 28, "push needs a file"},
		{[]string{"push", "/nowhere/at/all"}, 15, "/nowhere/at/all"},
		{[]string{"push", dir}, 28, "is a folder: push takes files"},
		{[]string{"push", empty}, 28, "that is not empty"},
		{[]string{"push", "-o", "x", path}, 28, "--output: means nothing to push"},
		{[]string{"push", "--peer", "", path}, 28, "a peer must be named"},
		{[]string{"--peer", "p", "http://x/f"}, 28, "--peer: means nothing to get"},
		{[]string{"push", "--tracker", "127.0.0.1:1", path}, 6, "tracker 127.0.0.1:1: "},
		{[]string{"push", "--tracker", realTracker(t), path}, 6, "no peer is registered"},
	} {
		got := commandtest.Call{Args: c.args}.Do(t, run)
		if got.Status != c.status || !strings.Contains(got.Stderr, c.stderr) {
			t.Errorf("%q: %+v", c.args, got)
		}
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	ok := client.Pushed{Name: "a"}
	had := client.Pushed{Name: "b", Already: true}
	refuses := client.Pushed{Name: "c", Err: fmt.Errorf("%w: not here", errdefs.Refused)}
	full := client.Pushed{Name: "d", Err: fmt.Errorf("%w: full", errdefs.NoSpace)}
	dead := client.Pushed{Name: "e", Err: fmt.Errorf("%w: gone", errdefs.Unavailable)}
	stopped := client.Pushed{Name: "f", Err: context.Canceled}
	for _, tc := range []struct {
		got   []client.Pushed
		named bool
		want  error
	}{
		{[]client.Pushed{ok, had}, false, nil},
		{[]client.Pushed{had}, true, nil},
		{[]client.Pushed{refuses, ok}, false, nil},
		{[]client.Pushed{refuses, ok}, true, errdefs.Refused},
		{[]client.Pushed{refuses, refuses}, false, errdefs.Refused},
		{[]client.Pushed{ok, refuses, full, dead}, false, errdefs.NoSpace},
		{[]client.Pushed{refuses, dead}, false, errdefs.Unavailable},
		{[]client.Pushed{ok, stopped}, false, context.Canceled},
	} {
		if err := verdict(tc.got, tc.named); !errors.Is(err, tc.want) {
			t.Errorf("%v: %v, want %v", tc.got, err, tc.want)
		}
	}
	account := account(client.Shared{Size: 7}, "x", time.Second, []client.Pushed{ok, had, refuses, full})
	if len(account.Notes) != 2 || len(account.Sources) != 4 || account.Sources[2].State != "refused" || account.Sources[3].State != "failed" {
		t.Errorf("%+v", account)
	}
}
