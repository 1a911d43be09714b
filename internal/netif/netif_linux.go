package netif

import (
	"encoding/binary"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// leadingOut asks the kernel for its routes. Where that is not allowed, the
// addresses must do.
func leadingOut(ifaces []net.Interface) (map[int]bool, error) {
	dump, err := syscall.NetlinkRIB(syscall.RTM_GETROUTE, syscall.AF_UNSPEC)
	if err != nil {
		return withGlobalAddress(ifaces), nil //nolint:nilerr // the addresses must do
	}
	messages, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return nil, err
	}
	out := make(map[int]bool)
	for _, m := range messages {
		if m.Header.Type != syscall.RTM_NEWROUTE || len(m.Data) < syscall.SizeofRtMsg {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&m)
		if err != nil {
			return nil, err
		}
		for _, index := range defaultRoute(m.Data, attrs) {
			out[index] = true
		}
	}
	return out, nil
}

// defaultRoute returns the interfaces of a route, none if it is no living
// default route. The fields are those of struct rtmsg, see rtnetlink(7).
func defaultRoute(rtmsg []byte, attrs []syscall.NetlinkRouteAttr) (indexes []int) {
	prefix, kind, flags := rtmsg[1], rtmsg[7], binary.NativeEndian.Uint32(rtmsg[8:])
	if prefix != 0 || kind != unix.RTN_UNICAST || dead(flags) {
		return nil
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.RTA_OIF:
			if len(a.Value) >= 4 {
				indexes = append(indexes, int(binary.NativeEndian.Uint32(a.Value)))
			}
		case unix.RTA_MULTIPATH:
			indexes = append(indexes, nextHops(a.Value)...)
		}
	}
	return indexes
}

// nextHops returns the interfaces of a route over several, from a list of
// struct rtnexthop: length, flags, hops, index, attributes.
func nextHops(list []byte) (indexes []int) {
	for len(list) >= unix.SizeofRtNexthop {
		n := int(binary.NativeEndian.Uint16(list))
		if n < unix.SizeofRtNexthop || n > len(list) {
			return indexes
		}
		if !dead(uint32(list[2])) {
			indexes = append(indexes, int(binary.NativeEndian.Uint32(list[4:])))
		}
		list = list[min((n+3)&^3, len(list)):]
	}
	return indexes
}

func dead(flags uint32) bool { return flags&(unix.RTNH_F_DEAD|unix.RTNH_F_LINKDOWN) != 0 }
