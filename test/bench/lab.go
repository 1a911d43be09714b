//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ddm/test/lab/netlab"
)

const (
	originURL = "http://" + netlab.OriginAddr + ":8080"
	unshaped  = 10_000 * netlab.Mbit // a line as fast as the machine
	patience  = 2 * time.Minute      // for anything of ours to end; no figure
)

// lab is a network with an origin running on it, and what was started since.
type lab struct {
	*scope
	net        *netlab.Lab
	hosts      []netlab.HostConfig
	namespaces map[string]string // by host
	rates      map[string]float64
	tracker    *process
	peers      map[string]*process
}

// newLab builds the network: hosts with lines as given, an origin.
func newLab(s *scope, hosts ...netlab.HostConfig) *lab {
	l := &lab{
		scope: s, net: netlab.New(s, hosts...), hosts: hosts,
		namespaces: make(map[string]string), peers: make(map[string]*process),
	}
	for _, name := range append([]string{"origin"}, names(hosts)...) {
		id, err := l.net.Host(name).Output(s.ctx, "ip", "netns", "identify")
		s.check(err)
		l.namespaces[name] = strings.TrimSpace(id)
	}
	for _, h := range hosts {
		if h.WAN == unshaped {
			l.onOrigin("tc", "qdisc", "del", "dev", l.line(h.Name), "root")
		}
	}
	origin := l.start("origin", "origin")
	l.until("the origin serves", func() bool { return strings.Contains(origin.stderr.String(), "ready") })
	return l
}

func names(hosts []netlab.HostConfig) []string {
	var all []string
	for _, h := range hosts {
		all = append(all, h.Name)
	}
	return all
}

// fleet lists a tracker on the LAN only, a client on its own line (0: none) and
// peers p1, p2, ... on theirs.
func fleet(own netlab.Rate, peers ...netlab.Rate) []netlab.HostConfig {
	all := []netlab.HostConfig{{Name: "tracker"}, {Name: "client", WAN: own}}
	for i, rate := range peers {
		all = append(all, netlab.HostConfig{Name: peer(i + 1), WAN: rate})
	}
	return all
}

func peer(n int) string { return "p" + strconv.Itoa(n) }

func peerNames(n int) []string {
	var all []string
	for i := range n {
		all = append(all, peer(i+1))
	}
	return all
}

// start runs one of our programs on a host.
func (l *lab) start(host, program string, args ...string) *process {
	return start(l.scope, l.namespaces[host], coarse, l.bench.program(program), args...)
}

// line is the origin's end of a host's line: netlab numbers hosts from 1.
func (l *lab) line(host string) string {
	for i, h := range l.hosts {
		if h.Name == host {
			return "w" + strconv.Itoa(i+1)
		}
	}
	l.Fatalf("no host %s", host)
	return ""
}

func (l *lab) onOrigin(program string, args ...string) string {
	out, err := l.net.Origin().Output(l.ctx, program, args...)
	if err != nil {
		l.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	return out
}

// reshape changes the rate of a host's line while it is in use.
func (l *lab) reshape(host string, rate netlab.Rate) { l.shape(l.line(host), rate) }

// shape limits what leaves the origin through a device, with netlab's queue.
func (l *lab) shape(device string, rate netlab.Rate) {
	burst := max(8<<10, int64(rate)/8/100)
	queue := burst + max(16<<10, int64(rate)/8*6/100)
	l.onOrigin("tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", strconv.FormatInt(int64(rate), 10)+"bit",
		"burst", strconv.FormatInt(burst, 10), "limit", strconv.FormatInt(queue, 10))
}

func (l *lab) trackerAddr() string { return l.net.Host("tracker").IP + ":7420" }

func (l *lab) startTracker() {
	l.tracker = l.start("tracker", "tracker", "--insecure", "--state-dir", l.dir())
	l.until("the tracker is ready", func() bool {
		_, err := l.net.Host("tracker").Output(l.ctx, "curl", "-sf", "http://127.0.0.1:7421/readyz")
		return err == nil
	})
}

func (l *lab) startPeer(name string, more ...string) {
	l.peers[name] = l.start(name, "peerd", append([]string{
		"--insecure", "--tracker", l.trackerAddr(), "--name", name,
		"--state-dir", l.dir(), "--allow-origin", netlab.OriginAddr + "/32",
	}, more...)...)
}

// setPeers sees to it that exactly these run and are listed.
func (l *lab) setPeers(wanted ...string) {
	if l.tracker == nil {
		l.startTracker()
	}
	keep := make(map[string]bool)
	for _, name := range wanted {
		keep[name] = true
	}
	for name, p := range l.peers {
		select {
		case <-p.done:
			delete(l.peers, name)
			continue
		default:
		}
		if !keep[name] {
			p.stop(syscall.SIGTERM)
			delete(l.peers, name)
		}
	}
	for _, name := range wanted {
		if l.peers[name] == nil {
			l.startPeer(name)
		}
	}
	l.until(fmt.Sprintf("the tracker lists %v", wanted), func() bool {
		listed := l.listed()
		for _, name := range wanted {
			if !listed[name] {
				return false
			}
		}
		return len(listed) == len(wanted)
	})
}

func (l *lab) listed() map[string]bool {
	out, err := l.net.Host("client").Output(l.ctx, l.bench.program("ddm-client"), "peers", "--json", "--insecure", "--tracker", l.trackerAddr())
	if err != nil {
		return nil
	}
	listed := make(map[string]bool)
	for line := range strings.Lines(out) {
		var p struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			l.Fatalf("ddm-client peers --json: %v in %q", err, line)
		}
		listed[p.Name] = true
	}
	return listed
}

// until polls a condition, as long as patience has it.
func (l *lab) until(what string, done func() bool) {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			l.Fatalf("waited %v in vain until %s", patience, what)
		}
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			l.Fatal(l.ctx.Err())
		}
	}
}

// program is the path of one of the programs that the bench built.
func (b *bench) program(name string) string { return filepath.Join(b.bin, name) }
