//go:build lab && linux

package lab_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ddm/test/lab/fileserver"
	"ddm/test/lab/netlab"
)

const (
	ideal = 21.0             // seconds that T* is made to be
	even  = 40 * netlab.Mbit // each of the equal lines
)

// figure is one row of the table.
type figure struct {
	name   string
	unit   string
	bound  float64
	least  bool // bound is the least allowed, not the most
	values []float64
}

// table collects figures over the rounds.
type table struct{ rows []*figure }

func (tb *table) add(t *testing.T, name, unit string, least bool, bound, value float64) {
	t.Helper()
	t.Logf("%s: %.3f%s", name, value, unit)
	for _, f := range tb.rows {
		if f.name == name {
			f.values = append(f.values, value)
			return
		}
	}
	tb.rows = append(tb.rows, &figure{name: name, unit: unit, bound: bound, least: least, values: []float64{value}})
}

func (f *figure) median() float64 {
	sorted := slices.Sorted(slices.Values(f.values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (f *figure) passes() bool {
	if f.least {
		return f.median() >= f.bound
	}
	return f.median() <= f.bound
}

func (tb *table) print(t *testing.T) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-58s %10s %10s  %-6s %s\n", "figure", "wanted", "median", "", "rounds")
	for _, f := range tb.rows {
		sign, verdict := "<=", "PASS"
		if f.least {
			sign = ">="
		}
		if !f.passes() {
			verdict = "FAIL"
			t.Errorf("%s: %.3f%s, wanted %s %.2f%s", f.name, f.median(), f.unit, sign, f.bound, f.unit)
		}
		fmt.Fprintf(&b, "%-58s %10s %10s  %-6s", f.name,
			fmt.Sprintf("%s %.2f%s", sign, f.bound, f.unit), fmt.Sprintf("%.3f%s", f.median(), f.unit), verdict)
		for _, v := range f.values {
			fmt.Fprintf(&b, " %.3f", v)
		}
		b.WriteByte('\n')
	}
	t.Log(b.String())
}

// rounds is how often each figure is measured.
func rounds(t *testing.T) int {
	t.Helper()
	n := 3
	if text := os.Getenv("DDM_LAB_ROUNDS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			t.Fatalf("DDM_LAB_ROUNDS=%q: want a number of rounds", text)
		}
	}
	return n
}

// TestFigures measures every figure DDM_LAB_ROUNDS times and judges the medians.
func TestFigures(t *testing.T) {
	figures(t)
	var tb table
	for round := range rounds(t) {
		t.Run(fmt.Sprintf("round %d, lines of 40 Mbit/s", round+1), func(t *testing.T) { evenRound(t, &tb) })
		t.Run(fmt.Sprintf("round %d, lines of 100, 50, 20 and 5 Mbit/s", round+1), func(t *testing.T) { unevenRound(t, &tb) })
	}
	tb.print(t)
}

func unevenRound(t *testing.T, tb *table) {
	c := withPeers(t, 100*netlab.Mbit, 50*netlab.Mbit, 20*netlab.Mbit, 5*netlab.Mbit)
	sum := total(c.measure(t, "client", "p1", "p2", "p3"))
	tb.add(t, "lines of 100/50/20/5 Mbit/s: T*/T", "", true, 0.90, c.efficiency(t, sum))
}

// evenRound measures all that equal lines are asked for, on one lab.
func evenRound(t *testing.T, tb *table) {
	c := newCluster(t, hosts(even, even, even, even, even))
	rates := c.measure(t, "client", "p1", "p2", "p3", "p4")
	alone(t, tb, c, rates["client"])
	c.startTracker(t)
	c.startPeers(t, "p1", "p2", "p3")
	c.awaitPeers(t, "p1", "p2", "p3")
	four := total(rates) - rates["p4"]
	tb.add(t, "4 equal lines (own and three peers): T*/T", "", true, 0.93, c.efficiency(t, four))
	c.startPeers(t, "p4")
	c.awaitPeers(t, "p1", "p2", "p3", "p4")
	killed(t, tb, c, total(rates), rates["p4"])
	c.startPeers(t, "p4")
	c.awaitPeers(t, "p1", "p2", "p3", "p4")
	stopped(t, tb, c, total(rates))
	requesterKilled(t, tb, c, total(rates))
}

func total(rates map[string]float64) float64 {
	var sum float64
	for _, r := range rates {
		sum += r
	}
	return sum
}

// sized is the path of a file that takes T* at a rate in bytes per second.
func sized(name string, rate float64) string {
	return fmt.Sprintf("/ranges/%d/%s", int64(rate*ideal), name)
}

// efficiency is T*/T of one download over lines that carry sum bytes a second.
func (c *cluster) efficiency(t *testing.T, sum float64) float64 {
	t.Helper()
	d := c.get(t, sized("file.bin", sum))
	r := d.succeed(t)
	done := r.last(t, "done")
	t.Logf("T* %.2f s, T %.2f s, client's CPU %v, reassigned %d, duplicates %d, origin bytes %+.2f %%, %v",
		float64(d.content.Size)/sum, r.wall.Seconds(), d.proc.CPU().Round(time.Millisecond), done.ReassignedRanges,
		done.DuplicateBytes, 100*(float64(done.OriginBytes)/float64(d.content.Size)-1), brought(done))
	d.remove(t)
	return float64(d.content.Size) / sum / r.wall.Seconds()
}

// remove frees the disk before the test's end.
func (d *download) remove(t *testing.T) {
	t.Helper()
	if err := os.Remove(filepath.Join(d.dir, d.content.Name)); err != nil {
		t.Error(err)
	}
}

// alone compares ddm-client without tracker and peers to curl.
func alone(t *testing.T, tb *table, c *cluster, rate float64) {
	t.Helper()
	path := sized("alone.bin", rate)
	curl := c.lab.Host("client").Start(t, nil, "curl", "-sf", "-o", filepath.Join(t.TempDir(), "curl"), originURL+path)
	status, wall := curl.Wait(t, patience)
	if status != 0 {
		t.Fatalf("curl: exit status %d", status)
	}
	d := c.start(t, "client", t.TempDir(), path)
	r := d.succeed(t)
	tb.add(t, "no peers at all: wall time over curl's", "", false, 1.05, r.wall.Seconds()/wall.Seconds())
}

// killed ends one of four peers half way and sets the time that the rest took
// against what the other lines need for the bytes that were missing then.
func killed(t *testing.T, tb *table, c *cluster, sum, gone float64) {
	t.Helper()
	d := c.get(t, sized("killed.bin", sum))
	d.await(t, "half of the file was in", func(e event) bool {
		return e.Event == "progress" && e.Bytes >= d.content.Size/2
	})
	c.peers["p4"].Kill()
	at := time.Now()
	events, _ := d.events.since(0)
	r := d.succeed(t)
	last := lastProgress(events)
	in := float64(last.Bytes) + sum*at.Sub(last.Time).Seconds()
	rest := r.wall - at.Sub(d.proc.Started)
	need := (float64(d.content.Size) - in) / (sum - gone)
	t.Logf("%.1f %% in when killed; the rest took %.2f s, needs %.2f s", 100*in/float64(d.content.Size), rest.Seconds(), need)
	lost(t, r, "p4")
	d.remove(t)
	tb.add(t, "one of four peers killed: rest over what lines need", "", false, 1.10, rest.Seconds()/need)
}

func lastProgress(events []event) event {
	for _, e := range slices.Backward(events) {
		if e.Event == "progress" {
			return e
		}
	}
	return event{}
}

// stopped sends SIGSTOP to one of four peers and looks when others began to ask
// the origin for what it was bringing.
func stopped(t *testing.T, tb *table, c *cluster, sum float64) {
	t.Helper()
	d := c.get(t, sized("stopped.bin", sum))
	d.half(t)
	c.peers["p4"].Signal(syscall.SIGSTOP)
	at := time.Now()
	r := d.succeed(t)
	c.peers["p4"].Kill()
	c.lastEnd(t)
	lost(t, r, "p4")
	d.remove(t)
	all := pair(c.requests(t), d.path, d.content.Size)
	delay := elsewhere(all, c.lab.Host("p4").Line, at)
	if delay < 0 || delay > 4*time.Second {
		for _, q := range all {
			if q.fin.After(at) && q.start.Before(at.Add(8*time.Second)) {
				t.Logf("%s [%.1f, %.1f) MiB, sent %.1f: %+.2f to %+.2f s", q.client, float64(q.off)/(1<<20), float64(q.end)/(1<<20),
					float64(q.sent)/(1<<20), q.start.Sub(at).Seconds(), q.fin.Sub(at).Seconds())
			}
		}
		for _, e := range r.events {
			if e.Event == "source" {
				t.Logf("%s %s %+.2f s: %s", e.Name, e.Change, e.Time.Sub(at).Seconds(), e.Reason)
			}
		}
	}
	if delay < 0 {
		t.Fatal("the stopped peer had no request open at the origin")
	}
	tb.add(t, "peer stopped: its ranges run elsewhere after", " s", false, 4, delay.Seconds())
}

// request is one GET that the origin saw.
type request struct {
	client     string
	off, end   int64 // asked for
	sent       int64
	start, fin time.Time
}

// elsewhere says how long after the stop the last of the stopped peer's open
// requests was taken over: when another host asked for a range that holds its
// first missing byte, which lies in what the origin had sent of it or is the
// next one.
func elsewhere(all []request, victim string, at time.Time) time.Duration {
	worst := time.Duration(-1)
	for _, stuck := range all {
		if stuck.client != victim || stuck.start.After(at) || stuck.fin.Before(at) {
			continue
		}
		first := time.Duration(math.MaxInt64)
		for _, r := range all {
			if r.client != victim && r.start.After(at) && r.off <= min(stuck.off+stuck.sent, stuck.end-1) && r.end > stuck.off {
				first = min(first, r.start.Sub(at))
			}
		}
		worst = max(worst, first)
	}
	return worst
}

// pair makes requests to one path out of the log's entries.
func pair(log []fileserver.Entry, path string, size int64) []request {
	starts := make(map[int64]fileserver.Entry)
	var all []request
	for _, e := range log {
		if e.Path != path {
			continue
		}
		if e.Event == "start" {
			starts[e.ID] = e
			continue
		}
		r := request{client: e.Client, sent: e.Bytes, start: starts[e.ID].Time, fin: e.Time, end: size}
		first, last, _ := strings.Cut(strings.TrimPrefix(e.Range, "bytes="), "-")
		if n, err := strconv.ParseInt(first, 10, 64); err == nil {
			r.off = n
		}
		if n, err := strconv.ParseInt(last, 10, 64); err == nil {
			r.end = min(size, n+1)
		}
		all = append(all, r)
	}
	return all
}

// requesterKilled kills the client and waits for the origin's last request.
func requesterKilled(t *testing.T, tb *table, c *cluster, sum float64) {
	t.Helper()
	d := c.get(t, sized("orphan.bin", sum))
	d.await(t, "three seconds were over", func(e event) bool {
		return e.Event == "progress" && float64(e.Bytes) >= 3*sum
	})
	at := time.Now()
	d.proc.Kill()
	tb.add(t, "requester killed: origin's last request ends after", " s", false, 1, max(0, c.lastEnd(t).Sub(at).Seconds()))
}
