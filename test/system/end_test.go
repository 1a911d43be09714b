package system_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

// TestEndsAtOnce: a download that is interrupted at any moment, in any state,
// returns at once and leaves no request and no goroutine behind.
func TestEndsAtOnce(t *testing.T) {
	f := origintest.NewFile(8*mib, 90)
	for name, tc := range map[string]struct {
		file   origintest.File
		stdout bool
		opts   func(*client.Options)
		early  func(w *world, u *user)
	}{
		"works":               {file: f},
		"stdout":              {file: f, stdout: true},
		"limited":             {file: f, opts: func(o *client.Options) { o.LimitRate = 50 << 10 }},
		"no ranges":           {file: f.With(origintest.Fault{Status: 200})},
		"no ranges, limited":  {file: f.With(origintest.Fault{Status: 200}), opts: func(o *client.Options) { o.LimitRate = 50 << 10 }},
		"slow to answer":      {file: f.With(origintest.Fault{HeaderDelay: time.Minute})},
		"busy":                {file: f.With(origintest.Fault{Status: 503, RetryAfter: "20"})},
		"own line frozen":     {file: f, early: func(_ *world, u *user) { u.wan.freeze() }},
		"origin unreachable":  {file: f, early: func(w *world, _ *user) { w.net.swallow(originHost + ":80") }},
		"tracker unreachable": {file: f, early: func(w *world, _ *user) { w.net.swallow(trackerAddr) }},
		"peers only":          {file: f, opts: func(o *client.Options) { o.NoLocal = true }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": tc.file}, func(w *world) {
				w.tracker()
				w.peer("a", mib)
				u := w.user(mib, tc.opts)
				if tc.early != nil {
					tc.early(w, u)
				}
				for i, after := range []time.Duration{0, 10 * time.Millisecond, 350 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second} {
					ctx, cancel := context.WithCancel(w.t.Context())
					time.AfterFunc(after, cancel)
					job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir, Output: fmt.Sprint("f", i)}
					if tc.stdout {
						job.Stdout = io.Discard
					}
					began := time.Now()
					err := u.c.Download(ctx, job, &account{})
					if took := time.Since(began); !errors.Is(err, context.Canceled) || took > after+100*time.Millisecond {
						w.t.Errorf("interrupted after %v, it returned after %v: %v", after, took, err)
					}
					time.Sleep(time.Second)
					synctest.Wait()
					if n := w.origin.Live(""); n > 0 {
						w.t.Errorf("interrupted after %v, %d requests still run a second later", after, n)
					}
				}
			})
		})
	}
}

// TestOneName: of two downloads to one name, one wins and the other says so.
func TestOneName(t *testing.T) {
	f := origintest.NewFile(4*mib, 91)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		u := w.user(mib, nil)
		errs := make([]error, 2)
		var both sync.WaitGroup
		for i := range errs {
			both.Go(func() { errs[i] = u.get("/f.bin", &account{}) })
		}
		both.Wait()
		if errs[0] != nil {
			errs[0], errs[1] = errs[1], errs[0]
		}
		if errs[0] != nil || !errors.Is(errs[1], errdefs.Locked) {
			w.t.Errorf("errors %v", errs)
		}
		w.holds("f.bin", f)
	})
}

// TestSharedLimit: downloads of one client share its limit.
func TestSharedLimit(t *testing.T) {
	files := map[string]origintest.File{"/a": origintest.NewFile(3*mib, 92), "/b": origintest.NewFile(3*mib, 93)}
	bubble(t, files, func(w *world) {
		w.tracker()
		w.peer("p", 8*mib)
		u := w.user(8*mib, func(o *client.Options) { o.LimitRate = mib })
		began := time.Now()
		var both sync.WaitGroup
		var came atomic.Int64
		for path := range files {
			both.Go(func() {
				a := &account{}
				if err := u.get(path, a); err != nil {
					w.t.Error(path, err)
				} else {
					came.Add(a.done.Size + a.done.Duplicate)
				}
			})
		}
		both.Wait()
		want := float64(came.Load())/mib - 0.25
		if took := time.Since(began).Seconds(); math.Abs(took/want-1) > 0.05 {
			w.t.Errorf("%d bytes at 1 MiB/s took %.1f s, want %.1f s", came.Load(), took, want)
		}
		w.holds("a", files["/a"])
		w.holds("b", files["/b"])
	})
}
