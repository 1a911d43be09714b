package origintest

import (
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Throttle bounds what the connections of a listener send, in bytes per
// second; 0 is no bound. It stands for the lines of the clients: each client
// address has one bucket, however many connections it opens.
type Throttle struct {
	PerConn   float64
	PerClient float64
	// ByClient gives single addresses a rate of their own, instead of
	// PerClient.
	ByClient map[string]float64
}

// Listen returns a listener whose connections are throttled. It keeps one
// bucket per client address for as long as it lives.
func (t Throttle) Listen(lis net.Listener) net.Listener {
	return &throttledListener{Listener: lis, throttle: t, buckets: make(map[string]*rate.Limiter)}
}

type throttledListener struct {
	net.Listener
	throttle Throttle
	mu       sync.Mutex
	buckets  map[string]*rate.Limiter
}

// bucket makes a limiter with a burst of 10 ms, but at least 8 KiB.
func bucket(perSecond float64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(perSecond), max(8<<10, int(perSecond/100)))
}

func (l *throttledListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &throttledConn{Conn: conn, closed: make(chan struct{})}
	if l.throttle.PerConn > 0 {
		c.buckets = append(c.buckets, bucket(l.throttle.PerConn))
	}
	if b := l.client(clientOf(conn.RemoteAddr().String())); b != nil {
		c.buckets = append(c.buckets, b)
	}
	return c, nil
}

func (l *throttledListener) client(addr string) *rate.Limiter {
	perSecond, ok := l.throttle.ByClient[addr]
	if !ok {
		perSecond = l.throttle.PerClient
	}
	if perSecond <= 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[addr]
	if b == nil {
		b = bucket(perSecond)
		l.buckets[addr] = b
	}
	return b
}

type throttledConn struct {
	net.Conn
	buckets []*rate.Limiter
	once    sync.Once
	closed  chan struct{}
}

func (c *throttledConn) Write(p []byte) (int, error) {
	if len(c.buckets) == 0 {
		return c.Conn.Write(p)
	}
	sent := 0
	for sent < len(p) {
		n := len(p) - sent
		for _, b := range c.buckets {
			n = min(n, b.Burst())
		}
		var wait time.Duration
		for _, b := range c.buckets {
			wait = max(wait, b.ReserveN(time.Now(), n).Delay())
		}
		if wait > 0 && !sleep(wait, c.closed) {
			return sent, net.ErrClosed
		}
		m, err := c.Conn.Write(p[sent : sent+n])
		sent += m
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (c *throttledConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// SetLinger makes a reset possible where the connection is TCP.
func (c *throttledConn) SetLinger(sec int) error { return setLinger(c.Conn, sec) }

func setLinger(conn net.Conn, sec int) error {
	if t, ok := conn.(interface{ SetLinger(sec int) error }); ok {
		return t.SetLinger(sec)
	}
	return nil
}

// sleep waits; false if one of done came first.
func sleep(d time.Duration, done ...<-chan struct{}) bool {
	var a, b <-chan struct{}
	if len(done) > 0 {
		a = done[0]
	}
	if len(done) > 1 {
		b = done[1]
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-a:
	case <-b:
	}
	return false
}

// clientOf gives the address without its port.
func clientOf(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}
