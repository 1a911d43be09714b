//go:build linux

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ddm/test/bench/figure"
	"ddm/test/lab/netlab"
)

func linesOf(n int) string {
	if n == 1 {
		return "1 line"
	}
	return strconv.Itoa(n) + " lines"
}

// present leaves out those that are not installed.
func present(tools []tool) []tool {
	gone := missing()
	return slices.DeleteFunc(tools, func(t tool) bool { return slices.Contains(gone, t.program) })
}

// compare runs tools in turn on the client's own line and sets them against curl
// of the same turn.
func compare(l *lab, name string, size int64, turn int, tools []tool) {
	all := make(map[string]got)
	for _, t := range rotate(present(tools), turn) {
		g := l.get(t, l.file("plain", size), coarse, patience)
		l.note(name, t.name, size, g)
		all[t.name] = g
		l.Logf("%s, %s: %.3f s, %.2f CPU s/GB", name, t.name, g.seconds, g.cpu/float64(size)*gb)
	}
	if all["curl"].failed {
		return
	}
	r := &l.bench.results
	for _, t := range tools {
		if g, ran := all[t.name]; ran && !g.failed {
			r.Add(name, t.name, "wall_over_curl", g.seconds/all["curl"].seconds)
			r.Add(name, t.name, "cpu_over_curl", g.cpu/all["curl"].cpu)
		}
	}
}

func onOwnLine(l *lab) []tool {
	return []tool{l.ours(), curl(), aria2(1), aria2(16), axel(4), wget2()}
}

// unlimited takes a second turn with curl alone: the machine is noisy.
func unlimited(l *lab, name string, round int) {
	size := l.bench.size(1024)
	compare(l, name, size, round, onOwnLine(l))
	floor := tool{name: "read and write", program: l.bench.program("rawrelay"), args: func(dir, name, url string) []string {
		return []string{"get", filepath.Join(dir, name), url}
	}}
	compare(l, name, size, round+1, []tool{l.ours(), curl(), floor})
}

func shaped(l *lab, name string, round int) {
	tools := onOwnLine(l)
	if round >= rivalRounds {
		tools = []tool{l.ours(), curl()} // the others bring nothing new, slowly
	}
	compare(l, name, l.bench.size(128), round, tools)
}

// odd is one source whose connections get 2 MiB/s each, eight of them, when one
// of those misbehaves.
func odd(kind string) func(l *lab, name string, round int) {
	return func(l *lab, name string, round int) {
		const ideal = 4.2 // 64 MiB at 16 MiB/s and a start; notes give it as the bar
		size := l.bench.size(64)
		own := l.ours("-x", "8")
		tools := []tool{own}
		if round < rivalRounds {
			tools = append(tools, aria2(8), axel(8))
		}
		for _, t := range rotate(present(tools), round) {
			g := l.get(t, l.file(kind, size), fine, rivalPatience)
			l.note(name, t.name, size, g)
			if g.failed {
				continue
			}
			l.bench.results.Add(name, t.name, "over_ideal", g.seconds/ideal/float64(size)*(64*mib))
			l.Logf("%s, %s: %.2f s, %d requests, sent %.1f %%", name, t.name, g.seconds, g.stats.Requests, 100*float64(g.stats.Sent)/float64(size))
		}
	}
}

// limited is an origin that gives 2 MiB/s to a connection, and 503 to the fifth.
func limited(l *lab, name string, round int) {
	size := l.bench.size(256)
	tools := []tool{l.ours()}
	if round < 1 { // they take a minute each
		tools = append(tools, aria2(16, "--retry-wait=2", "-m0"), axel(8))
	}
	for _, t := range rotate(present(tools), round) {
		g := l.get(t, l.file("limit", size), fine, patience)
		l.note(name, t.name, size, g)
		if g.failed {
			continue
		}
		l.bench.results.Add(name, t.name, "refused", float64(g.stats.Refused))
		l.judge(name, t.name, g, float64(size)/(8*mib), 2*mib, size)
		l.Logf("%s, %s: %d requests, %d refused, at most %d at a time", name, t.name, g.stats.Requests, g.stats.Refused, g.stats.Peak)
	}
}

// limitedWithHelpers is the same with three peers: each has its own address.
func limitedWithHelpers(l *lab, name string, _ int) {
	size := l.bench.size(256)
	l.setPeers(peerNames(3)...)
	g := l.get(l.ours(), l.file("limit", size), fine, patience)
	l.note(name, ddm, size, g)
	l.bench.results.Add(name, ddm, "refused", float64(g.stats.Refused))
	l.judge(name, ddm, g, float64(size)/(32*mib), 2*mib, size)
	l.Logf("%s: %d requests, %d refused, at most %d at a time", name, g.stats.Requests, g.stats.Refused, g.stats.Peak)
}

const (
	kept = ddm + ", kept in the store" // by a peer that does so
	bare = "gRPC alone"                // what our relay cannot do without
)

// relayed is one of the ways to bring a file through one other machine.
type relayed struct {
	tool
	begin func() *process // what runs on that machine
}

// relay brings a file through one peer over a LAN as fast as the machine,
// against a relay that does nothing else.
func relay(l *lab, name string, round int) {
	size := l.bench.size(1024)
	raw, overGRPC := l.start("p2", "rawrelay", "peer", ":9000"), l.start("p2", "rawrelay", "grpc-peer", ":9001")
	l.until("the raw relays listen", func() bool {
		return strings.Contains(raw.stderr.String(), "ready") && strings.Contains(overGRPC.stderr.String(), "ready")
	})
	l.setPeers()
	through := func(more ...string) func() *process {
		return func() *process {
			l.setPeers()
			l.startPeer("p1", more...)
			l.setPeers("p1")
			return l.peers["p1"]
		}
	}
	keeping := l.ours("--no-local")
	keeping.name = kept
	floor, onGRPC := l.rawClient("raw TCP", "client", l.net.Host("p2").IP+":9000"), l.rawClient(bare, "grpc-client", l.net.Host("p2").IP+":9001")
	ways := []relayed{
		{l.ours("--no-local"), through("--store-size", "0")},
		{floor, func() *process { return raw }},
		{onGRPC, func() *process { return overGRPC }},
		{keeping, through()},
	}
	for turn := range 2 {
		wall, cpu := make(map[string]float64), make(map[string]float64)
		for _, w := range rotate(ways, round+turn) {
			wall[w.name], cpu[w.name] = l.relayed(name, w, size)
		}
		for _, other := range []string{ddm, kept, bare} {
			l.bench.results.Add(name, other, "cpu_over_raw", cpu[other]/cpu[floor.name])
			l.bench.results.Add(name, other, "speed_over_raw", wall[floor.name]/wall[other])
		}
	}
}

// rawClient is a client of a raw relay.
func (l *lab) rawClient(name, kind, peer string) tool {
	return tool{name: name, ours: true, program: l.bench.program("rawrelay"), args: func(dir, name, url string) []string {
		return []string{kind, peer, filepath.Join(dir, name), url}
	}}
}

// relayed returns what one relayed file took: seconds, and CPU seconds of both
// machines.
func (l *lab) relayed(name string, w relayed, size int64) (wall, cpu float64) {
	r, other := &l.bench.results, w.begin()
	before, err := other.cpu()
	l.check(err)
	g := l.get(w.tool, l.file("plain", size), coarse, patience)
	after, err := other.cpu()
	l.check(err)
	client, peer := g.cpu, (after - before).Seconds()
	g.cpu += peer
	l.note(name, w.name, size, g)
	r.Add(name, w.name, "client_cpu_s_per_gb", client/float64(size)*gb)
	r.Add(name, w.name, "peer_cpu_s_per_gb", peer/float64(size)*gb)
	l.Logf("%s, %s: %.3f s, CPU s/GB: client %.3f + peer %.3f", name, w.name, g.seconds, client/float64(size)*gb, peer/float64(size)*gb)
	return g.seconds, g.cpu
}

// twoLineLab gives the client a second line to the origin.
func twoLineLab(s *scope) *lab {
	l := newLab(s, fleet(30*netlab.Mbit)...)
	const line, address, gateway = "w9", "10.98.9.2/30", "10.98.9.1"
	l.onOrigin("ip", "link", "add", line, "type", "veth", "peer", "name", "wan2", "netns", l.namespaces["client"])
	l.onOrigin("ip", "addr", "add", gateway+"/30", "dev", line)
	l.onOrigin("ip", "link", "set", line, "up")
	for _, args := range [][]string{
		{"addr", "add", address, "dev", "wan2"},
		{"link", "set", "wan2", "up"},
		{"route", "add", netlab.OriginAddr, "via", gateway, "metric", "100"},
	} {
		if _, err := l.net.Host("client").Output(s.ctx, "ip", args...); err != nil {
			s.Fatalf("ip %s: %v", strings.Join(args, " "), err)
		}
	}
	l.shape(line, 10*netlab.Mbit)
	l.measure(way{"wan", "client", "wan"}, way{"wan2", "client", "wan2"})
	return l
}

func twoLines(l *lab, name string, _ int) {
	size := l.bench.size(64)
	g := l.get(l.ours("--interface", "wan", "--interface", "wan2"), l.file("plain", size), fine, patience)
	l.note(name, ddm, size, g)
	l.judge(name, ddm, g, figure.Fluid(float64(size), l.sum("wan", "wan2")), l.rates["wan"], size)
}

// startTime looks when the first byte of a download is in its file.
func startTime(l *lab, name string, _ int) {
	l.setPeers(peerNames(3)...)
	for range 5 {
		const size = 8 * mib
		d := l.begin("client", l.ours(), l.file("plain", size), coarse)
		first := d.firstByte()
		g := d.end(patience)
		l.note(name, ddm, size, g)
		l.bench.results.Add(name, ddm, "first_byte_ms", first.Seconds()*1000)
		l.Logf("%s: first byte after %.1f ms", name, first.Seconds()*1000)
	}
}

// firstByte waits until the part file holds data: what was only allocated is a
// hole to SEEK_DATA.
func (d *download) firstByte() time.Duration {
	var part *os.File
	defer func() {
		if part != nil {
			part.Close()
		}
	}()
	for time.Since(d.started) < patience {
		if part == nil {
			entries, err := fs.Glob(os.DirFS(d.dir), ".*.ddm-part")
			d.lab.check(err)
			if len(entries) > 0 {
				part, err = os.Open(filepath.Join(d.dir, entries[0]))
				if err != nil && !os.IsNotExist(err) {
					d.lab.Fatal(err)
				}
			}
		}
		if part != nil {
			if _, err := part.Seek(0, unix.SEEK_DATA); err == nil {
				return time.Since(d.started)
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	d.lab.Fatal(fmt.Errorf("no byte within %v", patience))
	return 0
}
