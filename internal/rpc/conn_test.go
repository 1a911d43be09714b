package rpc_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"ddm/internal/errdefs"
	"ddm/internal/pipenet"
	"ddm/internal/rpc"
	"ddm/internal/rpc/rpctest"
	ddmv1 "ddm/proto/ddm/v1"
)

func TestStalledStreamLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		echo := func(s grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
			for {
				if _, err := s.Recv(); err != nil {
					return err
				}
				if err := s.Send(&ddmv1.FetchResponse{}); err != nil {
					return err
				}
			}
		}
		conn := rpctest.Pair(t, peer{fetch: echo}.register, rpc.Options{Role: rpc.Bulk})
		stream, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Pings keep the connection, and are never too many.
		for _, pause := range []time.Duration{0, time.Hour, 24 * time.Hour} {
			time.Sleep(pause)
			if err := stream.Send(&ddmv1.FetchRequest{}); err != nil {
				t.Fatalf("after %v: %v", pause, err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatalf("after %v: %v", pause, err)
			}
		}
	})
}

// cable is a connection whose other end can vanish without a word: writes go
// nowhere and reads wait until the connection is closed.
type cable struct {
	net.Conn
	cut    chan struct{}
	closed chan struct{}
	once   *sync.Once
}

func (c cable) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.cut:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return n, err
	}
}

func (c cable) Write(b []byte) (int, error) {
	select {
	case <-c.cut:
		return len(b), nil
	default:
		return c.Conn.Write(b)
	}
}

// Close leaves the other side in the dark once the cable is cut.
func (c cable) Close() error {
	c.once.Do(func() { close(c.closed) })
	select {
	case <-c.cut:
		return nil
	default:
		return c.Conn.Close()
	}
}

func TestVanishedOtherSideIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lis := pipenet.Listen()
		srv := rpc.NewServer(rpc.Options{Role: rpc.Bulk})
		ended := make(chan time.Time, 1)
		peer{fetch: func(s grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
			<-s.Context().Done()
			ended <- time.Now()
			return nil
		}}.register(srv)
		ctx, stop := context.WithCancel(t.Context())
		var served sync.WaitGroup
		served.Go(func() { _ = rpc.Serve(ctx, srv, lis, 0) })
		defer served.Wait()
		defer stop()

		cut := make(chan struct{})
		var raw net.Conn
		conn, err := rpc.Dial("passthrough:///cable", rpc.Options{Role: rpc.Bulk},
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				if raw != nil {
					return nil, errors.New("no cable")
				}
				c, err := lis.DialContext(ctx)
				raw = c
				return cable{Conn: c, cut: cut, closed: make(chan struct{}), once: new(sync.Once)}, err
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		stream, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		start := time.Now()
		close(cut)
		if _, err := stream.Recv(); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("client: %v", err)
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("client noticed after %v", d)
		}
		if d := (<-ended).Sub(start); d > 20*time.Second {
			t.Errorf("server noticed after %v", d)
		}
		_ = raw.Close()
	})
}

func TestReconnectsSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lis := pipenet.Listen()
		srv := rpc.NewServer(rpc.Options{})
		peer{probe: func(context.Context) error { return nil }}.register(srv)
		ctx, stop := context.WithCancel(t.Context())
		var served sync.WaitGroup
		served.Go(func() { _ = rpc.Serve(ctx, srv, lis, 0) })
		defer served.Wait()
		defer stop()

		up := time.Now().Add(time.Minute)
		conn, err := rpc.Dial("passthrough:///late", rpc.Options{},
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
				if time.Now().Before(up) {
					return nil, errors.New("nobody there")
				}
				return lis.DialContext(ctx)
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		client := ddmv1.NewPeerServiceClient(conn)
		for {
			_, err := client.Probe(t.Context(), &ddmv1.ProbeRequest{})
			if err == nil {
				break
			}
			if !errors.Is(err, errdefs.Unavailable) {
				t.Fatalf("while away: %v", err)
			}
			time.Sleep(50 * time.Millisecond)
			if late := time.Since(up); late > 2*time.Second {
				t.Fatalf("still away %v after it came back", late)
			}
		}
		if time.Now().Before(up) {
			t.Error("answered before it was up")
		}
	})
}

func TestServeGrace(t *testing.T) {
	const grace = 10 * time.Second
	for _, c := range []struct {
		name string
		work time.Duration // how long the call still runs when the end comes
		took time.Duration
		is   error
	}{
		{"a short call ends by itself", 3 * time.Second, 3 * time.Second, nil},
		{"a long one is cut", time.Hour, grace, errdefs.Unavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lis := pipenet.Listen()
				srv := rpc.NewServer(rpc.Options{})
				peer{probe: func(ctx context.Context) error {
					select {
					case <-time.After(c.work):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}}.register(srv)
				ctx, stop := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() { served <- rpc.Serve(ctx, srv, lis, grace) }()

				conn, err := rpc.Dial("passthrough:///x", rpc.Options{},
					grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				called := make(chan error, 1)
				go func() {
					_, err := ddmv1.NewPeerServiceClient(conn).Probe(t.Context(), &ddmv1.ProbeRequest{})
					called <- err
				}()
				synctest.Wait()
				start := time.Now()
				stop()
				if err := <-served; err != nil {
					t.Errorf("serve: %v", err)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if err := <-called; !errors.Is(err, c.is) {
					t.Errorf("call: %v, want %v", err, c.is)
				}
			})
		})
	}
}

// broken is a listener that cannot accept.
type broken struct{ net.Listener }

func (broken) Accept() (net.Conn, error) { return nil, errors.New("no more descriptors") }

func TestServeTellsOfABrokenListener(t *testing.T) {
	lis := pipenet.Listen()
	err := rpc.Serve(t.Context(), rpc.NewServer(rpc.Options{}), broken{lis}, time.Second)
	if !errors.Is(err, errdefs.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestDialTargets(t *testing.T) {
	for _, target := range []string{"", "host", ":7420", "host:", "[::1", "1:2:3"} {
		if conn, err := rpc.Dial(target, rpc.Options{}); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%q: %v, %v", target, conn, err)
		}
	}
	for _, target := range []string{"host:7420", "[::1]:7420", "127.0.0.1:1", "dns:///localhost:7420"} {
		conn, err := rpc.Dial(target, rpc.Options{Role: rpc.Bulk})
		if err != nil {
			t.Errorf("%q: %v", target, err)
			continue
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNobodyThereIsUnavailable(t *testing.T) {
	var lc net.ListenConfig
	lis, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := rpc.Dial(addr, rpc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = ddmv1.NewPeerServiceClient(conn).Probe(t.Context(), &ddmv1.ProbeRequest{})
	if !errors.Is(err, errdefs.Unavailable) {
		t.Errorf("got %v", err)
	}
}
