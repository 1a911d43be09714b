//go:build linux

package main

import (
	"strings"
	"time"

	"ddm/test/lab/netlab"
)

// distances are cables between a client and its only peer; each has its peer.
func distances() []distance {
	return []distance{
		{"1 Gbit/s, 30 ms", 30 * time.Millisecond, 1000 * netlab.Mbit},
		{"as fast as it goes, 1 ms", time.Millisecond, 0},
	}
}

type distance struct {
	name  string
	delay time.Duration // of a round trip
	rate  netlab.Rate   // 0: as fast as the machine
}

// farLab has peers with lines as fast as the machine, far from the client.
func farLab(s *scope) *lab {
	var rates []netlab.Rate
	for range distances() {
		rates = append(rates, unshaped)
	}
	l := newLab(s, fleet(0, rates...)...)
	// What the kernel lets a connection keep under way is as wide as the windows
	// that it offers: by default it is too little for a gigabit at 30 ms.
	for _, host := range peerNames(len(rates)) {
		_, err := l.net.Host(host).Output(s.ctx, "sysctl", "-q", "-w", "net.ipv4.tcp_wmem=4096 16384 33554432")
		s.check(err)
	}
	return l
}

// far brings a file through a peer over a cable with a delay, against a raw TCP
// relay over the same cable: what the windows are for.
func far(l *lab, name string, round int) {
	size := l.bench.size(512)
	for i, d := range distances() {
		host := peer(i + 1)
		cable := l.net.AddFar(l, "client", host, d.delay/2, d.rate)
		raw := l.start(host, "rawrelay", "peer", ":9000")
		l.until("the raw relay listens", func() bool { return strings.Contains(raw.stderr.String(), "ready") })
		l.setPeers()
		l.startPeer(host, "--advertise", cable.B+":7430")
		l.setPeers(host)
		floor := l.rawClient("raw TCP", "client", cable.B+":9000")
		wall := make(map[string]float64)
		for _, t := range rotate([]tool{l.ours("--no-local"), floor}, round) {
			g := l.get(t, l.file("plain", size), coarse, patience)
			l.note(name, d.name+": "+t.name, size, g)
			wall[t.name] = g.seconds
			l.Logf("%s, %s, %s: %.3f s, %.0f Mbit/s", name, d.name, t.name, g.seconds, float64(size)*8/1e6/g.seconds)
		}
		l.bench.results.Add(name, d.name+": "+ddm, "speed_over_raw", wall[floor.name]/wall[ddm])
	}
}
