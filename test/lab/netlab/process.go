//go:build linux

package netlab

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// logTail is how much of a process's stderr is kept for a failing test, bytes.
const logTail = 64 << 10

// Process is a program that runs on a host. It is killed, if it still runs, at
// the end of the test.
type Process struct {
	Started time.Time

	cmd    *exec.Cmd
	stderr tail
	done   chan struct{}
	ended  time.Time // read after done
}

// Start runs a program on the host. Its stdout goes to out (nil: nowhere); the
// end of its stderr is logged if the test fails.
func (h *Host) Start(t testing.TB, out io.Writer, program string, args ...string) *Process {
	t.Helper()
	// ip execs the program: one process, one pid.
	cmd := exec.Command("ip", append([]string{"netns", "exec", h.ns, program}, args...)...) //nolint:noctx // ended by the cleanup below
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, &p.stderr
	// Should the test binary die, nothing may stay behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.Started = time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s on %s: %v", program, h.Name, err)
	}
	var waiter sync.WaitGroup
	waiter.Go(func() {
		_ = cmd.Wait() // the status is read from ProcessState
		p.ended = time.Now()
		close(p.done)
	})
	t.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		waiter.Wait()
		if t.Failed() {
			name := program[strings.LastIndexByte(program, '/')+1:]
			t.Logf("%s on %s (%v) said:\n%s", name, h.Name, cmd.ProcessState, p.stderr.String())
		}
	})
	return p
}

// Signal sends a signal to the process, if it still runs.
func (p *Process) Signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(s) // it may have ended by itself this moment
	}
}

// Kill ends the process with SIGKILL and waits for it to be gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the process's end and gives its exit status (-1: by a signal)
// and how long it ran. It fails the test if that takes longer than patience.
func (p *Process) Wait(t testing.TB, patience time.Duration) (status int, wall time.Duration) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Signal(syscall.SIGQUIT) // a Go program prints its goroutines
		select {
		case <-p.done:
		case <-time.After(2 * time.Second):
		}
		t.Fatalf("%s still ran after %v", strings.Join(p.cmd.Args[4:], " "), patience)
	}
	return p.cmd.ProcessState.ExitCode(), p.ended.Sub(p.Started)
}

// Stderr gives the end of what the process wrote to stderr so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// CPU gives the processor time that an ended process used.
func (p *Process) CPU() time.Duration {
	<-p.done
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if over := w.buf.Len() - logTail; over > 0 {
		w.buf.Next(over)
	}
	return len(p), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// Output runs a program on the host to its end and gives its stdout.
func (h *Host) Output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.ns, program}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.Output()
	return string(out), err
}
