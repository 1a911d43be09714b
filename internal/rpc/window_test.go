package rpc_test

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"ddm/internal/pipenet"
	"ddm/internal/rpc"
	"ddm/internal/rpc/rpctest"
	ddmv1 "ddm/proto/ddm/v1"
)

// TestWindowsFillTheLine: one stream brings what the line does, on the lines
// that the windows are made for. Time is virtual, so that the figures are exact.
func TestWindowsFillTheLine(t *testing.T) {
	const mbit = 1e6 / 8 // bytes per second
	for _, c := range []struct {
		name  string
		rate  float64 // bytes per second
		delay time.Duration
		size  int
	}{
		{"1 Gbit/s, round trip of 30 ms", 1000 * mbit, 15 * time.Millisecond, 96 << 20},
		{"10 Gbit/s, round trip of 1 ms", 10_000 * mbit, 500 * time.Microsecond, 96 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn := dialFar(t, peer{fetch: sendFrames(c.size)}, c.rate, c.delay)
				s, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				got, began := 0, time.Time{}
				for {
					var ev rpc.Event
					err := s.RecvMsg(&ev)
					if err == io.EOF { //nolint:errorlint // as gRPC has it
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					if got == 0 {
						began = time.Now()
					}
					got += ev.Frame.Payload.Len()
					ev.Frame.Payload.Free()
				}
				ideal := time.Duration(float64(got) / c.rate * float64(time.Second))
				if took := time.Since(began); got != c.size || took > ideal*105/100 {
					t.Errorf("%d bytes took %v, the line needs %v", got, took, ideal)
				}
			})
		})
	}
}

// TestUnreadStreams: eight peers whose frames nobody takes fill half of what a
// client may hold, and no more.
func TestUnreadStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers, most = 8, 64 << 20
		var sent atomic.Int64
		endless := func(s grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
			for {
				if err := sendFrames(256 << 10)(s); err != nil {
					return err
				}
				sent.Add(256 << 10)
			}
		}
		for range peers {
			conn := rpctest.Pair(t, peer{fetch: endless}.register, rpc.Options{Role: rpc.Bulk})
			if _, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got := sent.Load(); got < most/2 || got > most {
			t.Errorf("%d bytes were sent to nobody, want %d at most, and half of that", got, most)
		}
	})
}

// TestFrameInOneWrite: the headers of HTTP/2 do not push a frame's end into a
// write of its own.
func TestFrameInOneWrite(t *testing.T) {
	lis := &measuring{Listener: pipenet.Listen()}
	srv := rpc.NewServer(rpc.Options{Role: rpc.Bulk})
	peer{fetch: sendFrames(256 << 10)}.register(srv)
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = rpc.Serve(ctx, srv, lis, 0) })
	defer served.Wait()
	defer stop()
	conn, err := rpc.Dial("passthrough:///near", rpc.Options{Role: rpc.Bulk},
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ev rpc.Event
	if err := s.RecvMsg(&ev); err != nil {
		t.Fatal(err)
	}
	ev.Frame.Payload.Free()
	if got := lis.largest.Load(); got <= 256<<10 {
		t.Errorf("the largest write had %d bytes, want a frame of 256 KiB with its headers", got)
	}
}

// measuring is a listener whose connections tell the size of their largest
// write.
type measuring struct {
	*pipenet.Listener
	largest atomic.Int64
}

func (m *measuring) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	return measuredConn{c, m}, err
}

type measuredConn struct {
	net.Conn
	of *measuring
}

func (c measuredConn) Write(p []byte) (int, error) {
	c.of.largest.Store(max(c.of.largest.Load(), int64(len(p)))) // one at a time writes
	return c.Conn.Write(p)
}

// sendFrames sends so many bytes in frames of 256 KiB.
func sendFrames(size int) func(grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
	const payload = 256 << 10
	return func(s grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
		for off := 0; off < size; off += payload {
			buf := rpc.Pool().Get(payload)
			f := &rpc.Frame{Assignment: 1, Offset: int64(off), Payload: mem.BufferSlice{mem.NewBuffer(buf, rpc.Pool())}}
			err := s.SendMsg(f)
			f.Payload.Free()
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// dialFar connects a peer over a line with a rate, from the peer, and a delay.
func dialFar(t *testing.T, p peer, rate float64, delay time.Duration) *grpc.ClientConn {
	t.Helper()
	lis := pipenet.Listen()
	srv := rpc.NewServer(rpc.Options{Role: rpc.Bulk})
	p.register(srv)
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = rpc.Serve(ctx, srv, lis, 0) })
	t.Cleanup(func() { stop(); served.Wait() })
	conn, err := rpc.Dial("passthrough:///far", rpc.Options{Role: rpc.Bulk},
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			c, err := lis.DialContext(ctx)
			if err != nil {
				return nil, err
			}
			return newFarConn(c, rate, delay), nil
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// farConn is the near end of a line. What comes in takes its time, one chunk
// after the other, and then the delay; what goes out takes the delay.
type farConn struct {
	net.Conn
	in, out chan chunk
	rest    []byte // of a chunk that came in
	closed  chan struct{}
	once    sync.Once
	carry   sync.WaitGroup
}

type chunk struct {
	due  time.Time
	data []byte
	err  error
}

func newFarConn(c net.Conn, rate float64, delay time.Duration) *farConn {
	const under = 1 << 16 // chunks on their way: any number
	f := &farConn{Conn: c, in: make(chan chunk, under), out: make(chan chunk, under), closed: make(chan struct{})}
	f.carry.Go(func() {
		for {
			b := make([]byte, 16<<10)
			n, err := c.Read(b)
			f.sleep(time.Duration(float64(n) / rate * float64(time.Second)))
			f.in <- chunk{time.Now().Add(delay), b[:n], err}
			if err != nil {
				return
			}
		}
	})
	f.carry.Go(func() {
		for {
			select {
			case <-f.closed:
				return
			case m := <-f.out:
				f.sleep(time.Until(m.due.Add(delay)))
				if _, err := c.Write(m.data); err != nil {
					return
				}
			}
		}
	})
	return f
}

// sleep waits, but not behind the connection's end.
func (f *farConn) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.closed:
	}
}

func (f *farConn) Read(p []byte) (int, error) {
	if len(f.rest) == 0 {
		select {
		case m := <-f.in:
			f.sleep(time.Until(m.due))
			if m.err != nil {
				return 0, m.err
			}
			f.rest = m.data
		case <-f.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

func (f *farConn) Write(p []byte) (int, error) {
	select {
	case f.out <- chunk{due: time.Now(), data: append([]byte(nil), p...)}:
		return len(p), nil
	case <-f.closed:
		return 0, net.ErrClosed
	}
}

func (f *farConn) Close() error {
	f.once.Do(func() { close(f.closed) })
	err := f.Conn.Close()
	f.carry.Wait()
	return err
}
