package origin

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ddm/internal/errdefs"
)

// Policy judges every address about to be dialled: after name resolution, for
// each connection, on each redirect hop.
type Policy interface {
	// Allow returns nil, or an error of kind errdefs.Refused (RefusedError).
	// host is the name or address in the URL, in lower case, without port
	// and brackets. It must be safe for concurrent use.
	Allow(host string, addr netip.AddrPort) error
}

// RefusedError says that the policy forbids an address. Its text tells
// nothing of the address or the reason, so that it may go to a requester who
// should not learn what stands behind this machine; Detail is for the log.
type RefusedError struct {
	Addr netip.AddrPort // what would have been dialled
	Why  string         // which rule forbids it
}

// Error gives the neutral text.
func (e *RefusedError) Error() string {
	return errdefs.Refused.Error() + ": this source does not dial where the URL leads; fetch it another way"
}

// Detail names address and rule.
func (e *RefusedError) Detail() string { return e.Addr.String() + ": " + e.Why }

// Unwrap gives the kind.
func (e *RefusedError) Unwrap() error { return errdefs.Refused }

type policyFunc func(host string, addr netip.AddrPort) error

func (f policyFunc) Allow(host string, addr netip.AddrPort) error { return f(host, addr) }

// AllowAll lets everything pass: for what the user of this machine named.
func AllowAll() Policy {
	return policyFunc(func(string, netip.AddrPort) error { return nil })
}

// PublicOnly lets pass public addresses outside of the on-link prefixes that
// local returns (nil: LocalPrefixes), on ports 80, 443 and from 1024 without
// those of other protocols and of ddm itself; and besides them what allow
// names. The allow-list is the operator's, never a requester's.
func PublicOnly(allow []Allowed, local func() []netip.Prefix) Policy {
	allow = slices.Clone(allow)
	public := newClassifier(local)
	return policyFunc(func(host string, addr netip.AddrPort) error {
		for _, a := range allow {
			if a.matches(host, addr) {
				return nil
			}
		}
		if !allowedPort(addr.Port()) {
			return &RefusedError{Addr: addr, Why: "port not allowed"}
		}
		if why := public.refuses(addr.Addr()); why != "" {
			return &RefusedError{Addr: addr, Why: why}
		}
		return nil
	})
}

// PublicAddress lets pass public addresses on any port: for the redirects of
// a public origin on a machine whose user named the first URL.
func PublicAddress(local func() []netip.Prefix) Policy {
	public := newClassifier(local)
	return policyFunc(func(_ string, addr netip.AddrPort) error {
		if why := public.refuses(addr.Addr()); why != "" {
			return &RefusedError{Addr: addr, Why: why}
		}
		return nil
	})
}

// allowedPort is the port rule for addresses that nobody allowed by name: web
// ports and unprivileged ones, minus those on which fetch (WHATWG) sees other
// protocols, minus the cluster's own.
func allowedPort(port uint16) bool {
	switch port {
	case 80, 443:
		return true
	case 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566,
		6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080:
		return false
	case 7420, 7421, 7430, 7431:
		return false
	default:
		return port >= 1024
	}
}

// Allowed is one entry of an operator's allow-list.
type Allowed struct {
	prefix netip.Prefix // judged on the dialled address, if valid
	host   string       // else judged on the name in the URL
	port   uint16       // 0: those that the port rule allows
}

// ParseAllow reads CIDR[:PORT], ADDRESS[:PORT] or HOST[:PORT]; an IPv6 prefix
// or address with a port stands in brackets. A prefix or address allows what
// is dialled, whatever it was called; a host allows that name in a URL,
// wherever it resolves to. Without a port, the ports of PublicOnly.
func ParseAllow(s string) (Allowed, error) {
	bad := func(why string) (Allowed, error) {
		return Allowed{}, fmt.Errorf("%w: allowed origin %q: %s; want CIDR, ADDRESS or HOST, with :PORT if only one is meant", errdefs.Invalid, s, why)
	}
	rest, port := s, ""
	switch i := strings.LastIndexByte(s, ':'); {
	case strings.HasPrefix(s, "["):
		inner, tail, ok := strings.Cut(s[1:], "]")
		if !ok || (tail != "" && tail[0] != ':') {
			return bad("brackets do not match")
		}
		rest, port = inner, tail
	case i >= 0 && strings.IndexByte(s, ':') == i: // one colon: no IPv6
		rest, port = s[:i], s[i:]
	}
	var a Allowed
	if port != "" {
		n, err := strconv.ParseUint(port[1:], 10, 16)
		if err != nil || n == 0 {
			return bad("bad port")
		}
		a.port = uint16(n)
	}
	if p, err := netip.ParsePrefix(rest); err == nil {
		a.prefix = unmapPrefix(p).Masked()
		return a, nil
	}
	if ip, err := netip.ParseAddr(rest); err == nil {
		if ip.Zone() != "" {
			return bad("zones are not allowed")
		}
		ip = ip.Unmap()
		a.prefix = netip.PrefixFrom(ip, ip.BitLen())
		return a, nil
	}
	a.host = canonicalHost(rest)
	if a.host == "" || strings.ContainsAny(a.host, "/:[]@?#* \t\r\n") {
		return bad("not a host name")
	}
	return a, nil
}

func (a Allowed) matches(host string, addr netip.AddrPort) bool {
	if a.port != 0 && a.port != addr.Port() || a.port == 0 && !allowedPort(addr.Port()) {
		return false
	}
	if a.prefix.IsValid() {
		return addr.Addr().Zone() == "" && a.prefix.Contains(addr.Addr().Unmap())
	}
	return a.host == canonicalHost(host)
}

// unmapPrefix turns ::ffff:a.b.c.d/n into its IPv4 form.
func unmapPrefix(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p
}

// canonicalHost is the form in which names are compared.
func canonicalHost(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// splitAddr takes apart what a transport hands to its dialler.
func splitAddr(addr string) (host string, err error) {
	host, _, err = net.SplitHostPort(addr)
	return canonicalHost(host), err
}
