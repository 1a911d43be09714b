//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
)

// scope is a stretch of the bench that leaves nothing behind: what is started
// inside ends with it, and a failure ends it alone. It stands in for a test, so
// that the lab's networks can be used outside of tests.
type scope struct {
	testing.TB // for its unexported method only; what netlab calls is below

	ctx      context.Context //nolint:containedctx // a testing.TB has one too
	bench    *bench
	cleanups []func()
	failures []error
}

// failure is what Fatal panics with.
type failure struct{ err error }

// within runs f in a scope of its own and gives what failed in it.
func (b *bench) within(ctx context.Context, f func(s *scope)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &scope{ctx: ctx, bench: b}
	s.guard(func() { f(s) })
	for _, cleanup := range slices.Backward(s.cleanups) {
		s.guard(cleanup)
	}
	return errors.Join(s.failures...)
}

func (s *scope) guard(f func()) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			s.failures = append(s.failures, r.err)
		default:
			panic(r)
		}
	}()
	f()
}

// Helper implements [testing.TB].
func (s *scope) Helper() {}

// Context implements [testing.TB].
func (s *scope) Context() context.Context { return s.ctx }

// Cleanup implements [testing.TB].
func (s *scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Failed implements [testing.TB].
func (s *scope) Failed() bool { return len(s.failures) > 0 }

// Fatal implements [testing.TB].
func (s *scope) Fatal(args ...any) { panic(failure{errors.New(fmt.Sprint(args...))}) }

// Fatalf implements [testing.TB].
func (s *scope) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// Error implements [testing.TB].
func (s *scope) Error(args ...any) { s.failures = append(s.failures, errors.New(fmt.Sprint(args...))) }

// Errorf implements [testing.TB].
func (s *scope) Errorf(format string, args ...any) {
	s.failures = append(s.failures, fmt.Errorf(format, args...))
}

// Skip implements [testing.TB]: where no lab can be made there is no bench.
func (s *scope) Skip(args ...any) { s.Fatal(args...) }

// Logf implements [testing.TB].
func (s *scope) Logf(format string, args ...any) { s.bench.logf(format, args...) }

// check fails on an error.
func (s *scope) check(err error) {
	if err != nil {
		s.Fatal(err)
	}
}

// dir makes a folder in memory that goes with the scope.
func (s *scope) dir() string {
	dir, err := os.MkdirTemp(s.bench.work, "run-")
	s.check(err)
	s.Cleanup(func() { s.check(os.RemoveAll(dir)) })
	return dir
}
