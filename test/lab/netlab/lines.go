//go:build linux

package netlab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// OriginAddr6 is the origin's IPv6 address, reached over lines of AddLine.
const OriginAddr6 = "fd99::1"

// WANLine is a further line of a host to the origin, an interface of its own:
//
//	origin: x1a 10.98.1.5, fd98:1:1::1  --shaped-->  host: wan0 10.98.1.6, fd98:1:1::2
//	                                                 default routes through it
//
// The host's namespace gets a default route per line, with a metric of its own,
// as a network manager would set them.
type WANLine struct {
	Name        string // of the interface
	Addr, Addr6 string // the host's on it
	port        string // the origin's end
	lab         *Lab
}

// AddLine gives a host one more line to the origin.
func (l *Lab) AddLine(t testing.TB, host, name string, rate Rate) *WANLine {
	t.Helper()
	h := l.hosts[host]
	parts := strings.Split(h.IP, ".")
	n := parts[len(parts)-1]
	h.lines++
	k := h.lines
	line := &WANLine{
		Name: name, Addr: fmt.Sprintf("10.98.%s.%d", n, 4*k+2), Addr6: fmt.Sprintf("fd98:%s:%d::2", n, k),
		port: fmt.Sprintf("x%s-%d", n, k), lab: l,
	}
	gate, gate6 := fmt.Sprintf("10.98.%s.%d", n, 4*k+1), fmt.Sprintf("fd98:%s:%d::1", n, k)
	l.ip(t, "origin", "link", "add", line.port, "type", "veth", "peer", "name", name, "netns", h.ns)
	l.ip(t, "origin", "addr", "add", gate+"/30", "dev", line.port)
	l.ip(t, "origin", "addr", "add", gate6+"/64", "dev", line.port, "nodad")
	l.ip(t, "origin", "link", "set", line.port, "up")
	if k == 1 {
		l.ip(t, "origin", "addr", "replace", OriginAddr6+"/128", "dev", "lo")
	}
	l.ip(t, host, "addr", "add", line.Addr+"/30", "dev", name)
	l.ip(t, host, "addr", "add", line.Addr6+"/64", "dev", name, "nodad")
	l.ip(t, host, "link", "set", name, "up")
	for _, key := range []string{"all", name} { // replies come in where they were asked for
		path := "/proc/sys/net/ipv4/conf/" + key + "/rp_filter"
		l.command(t, "ip", "netns", "exec", h.ns, "sh", "-c", "echo 0 > "+path)
	}
	line.routes(t, host, gate, gate6, k)
	l.shape(t, "origin", line.port, rate)
	return line
}

func (w *WANLine) routes(t testing.TB, host, gate, gate6 string, k int) {
	t.Helper()
	metric := strconv.Itoa(100 + k)
	w.lab.ip(t, host, "route", "add", "default", "via", gate, "dev", w.Name, "metric", metric)
	w.lab.ip(t, host, "-6", "route", "add", "default", "via", gate6, "dev", w.Name, "metric", metric)
}

// Unplug pulls the line's cable at the far end: the host's interface stays up
// and has no carrier.
func (w *WANLine) Unplug(t testing.TB) {
	t.Helper()
	w.lab.ip(t, "origin", "link", "set", w.port, "down")
}

// Bytes gives how much the origin sent over the line, headers included.
func (w *WANLine) Bytes(t testing.TB) int64 {
	t.Helper()
	return w.lab.Origin().Sent(t, w.port)
}

// Sent gives how much the host sent over an interface, headers included.
func (h *Host) Sent(t testing.TB, device string) int64 {
	t.Helper()
	out, err := run("ip", "netns", "exec", h.ns, "cat", "/sys/class/net/"+device+"/statistics/tx_bytes")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// NameServer makes an address the host's name server, for programs that start
// after this.
func (h *Host) NameServer(t testing.TB, addr string) {
	t.Helper()
	dir := filepath.Join("/etc/netns", h.ns) // bound over /etc by ip netns exec
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte("nameserver "+addr+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
