//go:build linux

// Package netlab builds small networks out of network namespaces, so that the
// real programs can be run on lines of a chosen rate on one machine.
//
//	               origin 10.99.0.1 (one address for everybody)
//	           w1 /      | w2        \ w3         tbf on these ends:
//	   10.98.1.1 / 10.98.2.1 \        \ 10.98.3.1  origin -> host
//	            /            |         \
//	wan 10.98.1.2   wan 10.98.2.2   wan 10.98.3.2
//	     client           p1              p2            tracker
//	lan 10.97.0.1   lan 10.97.0.2   lan 10.97.0.3   lan 10.97.0.4
//	       |             |               |               |
//	       +------------ br0, a namespace of its own ----+
//
// Every host is a namespace with a leg on the LAN bridge and, if it has a rate,
// a WAN line of its own to the origin: a veth pair whose end at the origin is
// shaped. Both ends are made inside the namespaces, so the machine's own
// network is left as it was. Nothing is forwarded between lines.
//
// Namespaces are named ddmlab-PID-N-HOST. They go at the end of the test; those
// of a run that crashed are removed by the next one.
package netlab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	prefix = "ddmlab-"

	// OriginAddr is the origin's address, the same from every host.
	OriginAddr = "10.99.0.1"
	// OriginNet holds the origin's addresses, for --allow-origin.
	OriginNet = "10.98.0.0/15"

	queueDelay = 60 * time.Millisecond // how long a full tbf queue takes to drain
)

// Rate is a line's rate in bits per second of IP traffic.
type Rate int64

// Mbit is a million bits per second.
const Mbit Rate = 1_000_000

// HostConfig says what one host of a lab looks like.
type HostConfig struct {
	Name string // short and unique: a part of the namespace's name
	WAN  Rate   // origin -> host; 0: no line to the origin
	LAN  Rate   // each way between host and bridge; 0: as fast as the machine
}

// Lab is a running network. Make one with New.
type Lab struct {
	prefix string
	hosts  map[string]*Host
	cables int // added by AddFar
}

// Host is one machine of the lab, a network namespace.
type Host struct {
	Name string
	IP   string // on the LAN; the origin's is OriginAddr
	Line string // its address on its line to the origin; "": it has none
	ns   string

	lines int // added by AddLine
}

// Require skips the test where a lab cannot be made, saying why.
func Require(t testing.TB) {
	t.Helper()
	if why := Missing(); why != "" {
		t.Skip("skipped: " + why)
	}
}

// Missing names what this machine lacks for a lab; "" if nothing.
var Missing = sync.OnceValue(func() string { //nolint:gochecknoglobals // a fact of the machine, found out once
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	for _, tool := range []string{"ip", "tc", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "needs the program " + tool
		}
	}
	probe := prefix + strconv.Itoa(os.Getpid()) + "-probe"
	if _, err := run("ip", "netns", "add", probe); err != nil {
		return "cannot make a network namespace: " + err.Error()
	}
	_, err := run("tc", "-n", probe, "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "8kb", "latency", "50ms")
	if _, gone := run("ip", "netns", "del", probe); gone != nil && err == nil {
		err = gone
	}
	if err != nil {
		return "cannot shape a line: " + err.Error()
	}
	return ""
})

// New builds a lab with an origin and the given hosts, and has it removed at
// the end of the test.
func New(t testing.TB, hosts ...HostConfig) *Lab {
	t.Helper()
	Require(t)
	removeStale(t)
	l := &Lab{hosts: make(map[string]*Host)}
	for n := range 1 << 16 { // the first free number of this process
		l.prefix = fmt.Sprintf("%s%d-%d-", prefix, os.Getpid(), n)
		if _, err := os.Stat("/run/netns/" + l.prefix + "lan"); os.IsNotExist(err) {
			break
		}
	}
	t.Cleanup(func() { l.remove(t) })
	l.addNamespace(t, "lan")
	l.ip(t, "lan", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
	l.ip(t, "lan", "link", "set", "br0", "up")
	l.addHost(t, 0, HostConfig{Name: "origin"})
	l.ip(t, "origin", "addr", "add", OriginAddr+"/32", "dev", "lo")
	for i, h := range hosts {
		l.addHost(t, i+1, h)
	}
	return l
}

// Host gives the host of that name.
func (l *Lab) Host(name string) *Host { return l.hosts[name] }

// Origin gives the origin's host.
func (l *Lab) Origin() *Host { return l.hosts["origin"] }

func (l *Lab) addHost(t testing.TB, n int, c HostConfig) {
	t.Helper()
	l.addNamespace(t, c.Name)
	host := &Host{Name: c.Name, ns: l.prefix + c.Name}
	l.hosts[c.Name] = host
	if c.Name == "origin" {
		return
	}
	host.IP = fmt.Sprintf("10.97.0.%d", n)
	port := fmt.Sprintf("l%d", n)
	l.ip(t, "lan", "link", "add", port, "type", "veth", "peer", "name", "lan", "netns", host.ns)
	l.ip(t, "lan", "link", "set", port, "master", "br0", "up")
	l.ip(t, c.Name, "addr", "add", host.IP+"/24", "dev", "lan")
	l.ip(t, c.Name, "link", "set", "lan", "up")
	if c.LAN > 0 {
		l.shape(t, "lan", port, c.LAN)
		l.shape(t, c.Name, "lan", c.LAN)
	}
	if c.WAN == 0 {
		return
	}
	host.Line = fmt.Sprintf("10.98.%d.2", n)
	line := fmt.Sprintf("w%d", n)
	l.ip(t, "origin", "link", "add", line, "type", "veth", "peer", "name", "wan", "netns", host.ns)
	l.ip(t, "origin", "addr", "add", fmt.Sprintf("10.98.%d.1/30", n), "dev", line)
	l.ip(t, "origin", "link", "set", line, "up")
	l.ip(t, c.Name, "addr", "add", host.Line+"/30", "dev", "wan")
	l.ip(t, c.Name, "link", "set", "wan", "up")
	l.ip(t, c.Name, "route", "add", OriginAddr, "via", fmt.Sprintf("10.98.%d.1", n))
	l.shape(t, "origin", line, c.WAN)
}

// shape limits what leaves through a device: bursts of at most 8 KiB or 10 ms,
// and a queue that a single TCP connection can keep filled.
func (l *Lab) shape(t testing.TB, host, dev string, r Rate) {
	t.Helper()
	burst := max(8<<10, int64(r)/8/100)
	limit := burst + max(16<<10, int64(r)/8*int64(queueDelay)/int64(time.Second))
	l.command(t, "tc", "-n", l.prefix+host, "qdisc", "replace", "dev", dev, "root", "tbf",
		"rate", strconv.FormatInt(int64(r), 10)+"bit",
		"burst", strconv.FormatInt(burst, 10), "limit", strconv.FormatInt(limit, 10))
}

func (l *Lab) addNamespace(t testing.TB, name string) {
	t.Helper()
	l.command(t, "ip", "netns", "add", l.prefix+name)
	l.ip(t, name, "link", "set", "lo", "up")
}

func (l *Lab) ip(t testing.TB, host string, args ...string) {
	t.Helper()
	l.command(t, "ip", append([]string{"-n", l.prefix + host}, args...)...)
}

func (l *Lab) command(t testing.TB, name string, args ...string) {
	t.Helper()
	if _, err := run(name, args...); err != nil {
		t.Fatal(err)
	}
}

// remove runs after the processes of the test have ended: cleanups run last
// registered first.
func (l *Lab) remove(t testing.TB) {
	t.Helper()
	names, err := namespaces()
	if err != nil {
		t.Error(err)
	}
	for _, ns := range names {
		if strings.HasPrefix(ns, l.prefix) {
			if _, err := run("ip", "netns", "del", ns); err != nil {
				t.Error(err)
			}
		}
	}
}

// Unplug takes the host off the LAN without a word to anybody: packets vanish
// both ways. Its WAN line stays.
func (h *Host) Unplug(t testing.TB) {
	t.Helper()
	if _, err := run("ip", "-n", h.ns, "link", "set", "lan", "down"); err != nil {
		t.Fatal(err)
	}
}

// removeStale removes the namespaces of runs that no longer live, and the
// processes that those left inside them.
func removeStale(t testing.TB) {
	t.Helper()
	names, err := namespaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range names {
		rest, ours := strings.CutPrefix(ns, prefix)
		owner, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(owner)
		if !ours || err != nil || pid == os.Getpid() || syscall.Kill(pid, 0) == nil {
			continue
		}
		left, err := run("ip", "netns", "pids", ns)
		if err != nil {
			continue // another run removes it just now
		}
		for field := range strings.FieldsSeq(left) {
			if pid, err := strconv.Atoi(field); err == nil {
				t.Logf("ends process %d, left by a run that crashed", pid)
				_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
			}
		}
		_, _ = run("ip", "netns", "del", ns) // another run may be faster
	}
}

func namespaces() ([]string, error) {
	entries, err := os.ReadDir("/run/netns")
	if os.IsNotExist(err) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func run(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...) //nolint:noctx // each ends at once, and cleanups have no context
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
