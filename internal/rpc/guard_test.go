package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"ddm/internal/errdefs"
	"ddm/internal/pipenet"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

// street is a listener in memory that is dialled from addresses.
type street struct {
	*pipenet.Listener
	mu   sync.Mutex
	from chan net.Addr
}

func (s *street) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return house{c, <-s.from}, nil
}

type house struct {
	net.Conn
	from net.Addr
}

func (h house) RemoteAddr() net.Addr { return h.from }

func (s *street) dial(ctx context.Context, ip string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.DialContext(ctx)
	if err == nil {
		s.from <- &net.TCPAddr{IP: net.ParseIP(ip), Port: 40000}
	}
	return c, err
}

// guardedBy serves a peer behind a guard, in a bubble.
func guardedBy(t *testing.T, limits rpc.Limits, p peer) *street {
	t.Helper()
	lis := &street{Listener: pipenet.Listen(), from: make(chan net.Addr, 1)}
	g := rpc.NewGuard(limits, nil)
	srv := rpc.NewServer(rpc.Options{Guard: g})
	p.register(srv)
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := rpc.Serve(ctx, srv, g.Listen(lis), 0); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		served.Wait()
	})
	return lis
}

// caller is a connection from an address.
func (s *street) caller(t *testing.T, ip string) ddmv1.PeerServiceClient {
	t.Helper()
	c, hangUp := s.call(t, ip)
	t.Cleanup(hangUp)
	return c
}

func (s *street) call(t *testing.T, ip string) (c ddmv1.PeerServiceClient, hangUp func()) {
	t.Helper()
	conn, err := rpc.Dial("passthrough:///street", rpc.Options{},
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.dial(ctx, ip) }))
	if err != nil {
		t.Fatal(err)
	}
	return ddmv1.NewPeerServiceClient(conn), func() { _ = conn.Close() }
}

// silent opens a connection and says nothing on it.
func (s *street) silent(t *testing.T, ip string) net.Conn {
	t.Helper()
	c, err := s.dial(t.Context(), ip)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func willing() peer { return peer{probe: func(context.Context) error { return nil }} }

func answers(t *testing.T, c ddmv1.PeerServiceClient) error {
	t.Helper()
	_, err := c.Probe(t.Context(), &ddmv1.ProbeRequest{})
	return err
}

// TestHalfOpenConnections: they are held to a number per address and in all,
// and cut after 5 s, so that others get through at once and the same address
// afterwards.
func TestHalfOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guardedBy(t, rpc.Limits{PerAddress: 16, Total: 40}, willing())
		began := time.Now()
		var held []net.Conn
		for _, ip := range []string{"10.0.0.1", "10.0.0.2"} {
			for range 20 {
				held = append(held, s.silent(t, ip))
			}
		}
		cut := make([]time.Duration, len(held))
		var reading sync.WaitGroup
		for i, c := range held {
			reading.Go(func() {
				_, _ = io.Copy(io.Discard, c)
				cut[i] = time.Since(began)
			})
		}
		synctest.Wait()
		if err := answers(t, s.caller(t, "10.0.0.1")); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("the 17th of an address: %v", err)
		}
		if err := answers(t, s.caller(t, "10.0.0.3")); err != nil {
			t.Errorf("another address: %v", err)
		}
		reading.Wait()
		for i, d := range cut {
			if want := map[bool]time.Duration{true: 5 * time.Second}[i%20 < 16]; d != want {
				t.Errorf("connection %d was cut after %v, want %v", i, d, want)
			}
		}
		if err := answers(t, s.caller(t, "10.0.0.1")); err != nil {
			t.Errorf("after they were cut: %v", err)
		}
	})
}

// TestConnectionsInAll: whoever comes when all are taken is turned away, until
// one ends.
func TestConnectionsInAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := guardedBy(t, rpc.Limits{PerAddress: 16, Total: 3}, willing())
		for _, ip := range []string{"10.0.0.1", "10.0.0.2"} {
			if err := answers(t, s.caller(t, ip)); err != nil {
				t.Error(ip, err)
			}
		}
		last := s.silent(t, "10.0.0.3")
		synctest.Wait()
		if err := answers(t, s.caller(t, "10.0.0.4")); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("the fourth: %v", err)
		}
		_ = last.Close()
		synctest.Wait()
		if err := answers(t, s.caller(t, "10.0.0.5")); err != nil {
			t.Errorf("after one had ended: %v", err)
		}
	})
}

// TestFloodOfStreams: an address that begins streams without end, resetting
// each at once, is slowed to its rate, over new connections too, and nobody
// else feels it.
func TestFloodOfStreams(t *testing.T) {
	for _, flooders := range []int{1, 4} {
		t.Run(fmt.Sprint(flooders), func(t *testing.T) { floodOfStreams(t, flooders) })
	}
}

func floodOfStreams(t *testing.T, flooders int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		const rate, span = 20, time.Minute
		var mu sync.Mutex
		begun := 0
		s := guardedBy(t, rpc.Limits{PerAddress: flooders + 1, Streams: rate}, peer{
			probe: func(context.Context) error { return nil },
			fetch: func(grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
				mu.Lock()
				defer mu.Unlock()
				begun++
				return nil
			},
		})
		ctx, stop := context.WithTimeout(t.Context(), span)
		defer stop()
		var flood sync.WaitGroup
		for range flooders {
			flood.Go(func() {
				for ctx.Err() == nil {
					c, hangUp := s.call(t, "10.0.0.66")
					for range 60 {
						one, reset := context.WithCancel(ctx)
						_, _ = c.Fetch(one) // some wait for a place
						reset()
						time.Sleep(20 * time.Millisecond)
					}
					hangUp()
				}
			})
		}
		honest := s.caller(t, "10.0.0.1")
		for ctx.Err() == nil {
			began := time.Now()
			if err := answers(t, honest); err != nil {
				t.Fatal(err)
			}
			if late := time.Since(began); late > 0 {
				t.Fatalf("an honest call took %v", late)
			}
			time.Sleep(100 * time.Millisecond)
		}
		flood.Wait()
		mu.Lock()
		defer mu.Unlock()
		// Beside the burst, what was read before the debt was known: all of each
		// connection. Without a guard each flooder begins 3,000.
		if most := int(rate*(span+5*time.Second).Seconds()) + (flooders+1)*60; begun > most || begun < most/4 {
			t.Errorf("%d streams began in %v at %d per second", begun, span, rate)
		}
	})
}
