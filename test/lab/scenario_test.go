//go:build lab && linux

package lab_test

import (
	"fmt"
	"syscall"
	"testing"

	"ddm/test/lab/netlab"
)

// Short downloads: 24 MiB over lines of 16 Mbit/s take about 3 s with four.
const (
	slow = 16 * netlab.Mbit
	file = "/ranges/25165824/file.bin"
	// longer still needs seconds when a peer falls silent half way: else the
	// others have fetched its last ranges before its silence counts as a stall.
	longer = "/ranges/50331648/file.bin"
)

// everyone fails the test if one of these gave nothing.
func everyone(t *testing.T, r result, names ...string) {
	t.Helper()
	given := brought(r.last(t, "done"))
	for _, name := range names {
		if given[name] == 0 {
			t.Errorf("%s brought nothing: %v", name, given)
		}
	}
}

// lost fails the test if no event said that this peer was gone or stuck.
func lost(t *testing.T, r result, peer string) {
	t.Helper()
	for _, e := range r.events {
		if e.Event == "source" && bareName(e.Name) == peer && e.Change != "joined" {
			return
		}
	}
	t.Errorf("no event says that %s was lost: %q", peer, r.changes(peer))
}

func TestEqualLines(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow, slow, slow)
	everyone(t, c.get(t, file).succeed(t), "local", "p1", "p2", "p3")
}

func TestUnevenLines(t *testing.T) {
	correctness(t)
	c := withPeers(t, 40*netlab.Mbit, 20*netlab.Mbit, 8*netlab.Mbit, 2*netlab.Mbit)
	everyone(t, c.get(t, file).succeed(t), "local", "p1", "p2", "p3")
}

func TestPeerKilled(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow, slow, slow)
	d := c.get(t, file)
	d.half(t)
	c.peers["p1"].Kill()
	r := d.succeed(t)
	everyone(t, r, "local", "p1", "p2", "p3")
	lost(t, r, "p1")
	c.awaitPeers(t, "p2", "p3")
}

func TestAllPeersKilled(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow, slow, slow)
	d := c.get(t, file)
	d.half(t)
	for _, p := range c.peers {
		p.Kill()
	}
	r := d.succeed(t)
	for peer := range c.peers {
		lost(t, r, peer)
	}
}

func TestPeerStopped(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow, slow, slow)
	d := c.get(t, longer)
	d.half(t)
	c.peers["p2"].Signal(syscall.SIGSTOP)
	lost(t, d.succeed(t), "p2")
}

func TestPeerUnplugged(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow, slow, slow)
	d := c.get(t, longer)
	d.half(t)
	c.lab.Host("p3").Unplug(t)
	lost(t, d.succeed(t), "p3")
}

func TestPeerJoins(t *testing.T) {
	correctness(t)
	c := newCluster(t, hosts(slow, slow, slow))
	c.startTracker(t)
	c.startPeers(t, "p1")
	c.awaitPeers(t, "p1")
	d := c.get(t, file)
	d.half(t)
	c.startPeers(t, "p2")
	r := d.succeed(t)
	everyone(t, r, "local", "p1", "p2")
	if r.changes("p2") == "" {
		t.Error("no event says that p2 joined")
	}
}

func TestTrackerKilled(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow, slow)
	d := c.get(t, file)
	before := brought(d.half(t))
	c.tracker.Kill()
	r := d.succeed(t)
	after := brought(r.last(t, "done"))
	for peer := range c.peers {
		if after[peer] <= before[peer] {
			t.Errorf("%s gave %d bytes before the tracker died, %d in all", peer, before[peer], after[peer])
		}
		if said := r.changes(peer); said != "joined" && said != "" {
			t.Errorf("%s: the download noticed: %q", peer, said)
		}
	}
	// A new tracker lists them again, with nobody restarted.
	c.startTracker(t)
	c.awaitPeers(t, "p1", "p2")
}

func TestTwoClients(t *testing.T) {
	correctness(t)
	c := newCluster(t, append(hosts(slow, slow, slow), netlab.HostConfig{Name: "client2", WAN: slow}))
	c.startTracker(t)
	c.startPeers(t, "p1", "p2")
	c.awaitPeers(t, "p1", "p2")
	a := c.get(t, "/ranges/12582912/one.bin")
	b := c.start(t, "client2", t.TempDir(), "/ranges/12582912/two.bin", "--tracker", c.trackerAddr())
	same := c.start(t, "client2", t.TempDir(), "/ranges/4194304/one.bin", "--tracker", c.trackerAddr())
	everyone(t, a.succeed(t), "local")
	everyone(t, b.succeed(t), "local")
	same.succeed(t)
}

func TestRequesterKilledAndResumed(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow, slow)
	dir := t.TempDir()
	d := c.start(t, "client", dir, file, "--tracker", c.trackerAddr())
	d.half(t)
	d.proc.Kill()
	c.lastEnd(t) // or fails
	for _, name := range list(t, dir) {
		if name == d.content.Name {
			t.Error("something stands under the final name of an incomplete download")
		}
	}
	c.start(t, "client", dir, file, "--tracker", c.trackerAddr()).succeed(t)
}

func TestInterruptedAndResumed(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow)
	dir := t.TempDir()
	d := c.start(t, "client", dir, file, "--tracker", c.trackerAddr())
	d.half(t)
	d.proc.Signal(syscall.SIGINT)
	r := d.end(t)
	if r.status != 7 || r.last(t, "error").Exit != 7 {
		t.Errorf("exit status %d after SIGINT, want 7: %s", r.status, d.events.text())
	}
	c.lastEnd(t)
	r = c.start(t, "client", dir, file, "--tracker", c.trackerAddr()).succeed(t)
	if r.last(t, "start").ResumedBytes == 0 {
		t.Error("the second run took nothing over from the first")
	}
}

// TestFallbacks are the small and the odd, all of them in one cluster.
func TestFallbacks(t *testing.T) {
	correctness(t)
	c := withPeers(t, slow, slow, slow)
	for name, path := range map[string]string{
		"empty":          "/ranges/0/empty.bin",
		"one byte":       "/ranges/1/one.bin",
		"two bytes":      "/ranges/2/two.bin",
		"just a piece":   "/ranges/1048576/piece.bin",
		"piece and more": "/ranges/1048577/more.bin",
		"no ranges":      "/plain/3000000/plain.bin",
	} {
		t.Run(name, func(t *testing.T) {
			r := c.get(t, path).succeed(t)
			if name == "no ranges" && r.last(t, "start").Identity != "none" && len(brought(r.last(t, "done"))) > 1 {
				t.Error("an origin without ranges was asked by several")
			}
		})
	}
	t.Run("no peers", func(t *testing.T) {
		c.start(t, "client", t.TempDir(), "/ranges/3000000/a.bin", "--local-only").succeed(t)
	})
	t.Run("tracker gone", func(t *testing.T) {
		for i, tracker := range []string{c.lab.Host("tracker").IP + ":9", "10.97.0.250:7420"} { // refuses; is not there
			c.start(t, "client", t.TempDir(), fmt.Sprintf("/ranges/3000000/%d.bin", i), "--tracker", tracker).succeed(t)
		}
	})
	t.Run("not found", func(t *testing.T) {
		d := c.get(t, "/missing")
		r := d.end(t)
		if failed := r.last(t, "error"); r.status != 3 || failed.Exit != 3 || failed.Message == "" {
			t.Errorf("exit status %d, %+v; want 3 and a sentence", r.status, failed)
		}
		if names := list(t, d.dir); len(names) != 0 {
			t.Errorf("left behind: %v", names)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		d := &download{dir: t.TempDir(), events: newEventLog()}
		d.proc = c.lab.Host("client").Start(t, d.events, binary(t, "ddm-client"), "--insecure", "--json",
			"--retry", "1", "--dir", d.dir, "http://"+netlab.OriginAddr+":9/a.bin")
		if r := d.end(t); r.status != 6 || r.last(t, "error").Exit != 6 {
			t.Errorf("exit status %d, want 6: %s", r.status, d.events.text())
		}
	})
}
