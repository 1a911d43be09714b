//go:build linux

package main

import "fmt"

// Who fetches a file of which two peers hold a part.
const (
	byAll   = "own line and peers"
	byPeers = "peers alone"
)

// partlyHeld downloads files of which peers hold a part and bring the rest by
// their lines, over a LAN as fast as the machine: what the scheduler does not
// know yet of bytes on their way is most there.
func partlyHeld(l *lab, name string, _ int) {
	l.setPeers(peerNames(2)...)
	for i := range 4 { // sizes and ways in turn: each pair once
		size, way, flags := l.bench.size(64), byAll, []string(nil)
		if i%2 == 1 {
			size = l.bench.size(256)
		}
		if i/2 == 1 {
			way, flags = byPeers, []string{"--no-local"}
		}
		file := l.file("plain", size)
		slow := l.ours("--limit-rate", fmt.Sprintf("%dMiB", max(size/mib*2/5, 1)))
		l.get(slow, file, coarse, patience) // the peers keep what they brought
		g := l.get(l.ours(flags...), file, coarse, patience)
		variant := held(size, way)
		twice, stored := 100*float64(g.done.Duplicate)/float64(size), 100*float64(g.done.Stored)/float64(size)
		l.bench.results.Add(name, variant, "seconds", g.seconds)
		l.bench.results.Add(name, variant, "duplicate_percent", twice)
		l.bench.results.Add(name, variant, "stored_percent", stored)
		l.Logf("%s, %s: %.3f s, %.2f %% came twice, %.0f %% from the stores", name, variant, g.seconds, twice, stored)
	}
}

func held(size int64, way string) string { return fmt.Sprintf("%d MiB, %s", size/mib, way) }
