//go:build lab && linux

package lab_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ddm/test/lab/fileserver"
	"ddm/test/lab/netlab"
)

const (
	originURL = "http://" + netlab.OriginAddr + ":8080"
	patience  = 90 * time.Second // for anything to end; no figure
)

// cluster is a lab with an origin and a tracker running, and peers as started.
type cluster struct {
	lab     *netlab.Lab
	log     string // the origin's log file
	tracker *netlab.Process
	peers   map[string]*netlab.Process
}

// hosts lists a client on its own line, peers p1, p2, ... on theirs, and a
// tracker on the LAN only.
func hosts(own netlab.Rate, peers ...netlab.Rate) []netlab.HostConfig {
	all := []netlab.HostConfig{{Name: "tracker"}, {Name: "client", WAN: own}}
	for i, rate := range peers {
		all = append(all, netlab.HostConfig{Name: fmt.Sprintf("p%d", i+1), WAN: rate})
	}
	return all
}

func newCluster(t *testing.T, hosts []netlab.HostConfig) *cluster {
	t.Helper()
	c := &cluster{lab: netlab.New(t, hosts...), peers: make(map[string]*netlab.Process)}
	c.log = filepath.Join(t.TempDir(), "origin.log")
	origin := c.lab.Origin().Start(t, nil, binary(t, "origin"), "-log", c.log)
	until(t, "the origin serves", func() bool { return strings.Contains(origin.Stderr(), "ready") })
	return c
}

func (c *cluster) startTracker(t *testing.T) {
	t.Helper()
	c.tracker = c.lab.Host("tracker").Start(t, nil, binary(t, "tracker"), "--insecure", "--state-dir", t.TempDir())
	until(t, "the tracker is ready", func() bool {
		_, err := c.lab.Host("tracker").Output(t.Context(), "curl", "-sf", "http://127.0.0.1:7421/readyz")
		return err == nil
	})
}

func (c *cluster) trackerAddr() string { return c.lab.Host("tracker").IP + ":7420" }

// startPeers starts peerd on the hosts of those names.
func (c *cluster) startPeers(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		c.peers[name] = c.lab.Host(name).Start(t, nil, binary(t, "peerd"), "--insecure",
			"--tracker", c.trackerAddr(), "--name", name, "--state-dir", t.TempDir(),
			"--allow-origin", netlab.OriginAddr+"/32")
	}
}

// awaitPeers waits until the tracker lists exactly these.
func (c *cluster) awaitPeers(t *testing.T, names ...string) {
	t.Helper()
	until(t, fmt.Sprintf("the tracker lists %v", names), func() bool {
		listed := c.listed(t)
		for _, name := range names {
			if !listed[name] {
				return false
			}
		}
		return len(listed) == len(names)
	})
}

func (c *cluster) listed(t *testing.T) map[string]bool {
	t.Helper()
	out, err := c.lab.Host("client").Output(t.Context(), binary(t, "ddm-client"),
		"peers", "--json", "--insecure", "--tracker", c.trackerAddr())
	if err != nil {
		return nil
	}
	listed := make(map[string]bool)
	for line := range strings.Lines(out) {
		var peer struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal([]byte(line), &peer); err != nil {
			t.Fatalf("ddm-client peers --json: %v in %q", err, line)
		}
		listed[peer.Name] = true
	}
	return listed
}

// withPeers is the usual cluster: everything runs, every peer is listed.
func withPeers(t *testing.T, own netlab.Rate, rates ...netlab.Rate) *cluster {
	t.Helper()
	c := newCluster(t, hosts(own, rates...))
	c.startTracker(t)
	var names []string
	for i := range rates {
		names = append(names, fmt.Sprintf("p%d", i+1))
	}
	c.startPeers(t, names...)
	c.awaitPeers(t, names...)
	return c
}

// requests reads the origin's log.
func (c *cluster) requests(t *testing.T) []fileserver.Entry {
	t.Helper()
	f, err := os.Open(c.log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var entries []fileserver.Entry
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e fileserver.Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("origin's log: %v in %q", err, lines.Text())
		}
		entries = append(entries, e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return entries
}

// lastEnd waits until every request that the origin began has ended, and says
// when the last one did.
func (c *cluster) lastEnd(t *testing.T) time.Time {
	t.Helper()
	var last time.Time
	until(t, "every request at the origin has ended", func() bool {
		open := make(map[int64]bool)
		for _, e := range c.requests(t) {
			if e.Event == "start" {
				open[e.ID] = true
				continue
			}
			delete(open, e.ID)
			if e.Time.After(last) {
				last = e.Time
			}
		}
		return len(open) == 0
	})
	return last
}

// until polls a condition, for a minute and a half at most.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}
