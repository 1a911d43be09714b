//go:build unix

// Package program builds the three programs and runs them for tests, as
// processes that can be watched, signalled and killed.
//
//	Set --go build, once--> tracker, peerd, ddm-client
//	Start --> Process: stdout, stderr, signals, exit status
//	Tracker, Peer --> Process, after its "ready" line, with its address
package program

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience bounds every wait for a process; it is no figure.
const Patience = 2 * time.Minute

// Set is the programs, built from this checkout when one is first asked for.
type Set struct {
	once  sync.Once
	dir   string
	err   error
	files int // that each may have open; 0: as many as the test
}

// Limited is the same programs, each of which may open so many files and
// connections.
func (s *Set) Limited(t testing.TB, files int) *Set {
	t.Helper()
	l := &Set{dir: filepath.Dir(s.Path(t, "any")), files: files}
	l.once.Do(func() {}) // they are built
	return l
}

// Path returns where a program is. It fails the test if it does not build.
func (s *Set) Path(t testing.TB, name string) string {
	t.Helper()
	s.once.Do(func() { s.err = s.build(t.Context()) })
	if s.err != nil {
		t.Fatal(s.err)
	}
	return filepath.Join(s.dir, name)
}

// Remove removes the programs. No process of theirs may run.
func (s *Set) Remove() { _ = os.RemoveAll(s.dir) }

func (s *Set) build(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "ddm-programs-"); err != nil {
		return err
	}
	const commands = "ddm/cmd/..."
	cmd := exec.CommandContext(ctx, "go", "build", "-o", s.dir+"/", commands)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	// A cached result of a test depends on the files that the test looked at,
	// not on those that go build did: look at them.
	files, err := exec.CommandContext(ctx, "go", "list", "-deps", "-f",
		`{{if not .Standard}}{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}{{end}}`, commands).Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	for file := range strings.Lines(string(files)) {
		if _, err := os.Stat(strings.TrimSpace(file)); err != nil {
			return err
		}
	}
	return nil
}

// Process is a program that runs. It is killed, if it still runs, at the end
// of the test, and what it said is logged if that failed.
type Process struct {
	Stdout, Stderr Output

	name string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start runs a program, deaf to the user's own settings.
func Start(t testing.TB, path string, args ...string) *Process {
	t.Helper()
	return start(t, nil, path, args...)
}

// StartInto is Start for a program whose stdout is taken by out, at its pace.
// Process.Stdout stays empty.
func StartInto(t testing.TB, out io.Writer, path string, args ...string) *Process {
	t.Helper()
	return start(t, out, path, args...)
}

func start(t testing.TB, out io.Writer, path string, args ...string) *Process {
	t.Helper()
	p := &Process{name: filepath.Base(path), cmd: exec.Command(path, args...), done: make(chan struct{})} //nolint:noctx // ended by the cleanup below
	p.cmd.Stdout, p.cmd.Stderr = out, &p.Stderr
	if out == nil {
		p.cmd.Stdout = &p.Stdout
	}
	p.cmd.SysProcAttr = dieWithParent()
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(strings.ToUpper(v), "=")
		return strings.HasPrefix(name, "DDM_") || strings.HasSuffix(name, "_PROXY") || name == "XDG_CONFIG_HOME"
	})
	p.cmd.Env = append(p.cmd.Env, "XDG_CONFIG_HOME=/nonexistent")
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var waiter sync.WaitGroup
	waiter.Go(func() {
		_ = p.cmd.Wait() // the status is read from ProcessState
		close(p.done)
	})
	t.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		waiter.Wait()
		if t.Failed() {
			t.Logf("%s (%v) said:\n%s%s", p.name, p.cmd.ProcessState, p.Stdout.tail(), p.Stderr.tail())
		}
	})
	return p
}

// PID is the process's number, its own until it has been waited for.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Start runs a program of the set.
func (s *Set) Start(t testing.TB, name string, args ...string) *Process {
	t.Helper()
	path := s.Path(t, name)
	if s.files > 0 {
		path, args = "/bin/sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, s.files), path}, args...)
	}
	return Start(t, path, args...)
}

// Signal sends a signal, if the process still runs.
func (p *Process) Signal(sig syscall.Signal) {
	if !p.Ended() {
		_ = p.cmd.Process.Signal(sig) // it may have ended by itself this moment
	}
}

// Kill ends the process by SIGKILL and waits for it to be gone. It reports
// whether that was its end.
func (p *Process) Kill() bool {
	p.Signal(syscall.SIGKILL)
	<-p.done
	return !p.cmd.ProcessState.Exited()
}

// Ended reports whether the process is over.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Wait waits for the process's end and gives its exit status, -1 if it was a
// signal. One that does not end fails the test.
func (p *Process) Wait(t testing.TB) int {
	t.Helper()
	late := time.NewTimer(Patience)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		p.Signal(syscall.SIGQUIT) // a Go program prints its goroutines
		p.cleanupSoon()
		t.Fatalf("%s still ran after %v", p.name, Patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *Process) cleanupSoon() {
	select {
	case <-p.done:
	case <-time.After(2 * time.Second):
	}
}

// Until polls a condition while the process runs. It reports false if the
// process ended first.
func (p *Process) Until(t testing.TB, what string, done func() bool) bool {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(Patience)
	defer late.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-p.done:
			return done()
		case <-late.C:
			t.Fatalf("waited %v in vain until %s", Patience, what)
		}
	}
	return true
}

// Tracker starts a tracker on a free port of 127.0.0.1.
func (s *Set) Tracker(t testing.TB) (p *Process, addr string) {
	t.Helper()
	return s.serve(t, "tracker", "--listen", "127.0.0.1:0")
}

// Peer starts a peerd whose line is an address of this machine.
func (s *Set) Peer(t testing.TB, tracker, name, line string) *Process {
	t.Helper()
	p, _ := s.serve(t, "peerd", "--tracker", tracker, "--name", name, "--interface", line,
		"--listen", "127.0.0.1:0", "--allow-origin", "127.0.0.0/8")
	return p
}

func (s *Set) serve(t testing.TB, name string, args ...string) (p *Process, addr string) {
	t.Helper()
	p = s.Start(t, name, append([]string{"--insecure", "--log-json", "--http", "off", "--state-dir", t.TempDir()}, args...)...)
	if !p.Until(t, name+" is ready", func() bool { addr = readyAt(p.Stderr.String()); return addr != "" }) {
		t.Fatalf("%s ended: %s", name, p.Stderr.String())
	}
	return p, addr
}

// Address is where a tracker or a peer that is ready is reached.
func (p *Process) Address() string { return readyAt(p.Stderr.String()) }

// readyAt takes the address out of the "ready" line of a log.
func readyAt(log string) string {
	for line := range strings.Lines(log) {
		var entry struct {
			Message string `json:"@message"`
			Address string `json:"address"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && strings.HasSuffix(entry.Message, "ready") {
			return entry.Address
		}
	}
	return ""
}

// AwaitPeers waits until the tracker lists as many peers.
func (s *Set) AwaitPeers(t testing.TB, tracker string, n int) {
	t.Helper()
	for range int(Patience / (100 * time.Millisecond)) {
		list := Start(t, s.Path(t, "ddm-client"), "peers", "--json", "--insecure", "--tracker", tracker)
		if list.Wait(t) == 0 && strings.Count(list.Stdout.String(), "\n") >= n {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the tracker did not list %d peers", n)
}

// Event is a line of ddm-client --json, as far as tests look at it.
type Event struct {
	Event    string `json:"event"`
	Resumed  int64  `json:"resumed_bytes"`
	Identity string `json:"identity"`
	Digest   string `json:"digest"`
	Exit     int    `json:"exit"`
	Sources  []struct {
		Name  string `json:"name"`
		Kind  string `json:"kind"`
		Bytes int64  `json:"bytes"`
	} `json:"sources"`
}

// Event returns the newest event of a kind; ok is false if there was none.
func (p *Process) Event(kind string) (e Event, ok bool) {
	for line := range strings.Lines(p.Stdout.String()) {
		var next Event
		if json.Unmarshal([]byte(line), &next) == nil && next.Event == kind {
			e, ok = next, true
		}
	}
	return e, ok
}

// Output collects what a process writes.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String gives everything written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *Output) tail() string {
	const most = 8 << 10
	s := o.String()
	return s[max(0, len(s)-most):]
}
