// Package rpctest runs servers and connections of package rpc in memory, for
// tests with real or fake time.
package rpctest

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"ddm/internal/pipenet"
	"ddm/internal/rpc"
)

// Pair serves what register adds to a server of the role in o and returns a
// connection of the same role to it, over memory. Both end with the test; calls
// still running then are cut. It works in a synctest bubble.
func Pair(t testing.TB, register func(*grpc.Server), o rpc.Options) *grpc.ClientConn {
	t.Helper()
	lis := pipenet.Listen()
	srv := rpc.NewServer(o)
	register(srv)

	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := rpc.Serve(ctx, srv, lis, 0); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		served.Wait()
	})

	conn, err := rpc.Dial("passthrough:///memory", o,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close connection: %v", err)
		}
	})
	return conn
}

// Poison is a pool that overwrites each buffer when it is put back, so that
// whoever reads a buffer after freeing it reads nonsense and fails its test.
// The zero value is ready.
type Poison struct {
	mu  sync.Mutex
	out map[*byte]int // lent buffers by their first byte
}

// poison is neither zero nor likely in a test's pattern.
const poison = 0xDB

var _ mem.BufferPool = (*Poison)(nil)

// Get lends a buffer of the given length, filled with poison too.
func (p *Poison) Get(length int) *[]byte {
	buf := *rpc.Pool().Get(length)
	fill(buf)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out == nil {
		p.out = make(map[*byte]int)
	}
	if cap(buf) > 0 {
		p.out[&buf[:1][0]]++
	}
	return &buf
}

// Put takes a buffer back. A buffer that is not lent, being put back twice or
// from elsewhere, is a panic.
func (p *Poison) Put(buf *[]byte) {
	if cap(*buf) == 0 {
		return
	}
	whole := (*buf)[:cap(*buf)]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out[&whole[0]] != 1 {
		panic("rpctest: put back a buffer that is not lent")
	}
	delete(p.out, &whole[0])
	fill(whole)
	rpc.Pool().Put(&whole)
}

// Lent is how many buffers are not put back yet.
func (p *Poison) Lent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.out)
}

func fill(b []byte) {
	for i := range b {
		b[i] = poison
	}
}
