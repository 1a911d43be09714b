// Package netif knows which network interfaces of this machine lead out.
package netif

import (
	"net"
	"net/netip"
	"slices"
)

// Routed returns the names of the interfaces that are up and have a way out:
// on Linux those of a default route, in any table, whose link has a carrier;
// elsewhere those with a global address. Loopback is none. The order is that
// of the system's interface numbers.
func Routed() ([]string, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	out, err := leadingOut(ifaces)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(ifaces, func(a, b net.Interface) int { return a.Index - b.Index })
	var names []string
	for _, i := range ifaces {
		const loopback, up = net.FlagLoopback, net.FlagUp
		if i.Flags&(loopback|up) == up && out[i.Index] {
			names = append(names, i.Name)
		}
	}
	return names, nil
}

// Owner returns the interface that has the address, "" if none has.
func Owner(addr netip.Addr) string {
	ifaces, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range ifaces {
		if slices.Contains(addresses(i), addr.Unmap().WithZone("")) {
			return i.Name
		}
	}
	return ""
}

func addresses(i net.Interface) []netip.Addr {
	all, err := i.Addrs()
	if err != nil {
		return nil // it is gone
	}
	var list []netip.Addr
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap().WithZone(""))
		}
	}
	return list
}

// withGlobalAddress is the poor man's leadingOut.
func withGlobalAddress(ifaces []net.Interface) map[int]bool {
	out := make(map[int]bool)
	for _, i := range ifaces {
		out[i.Index] = slices.ContainsFunc(addresses(i), netip.Addr.IsGlobalUnicast)
	}
	return out
}
