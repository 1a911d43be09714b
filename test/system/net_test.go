package system_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"ddm/internal/pipenet"
)

// memnet is a network in memory: listeners by address, and connections that
// can be throttled, frozen and cut.
type memnet struct {
	mu        sync.Mutex
	listeners map[string]*pipenet.Listener
	holes     map[string]bool // addresses that swallow what is sent there
	dialled   map[string]int  // how often
}

func newMemnet() *memnet {
	return &memnet{listeners: map[string]*pipenet.Listener{}, holes: map[string]bool{}, dialled: map[string]int{}}
}

func (m *memnet) listen(addr string) *pipenet.Listener {
	lis := pipenet.Listen()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listeners[addr] = lis
	return lis
}

func (m *memnet) dial(ctx context.Context, addr string) (net.Conn, error) {
	m.mu.Lock()
	lis, hole := m.listeners[addr], m.holes[addr]
	m.dialled[addr]++
	m.mu.Unlock()
	if hole {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if lis == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("%s: nobody listens", addr)}
	}
	return lis.DialContext(ctx)
}

// swallow makes an address one that never answers.
func (m *memnet) swallow(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holes[addr] = true
}

// dials returns how often an address was dialled, and how many addresses were.
func (m *memnet) dials(addr string) (times, addrs int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dialled[addr], len(m.dialled)
}

func (m *memnet) drop(addr string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.listeners, addr)
}

// wire is what connections of one kind go through: a rate, and whether it is
// frozen. Time is the bubble's.
type wire struct {
	mu     sync.Mutex
	rate   float64 // bytes per second read; 0: no limit
	frozen bool
	dead   bool          // refuses new connections
	thawed chan struct{} // closed when it is not frozen any more
	next   time.Time
	conns  map[*wiredConn]bool

	deaf   atomic.Bool // what clients write does not arrive; see muffle
	passed atomic.Int64
}

func newWire(rate float64) *wire {
	return &wire{rate: rate, thawed: make(chan struct{}), conns: map[*wiredConn]bool{}}
}

func (w *wire) setRate(rate float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rate = rate
}

// live returns how many connections are open.
func (w *wire) live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns)
}

// setDead decides whether new connections are refused.
func (w *wire) setDead(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = dead
}

// freeze lets nothing through and ends nothing, until thaw or cut.
func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = true
}

func (w *wire) isFrozen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.frozen
}

func (w *wire) thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen {
		w.frozen = false
		close(w.thawed)
		w.thawed = make(chan struct{})
	}
}

// cut closes every connection.
func (w *wire) cut() {
	w.mu.Lock()
	conns := w.conns
	w.conns = map[*wiredConn]bool{}
	w.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
}

func (w *wire) wrap(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	wc := &wiredConn{Conn: c, w: w, closed: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return nil, errors.Join(errors.New("network is unreachable"), c.Close())
	}
	w.conns[wc] = true
	return wc, nil
}

// pass waits until n bytes may go through.
func (w *wire) pass(n int, closed <-chan struct{}) {
	w.mu.Lock()
	for w.frozen {
		thawed := w.thawed
		w.mu.Unlock()
		select {
		case <-thawed:
		case <-closed:
			return
		}
		w.mu.Lock()
	}
	now := time.Now()
	if w.next.Before(now) {
		w.next = now
	}
	if w.rate > 0 {
		w.next = w.next.Add(time.Duration(float64(n) / w.rate * float64(time.Second)))
	}
	wait := w.next.Sub(now)
	w.mu.Unlock()
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-closed:
		}
	}
}

// wiredConn is the dialling side of a connection. What it writes passes at
// once, or is taken by the system's buffers: on a frozen wire nobody hears that
// the other side is gone.
type wiredConn struct {
	net.Conn
	w      *wire
	once   sync.Once
	closed chan struct{}
}

func (c *wiredConn) Read(p []byte) (int, error) {
	if len(p) > 16<<10 {
		p = p[:16<<10]
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.w.passed.Add(int64(n))
		c.w.pass(n, c.closed)
	}
	return n, err
}

func (c *wiredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil && c.w.isFrozen() {
		return len(p), nil
	}
	return n, err
}

func (c *wiredConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.w.mu.Lock()
	delete(c.w.conns, c)
	c.w.mu.Unlock()
	return c.Conn.Close()
}
