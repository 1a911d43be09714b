package tracker_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/health/grpc_health_v1"

	"ddm/internal/errdefs"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

func TestStop(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		idle, _ := h.watch(c)
		stuck, _ := h.watch(h.client())
		req := request("a")
		req.Peer.Lines = lines(64)
		for range 100 { // more than the window of one who does not read
			must(c.Register(t.Context(), req))(h)
			h.next(idle)
		}
		begin := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- h.stop() }()
		_, err := idle.Recv()
		if !errors.Is(err, errdefs.Unavailable) || !strings.Contains(err.Error(), "tracker is going away") || time.Since(begin) != 0 {
			t.Errorf("watcher: %v after %v", err, time.Since(begin))
		}
		if err := <-ended; err != nil || time.Since(begin) > time.Second {
			t.Errorf("Run = %v after %v", err, time.Since(begin))
		}
		for err = nil; err == nil; _, err = stuck.Recv() {
		}
		if !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("the stuck watcher: %v", err)
		}
		if n := strings.Count(h.log.String(), "tracker ready"); n != 1 {
			t.Errorf("%d ready lines:\n%s", n, h.log)
		}
	})
}

func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]tracker.Config{
		"lease as short as the heartbeat": {Heartbeat: time.Second, Lease: time.Second},
		"negative heartbeat":              {Heartbeat: -time.Second},
		"negative limit":                  {MaxPeers: -1},
	} {
		if _, err := tracker.New(cfg); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lis.Close() }()
	taken := lis.Addr().String()
	for name, cfg := range map[string]tracker.Config{
		"listen": {Listen: taken},
		"http":   {Listen: "127.0.0.1:0", HTTP: taken},
	} {
		if _, err := tracker.New(cfg); !errors.Is(err, errdefs.Unavailable) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s address in use: %v", name, err)
		}
	}
}

// TestOnTheNetwork runs a tracker as the program does, on loopback.
func TestOnTheNetwork(t *testing.T) {
	var log bytes.Buffer
	srv, err := tracker.New(tracker.Config{
		Listen: "127.0.0.1:0", HTTP: "127.0.0.1:0", Version: "1.2.3",
		Log: hclog.New(&hclog.LoggerOptions{Output: &log}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()

	conn, err := rpc.Dial(srv.Addr().String(), rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	resp, err := ddmv1.NewTrackerServiceClient(conn).Register(t.Context(), request("a"))
	if err != nil || resp.GetAddress() != "127.0.0.1:7430" {
		t.Errorf("registered: %v, %v", resp, err)
	}
	for _, service := range []string{"", "ddm.v1.TrackerService"} {
		state, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || state.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v, %v", service, state, err)
		}
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ready", "/metrics": "ddm_tracker_peers 1\n"} {
		if body := fetch(t, "http://"+srv.HTTPAddr().String()+path); !strings.Contains(body, want) {
			t.Errorf("%s: %s", path, body)
		}
	}
	metrics := fetch(t, "http://"+srv.HTTPAddr().String()+"/metrics")
	for _, want := range []string{
		"ddm_tracker_registrations_total 1\n", "ddm_tracker_watchers 0\n",
		`ddm_tracker_rpcs_total{code="OK",method="Register"} 1`, `ddm_tracker_build_info{version="1.2.3"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics miss %q", want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
	for _, want := range []string{srv.Addr().String(), srv.HTTPAddr().String()} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not name %s:\n%s", want, &log)
		}
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return body.String()
}
