// Package commandtest runs the programs' run functions in tests.
package commandtest

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"ddm/internal/command"
)

// Program is the run function of a program.
type Program = func(context.Context, command.Std) int

// Call is one run of a program. The zero value has no argument, variable or input.
type Call struct {
	Args  []string
	Env   []string // NAME=VALUE
	Stdin string
}

// Result is what came of it.
type Result struct {
	Status         int
	Stdout, Stderr string
}

// patience bounds Do: a program that serves instead of ending must not hold up
// a whole test run.
const patience = time.Minute

// Do runs the program to its end.
func (c Call) Do(tb testing.TB, program Program) Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	defer cancel()
	var stdout, stderr Output
	return c.Start(ctx, tb, program, &stdout, &stderr)()
}

// Start runs the program beside the test, which can watch its outputs; wait
// gives its result. The program ends with the test at the latest.
func (c Call) Start(ctx context.Context, tb testing.TB, program Program, stdout, stderr *Output) (wait func() Result) {
	tb.Helper()
	ctx, cancel := context.WithCancel(ctx)
	var result Result
	var wg sync.WaitGroup
	wg.Go(func() {
		result.Status = program(ctx, command.Std{
			Args: c.Args, Lookup: c.lookup, Stdin: strings.NewReader(c.Stdin), Stdout: stdout, Stderr: stderr,
		})
	})
	tb.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return func() Result {
		wg.Wait()
		result.Stdout, result.Stderr = stdout.String(), stderr.String()
		return result
	}
}

func (c Call) lookup(name string) (string, bool) {
	for _, pair := range c.Env {
		if k, v, _ := strings.Cut(pair, "="); k == name {
			return v, true
		}
	}
	return "", false
}

// Output collects what a program writes. Its zero value is ready.
type Output struct {
	mu   sync.Mutex // guards what follows
	text bytes.Buffer
	wait []waiter
}

type waiter struct {
	text string
	done chan struct{}
}

// Write never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	kept := o.wait[:0]
	for _, w := range o.wait {
		if strings.Contains(o.text.String(), w.text) {
			close(w.done)
			continue
		}
		kept = append(kept, w)
	}
	o.wait = kept
	return n, err
}

// String gives everything written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Await waits until text was written, or the test's time is over.
func (o *Output) Await(tb testing.TB, text string) {
	tb.Helper()
	w := waiter{text, make(chan struct{})}
	o.mu.Lock()
	if strings.Contains(o.text.String(), text) {
		close(w.done)
	} else {
		o.wait = append(o.wait, w)
	}
	o.mu.Unlock()
	select {
	case <-w.done:
	case <-tb.Context().Done():
		tb.Fatalf("%q was never written", text)
	}
}
