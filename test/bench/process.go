//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ddm/test/lab/netlab"
)

// process is a program that runs on a host of the lab and is measured there.
type process struct {
	cmd     *exec.Cmd
	started time.Time
	ended   time.Time // read after done
	done    chan struct{}
	stdout  lockedBuffer
	stderr  lockedBuffer

	mu      sync.Mutex
	written []progress // what it had written when, if asked for
	rss     int64      // highest seen, bytes
}

// progress is how much a process had written at a moment.
type progress struct {
	at    time.Time
	bytes int64
}

// How often a running process is looked at: coarsely, or to find out when
// which share of a file was written.
const (
	coarse = 50 * time.Millisecond
	fine   = 4 * time.Millisecond
)

// start runs a program in a namespace, to be killed at the scope's end.
func start(s *scope, namespace string, look time.Duration, program string, args ...string) *process {
	cmd := exec.CommandContext(s.ctx, program, args...)
	// Nothing of this machine's settings may reach a tool: no proxy, no dotfile.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.bench.work, "LC_ALL=C"}
	cmd.Dir = s.bench.work
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	// Should the bench die, nothing may stay behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := netlab.Inside(namespace, func() error {
		p.started = time.Now()
		return cmd.Start()
	}); err != nil {
		s.Fatalf("start %s: %v", program, err)
	}
	var waiters sync.WaitGroup
	waiters.Go(func() {
		_ = cmd.Wait() // the status is read from ProcessState
		p.ended = time.Now()
		close(p.done)
	})
	waiters.Go(func() { p.watch(look) })
	s.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		waiters.Wait()
	})
	return p
}

// watch notes memory and writing until the process ends.
func (p *process) watch(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 0; ; n++ {
		p.look(every == fine, n%8 == 0 || every == coarse)
		select {
		case <-tick.C:
		case <-p.done:
			return
		}
	}
}

func (p *process) look(writing, memory bool) {
	var written, rss int64
	if writing {
		written = p.number("io", "wchar:")
	}
	now := time.Now()
	if memory {
		rss = p.number("status", "VmHWM:") * 1024
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rss = max(p.rss, rss)
	if n := len(p.written); writing && (n == 0 || p.written[n-1].bytes < written) {
		p.written = append(p.written, progress{now, written})
	}
}

// number finds a field of one of the process's files in /proc; 0 once it ended.
func (p *process) number(file, field string) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), file))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(field))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// bytesWritten is how much it wrote so far, by the last fine look.
func (p *process) bytesWritten() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.written) == 0 {
		return 0
	}
	return p.written[len(p.written)-1].bytes
}

// missing says when all but the last so many bytes had been written.
func (p *process) missing(bytes int64) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.written) == 0 {
		return p.started
	}
	end := p.written[len(p.written)-1].bytes
	for _, w := range p.written {
		if w.bytes >= end-bytes {
			return w.at
		}
	}
	return p.ended
}

// memory is the highest resident size seen, bytes.
func (p *process) memory() int64 {
	select {
	case <-p.done:
	default:
		p.look(false, true)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rss
}

// cpu is the processor time used: so far, or in all once the process has ended.
func (p *process) cpu() (time.Duration, error) {
	select {
	case <-p.done:
		state := p.cmd.ProcessState
		return state.UserTime() + state.SystemTime(), nil
	default:
	}
	// The clock of another process, in the kernel's encoding (clock_getcpuclockid).
	const cpuClockSched = 2
	var ts unix.Timespec
	clock := int32(^p.cmd.Process.Pid)<<3 | cpuClockSched //nolint:gosec // as the kernel has it
	if err := unix.ClockGettime(clock, &ts); err != nil {
		return 0, fmt.Errorf("cpu time of %s: %w", p.cmd.Path, err)
	}
	return time.Duration(ts.Nano()), nil
}

func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(sig) // it may have ended by itself this moment
	}
}

// stop ends the process and waits for it to be gone.
func (p *process) stop(sig syscall.Signal) {
	p.signal(sig)
	<-p.done
}

// errPatience says that a process was ended because it took too long.
var errPatience = errors.New("took too long")

// wait waits for the process's end and fails unless its status is 0.
func (p *process) wait(ctx context.Context, patience time.Duration) (time.Duration, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.stop(syscall.SIGKILL)
		return patience, errPatience
	case <-ctx.Done():
		p.stop(syscall.SIGKILL)
		return 0, ctx.Err()
	}
	wall := p.ended.Sub(p.started)
	if !p.cmd.ProcessState.Success() {
		said := strings.TrimSpace(p.stderr.String() + p.stdout.String())
		return wall, fmt.Errorf("%s: %v: %s", filepath.Base(p.cmd.Path), p.cmd.ProcessState, said[max(0, len(said)-2000):])
	}
	return wall, nil
}

// lockedBuffer may be read while a process writes into it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

var _ io.Writer = (*lockedBuffer)(nil)

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
