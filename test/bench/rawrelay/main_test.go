//go:build linux

package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestFloors brings a file through each of them.
func TestFloors(t *testing.T) {
	t.Parallel()
	want := make([]byte, 3*mib+12345)
	rand.NewChaCha8([32]byte{}).Read(want) //nolint:errcheck // never fails
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a", time.Time{}, bytes.NewReader(want))
	}))
	defer origin.Close()
	file := filepath.Join(t.TempDir(), "a")
	for name, client := range map[string][]string{
		"peer":      {"client", begin(t, serve), file},
		"grpc-peer": {"grpc-client", begin(t, serveGRPC), file},
		"none":      {"get", file},
	} {
		if err := run(t.Context(), append(client, origin.URL+"/a")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// begin starts a peer and says where.
func begin(t *testing.T, serve func(context.Context, net.Listener) error) string {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // on this machine
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = serve(ctx, lis) }) // ends by its listener's end
	t.Cleanup(func() { stop(); lis.Close(); served.Wait() })
	return lis.Addr().String()
}

func TestBrokenFrame(t *testing.T) {
	t.Parallel()
	out, err := os.Create(filepath.Join(t.TempDir(), "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for name, frame := range map[string][]byte{
		"a wrong sum": append([]byte{0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0}, "abcd"...),
		"too long":    {1, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0},
		"cut off":     {0, 0, 0, 4, 1, 2},
	} {
		a, b := net.Pipe()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = a.Write(frame) // the reader may be gone by the end
			a.Close()
		}()
		if err := save(b, out); err == nil {
			t.Errorf("%s: accepted", name)
		}
		b.Close()
		<-sent
	}
}
