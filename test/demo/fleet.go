package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyWithin = 20 * time.Second // for tracker and peers
	endWithin   = 3 * time.Second  // after SIGTERM; then SIGKILL
	logTail     = 2 << 10          // bytes of each log shown after a failure
)

// fleet is the tracker and the peers of the demo. Its processes end with the
// context that they were started under.
type fleet struct {
	running sync.WaitGroup // one waiter for each process
	dir     string         // programs, state and logs; removed at the end
	out     io.Writer      // the story
	tracker string         // host:port
}

func (f *fleet) say(format string, args ...any) {
	_, _ = fmt.Fprintf(f.out, format+"\n", args...) // a story that nobody hears harms nothing
}

// build makes the three programs from this checkout.
func (f *fleet) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", f.dir, "ddm/cmd/tracker", "ddm/cmd/peerd", "ddm/cmd/ddm-client")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

// command prepares one of the programs, deaf to the user's own settings.
func (f *fleet) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(f.dir, name), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "DDM_") || strings.HasPrefix(v, "XDG_CONFIG_HOME=")
	})
	cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+f.dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endWithin
	return cmd
}

// start runs a program in the background, its log in a file of its own.
func (f *fleet) start(ctx context.Context, name, label string, args ...string) error {
	log, err := os.Create(filepath.Join(f.dir, label+".log"))
	if err != nil {
		return err
	}
	cmd := f.command(ctx, name, append([]string{"--insecure", "--http", "127.0.0.1:0", "--state-dir", filepath.Join(f.dir, label)}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	f.running.Go(func() {
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			_, _ = fmt.Fprintf(log, "%s ended: %v\n", label, err)
		}
		_ = log.Close() // nothing of worth is in it any more
	})
	return nil
}

// startTracker runs a tracker on a free port of 127.0.0.1.
func (f *fleet) startTracker(ctx context.Context) error {
	var lc net.ListenConfig
	lis, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	f.tracker = lis.Addr().String()
	if err := lis.Close(); err != nil {
		return err
	}
	return f.start(ctx, "tracker", "tracker", "--listen", f.tracker)
}

func (f *fleet) startPeer(ctx context.Context, name string, args ...string) error {
	return f.start(ctx, "peerd", name, append([]string{"--tracker", f.tracker, "--name", name, "--listen", "127.0.0.1:0"}, args...)...)
}

// awaitPeers waits until the tracker lists as many peers.
func (f *fleet) awaitPeers(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := f.command(ctx, "ddm-client", "peers", "--json", "--insecure", "--tracker", f.tracker).Output()
		if err == nil && bytes.Count(out, []byte("\n")) >= n {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the tracker at %s did not list %d peers within %v", f.tracker, n, readyWithin)
		}
	}
}

// logs is an error that holds the end of every log, for the user to read.
func (f *fleet) logs() error {
	names, err := filepath.Glob(filepath.Join(f.dir, "*.log"))
	var all error
	for _, name := range names {
		text, e := os.ReadFile(name)
		if e != nil {
			err = e
			continue
		}
		text = text[max(0, len(text)-logTail):]
		all = errors.Join(all, fmt.Errorf("--- %s\n%s", filepath.Base(name), bytes.TrimSpace(text)))
	}
	return errors.Join(err, all)
}
