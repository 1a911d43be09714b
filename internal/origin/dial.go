package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"ddm/internal/blockconn"
	"ddm/internal/errdefs"
	"ddm/internal/netif"
)

// dialer opens connections from one binding under one policy.
type dialer struct {
	bind    binding
	policy  Policy
	timeout time.Duration
	custom  func(ctx context.Context, network, addr string) (net.Conn, error)
	few     blockconn.Few // what bulk comes over

	mu     sync.Mutex // guards what follows; held while name servers are tried
	looked time.Time  // when they were
	mute   bool       // they do not answer over this line
}

// mostBlocking is how many connections of a line hold a thread each. No
// download opens more over one line.
const mostBlocking = 16

func newDialer(cfg LineConfig, bind binding, policy Policy) *dialer {
	return &dialer{
		bind: bind, policy: policy, timeout: cfg.ConnectTimeout, custom: cfg.Dial,
		few: blockconn.Few{Most: mostBlocking},
	}
}

// dial has the form of http.Transport.DialContext.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, err := splitAddr(addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errdefs.Invalid, err)
	}
	if d.custom != nil {
		if ap, err := netip.ParseAddrPort(addr); err == nil {
			if err := d.policy.Allow(host, ap); err != nil {
				return nil, err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		return d.custom(ctx, network, addr)
	}
	control := func(_ context.Context, _, address string, c syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: dialled address %q: %w", errdefs.Internal, address, err)
		}
		if err := d.policy.Allow(host, ap); err != nil {
			return err
		}
		return d.bind.control(c)
	}
	// Only ControlContext: Control would be ignored beside it.
	nd := net.Dialer{Timeout: d.timeout, ControlContext: control, Resolver: d.resolve(ctx, host)}
	open := d.dialFrom
	if d.bind.isZero() || d.bind.device && !d.bind.addr.IsValid() {
		open = func(ctx context.Context, nd net.Dialer, addr string) (net.Conn, error) {
			return nd.DialContext(ctx, network, addr)
		}
	}
	conn, err := open(ctx, nd, addr)
	if err != nil {
		return nil, err
	}
	return d.few.New(conn), nil
}

const (
	lookAt   = 2 * time.Second // how long name servers may take to answer over the line
	lookHold = time.Minute     // how long what was found about them holds
)

// resolve returns who resolves names. That is the name servers over this very
// line: a provider's own answers lead to its nearest servers. Name servers that
// do not answer there, such as another network's router, are asked in the
// system's way.
func (d *dialer) resolve(ctx context.Context, host string) *net.Resolver {
	if _, err := netip.ParseAddr(host); err == nil || d.bind.isZero() {
		return nil
	}
	through := d.bind.resolver()
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.After(d.looked.Add(lookHold)) {
		look, cancel := context.WithTimeout(ctx, lookAt)
		_, err := through.LookupNetIP(look, "ip", host)
		cancel()
		if ctx.Err() != nil {
			return through // nothing was found out
		}
		dns, failed := errors.AsType[*net.DNSError](err)
		d.mute, d.looked = failed && !dns.IsNotFound, now
	}
	if d.mute {
		return nil
	}
	return through
}

// dialFrom dials from each source address that the binding has now, IPv4
// first, until one connects.
func (d *dialer) dialFrom(ctx context.Context, nd net.Dialer, addr string) (net.Conn, error) {
	sources, err := d.bind.sources()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, src := range sources {
		network := "tcp4"
		if src.Is6() {
			network = "tcp6"
		}
		nd.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
		conn, err := nd.DialContext(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		if _, ok := errors.AsType[*RefusedError](err); ok || ctx.Err() != nil {
			return nil, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// binding is where connections start: the zero one leaves it to the system.
type binding struct {
	iface  string     // interface name; with addr: the one that leads out and has it
	addr   netip.Addr // local address; invalid: any of the interface's
	device bool       // sockets can be bound to the interface itself
}

func newBinding(bind string) (binding, error) {
	if bind == "" {
		return binding{}, nil
	}
	if addr, err := netip.ParseAddr(bind); err == nil {
		addr = addr.Unmap()
		if err := tryBind(net.JoinHostPort(addr.String(), "0"), nil); err != nil {
			return binding{}, fmt.Errorf("%w: %s is no address of this machine: %w", errdefs.Invalid, bind, err)
		}
		return bindAddress(addr), nil
	}
	if _, err := net.InterfaceByName(bind); err != nil {
		return binding{}, fmt.Errorf("%w: %.40q is neither an interface nor an address of this machine", errdefs.Invalid, bind)
	}
	b := binding{iface: bind, device: true}
	if tryBind(":0", b.control) != nil {
		b.device = false // not permitted, or not this system: by source address
		if _, err := b.sources(); err != nil {
			return binding{}, fmt.Errorf("%w: %w", errdefs.Invalid, err)
		}
	}
	return b, nil
}

// bindAddress binds to an address, and to its interface where that leads out:
// a source address alone does not choose the way, routes do.
func bindAddress(addr netip.Addr) binding {
	b := binding{addr: addr, iface: netif.Owner(addr)}
	if routed, err := netif.Routed(); err == nil && slices.Contains(routed, b.iface) {
		b.device = true
		b.device = tryBind(":0", b.control) == nil
	}
	return b
}

// tryBind opens a UDP socket and closes it again.
func tryBind(addr string, control func(syscall.RawConn) error) error {
	var lc net.ListenConfig
	if control != nil {
		lc.Control = func(_, _ string, c syscall.RawConn) error { return control(c) }
	}
	pc, err := lc.ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return err
	}
	return pc.Close()
}

func (b binding) isZero() bool { return b == binding{} }

// control binds a fresh socket to the interface, where that is the way.
func (b binding) control(c syscall.RawConn) error {
	if !b.device {
		return nil
	}
	return bindToDevice(c, b.iface)
}

// sources lists the addresses to start from, IPv4 first.
func (b binding) sources() ([]netip.Addr, error) {
	if b.addr.IsValid() {
		return []netip.Addr{b.addr}, nil
	}
	ifc, err := net.InterfaceByName(b.iface)
	if err != nil {
		return nil, fmt.Errorf("%w: interface %s is gone: %w", errdefs.Unavailable, b.iface, err)
	}
	addrs, err := ifc.Addrs()
	if err != nil {
		return nil, fmt.Errorf("%w: addresses of %s: %w", errdefs.Unavailable, b.iface, err)
	}
	var v4, v6 netip.Addr
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			continue
		}
		switch ip := p.Addr().Unmap(); {
		case ip.Is4() && !v4.IsValid():
			v4 = ip
		case ip.Is6() && !ip.IsLinkLocalUnicast() && !v6.IsValid():
			v6 = ip
		}
	}
	var found []netip.Addr
	for _, ip := range []netip.Addr{v4, v6} {
		if ip.IsValid() {
			found = append(found, ip)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: interface %s has no address", errdefs.Unavailable, b.iface)
	}
	return found, nil
}

// resolver asks name servers through the same line, as far as they can be
// reached there: a name server on this machine cannot.
func (b binding) resolver() *net.Resolver {
	if b.isZero() {
		return nil
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, server string) (net.Conn, error) {
		var nd net.Dialer
		ap, err := netip.ParseAddrPort(server)
		if err != nil || ap.Addr().IsLoopback() {
			return nd.DialContext(ctx, network, server)
		}
		nd.Control = func(_, _ string, c syscall.RawConn) error { return b.control(c) }
		if b.device && !b.addr.IsValid() {
			return nd.DialContext(ctx, network, server)
		}
		sources, err := b.sources()
		if err != nil {
			return nil, err
		}
		for _, src := range sources {
			if src.Is4() != ap.Addr().Unmap().Is4() || src.IsLoopback() {
				continue
			}
			from := netip.AddrPortFrom(src, 0)
			nd.LocalAddr = net.UDPAddrFromAddrPort(from)
			if network[:3] == "tcp" {
				nd.LocalAddr = net.TCPAddrFromAddrPort(from)
			}
		}
		return nd.DialContext(ctx, network, server)
	}}
}
