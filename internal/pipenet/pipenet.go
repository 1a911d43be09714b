// Package pipenet is a listener in memory, for tests on virtual time:
//
//	DialContext --net.Pipe--> Accept
//
// It stands where grpc's bufconn could: that one sets a timer for deadlines
// which have passed already, and timers that are due at once crash the race
// detector in a bubble of synctest (Go 1.26). A net.Pipe has no buffer, so what
// was written was read.
package pipenet

import (
	"context"
	"net"
	"sync"
)

// Listener accepts what its own DialContext dials. It is a net.Listener.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

// Listen begins to listen.
func Listen() *Listener {
	l := &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// DialContext waits until Accept takes the other end. It fails with
// net.ErrClosed when nobody listens any more, or as ctx does.
func (l *Listener) DialContext(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	default:
	}
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for a connection, or until Close.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "pipe", Err: net.ErrClosed}
	}
}

// Close ends Accept and DialContext; connections stay.
func (l *Listener) Close() error {
	l.close()
	return nil
}

// Addr is the same for every listener.
func (*Listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "pipe" }
func (addr) String() string  { return "pipe" }
