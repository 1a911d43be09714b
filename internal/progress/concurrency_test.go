package progress_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/progress"
)

// gate is a writer that blocks until it is opened.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	buf  bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buf.Write(p)
}

// A reader that does not read holds up no reporter, and what must arrive arrives.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	for _, o := range []progress.Options{{JSON: true}, {Terminal: true}, {}} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{open: make(chan struct{})}
			o.Stdout, o.Stderr = g, g
			u := progress.New(o)
			r := u.Download("image.iso")
			r.Start(begin(200 * mib))
			for i := range 3000 {
				r.Progress(half(own(int64(i))))
				r.Source(progress.SourceChange{Name: "kitchen", Change: "failed", Reason: strings.Repeat("x", 500)})
				if i%100 == 0 {
					time.Sleep(100 * time.Millisecond)
				}
			}
			r.Done(finished(own(200 * mib)))
			close(g.open)
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			out := g.buf.String()
			if len(out) > 3*mib/2 {
				t.Errorf("%d bytes waited for a slow reader", len(out))
			}
			if !strings.Contains(out, "messages dropped") || !strings.Contains(out, "/home/anna/image.iso") {
				t.Errorf("the end of it: %q", out[max(len(out)-500, 0):])
			}
		})
	}
}

// With JSON on a stdout that nobody reads, the log still passes.
func TestLogPassesBesideBlockedStdout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		var log bytes.Buffer
		u := progress.New(progress.Options{Stdout: g, Stderr: &log, JSON: true})
		u.Download("x").Start(begin(1))
		synctest.Wait()
		_, _ = fmt.Fprintln(u.LogWriter(), "a line")
		if log.String() != "a line\n" {
			t.Errorf("log %q", log.String())
		}
		close(g.open)
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestManyReporters(t *testing.T) {
	for _, o := range []progress.Options{{JSON: true}, {Terminal: true, Color: true}, {}, {Quiet: true}} {
		synctest.Test(t, func(t *testing.T) {
			v := newVT(t, 60, 10)
			var out bytes.Buffer
			o.Stdout, o.Stderr = &out, v
			u := progress.New(o)
			var wg sync.WaitGroup
			for i := range 8 {
				r := u.Download(fmt.Sprintf("file%d", i))
				r.Start(begin(200 * mib))
				for j := range 3 {
					wg.Go(func() {
						for k := range 50 {
							r.Progress(half(own(int64(k)), peer("kitchen", int64(j))))
							r.Source(progress.SourceChange{Name: "kitchen", Change: "joined"})
							_, _ = fmt.Fprintln(u.LogWriter(), "log", k)
							time.Sleep(10 * time.Millisecond)
						}
						r.Done(finished(own(200 * mib)))
						r.Fail(progress.Failure{Message: "too late"})
					})
				}
			}
			wg.Wait()
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			if err := u.Close(); err != nil {
				t.Errorf("a second Close: %v", err)
			}
			u.Download("late").Fail(progress.Failure{Message: "too late"})
			text := v.text() + out.String()
			if strings.Contains(text, "too late") {
				t.Error("reported after its end")
			}
			if n := strings.Count(text, "200.0 MiB in 5s") + strings.Count(text, `"event":"done"`); n != 8 && !o.Quiet {
				t.Errorf("%d summaries of 8", n)
			}
			if o.JSON {
				events(t, out.String())
			}
		})
	}
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestCloseTellsOfBrokenOutput(t *testing.T) {
	for _, o := range []progress.Options{{JSON: true}, {Terminal: true}, {}} {
		o.Stdout, o.Stderr = broken{}, broken{}
		u := progress.New(o)
		u.Download("x").Done(progress.Done{})
		if err := u.Close(); !errors.Is(err, errBroken) {
			t.Errorf("Close() = %v", err)
		}
		if n, err := u.LogWriter().Write([]byte("log\n")); n != 4 || err != nil {
			t.Errorf("a log line: %d, %v", n, err)
		}
	}
}
