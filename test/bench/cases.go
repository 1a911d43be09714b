//go:build linux

package main

import (
	"math"
	"time"

	"ddm/test/bench/figure"
	"ddm/test/lab/netlab"
)

const (
	ddm           = "ddm"
	even          = 40 * netlab.Mbit // each of the equal lines
	helpers       = 8                // most of them
	rivalRounds   = 1                // rounds in which the slow runs of others are measured
	rivalPatience = 20 * time.Second
)

// group is a lab and the cases that run on it, one after the other.
type group struct {
	name  string
	build func(s *scope) *lab
	cases []benchCase
}

// benchCase measures one round of something.
type benchCase struct {
	name   string
	rounds int // in which it is measured; 0: in all. Those that a figure depends on are
	run    func(l *lab, name string, round int)
}

func groups() []group {
	return []group{
		{"open", openLab, []benchCase{
			{"1-unlimited", 0, unlimited},
			{"7-relay", 0, relay},
			{"9-plain", 3, odd("conn")},
			{"9-freeze", 0, odd("freeze")},
			{"9-drop", 0, odd("drop")},
			{"9-fifth", 0, odd("fifth")},
			{"6-limit", 0, limited},
			{"6-limit-helpers", 0, limitedWithHelpers},
			{"14-held", 0, partlyHeld},
		}},
		{"shaped", shapedLab, []benchCase{{"1-shaped", 0, shaped}}},
		{"equal", equalLab, []benchCase{
			{"12-start", 0, startTime},
			{"2-equal", 1, equalHelpers},
			{"4-drop", 2, dropped},
			{"5-kill-join", 2, killedAndLate},
			{"10-changes", 0, changes},
			{"8-two-clients", 2, twoClients},
		}},
		{"long", longLab, []benchCase{{"2-long", 0, longEqual}}},
		{"uneven", unevenLab, []benchCase{{"3-uneven", 0, uneven}}},
		{"far", farLab, []benchCase{{"13-far", 2, far}}},
		{"two lines", twoLineLab, []benchCase{{"11-two-lines", 0, twoLines}}},
	}
}

// openLab has lines and a LAN as fast as the machine.
func openLab(s *scope) *lab { return newLab(s, fleet(unshaped, unshaped, unshaped, unshaped)...) }

func shapedLab(s *scope) *lab { return newLab(s, fleet(200*netlab.Mbit)...) }

// equalLab has a client and eight peers, and one more client, all on lines of
// the same rate.
func equalLab(s *scope) *lab {
	rates := make([]netlab.Rate, helpers)
	for i := range rates {
		rates[i] = even
	}
	l := newLab(s, append(fleet(even, rates...), netlab.HostConfig{Name: "second", WAN: even})...)
	l.measureHosts(append(peerNames(helpers), "client", "second")...)
	return l
}

func unevenLab(s *scope) *lab {
	l := newLab(s, fleet(100*netlab.Mbit, 50*netlab.Mbit, 20*netlab.Mbit, 5*netlab.Mbit, 1*netlab.Mbit)...)
	l.measureHosts("client", "p1", "p2", "p3", "p4")
	return l
}

// size is a file's size, smaller in a quick run.
func (b *bench) size(mebibytes int64) int64 {
	if b.quick {
		mebibytes = max(16, mebibytes/8)
	}
	return mebibytes * mib
}

// rotate starts each round with another one, so that no place in the order
// belongs to anybody.
func rotate[T any](all []T, round int) []T {
	n := round % len(all)
	return append(all[n:len(all):len(all)], all[:n]...)
}

// note keeps what every run has.
func (l *lab) note(name, variant string, size int64, g got) {
	if g.failed {
		return
	}
	r := &l.bench.results
	bytes := float64(size)
	r.Add(name, variant, "seconds", g.seconds)
	if g.gaveUp {
		r.Add(name, variant, "gave_up", 1)
		return
	}
	r.Add(name, variant, "mb_per_s", bytes/1e6/g.seconds)
	r.Add(name, variant, "cpu_s_per_gb", g.cpu/bytes*gb)
	r.Add(name, variant, "rss_mib", float64(g.rss)/mib)
	r.Add(name, variant, "requests", float64(g.stats.Requests))
	r.Add(name, variant, "sent_percent", 100*float64(g.stats.Sent)/bytes)
	if g.done.Event != "" {
		r.Add(name, variant, "duplicate_percent", 100*float64(g.done.Duplicate)/bytes)
		r.Add(name, variant, "reassigned", float64(g.done.Moved))
	}
	for _, p := range l.peers {
		r.Add(name, variant, "peer_rss_mib", float64(p.memory())/mib)
	}
}

// judge notes how close a run came to what the lines could have done.
func (l *lab) judge(name, variant string, g got, ideal, own float64, size int64) {
	if g.failed {
		return
	}
	r := &l.bench.results
	r.Add(name, variant, "ideal_seconds", ideal)
	r.Add(name, variant, "efficiency", ideal/g.seconds)
	if own > 0 {
		r.Add(name, variant, "speed_up", float64(size)/own/g.seconds)
		r.Add(name, variant, "ideal_speed_up", float64(size)/own/ideal)
	}
	if !math.IsNaN(g.tail) {
		r.Add(name, variant, "tail_percent", 100*g.tail/g.seconds)
	}
	l.Logf("%s, %s: T* %.2f s, T %.2f s, T*/T %.3f, last 1 %% %.2f s, duplicates %d", name, variant, ideal, g.seconds, ideal/g.seconds, g.tail, g.done.Duplicate)
}

// equalHelpers downloads with a growing number of equal lines: the curve. What
// is judged is longEqual's.
func equalHelpers(l *lab, name string, _ int) {
	for lines := 1; lines <= helpers+1; lines++ {
		l.onEqual(name, lines)
	}
}

func (l *lab) onEqual(name string, lines int) {
	size := l.bench.size(256)
	with := peerNames(lines - 1)
	l.setPeers(with...)
	g := l.get(l.ours(), l.file("plain", size), fine, patience)
	variant := linesOf(lines)
	l.note(name, variant, size, g)
	l.judge(name, variant, g, figure.Fluid(float64(size), l.sum(append(with, "client")...)), l.rates["client"], size)
}

func longLab(s *scope) *lab {
	rates := make([]netlab.Rate, helpers-1)
	for i := range rates {
		rates[i] = longRate(4)
	}
	return newLab(s, fleet(longRate(4), rates...)...)
}

// longRate makes 256 MiB over so many equal lines take a little more than 20 s,
// so that neither a start nor an end is more than it would be in a download
// that is worth it.
func longRate(lines int) netlab.Rate { return netlab.Rate(108/lines) * netlab.Mbit }

// longEqual downloads with four and with eight equal lines, each as long.
func longEqual(l *lab, name string, _ int) {
	for _, lines := range []int{4, 8} {
		hosts := append(peerNames(lines-1), "client")
		for _, h := range hosts {
			l.reshape(h, longRate(lines))
		}
		l.measureHosts(hosts...)
		l.onEqual(name, lines)
	}
}

func uneven(l *lab, name string, _ int) {
	size := l.bench.size(256)
	all := peerNames(4)
	l.setPeers(all...)
	g := l.get(l.ours(), l.file("plain", size), fine, patience)
	l.note(name, ddm, size, g)
	l.judge(name, ddm, g, figure.Fluid(float64(size), l.sum(append(all, "client")...)), l.rates["client"], size)
}

// changing runs a download on the client's line and three peers' while f
// changes lines, and judges it by the fluid limit of the lines as they were.
func changing(l *lab, name string, size int64, f func(d *download) []figure.Change) {
	four := peerNames(3)
	l.setPeers(four...)
	d := l.begin("client", l.ours(), l.file("plain", size), fine)
	changes := f(d)
	g := d.end(patience)
	l.note(name, ddm, size, g)
	l.judge(name, ddm, g, figure.Fluid(float64(size), l.sum(append(four, "client")...), changes...), l.rates["client"], size)
}

func (l *lab) drop(d *download, victim string, at float64) figure.Change {
	when := d.reaches(at)
	l.reshape(victim, even/100)
	l.Cleanup(func() { l.reshape(victim, even) })
	return figure.Change{At: when.Sub(d.started).Seconds(), Rate: -0.99 * l.rates[victim]}
}

func (l *lab) kill(d *download, victim string, at float64) figure.Change {
	when := d.reaches(at)
	l.peers[victim].stop(9)
	return figure.Change{At: when.Sub(d.started).Seconds(), Rate: -l.rates[victim]}
}

func (l *lab) join(d *download, late string, at float64) figure.Change {
	when := d.reaches(at)
	l.startPeer(late)
	return figure.Change{At: when.Sub(d.started).Seconds(), Rate: l.rates[late]}
}

func dropped(l *lab, name string, _ int) {
	changing(l, name, l.bench.size(128), func(d *download) []figure.Change {
		return []figure.Change{l.drop(d, "p1", 0.5)}
	})
}

func killedAndLate(l *lab, name string, _ int) {
	changing(l, name, l.bench.size(128), func(d *download) []figure.Change {
		return []figure.Change{l.kill(d, "p1", 0.35), l.join(d, "p4", 0.65)}
	})
}

func changes(l *lab, name string, _ int) {
	changing(l, name, l.bench.size(256), func(d *download) []figure.Change {
		return []figure.Change{l.drop(d, "p1", 0.25), l.kill(d, "p2", 0.5), l.join(d, "p4", 0.7)}
	})
}

// twoClients has two machines download different files, then the same one, with
// three peers and both their lines.
func twoClients(l *lab, name string, _ int) {
	size := l.bench.size(96)
	lines := append(peerNames(3), "client", "second")
	for _, same := range []bool{false, true} {
		l.setPeers(peerNames(3)...)
		first := l.file("plain", size)
		other, variant := l.file("plain", size), "two files"
		if same {
			other, variant = first, "the same file"
		}
		a := l.begin("client", l.ours(), first, coarse)
		b := l.begin("second", l.ours(), other, coarse)
		one, two := a.end(patience), b.end(patience)
		last := one
		last.seconds = max(one.seconds, two.seconds)
		l.note(name, variant, size, last)
		l.judge(name, variant, last, figure.Fluid(2*float64(size), l.sum(lines...)), 0, size)
		l.bench.results.Add(name, variant, "unfairness", last.seconds/min(one.seconds, two.seconds))
	}
}
