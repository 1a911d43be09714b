package origin

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"
)

// classifier tells public addresses from all others. The predicates of
// net/netip do not do: IsGlobalUnicast holds for most special-purpose ranges,
// IsPrivate knows few of them.
type classifier struct {
	special []netip.Prefix
	global6 netip.Prefix
	local   func() []netip.Prefix
}

func newClassifier(local func() []netip.Prefix) *classifier {
	if local == nil {
		local = LocalPrefixes()
	}
	c := &classifier{global6: netip.MustParsePrefix("2000::/3"), local: local}
	// Not globally reachable by the IANA special-purpose registries. For
	// IPv6 only what lies in 2000::/3 needs a row.
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23",     // protocol assignments, Teredo among them
		"2001:db8::/32", // documentation
		"2002::/16",     // 6to4: an IPv4 address of anyone's choice inside
		"3fff::/20",     // documentation
	} {
		c.special = append(c.special, netip.MustParsePrefix(s))
	}
	return c
}

// refuses returns the rule that forbids an address, "" for a public one.
func (c *classifier) refuses(addr netip.Addr) string {
	if !addr.IsValid() || addr.Zone() != "" {
		return "zoned address"
	}
	addr = addr.Unmap()
	if why := c.onLink(addr); why != "" {
		return why
	}
	if v4, ok, deny := embedded4(addr); deny {
		return "IPv4 inside IPv6"
	} else if ok {
		if why := c.refuses(v4); why != "" {
			return why + ", inside IPv6"
		}
		if nat64().Contains(addr) || nat64Local().Contains(addr) {
			return "" // neither prefix is in 2000::/3
		}
	}
	if addr.Is6() && !c.global6.Contains(addr) {
		return "not global unicast"
	}
	for _, p := range c.special {
		if p.Contains(addr) {
			return "special-purpose range " + p.String()
		}
	}
	return ""
}

// onLink refuses the machine's own addresses and its neighbours: hosts of an
// IPv6 LAN have public addresses, so that no list of private ones knows them.
func (c *classifier) onLink(addr netip.Addr) string {
	for _, p := range c.local() {
		if p.Bits() > 0 && p.Contains(addr) {
			return "on-link prefix " + p.String()
		}
	}
	return ""
}

func nat64() netip.Prefix { return netip.MustParsePrefix("64:ff9b::/96") } // RFC 6052

// nat64Local is the one form of RFC 8215's prefix whose IPv4 address can be
// told without knowing the operator's prefix length; the others stay outside
// of 2000::/3 and are refused.
func nat64Local() netip.Prefix { return netip.MustParsePrefix("64:ff9b:1::/96") }

// embedded4 decodes the IPv4 address that a gateway would take out of an IPv6
// address. deny: there is one, and it must not be dialled whatever it is.
func embedded4(addr netip.Addr) (v4 netip.Addr, ok, deny bool) {
	if !addr.Is6() {
		return netip.Addr{}, false, false
	}
	b := addr.As16()
	v4 = netip.AddrFrom4([4]byte(b[12:]))
	switch {
	case nat64().Contains(addr), nat64Local().Contains(addr):
		return v4, true, false
	case binary.BigEndian.Uint64(b[:8]) == 0 && binary.BigEndian.Uint32(b[8:12]) == 0:
		return v4, true, true // v4-compatible, ::, ::1
	case binary.BigEndian.Uint32(b[8:12])&^0x0200_0000 == 0x0000_5efe:
		return v4, true, false // ISATAP (RFC 5214)
	}
	return netip.Addr{}, false, false
}

// localAge is how long a look at the interfaces serves.
const localAge = 5 * time.Second

// LocalPrefixes returns a function that gives the on-link prefixes of this
// machine's interfaces as they are now; it looks again after 5 s. What the
// function returns must not be changed.
func LocalPrefixes() func() []netip.Prefix {
	var (
		mu    sync.Mutex
		at    time.Time
		known []netip.Prefix
	)
	return func() []netip.Prefix {
		mu.Lock()
		defer mu.Unlock()
		if !at.IsZero() && time.Since(at) < localAge {
			return known
		}
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return known // an old look is better than none
		}
		at, known = time.Now(), nil
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				known = append(known, unmapPrefix(p).Masked())
			}
		}
		return known
	}
}
