//go:build lab && linux

package lab_test

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"ddm/test/lab/fileserver"
	"ddm/test/lab/netlab"
)

// Between these moments of a transfer a line's rate is taken: after slow start,
// and long enough to even out the queue.
const (
	measureFrom = 2 * time.Second
	measureTo   = 8 * time.Second
)

// meter counts what curl brings between two moments.
type meter struct {
	start  time.Time
	mu     sync.Mutex
	bytes  int64
	opened time.Time // first write at or after measureFrom; zero: none yet
	from   int64
	closed time.Time // last write up to measureTo
	to     int64
}

func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.bytes += int64(len(p))
	switch age := now.Sub(m.start); {
	case age < measureFrom:
	case m.opened.IsZero():
		m.opened, m.from = now, m.bytes
	case age <= measureTo:
		m.closed, m.to = now, m.bytes
	}
	return len(p), nil
}

// rate is in body bytes per second.
func (m *meter) rate(t *testing.T) float64 {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	span := m.closed.Sub(m.opened)
	if m.opened.IsZero() || span < (measureTo-measureFrom)/2 {
		t.Fatalf("curl brought too little to measure a line: %d bytes", m.bytes)
	}
	return float64(m.to-m.from) / span.Seconds()
}

// measure runs curl on the lines of all these hosts at once, and gives what
// each gets, in bytes per second.
func (c *cluster) measure(t *testing.T, names ...string) map[string]float64 {
	t.Helper()
	meters := make(map[string]*meter)
	var curls []*netlab.Process
	for _, name := range names {
		m := &meter{start: time.Now()}
		meters[name] = m
		curls = append(curls, c.lab.Host(name).Start(t, m, "curl", "-sN", originURL+"/ranges/100000000000/measure"))
	}
	time.Sleep(measureTo + 200*time.Millisecond)
	for _, p := range curls {
		p.Kill()
	}
	rates := make(map[string]float64)
	for name, m := range meters {
		rates[name] = m.rate(t)
	}
	return rates
}

// TestLinesWithCurl proves the lab itself: curl gets the right bytes on every
// line, all hosts at once, under one URL.
func TestLinesWithCurl(t *testing.T) {
	correctness(t)
	c := newCluster(t, hosts(40*netlab.Mbit, 20*netlab.Mbit, 10*netlab.Mbit))
	dir := t.TempDir()
	const path = "/ranges/3000000/a.bin"
	content, err := fileserver.Parse(path)
	if err != nil {
		t.Fatal(err)
	}
	var curls []*netlab.Process
	names := []string{"client", "p1", "p2"}
	for _, name := range names {
		curls = append(curls, c.lab.Host(name).Start(t, nil, "curl", "-sf", "-o", filepath.Join(dir, name), originURL+path))
	}
	want, err := io.ReadAll(content.Reader())
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range curls {
		status, wall := p.Wait(t, patience)
		got, err := os.ReadFile(filepath.Join(dir, names[i]))
		if status != 0 || err != nil || string(got) != string(want) {
			t.Errorf("curl on %s: status %d, %v, %d bytes", names[i], status, err, len(got))
		}
		t.Logf("curl on %s: %.1f Mbit/s", names[i], float64(len(got))*8/1e6/wall.Seconds())
	}
	c.lastEnd(t)
	seen := make(map[string]bool)
	for _, e := range c.requests(t) {
		seen[e.Client] = true
	}
	if len(seen) != len(names) {
		t.Errorf("the origin saw clients %v, want one for each line", seen)
	}
	if status, _ := c.lab.Host("tracker").Start(t, nil, "curl", "-s", "-m", "1", originURL+path).Wait(t, patience); status == 0 {
		t.Error("a host without a line reaches the origin")
	}
}

// TestLineRates judges the lab: each line carries what it was made for.
func TestLineRates(t *testing.T) {
	figures(t)
	rates := map[string]netlab.Rate{"client": 100 * netlab.Mbit, "p1": 50 * netlab.Mbit, "p2": 20 * netlab.Mbit, "p3": 5 * netlab.Mbit}
	c := newCluster(t, hosts(rates["client"], rates["p1"], rates["p2"], rates["p3"]))
	for name, got := range c.measure(t, "client", "p1", "p2", "p3") {
		made := float64(rates[name]) / 8
		t.Logf("%s: %.2f of %.2f Mbit/s", name, got*8/1e6, made*8/1e6)
		if got < 0.9*made || got > 1.01*made {
			t.Errorf("%s carries %.0f bytes/s, made for %.0f", name, got, made)
		}
	}
}
