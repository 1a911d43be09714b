package blockconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"ddm/internal/blockconn"
)

// pair connects two ends over loopback, the first one blocking.
func pair(t *testing.T, few *blockconn.Few) (ours net.Conn, theirs *net.TCPConn) {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours = few.New(c)
	t.Cleanup(func() { ours.Close() })
	other, err := lis.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close() })
	theirs, ok := other.(*net.TCPConn)
	if !ok {
		t.Fatalf("accepted a %T", other)
	}
	if ours.RemoteAddr().String() != theirs.LocalAddr().String() || ours.LocalAddr().String() != theirs.RemoteAddr().String() {
		t.Errorf("%v -> %v, the other end says %v <- %v", ours.LocalAddr(), ours.RemoteAddr(), theirs.LocalAddr(), theirs.RemoteAddr())
	}
	return ours, theirs
}

func one() *blockconn.Few { return &blockconn.Few{Most: 1} }

func isBlocking(c net.Conn) bool {
	_, poller := c.(*net.TCPConn)
	return !poller
}

func TestBothWaysToTheEnd(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t, one())
	said := make([]byte, 8<<20)            // more than any buffer holds
	rand.NewChaCha8([32]byte{}).Read(said) //nolint:errcheck // never fails
	sent := make(chan error, 1)
	go func() {
		_, err := ours.Write(said)
		sent <- err
	}()
	heard := make([]byte, len(said))
	if _, err := io.ReadFull(theirs, heard); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil || !bytes.Equal(heard, said) {
		t.Fatalf("they heard something else: %v", err)
	}
	go func() {
		_, err := theirs.Write(said)
		sent <- errors.Join(err, theirs.Close())
	}()
	heard, err := io.ReadAll(ours)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(heard, said) {
		t.Fatalf("we heard something else: %v", err)
	}
}

// waiting calls wait in a goroutine and returns once it sleeps, as far as that
// can be seen, with a channel for its error.
func waiting(wait func() error) <-chan error {
	failed := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		failed <- wait()
	}()
	<-begun
	for range 100 {
		runtime.Gosched()
	}
	time.Sleep(10 * time.Millisecond)
	return failed
}

func readOne(c net.Conn) func() error {
	return func() error {
		_, err := c.Read(make([]byte, 1))
		return err
	}
}

// fill writes until nobody takes any more.
func fill(c net.Conn) func() error {
	return func() error {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	}
}

func TestCloseWakes(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(net.Conn) func() error{"read": readOne, "write": fill} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := pair(t, one())
			failed := waiting(wait(ours))
			if err := ours.Close(); err != nil {
				t.Error(err)
			}
			if err := <-failed; !errors.Is(err, net.ErrClosed) {
				t.Errorf("the one who waited got %v", err)
			}
			if err := readOne(ours)(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("later: %v", err)
			}
			if err := ours.Close(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed again: %v", err)
			}
			if _, err := io.Copy(io.Discard, theirs); err != nil && name == "read" {
				t.Errorf("the other end: %v", err)
			}
		})
	}
}

func TestDeadlineWakes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		wait func(net.Conn) func() error
		set  func(net.Conn, time.Time) error
	}{
		"read":       {readOne, net.Conn.SetReadDeadline},
		"write":      {fill, net.Conn.SetWriteDeadline},
		"read both":  {readOne, net.Conn.SetDeadline},
		"write both": {fill, net.Conn.SetDeadline},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, in := range []time.Duration{-time.Second, 50 * time.Millisecond} {
				ours, _ := pair(t, one())
				failed := waiting(tc.wait(ours))
				if err := tc.set(ours, time.Now().Add(in)); err != nil {
					t.Fatal(err)
				}
				err := <-failed
				timeout, ok := errors.AsType[net.Error](err)
				if !errors.Is(err, os.ErrDeadlineExceeded) || !ok || !timeout.Timeout() {
					t.Errorf("after a deadline in %v: %v", in, err)
				}
			}
		})
	}
}

func TestDeadlineTakenBack(t *testing.T) {
	t.Parallel()
	ours, theirs := pair(t, one())
	if err := ours.SetDeadline(time.Now().Add(30 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := ours.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	failed := waiting(readOne(ours))
	time.Sleep(60 * time.Millisecond) // past what it was
	if _, err := theirs.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Errorf("read: %v", err)
	}
}

func TestFew(t *testing.T) {
	t.Parallel()
	if c, _ := pair(t, &blockconn.Few{}); isBlocking(c) {
		t.Error("none is one")
	}
	few := one()
	first, _ := pair(t, few)
	second, _ := pair(t, few)
	if isBlocking(first) != (runtime.GOOS == "linux") || isBlocking(second) {
		t.Errorf("a %T, then a %T", first, second)
	}
	first.Close()
	first.Close() // counts once
	third, _ := pair(t, few)
	fourth, _ := pair(t, few)
	if isBlocking(third) != (runtime.GOOS == "linux") || isBlocking(fourth) {
		t.Errorf("then a %T and a %T", third, fourth)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	third.Close()
	if few.New(a) != a {
		t.Error("a pipe came back as something else")
	}
}

// TestUnderHTTP ends requests and connections in the ways of net/http.
func TestUnderHTTP(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			<-r.Context().Done()
			return
		}
		_, _ = w.Write(make([]byte, 1<<20)) // the client sees what is missing
	})
	for name, start := range map[string]func(http.Handler) *httptest.Server{"plain": httptest.NewServer, "TLS": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := start(handler)
			t.Cleanup(srv.Close)
			transport, ok := srv.Client().Transport.(*http.Transport)
			if !ok {
				t.Fatalf("a %T", srv.Client().Transport)
			}
			few, dialled := &blockconn.Few{Most: 4}, 0
			transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dialled++
				c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return few.New(c), nil
			}
			get := func(ctx context.Context, path string) (int64, error) {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+path, http.NoBody)
				if err != nil {
					return 0, err
				}
				resp, err := srv.Client().Do(req)
				if err != nil {
					return 0, err
				}
				defer resp.Body.Close()
				return io.Copy(io.Discard, resp.Body)
			}
			for range 3 {
				if n, err := get(t.Context(), "/"); n != 1<<20 || err != nil {
					t.Fatalf("%d bytes, %v", n, err)
				}
			}
			if dialled != 1 {
				t.Errorf("%d connections for three requests", dialled)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := get(ctx, "/silent"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a request that was given up: %v", err)
			}
			transport.CloseIdleConnections()
			if n, err := get(t.Context(), "/"); n != 1<<20 || err != nil {
				t.Errorf("afterwards: %d bytes, %v", n, err)
			}
		})
	}
}
