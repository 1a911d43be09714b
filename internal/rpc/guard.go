package rpc

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"
)

// Limits are what callers may hold of a server. Zero: no limit.
type Limits struct {
	PerAddress int // connections from one address
	Total      int // connections from everywhere
	// Streams is how many calls and streams one address may begin per second,
	// after a burst of five seconds' worth. Whoever begins more is read more
	// slowly, which is felt by nobody else; nothing is refused. To come back by
	// another connection does not help.
	Streams float64
}

const (
	streamBurst  = 5 * time.Second
	refusedPause = 10 * time.Second // between two lines of the log
)

// Guard holds the callers of one server to Limits: it stands between the
// listener and the server. Connections whose address is no IP address are
// counted in the total alone.
//
//	listener --accept--> admitted? --no--> closed at once
//	                         | yes
//	                         v
//	     conn.Read, which waits while the address is in debt <--tap: one more stream
type Guard struct {
	limits Limits
	log    hclog.Logger

	mu      sync.Mutex // guards what follows
	conns   int
	callers map[netip.Addr]*caller
	swept   time.Time // when callers were last looked through
	refused int       // since the log was told
	told    time.Time
}

// caller is an address with connections, or in debt.
type caller struct {
	conns   int
	streams *rate.Limiter
	until   time.Time // nothing is read from it before
}

// NewGuard makes the guard of one server; log may be nil.
func NewGuard(limits Limits, log hclog.Logger) *Guard {
	return &Guard{limits: limits, log: Options{Log: log}.logger(), callers: make(map[netip.Addr]*caller)}
}

// Listen gives a listener that hands on what the guard admits. Closing it
// closes lis.
func (g *Guard) Listen(lis net.Listener) net.Listener { return guarded{lis, g} }

type guarded struct {
	net.Listener
	guard *Guard
}

func (l guarded) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := addressOf(conn.RemoteAddr())
		if l.guard.enter(from) {
			return &guardedConn{Conn: conn, guard: l.guard, from: from, closed: make(chan struct{})}, nil
		}
		_ = conn.Close() // nothing was written
	}
}

// enter admits a connection; leave undoes it.
func (g *Guard) enter(from netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sweepLocked(time.Now())
	c := g.callers[from]
	full := g.limits.Total > 0 && g.conns >= g.limits.Total
	if full || c != nil && g.limits.PerAddress > 0 && c.conns >= g.limits.PerAddress {
		g.refuseLocked(from, full)
		return false
	}
	g.conns++
	if !from.IsValid() {
		return true
	}
	if c == nil {
		c = &caller{streams: rate.NewLimiter(rate.Inf, 0)}
		if g.limits.Streams > 0 {
			c.streams = rate.NewLimiter(rate.Limit(g.limits.Streams), int(g.limits.Streams*streamBurst.Seconds()))
		}
		g.callers[from] = c
	}
	c.conns++
	return true
}

// refuseLocked tells the log, not for each of a flood.
func (g *Guard) refuseLocked(from netip.Addr, full bool) {
	g.refused++
	if now := time.Now(); now.Sub(g.told) >= refusedPause {
		g.log.Warn("connections refused: there are too many", "last_from", from.String(), "refused", g.refused,
			"of_all", full, "open", g.conns, "most", g.limits.Total, "most_per_address", g.limits.PerAddress)
		g.told, g.refused = now, 0
	}
}

func (g *Guard) leave(from netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns--
	if c := g.callers[from]; c != nil {
		c.conns--
	}
}

// sweepLocked forgets who is gone and owes nothing, now and then.
func (g *Guard) sweepLocked(now time.Time) {
	if now.Sub(g.swept) < streamBurst {
		return
	}
	g.swept = now
	maps.DeleteFunc(g.callers, func(_ netip.Addr, c *caller) bool {
		return c.conns == 0 && c.streams.TokensAt(now) >= float64(c.streams.Burst())
	})
}

// tap counts a stream that begins. It runs in the connection's reader and
// holds its lock: the wait is left to Read.
func (g *Guard) tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ctx, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.callers[addressOf(p.Addr)]; c != nil {
		now := time.Now()
		c.until = now.Add(c.streams.ReserveN(now, 1).DelayFrom(now))
	}
	return ctx, nil
}

// debt is how long nothing is to be read from an address.
func (g *Guard) debt(from netip.Addr) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.callers[from]; c != nil && !c.until.IsZero() {
		return time.Until(c.until)
	}
	return 0
}

// guardedConn is an admitted connection.
type guardedConn struct {
	net.Conn
	guard  *Guard
	from   netip.Addr
	once   sync.Once
	closed chan struct{}
}

// Read waits until the address is out of debt. What it reads then may begin
// many streams: the next Read pays for them.
func (c *guardedConn) Read(p []byte) (int, error) {
	if wait := c.guard.debt(c.from); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.closed:
		}
	}
	return c.Conn.Read(p)
}

func (c *guardedConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.guard.leave(c.from)
	})
	return c.Conn.Close()
}

// addressOf is the IP address of one end; invalid if it has none.
func addressOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
