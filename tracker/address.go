package tracker

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"ddm/internal/errdefs"
)

// maxAddress is the longest "host:port": a name of 253 bytes, a colon, a port.
const maxAddress = 253 + 1 + 5

// place is where a peer's service is reached.
type place struct {
	host     string // an IP address without zone, or a host name
	port     uint16
	observed bool // host is where the peer dialled from
	local    bool // host is a loopback address of the tracker's machine
}

// parseAddress splits "host:port" as a peer names it. An empty host and the
// unspecified addresses come back as "". IP addresses come back in their one
// spelling, IPv4 in IPv6 as IPv4.
func parseAddress(address string) (host string, port uint16, err error) {
	if len(address) > maxAddress {
		return "", 0, fmt.Errorf("%w: address: %d bytes, at most %d are allowed", errdefs.Invalid, len(address), maxAddress)
	}
	host, digits, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%w: address %q: write host:port, and an IPv6 host in brackets", errdefs.Invalid, address)
	}
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || n == 0 || digits[0] == '0' {
		return "", 0, fmt.Errorf("%w: address %q: the port must be a number from 1 to 65535", errdefs.Invalid, address)
	}
	port = uint16(n)
	if host == "" || validHostname(host) {
		return host, port, nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "", 0, fmt.Errorf("%w: address %q: the host is neither an IP address nor a host name", errdefs.Invalid, address)
	}
	ip = ip.Unmap()
	if ip.IsUnspecified() {
		return "", port, nil
	}
	if err := usable(ip); err != nil {
		return "", 0, fmt.Errorf("%w: address %q: %w", errdefs.Invalid, address, err)
	}
	return ip.String(), port, nil
}

// usable says whether others can dial ip. A link-local IPv6 address means
// nothing without a zone, and a zone means nothing on another machine.
func usable(ip netip.Addr) error {
	switch {
	case ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is the address of a group, not of one machine", ip)
	case ip.Zone() != "", ip.Is6() && ip.IsLinkLocalUnicast():
		return fmt.Errorf("%s is a link-local address, which other machines cannot dial: advertise another one", ip)
	}
	return nil
}

// validHostname accepts what DNS and mDNS resolve: labels of letters, digits,
// hyphens and underscores. A last label of digits would be a mistyped IPv4
// address.
func validHostname(host string) bool {
	if len(host) > 253 {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			letter := c|0x20 >= 'a' && c|0x20 <= 'z'
			if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// newPlace completes what parseAddress gave by where the peer dialled from,
// which is the zero Addr if the connection does not tell.
func newPlace(host string, port uint16, from netip.Addr) (place, error) {
	here := from.IsLoopback()
	if host == "" || here && isLocalhost(host) {
		if !from.IsValid() {
			return place{}, fmt.Errorf("%w: address: the connection does not tell where you are: name a host", errdefs.Invalid)
		}
		if err := usable(from); err != nil {
			return place{}, fmt.Errorf("%w: you reached the tracker from an address that cannot be listed: %w", errdefs.Invalid, err)
		}
		return place{host: from.String(), port: port, observed: true, local: here}, nil
	}
	ip, err := netip.ParseAddr(host)
	loopback := isLocalhost(host) || err == nil && ip.IsLoopback()
	if loopback && from.IsValid() && !here {
		return place{}, fmt.Errorf("%w: address: %s is your own machine only: advertise an address that others can dial",
			errdefs.Invalid, host)
	}
	return place{host: host, port: port, local: loopback && here}, nil
}

// moved is the place after a heartbeat that came from another address than the
// registration. One that was named, and one that would be no use, stays.
func (p place) moved(from netip.Addr) place {
	if !p.observed || !from.IsValid() {
		return p
	}
	next, err := newPlace("", p.port, from)
	if err != nil {
		return p
	}
	return next
}

// seenBy gives the address for somebody who reached the tracker at the local
// address reached: "127.0.0.1" is the tracker's machine, and they know that one
// by another name.
func (p place) seenBy(reached netip.Addr) string {
	host := p.host
	if p.local && reached.IsValid() && !reached.IsLoopback() && !reached.IsUnspecified() {
		host = reached.WithZone("").String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(p.port)))
}

func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// ipOf is the IP address of one end of a connection; the zero Addr if it has
// none.
func ipOf(a net.Addr) netip.Addr {
	if a == nil {
		return netip.Addr{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}
