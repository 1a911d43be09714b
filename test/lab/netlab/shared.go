//go:build linux

package netlab

import (
	"fmt"
	"strings"
	"testing"
)

// ShareLine gives hosts without a line of their own one that they share, as a
// household does:
//
//	origin: shared 10.96.0.254 --shaped--> isp bridge --> wan 10.96.0.N of each host
func (l *Lab) ShareLine(t testing.TB, rate Rate, hosts ...string) {
	t.Helper()
	l.addNamespace(t, "isp")
	l.ip(t, "isp", "link", "add", "br1", "type", "bridge", "forward_delay", "0")
	l.ip(t, "isp", "link", "set", "br1", "up")
	l.ip(t, "isp", "link", "add", "uplink", "type", "veth", "peer", "name", "shared", "netns", l.Origin().ns)
	l.ip(t, "isp", "link", "set", "uplink", "master", "br1", "up")
	l.ip(t, "origin", "addr", "add", "10.96.0.254/24", "dev", "shared")
	l.ip(t, "origin", "link", "set", "shared", "up")
	for i, name := range hosts {
		h := l.hosts[name]
		port := fmt.Sprintf("s%d", i)
		h.Line = "10.96.0." + h.IP[strings.LastIndexByte(h.IP, '.')+1:]
		l.ip(t, "isp", "link", "add", port, "type", "veth", "peer", "name", "wan", "netns", h.ns)
		l.ip(t, "isp", "link", "set", port, "master", "br1", "up")
		l.ip(t, name, "addr", "add", h.Line+"/24", "dev", "wan")
		l.ip(t, name, "link", "set", "wan", "up")
		l.ip(t, name, "route", "add", OriginAddr, "via", "10.96.0.254")
	}
	l.shape(t, "origin", "shared", rate)
}

// SharedBytes gives how much the origin sent over the line that hosts share,
// headers included.
func (l *Lab) SharedBytes(t testing.TB) int64 {
	t.Helper()
	return l.Origin().Sent(t, "shared")
}
