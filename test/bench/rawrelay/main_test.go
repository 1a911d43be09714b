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
	"testing"
	"time"
)

// TestRelay brings a file through the relay, and no broken one.
func TestRelay(t *testing.T) {
	t.Parallel()
	want := make([]byte, 3*payload+12345)
	rand.NewChaCha8([32]byte{}).Read(want) //nolint:errcheck // never fails
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a", time.Time{}, bytes.NewReader(want))
	}))
	defer origin.Close()
	lis, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // on this machine
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		conn, err := lis.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer conn.Close()
		ended <- relay(context.Background(), conn)
	}()
	file := filepath.Join(t.TempDir(), "a")
	if err := fetch(t.Context(), lis.Addr().String(), file, origin.URL); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
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
