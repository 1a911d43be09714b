package monitor_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ddm/internal/errdefs"
	"ddm/internal/monitor"
)

// start runs a monitor on loopback and returns its URL and its end.
func start(t *testing.T, o monitor.Options) (url string, stop func() error) {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- monitor.Run(ctx, lis, o) }()
	stop = func() error {
		cancel()
		return <-done
	}
	return "http://" + lis.Addr().String(), stop
}

func get(t *testing.T, method, url string, header http.Header) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	// A refused request is cut off while the rest of it is still on its way.
	if err != nil && resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestPaths(t *testing.T) {
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ddm_test_answer", Help: "For the test."})
	gauge.Set(42)
	registry.MustRegister(gauge)
	var ready atomic.Bool
	url, stop := start(t, monitor.Options{Metrics: registry, Ready: func() error {
		if !ready.Load() {
			return errors.New("still starting")
		}
		return nil
	}})
	expect := func(method, path string, status int, part string) {
		t.Helper()
		got, body := get(t, method, url+path, nil)
		if got != status || !strings.Contains(body, part) {
			t.Errorf("%s %s: %d %q, want %d and %q", method, path, got, body, status, part)
		}
	}
	expect("GET", "/healthz", 200, "ok")
	expect("GET", "/readyz", 503, "still starting")
	ready.Store(true)
	expect("GET", "/readyz", 200, "ready")
	expect("HEAD", "/readyz", 200, "")
	expect("GET", "/metrics", 200, "ddm_test_answer 42")
	expect("POST", "/metrics", 405, "")
	expect("GET", "/", 404, "")
	expect("GET", "/debug/pprof/", 404, "")

	long := http.Header{"X-Long": {strings.Repeat("x", 64<<10)}}
	if status, _ := get(t, "GET", url+"/healthz", long); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 64 KiB: %d", status)
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v after a clean end", err)
	}
}

func TestNothingConfigured(t *testing.T) {
	url, stop := start(t, monitor.Options{})
	if status, _ := get(t, "GET", url+"/metrics", nil); status != 404 {
		t.Errorf("/metrics without a registry: %d", status)
	}
	if status, _ := get(t, "GET", url+"/readyz", nil); status != 200 {
		t.Errorf("/readyz without a function: %d", status)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestBrokenListener(t *testing.T) {
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	if err := monitor.Run(t.Context(), lis, monitor.Options{}); !errors.Is(err, errdefs.Unavailable) {
		t.Errorf("Run = %v, want kind %v", err, errdefs.Unavailable)
	}
}
