//go:build docker

// The test downloads through the containers of docker-compose.yml (build tag
// docker; needs an engine).
package main_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ddm/test/docker/stack"
	"ddm/test/lab/fileserver"
)

const path = "/ranges/67108864/file.bin" // about 3 s over five lines of 4 MiB/s

// TestDownloadSurvivesAKilledContainer downloads through a tracker and five
// peers, kills one of them in the middle, and compares bytes.
func TestDownloadSurvivesAKilledContainer(t *testing.T) {
	if why := stack.Missing(t.Context()); why != "" {
		t.Skip("skipped: " + why)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	project := fmt.Sprintf("ddmtest%d", os.Getpid())
	var said bytes.Buffer
	s, err := stack.New(t.Context(), root, project, &said)
	if err != nil {
		t.Fatal(err)
	}
	client := project + "-client"
	t.Cleanup(func() { cleanUp(t, s, client, &said) })
	if err := s.Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Up(t.Context(), "--scale", "helper=2"); err != nil {
		t.Fatal(err)
	}
	awaitPeers(t, s, 5)

	run := s.Compose(t.Context(), "run", "-T", "--name", client, "client", "--json", "http://origin:8080"+path)
	run.Stderr = &said
	stdout, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	killed, joined := follow(t, s, stdout)
	if err := run.Wait(); err != nil {
		t.Fatalf("the client: %v", err)
	}
	if !killed {
		t.Error("the download was over before a container could be killed")
	}
	if joined < 5 {
		t.Errorf("%d sources brought something, want at least 5", joined)
	}
	compare(t, client)
}

func cleanUp(t *testing.T, s *stack.Stack, client string, said *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if t.Failed() {
		logs, _ := s.Compose(ctx, "logs", "--no-color", "--tail", "40").CombinedOutput() // as much as there is
		t.Logf("%s\n%s", said, logs)
	}
	_ = exec.CommandContext(ctx, "docker", "rm", "-f", client).Run() // there is none if the test failed early
	if err := s.Down(ctx); err != nil {
		t.Error(err)
	}
}

// awaitPeers waits until the tracker lists that many peers.
func awaitPeers(t *testing.T, s *stack.Stack, n int) {
	t.Helper()
	var out []byte
	var err error
	for range 60 {
		out, err = s.Compose(t.Context(), "run", "-T", "--rm", "client", "peers", "--json").Output()
		if err == nil && bytes.Count(out, []byte("{\"")) >= n {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("the tracker does not list %d peers: %v\n%s", n, err, out)
}

// follow reads the client's events to their end, kills peer-b when two fifths
// are in, and says how many sources brought something.
func follow(t *testing.T, s *stack.Stack, stdout io.Reader) (killed bool, sources int) {
	t.Helper()
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Event   string `json:"event"`
			Bytes   int64  `json:"bytes"`
			Sources []struct {
				Bytes int64 `json:"bytes"`
			} `json:"sources"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Errorf("%v in %q", err, lines.Text())
			continue
		}
		if e.Event == "progress" && !killed && e.Bytes > 64<<20*2/5 {
			killed = true
			if out, err := s.Compose(t.Context(), "kill", "-s", "KILL", "peer-b").CombinedOutput(); err != nil {
				t.Errorf("kill peer-b: %v\n%s", err, out)
			}
		}
		if e.Event == "done" {
			for _, source := range e.Sources {
				if source.Bytes > 0 {
					sources++
				}
			}
		}
	}
	return killed, sources
}

// compare holds the file in the client's container against what it must be.
func compare(t *testing.T, client string) {
	t.Helper()
	content, err := fileserver.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := exec.CommandContext(t.Context(), "docker", "cp", client+":/home/ddm/"+content.Name, "-").Output()
	if err != nil {
		t.Fatalf("docker cp: %v", err)
	}
	files := tar.NewReader(bytes.NewReader(archive))
	head, err := files.Next()
	if err != nil || !strings.HasSuffix(head.Name, content.Name) {
		t.Fatalf("docker cp gave %+v, %v", head, err)
	}
	got, err := io.ReadAll(files)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(content.Reader())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the file differs from the origin's: %d bytes, want %d", len(got), len(want))
	}
}
