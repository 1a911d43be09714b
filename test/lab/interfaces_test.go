//go:build lab && linux

package lab_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ddm/test/lab/fileserver"
	"ddm/test/lab/netlab"
)

// multi is a cluster whose machines have lines by interfaces wan0, wan1, ...
type multi struct {
	*cluster
	lines map[string][]*netlab.WANLine // by host
}

// machine is a host with the rates of its lines.
type machine struct {
	name  string
	rates []netlab.Rate
}

// newMulti makes machines with lines by interface, and starts a tracker and a
// peerd on all but the client.
func newMulti(t *testing.T, machines ...machine) *multi {
	t.Helper()
	all := []netlab.HostConfig{{Name: "tracker"}}
	for _, m := range machines {
		all = append(all, netlab.HostConfig{Name: m.name})
	}
	c := &multi{cluster: newCluster(t, all), lines: make(map[string][]*netlab.WANLine)}
	var peers []string
	for _, m := range machines {
		for i, rate := range m.rates {
			c.lines[m.name] = append(c.lines[m.name], c.lab.AddLine(t, m.name, fmt.Sprintf("wan%d", i), rate))
		}
		if m.name != "client" {
			peers = append(peers, m.name)
		}
	}
	if len(peers) == 0 {
		return c
	}
	c.startTracker(t)
	for _, name := range peers {
		c.peers[name] = c.lab.Host(name).Start(t, nil, binary(t, "peerd"), "--insecure", "--interface", "all",
			"--tracker", c.trackerAddr(), "--name", name, "--state-dir", t.TempDir(), "--allow-origin", netlab.OriginAddr+"/32")
	}
	c.awaitPeers(t, peers...)
	return c
}

// get downloads to the client with the tracker, if there is one.
func (c *multi) get(t *testing.T, path string, flags ...string) *download {
	t.Helper()
	if c.tracker != nil {
		flags = append(flags, "--tracker", c.trackerAddr())
	}
	return c.start(t, "client", t.TempDir(), path, flags...)
}

// measure gives what curl gets on every line of all machines at once, in sum.
func (c *multi) measure(t *testing.T) (sum float64) {
	t.Helper()
	meters := make(map[string]*meter)
	var curls []*netlab.Process
	for host, lines := range c.lines {
		for _, line := range lines {
			m := &meter{start: time.Now()}
			meters[host+"/"+line.Name] = m
			curls = append(curls, c.lab.Host(host).Start(t, m, "curl", "-sN", "--interface", line.Name, originURL+"/ranges/100000000000/measure"))
		}
	}
	time.Sleep(measureTo + 200*time.Millisecond)
	for _, p := range curls {
		p.Kill()
	}
	for name, m := range meters {
		rate := m.rate(t)
		t.Logf("%s: %.2f Mbit/s", name, rate*8/1e6)
		sum += rate
	}
	return sum
}

// sources says what each source brought, by its own name.
func (r result) sources(t *testing.T) map[string]int64 {
	t.Helper()
	given := make(map[string]int64)
	for _, s := range r.last(t, "done").Sources {
		given[s.Name] = s.Bytes
	}
	return given
}

// brings fails the test if one of these sources brought nothing.
func (r result) brings(t *testing.T, names ...string) {
	t.Helper()
	given := r.sources(t)
	for _, name := range names {
		if given[name] == 0 {
			t.Errorf("%s brought nothing: %v", name, given)
		}
	}
}

// clients lists the addresses that asked the origin for a path.
func (c *multi) clients(t *testing.T, path string) []string {
	t.Helper()
	var all []string
	for _, e := range c.requests(t) {
		if e.Path == path && !slices.Contains(all, e.Client) {
			all = append(all, e.Client)
		}
	}
	slices.Sort(all)
	return all
}

func TestInterfaces(t *testing.T) {
	correctness(t)
	c := newMulti(t, machine{"client", []netlab.Rate{16 * netlab.Mbit, 8 * netlab.Mbit}})
	a, b := c.lines["client"][0], c.lines["client"][1]
	for i, tc := range []struct {
		name    string
		flags   []string
		sources []string
		from    []string
	}{
		{"the system's choice", nil, []string{"own line"}, []string{a.Addr}},
		{"all", []string{"--interface", "all"}, []string{"wan0", "wan1"}, []string{a.Addr, b.Addr}},
		{"by name", []string{"--interface", "wan1"}, []string{"wan1"}, []string{b.Addr}},
		{"by address", []string{"--interface", b.Addr, "--interface", a.Addr}, []string{a.Addr, b.Addr}, []string{a.Addr, b.Addr}},
		{"one is missing", []string{"--interface", "wan1,wlan7"}, []string{"wan1"}, []string{b.Addr}},
	} {
		path := fmt.Sprintf("/ranges/%d/%d.bin", 6<<20, i)
		r := c.get(t, path, tc.flags...).succeed(t)
		r.brings(t, tc.sources...)
		if got := c.clients(t, path); !slices.Equal(got, slices.Sorted(slices.Values(tc.from))) {
			t.Errorf("%s: the origin saw %v, want %v", tc.name, got, tc.from)
		}
	}
	d := c.get(t, file, "--interface", "wlan7", "--interface", "10.1.1.1")
	if r := d.end(t); r.status != 28 || !strings.Contains(d.proc.Stderr(), "no interface can be used") {
		t.Errorf("no interface that is there: status %d, %s", r.status, d.proc.Stderr())
	}
}

// TestInterfacesIPv6 downloads over both lines by IPv6.
func TestInterfacesIPv6(t *testing.T) {
	correctness(t)
	c := newMulti(t, machine{"client", []netlab.Rate{16 * netlab.Mbit, 16 * netlab.Mbit}})
	for _, flags := range [][]string{
		{"--interface", "all"},
		{"--interface", c.lines["client"][0].Addr6, "--interface", c.lines["client"][1].Addr6},
	} {
		dir := t.TempDir()
		args := append([]string{"--insecure", "--json", "--dir", dir, "http://[" + netlab.OriginAddr6 + "]:8080" + file}, flags...)
		events := newEventLog()
		p := c.lab.Host("client").Start(t, events, binary(t, "ddm-client"), args...)
		status, _ := p.Wait(t, patience)
		all, _ := events.since(0)
		if status != 0 {
			t.Fatalf("%q: exit status %d: %s", flags, status, events.text())
		}
		given := (result{events: all}).sources(t)
		if len(given) != 2 {
			t.Errorf("sources: %v", given)
		}
		for name, n := range given {
			if n < 4<<20 {
				t.Errorf("%s brought %d bytes", name, n)
			}
		}
	}
	if got := c.clients(t, file); !slices.Equal(got, []string{c.lines["client"][0].Addr6, c.lines["client"][1].Addr6}) {
		t.Errorf("the origin saw %v", got)
	}
}

// TestPeersWithSeveralLines pools two lines of the client with peers of one
// and three.
func TestPeersWithSeveralLines(t *testing.T) {
	correctness(t)
	c := newMulti(
		t, machine{"client", []netlab.Rate{12 * netlab.Mbit, 8 * netlab.Mbit}},
		machine{"p1", []netlab.Rate{8 * netlab.Mbit}}, machine{"p3", []netlab.Rate{8 * netlab.Mbit, 8 * netlab.Mbit, 8 * netlab.Mbit}},
	)
	r := c.get(t, file, "--interface", "all").succeed(t)
	r.brings(t, "wan0", "wan1", "p1", "p3/wan0", "p3/wan1", "p3/wan2")
	if got := c.clients(t, file); len(got) != 6 {
		t.Errorf("the origin saw %v, want six lines", got)
	}
}

// TestLineUnplugged pulls cables in the middle: one of the client's, one of a
// peer's.
func TestLineUnplugged(t *testing.T) {
	correctness(t)
	c := newMulti(
		t, machine{"client", []netlab.Rate{16 * netlab.Mbit, 16 * netlab.Mbit}},
		machine{"p2", []netlab.Rate{8 * netlab.Mbit, 8 * netlab.Mbit}},
	)
	d := c.get(t, file, "--interface", "all")
	d.half(t)
	c.lines["client"][0].Unplug(t) // the one of the lowest metric
	c.lines["p2"][1].Unplug(t)
	r := d.succeed(t)
	r.brings(t, "wan0", "wan1", "p2/wan0", "p2/wan1")
	for _, name := range []string{"wan0", "p2/wan1"} {
		if !slices.ContainsFunc(r.events, func(e event) bool { return e.Event == "source" && e.Name == name && e.Change != "joined" }) {
			t.Errorf("no event says that %s was lost", name)
		}
	}
}

// TestQuotaRunsOut uses a quota up in the middle of a download; the next one
// finds it used up.
func TestQuotaRunsOut(t *testing.T) {
	correctness(t)
	const quota = 6 << 20
	c := newMulti(t, machine{"client", []netlab.Rate{16 * netlab.Mbit, 16 * netlab.Mbit}})
	wan1 := c.lines["client"][1]
	state := t.TempDir()
	flags := []string{"--interface", "wan0", "--interface", "wan1,quota=6MiB", "--state-dir", state}
	r := c.get(t, file, flags...).succeed(t)
	n := r.sources(t)["wan1"]
	for i := 0; i < 3 && n < quota*9/10; i++ { // on a busy machine a line may seem to add nothing
		n += c.get(t, fmt.Sprintf("/ranges/20000000/more%d.bin", i), flags...).succeed(t).sources(t)["wan1"]
	}
	if n > quota || n < quota*9/10 {
		t.Errorf("wan1 brought %d bytes of a quota of %d", n, quota)
	}
	sent := wan1.Bytes(t)
	t.Logf("the origin sent %.2f MiB over a line with a quota of 6 MiB, headers included", float64(sent)/(1<<20))
	if sent > quota+quota/4 {
		t.Errorf("%d bytes were sent over the line, the quota is %d", sent, quota)
	}
	r = c.get(t, "/ranges/4000000/next.bin", flags...).succeed(t)
	if n := r.sources(t)["wan1"]; n > quota/10 {
		t.Errorf("wan1 brought %d bytes after its quota", n)
	}

	d := c.get(t, "/ranges/4000000/last.bin", "--interface", "wan1,quota=6MiB", "--state-dir", state)
	if r := d.end(t); r.status != 41 || !strings.Contains(r.last(t, "error").Message, "the quota of line wan1 (6.0 MiB a month) is used up; it is fresh again on ") {
		t.Errorf("nobody left: status %d: %s", r.status, d.events.text())
	}
	if names, err := filepath.Glob(filepath.Join(state, "quota", "*.json")); err != nil || len(names) != 1 {
		t.Errorf("accounts: %v, %v", names, err)
	}
}

// TestQuotaSurvivesKills kills the client again and again while it uses a quota
// up.
func TestQuotaSurvivesKills(t *testing.T) {
	correctness(t)
	const quota, long = 24 << 20, "/ranges/60000000/long.bin"
	c := newMulti(t, machine{"client", []netlab.Rate{40 * netlab.Mbit}})
	state, dir := t.TempDir(), t.TempDir()
	for range 4 {
		d := c.start(t, "client", dir, long, "--interface", "wan0", "--quota", "24MiB", "--state-dir", state)
		d.await(t, "bytes came", func(e event) bool { return e.Event == "progress" && e.Bytes > 0 })
		d.proc.Kill()
	}
	d := c.start(t, "client", dir, long, "--interface", "wan0", "--quota", "24MiB", "--state-dir", state)
	if r := d.end(t); r.status != 41 {
		t.Errorf("status %d: %s", r.status, d.events.text())
	}
	sent := c.lines["client"][0].Bytes(t)
	t.Logf("the origin sent %.2f MiB over a line with a quota of 24 MiB, headers included", float64(sent)/(1<<20))
	if sent > quota+quota/4+4*(256<<10) { // each kill loses what was in flight
		t.Errorf("%d bytes were sent over the line, the quota is %d", sent, quota)
	}
}

// TestLineFigures judges one machine's two lines, alone and beside peers.
func TestLineFigures(t *testing.T) {
	figures(t)
	client := machine{"client", []netlab.Rate{30 * netlab.Mbit, 10 * netlab.Mbit}}
	var tb table
	for round := range 3 {
		t.Run(fmt.Sprintf("round %d, alone", round+1), func(t *testing.T) {
			c := newMulti(t, client)
			tb.add(t, "one machine, lines of 30 and 10 Mbit/s: T*/T", "", true, 0.97, c.ratio(t))
		})
		t.Run(fmt.Sprintf("round %d, beside peers", round+1), func(t *testing.T) {
			ten := 10 * netlab.Mbit
			c := newMulti(t, client, machine{"p1", []netlab.Rate{ten}}, machine{"p3", []netlab.Rate{ten, ten, ten}})
			tb.add(t, "the same beside peers of one and three lines of 10: T*/T", "", true, 0.95, c.ratio(t))
		})
	}
	tb.print(t)
}

// ratio is T*/T of a download over all lines.
func (c *multi) ratio(t *testing.T) float64 {
	t.Helper()
	sum := c.measure(t)
	d := c.get(t, sized("lines.bin", sum), "--interface", "all")
	r := d.succeed(t)
	ratio := float64(d.content.Size) / sum / r.wall.Seconds()
	t.Logf("T* %.2f s, T %.2f s, %v", float64(d.content.Size)/sum, r.wall.Seconds(), r.sources(t))
	d.remove(t)
	return ratio
}

// TestNamesOverTheLine asks name servers over the line that is used; where they
// do not answer on it, in the system's way.
func TestNamesOverTheLine(t *testing.T) {
	correctness(t)
	c := newMulti(t, machine{"client", []netlab.Rate{16 * netlab.Mbit, 16 * netlab.Mbit}})
	client, far, near := c.lab.Host("client"), new(askers), new(askers)
	binds := map[string]string{"by name": "wan1", "by address": c.lines["client"][1].Addr}
	for _, tc := range []struct {
		name, server string
		host         *netlab.Host
		out          *askers
	}{
		{"reached over the line", netlab.OriginAddr, c.lab.Origin(), far},
		{"on the LAN only", c.lab.Host("tracker").IP, c.lab.Host("tracker"), near},
	} {
		p := tc.host.Start(t, tc.out, binary(t, "names"), "-listen", tc.server+":53", "-answer", netlab.OriginAddr)
		until(t, "the name server answers", func() bool { return strings.Contains(p.Stderr(), "ready") })
		client.NameServer(t, tc.server)
		for how, bind := range binds {
			d := &download{dir: t.TempDir(), events: newEventLog()}
			url := "http://files.example:8080/ranges/2000000/f.bin"
			d.content, _ = fileserver.Parse("/ranges/2000000/f.bin")
			d.proc = client.Start(t, d.events, binary(t, "ddm-client"), "--insecure", "--json", "--dir", d.dir, "--interface", bind, url)
			r := d.succeed(t)
			if given := r.sources(t); given[bind] != 2_000_000 {
				t.Errorf("%s, %s: %v", tc.name, how, given)
			}
		}
	}
	if got := far.all(); !slices.Equal(got, []string{c.lines["client"][1].Addr}) {
		t.Errorf("the name server behind the lines was asked from %v, want only %s", got, c.lines["client"][1].Addr)
	}
	if got := near.all(); !slices.Equal(got, []string{client.IP}) {
		t.Errorf("the name server on the LAN was asked from %v, want only %s", got, client.IP)
	}
}

// askers is what a name server printed.
type askers struct {
	mu   sync.Mutex
	text strings.Builder
}

func (a *askers) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.Write(p)
}

// all gives every address once, in order.
func (a *askers) all() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Compact(slices.Sorted(strings.FieldsSeq(a.text.String())))
}
