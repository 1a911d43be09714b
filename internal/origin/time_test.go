package origin_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/pipenet"
)

// inBubble runs a test with an origin and a line in a bubble of their own.
func inBubble(t *testing.T, f origintest.File, cfg origin.LineConfig, o origintest.Options, run func(t *testing.T, srv *origintest.Server, line *origin.Line, res origin.Resource)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		lis := pipenet.Listen()
		o.Files = map[string]origintest.File{"/f": f}
		srv := origintest.Serve(t, lis, o)
		if cfg.Dial == nil {
			cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return lis.DialContext(ctx) }
		}
		line := newLine(t, cfg)
		run(t, srv, line, origin.Resource{URL: "http://origin.test/f", Gen: pin(f)})
	})
}

func TestStall(t *testing.T) {
	f := origintest.NewFile(1<<20, 1).With(origintest.Fault{End: origintest.Stall, After: 5000})
	inBubble(t, f, origin.LineConfig{}, origintest.Options{}, func(t *testing.T, srv *origintest.Server, line *origin.Line, res origin.Resource) {
		r, err := line.Open(t.Context(), res, byterange.Range{Len: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 1000)
		if _, err := io.ReadFull(r.Body, head); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // nobody reads: no stall
		start := time.Now()
		n, err := io.Copy(io.Discard, r.Body)
		if n != 4000 || !errors.Is(err, errdefs.Unavailable) || time.Since(start) != 10*time.Second {
			t.Errorf("%d bytes, %v, after %v", n, err, time.Since(start))
		}
		_ = r.Body.Close()
		synctest.Wait()
		if srv.Live("") != 0 {
			t.Error("the request outlived its reader")
		}
	})
}

func TestSlowIsNoStall(t *testing.T) {
	f := origintest.NewFile(100, 1).With(origintest.Fault{Rate: 0.2}) // a byte in 5 s
	inBubble(t, f, origin.LineConfig{}, origintest.Options{}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
		r, err := line.Open(t.Context(), res, byterange.Range{Len: 100})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := readAll(t, r, f); n != 100 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

func TestTimeouts(t *testing.T) {
	f := origintest.NewFile(100, 1)
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for _, tt := range []struct {
		name string
		file origintest.File
		cfg  origin.LineConfig
		want time.Duration
	}{
		{"header", f.With(origintest.Fault{HeaderDelay: time.Hour}), origin.LineConfig{}, 15 * time.Second},
		{"header, set", f.With(origintest.Fault{HeaderDelay: time.Hour}), origin.LineConfig{HeaderTimeout: time.Second}, time.Second},
		{"connect", f, origin.LineConfig{Dial: hang}, 10 * time.Second},
		{"connect, set", f, origin.LineConfig{Dial: hang, ConnectTimeout: time.Second}, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.file, tt.cfg, origintest.Options{}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
				start := time.Now()
				_, err := line.Open(t.Context(), res, byterange.Range{Len: 1})
				if !errors.Is(err, errdefs.Timeout) || time.Since(start) != tt.want {
					t.Errorf("%v after %v, want Timeout after %v", err, time.Since(start), tt.want)
				}
			})
		})
	}
}

func TestFirstByte(t *testing.T) {
	f := origintest.NewFile(100, 1).With(origintest.Fault{HeaderDelay: 3 * time.Second})
	inBubble(t, f, origin.LineConfig{}, origintest.Options{}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
		r, err := line.Open(t.Context(), res, byterange.Range{Len: 100})
		if err != nil {
			t.Fatal(err)
		}
		if r.FirstByte != 3*time.Second {
			t.Errorf("FirstByte = %v", r.FirstByte)
		}
		_, _ = readAll(t, r, f)
	})
}

func TestLimit(t *testing.T) {
	const size, perSecond = 10 << 20, 1 << 20
	f := origintest.NewFile(size, 1)
	cfg := origin.LineConfig{Limits: []*rate.Limiter{rate.NewLimiter(perSecond, 64<<10)}}
	inBubble(t, f, cfg, origintest.Options{}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
		start := time.Now()
		r, err := line.Open(t.Context(), res, byterange.Range{Len: size})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := readAll(t, r, f); n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if took := time.Since(start); took < 9800*time.Millisecond || took > 10100*time.Millisecond {
			t.Errorf("10 MiB at 1 MiB/s took %v", took)
		}
	})
}

func TestLimitEndsWithContext(t *testing.T) {
	f := origintest.NewFile(1<<20, 1)
	cfg := origin.LineConfig{Limits: []*rate.Limiter{rate.NewLimiter(1, 1000)}}
	inBubble(t, f, cfg, origintest.Options{}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := line.Open(ctx, res, byterange.Range{Len: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want context.DeadlineExceeded", err)
		}
		_ = r.Body.Close()
	})
}

func TestCloseDoesNotWaitForSlowOrigins(t *testing.T) {
	f := origintest.NewFile(1000, 1).With(origintest.Fault{End: origintest.Stall, After: 500})
	inBubble(t, f, origin.LineConfig{}, origintest.Options{}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
		r, err := line.Open(t.Context(), res, byterange.Range{Len: 1000})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_ = r.Body.Close()
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestTargetsAge(t *testing.T) {
	f := origintest.NewFile(100, 1)
	inBubble(t, f.With(origintest.Fault{Location: "/g"}), origin.LineConfig{}, origintest.Options{}, func(t *testing.T, srv *origintest.Server, line *origin.Line, res origin.Resource) {
		srv.Set("/g", f)
		for range 3 {
			r, err := line.Open(t.Context(), res, byterange.Range{Len: 100})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = readAll(t, r, f)
			time.Sleep(31 * time.Second)
		}
		if n := srv.Total(); n != 5 {
			t.Errorf("%d requests, want 5: the target is asked for again after a minute", n)
		}
	})
}

// TestThrottle is about the origin of the tests: its rates must be right.
func TestThrottle(t *testing.T) {
	const size = 2 << 20
	f := origintest.NewFile(size, 1)
	for name, throttle := range map[string]origintest.Throttle{
		"per connection": {PerConn: 1 << 20},
		"per client":     {PerClient: 2 << 20},
		"by client":      {PerClient: 1, ByClient: map[string]float64{"pipe": 2 << 20}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, f, origin.LineConfig{}, origintest.Options{Throttle: throttle}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
				start := time.Now()
				done := make(chan error, 2)
				for range 2 {
					go func() {
						r, err := line.Open(t.Context(), res, byterange.Range{Len: size})
						if err == nil {
							_, err = io.Copy(io.Discard, r.Body)
							_ = r.Body.Close()
						}
						done <- err
					}()
				}
				if err := errors.Join(<-done, <-done); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took < 1900*time.Millisecond || took > 2100*time.Millisecond {
					t.Errorf("two connections with 2 MiB each took %v, want 2 s", took)
				}
			})
		})
	}
}

func TestTooManyAtOnce(t *testing.T) {
	f := origintest.NewFile(1<<20, 1).With(origintest.Fault{End: origintest.Stall, After: 10})
	inBubble(t, f, origin.LineConfig{}, origintest.Options{MaxLive: 1, RetryHint: "4"}, func(t *testing.T, _ *origintest.Server, line *origin.Line, res origin.Resource) {
		r, err := line.Open(t.Context(), res, byterange.Range{Len: 1000})
		if err != nil {
			t.Fatal(err)
		}
		_, err = line.Open(t.Context(), res, byterange.Range{Len: 1000})
		if wait, ok := errdefs.RetryAfterOf(err); !errors.Is(err, errdefs.Busy) || !ok || wait != 4*time.Second {
			t.Errorf("%v, want Busy for 4 s", err)
		}
		_ = r.Body.Close()
	})
}
