//go:build lab && linux

package lab_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"ddm/test/lab/netlab"
)

// Swarms: clients that share one line to the origin, on a fast LAN.
const (
	sharedLine = 200 * netlab.Mbit
	fastLAN    = 1000 * netlab.Mbit
	swarmSize  = 128 << 20
	laterSize  = 1 << 30
)

// newSwarm is a cluster of n clients c1, c2, ... that share a line.
func newSwarm(t *testing.T, n int) (*cluster, []string) {
	t.Helper()
	all := []netlab.HostConfig{{Name: "tracker"}}
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("c%d", i+1))
		all = append(all, netlab.HostConfig{Name: names[i], LAN: fastLAN})
	}
	c := newCluster(t, all)
	c.lab.ShareLine(t, sharedLine, names...)
	c.startTracker(t)
	return c, names
}

// swarmer is one client's download in a swarm.
type swarmer struct {
	*download
	took time.Duration // from its start to its done
	r    result
}

// swarm downloads a path on several hosts, each so long after the first, and
// waits for all of them.
func (c *cluster) swarm(t *testing.T, hosts []string, apart time.Duration, path string, flags ...string) []*swarmer {
	t.Helper()
	var list []*swarmer
	for i, host := range hosts {
		if i > 0 && apart > 0 {
			time.Sleep(apart)
		}
		list = append(list, c.swarmer(t, host, path, flags...))
	}
	return list
}

func (c *cluster) swarmer(t *testing.T, host, path string, flags ...string) *swarmer {
	t.Helper()
	return &swarmer{download: c.start(t, host, t.TempDir(), path, append(flags, "--tracker", c.trackerAddr())...)}
}

// finish waits for its end, and removes what it saved.
func (s *swarmer) finish(t *testing.T) {
	t.Helper()
	s.r = s.succeed(t)
	done := s.r.last(t, "done")
	s.took = done.Time.Sub(s.proc.Started)
	t.Logf("%.2f s, origin %d, duplicates %d, CPU %v, %v", s.took.Seconds(), done.OriginBytes, done.DuplicateBytes, s.proc.CPU().Round(time.Millisecond), brought(done))
	s.remove(t)
}

// meterLine is what the shared line brings: its rate in bytes per second, and
// which part of what crosses it is content.
type meterLine struct {
	c       *cluster
	rate    float64
	content float64
	begun   int64
}

// meterLine measures the line with curl, and begins to count. The origin's own
// count would not do: what it wrote to connections that were cut never left.
func (c *cluster) meterLine(t *testing.T, host string) *meterLine {
	t.Helper()
	const size = 64 << 20
	before := c.lab.SharedBytes(t)
	p := c.lab.Host(host).Start(t, nil, "curl", "-sf", "-o", filepath.Join(t.TempDir(), "curl"), fmt.Sprintf("%s/ranges/%d/curl", originURL, size))
	status, wall := p.Wait(t, patience)
	if status != 0 {
		t.Fatalf("curl: exit status %d", status)
	}
	m := &meterLine{c: c, rate: size / wall.Seconds(), begun: c.lab.SharedBytes(t)}
	m.content = size / float64(m.begun-before)
	return m
}

// sent returns how much content left the origin since.
func (m *meterLine) sent(t *testing.T) float64 {
	t.Helper()
	m.c.lastEnd(t)
	return float64(m.c.lab.SharedBytes(t)-m.begun) * m.content
}

// TestSwarmFigures measures what swarms are asked for, DDM_LAB_ROUNDS times. A
// part of it: -run 'TestSwarmFigures/./later'.
func TestSwarmFigures(t *testing.T) {
	figures(t)
	var tb table
	for round := range rounds(t) {
		t.Run(fmt.Sprintf("round %d", round+1), func(t *testing.T) {
			t.Run("together", func(t *testing.T) { together(t, &tb) })
			t.Run("apart", func(t *testing.T) { apart(t, &tb) })
			t.Run("killed", func(t *testing.T) { ownerKilled(t, &tb) })
			t.Run("restart", func(t *testing.T) { trackerRestarts(t, &tb) })
			t.Run("later", func(t *testing.T) { later(t, &tb) })
		})
	}
	tb.print(t)
}

func together(t *testing.T, tb *table) {
	c, names := newSwarm(t, 4)
	line := c.meterLine(t, names[0])
	path := fmt.Sprintf("/ranges/%d/together.bin", swarmSize)
	slowest := time.Duration(0)
	for _, s := range c.swarm(t, names, 0, path) {
		s.finish(t)
		slowest = max(slowest, s.took)
	}
	tb.add(t, "swarm of 4, same instant: all done over F/W", "", false, 1.08, slowest.Seconds()*line.rate/swarmSize)
	tb.add(t, "swarm of 4, same instant: copies from the origin", "", false, 1.03, line.sent(t)/swarmSize)
}

// apart starts 8 clients within 10 s. Each serves for a while after its end, so
// that there is somebody for the last ones to come to.
func apart(t *testing.T, tb *table) {
	const gap = 10 * time.Second / 7
	c, names := newSwarm(t, 8)
	line, lan := c.meterLine(t, names[0]), float64(fastLAN)/8*1448/1500
	path := fmt.Sprintf("/ranges/%d/apart.bin", swarmSize)
	worst := 0.0
	all := c.swarm(t, names, gap, path, "--share-for", "14s")
	for i, s := range all {
		s.finish(t)
		// The origin's last byte comes then; what is there already comes over
		// the LAN.
		bound := max(swarmSize/line.rate-s.proc.Started.Sub(all[0].proc.Started).Seconds(), swarmSize/lan)
		t.Logf("client %d: %.2f s, bound %.2f s", i+1, s.took.Seconds(), bound)
		worst = max(worst, s.took.Seconds()/bound)
	}
	tb.add(t, "swarm of 8, 0 to 10 s apart: the worst over its bound", "", false, 1.10, worst)
	tb.add(t, "swarm of 8, 0 to 10 s apart: copies from the origin", "", false, 1.03, line.sent(t)/swarmSize)
}

// ownerKilled kills one of two, which fetches half of the ranges.
func ownerKilled(t *testing.T, tb *table) {
	c, names := newSwarm(t, 2)
	line := c.meterLine(t, names[0])
	path := fmt.Sprintf("/ranges/%d/killed.bin", swarmSize)
	all := c.swarm(t, names, 0, path)
	all[1].half(t)
	all[1].proc.Kill()
	all[0].finish(t)
	tb.add(t, "swarm, an owner of half killed: copies from the origin", "", false, 1.10, line.sent(t)/swarmSize)
}

func trackerRestarts(t *testing.T, tb *table) {
	c, names := newSwarm(t, 4)
	line := c.meterLine(t, names[0])
	path := fmt.Sprintf("/ranges/%d/restart.bin", swarmSize)
	all := c.swarm(t, names, 0, path)
	all[0].half(t)
	c.tracker.Kill()
	c.startTracker(t)
	for _, s := range all {
		s.finish(t)
	}
	tb.add(t, "swarm, tracker restarts: copies from the origin", "", false, 1.05, line.sent(t)/swarmSize)
}

// later downloads what another client has already.
func later(t *testing.T, tb *table) {
	c, names := newSwarm(t, 2)
	path := fmt.Sprintf("/ranges/%d/later.bin", laterSize)
	first := c.swarmer(t, names[0], path, "--share-for", "10m")
	first.await(t, "the first one was done", func(e event) bool { return e.Event == "done" })
	c.lastEnd(t)
	asked := len(pair(c.requests(t), path, laterSize))
	h := sha256.New()
	if _, err := io.Copy(h, first.content.Reader()); err != nil {
		t.Fatal(err)
	}
	lan := c.lanRate(t, names[0], names[1], 256<<20)
	s := c.swarmer(t, names[1], path, "--checksum", fmt.Sprintf("sha256:%x", h.Sum(nil)))
	s.finish(t)
	first.proc.Kill()
	tb.add(t, "later client, 1 GiB: rate over that of the LAN", "", true, 0.95, laterSize/s.took.Seconds()/lan)
	tb.add(t, "later client, 1 GiB: body bytes from the origin", "", false, 1, float64(c.bodies(t, path, asked)))
}

// lanRate is what one connection brings from host to host, in bytes per second,
// told by so many bytes.
func (c *cluster) lanRate(t *testing.T, from, to string, size int64) float64 {
	t.Helper()
	c.lab.Host(from).Start(t, nil, binary(t, "origin"), "-listen", ":9090")
	url := fmt.Sprintf("http://%s:9090", c.lab.Host(from).IP)
	until(t, "the LAN's server is ready", func() bool {
		_, err := c.lab.Host(to).Output(t.Context(), "curl", "-sf", url+"/healthz")
		return err == nil
	})
	p := c.lab.Host(to).Start(t, nil, "curl", "-sf", "-o", filepath.Join(t.TempDir(), "lan"), fmt.Sprintf("%s/ranges/%d/lan", url, size))
	status, wall := p.Wait(t, patience)
	if status != 0 {
		t.Fatalf("curl: exit status %d", status)
	}
	return float64(size) / wall.Seconds()
}

// bodies is how much content the origin wrote for a path, but for the first
// requests.
func (c *cluster) bodies(t *testing.T, path string, but int) (n int64) {
	t.Helper()
	c.lastEnd(t)
	for _, q := range pair(c.requests(t), path, laterSize)[but:] {
		n += q.sent
	}
	return n
}
