//go:build lab && linux

package lab_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ddm/test/lab/netlab"
)

// Copies for machines with ports of 100 Mbit/s, both ways.
const (
	pushLAN   = 100 * netlab.Mbit
	pushSize  = 128 << 20
	receivers = 8
)

// pushing is a cluster whose peers take files.
type pushing struct {
	*cluster
	names []string
	dirs  map[string]string // by name of the peer
	path  string            // of the file
	sum   []byte            // its SHA-256
}

// newPushing starts n peers p1, p2, ... that take files, and makes one of so
// many bytes at the client.
func newPushing(t *testing.T, n int, size int64) *pushing {
	t.Helper()
	all := []netlab.HostConfig{{Name: "tracker"}, {Name: "client", LAN: pushLAN}}
	p := &pushing{dirs: map[string]string{}, path: filepath.Join(t.TempDir(), "file.bin")}
	for i := range n {
		p.names = append(p.names, fmt.Sprintf("p%d", i+1))
		all = append(all, netlab.HostConfig{Name: p.names[i], LAN: pushLAN})
	}
	p.cluster = newCluster(t, all)
	p.startTracker(t)
	for _, name := range p.names {
		p.dirs[name] = t.TempDir()
		p.peers[name] = p.lab.Host(name).Start(t, nil, binary(t, "peerd"), "--insecure", "--http", "off",
			"--tracker", p.trackerAddr(), "--name", name, "--receive", p.dirs[name])
	}
	p.awaitPeers(t, p.names...)
	f, err := os.Create(p.path)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{1}), size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p.sum = h.Sum(nil)
	return p
}

// push hands the file out.
func (p *pushing) push(t *testing.T, flags ...string) *download {
	t.Helper()
	d := &download{events: newEventLog()}
	args := append([]string{"push", "--insecure", "--json", "--tracker", p.trackerAddr()}, flags...)
	d.proc = p.lab.Host("client").Start(t, d.events, binary(t, "ddm-client"), append(args, p.path)...)
	return d
}

// same checks the copies of these peers byte by byte, and that nothing else lies
// beside them.
func (p *pushing) same(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		h := sha256.New()
		f, err := os.Open(filepath.Join(p.dirs[name], "file.bin"))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := io.Copy(h, f); err != nil || !bytes.Equal(h.Sum(nil), p.sum) {
			t.Errorf("%s has a wrong copy: %v", name, err)
		}
		_ = f.Close() // it was read only
		if entries, err := os.ReadDir(p.dirs[name]); err != nil || len(entries) != 1 {
			t.Errorf("%s: %v, %v", name, entries, err)
		}
	}
}

// sent is what the pusher sent over the LAN so far, in bytes, headers included.
func (p *pushing) sent(t *testing.T) int64 { return p.lab.Host("client").Sent(t, "lan") }

// TestPush gives three machines a copy while a fourth one is killed.
func TestPush(t *testing.T) {
	correctness(t)
	const size = 24 << 20
	p := newPushing(t, 4, size)
	before := p.sent(t)
	d := p.push(t)
	d.await(t, "a third of all copies was there", func(e event) bool { return e.Event == "progress" && e.Bytes >= 4*size/3 })
	p.peers["p4"].Kill()
	r := d.end(t)
	if last := r.last(t, "error"); r.status != 6 || !strings.Contains(last.Message, "3 of 4 peers have a copy: p4: ") {
		t.Errorf("status %d, %q", r.status, last.Message)
	}
	p.same(t, "p1", "p2", "p3")
	if copies := float64(p.sent(t)-before) / size; copies > 1.5 {
		t.Errorf("%.2f copies left the pusher", copies)
	}
	again := p.push(t, "--peer", "p1", "--peer", "p2", "--peer", "p3").end(t)
	if again.status != 0 {
		t.Errorf("once more: status %d", again.status)
	}
}

// TestPushFigures measures a push to eight machines, DDM_LAB_ROUNDS times.
func TestPushFigures(t *testing.T) {
	figures(t)
	var tb table
	for round := range rounds(t) {
		t.Run(fmt.Sprintf("round %d, push", round+1), func(t *testing.T) { pushRound(t, &tb) })
	}
	tb.print(t)
}

// pushRound sets the time from the first word to the peers to the last verified
// copy against what the ports allow: all of them are alike, so that the bound
// max{F/us, F/dmin, NF/(us+sum ui)} is F over the rate of a port.
func pushRound(t *testing.T, tb *table) {
	p := newPushing(t, receivers, pushSize)
	rate := p.lanRate(t, "client", "p1", 32<<20)
	bound := pushSize / rate
	before := p.sent(t)
	d := p.push(t)
	r := d.end(t)
	if r.status != 0 {
		t.Fatalf("status %d", r.status)
	}
	took := r.last(t, "done").Time.Sub(r.last(t, "start").Time).Seconds()
	copies := float64(p.sent(t)-before) / pushSize
	t.Logf("%.2f s, with hashing and all %.2f s; bound %.2f s (%.2f MB/s); %.3f copies with headers; CPU %v",
		took, r.wall.Seconds(), bound, rate/1e6, copies, d.proc.CPU())
	course(t, r, receivers*pushSize)
	p.same(t, p.names...)
	for _, dir := range p.dirs {
		if err := os.Remove(filepath.Join(dir, "file.bin")); err != nil { // room for the next round
			t.Error(err)
		}
	}
	tb.add(t, "push to 8, ports of 100 Mbit/s: time over the P2P bound", "", false, 1.15, took/bound)
	tb.add(t, "push to 8: copies that leave the pusher", "", false, 1.15, copies)
}

// course logs when which part of all copies was there.
func course(t *testing.T, r result, all int64) {
	t.Helper()
	start := r.last(t, "start").Time
	parts := []float64{0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 1}
	var b strings.Builder
	for _, e := range r.events {
		for len(parts) > 0 && e.Event == "progress" && e.Time.After(start) && float64(e.Bytes) >= parts[0]*float64(all) {
			fmt.Fprintf(&b, " %.0f %% at %.1f s", 100*parts[0], e.Time.Sub(start).Seconds())
			parts = parts[1:]
		}
	}
	for _, e := range r.events {
		if e.Event == "source" && e.Change == "left" {
			fmt.Fprintf(&b, " %s %.2f", e.Name, e.Time.Sub(start).Seconds())
		}
	}
	t.Log(b.String())
}
