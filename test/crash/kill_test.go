//go:build unix

package crash_test

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ddm/internal/origin/origintest"
	"ddm/test/program"
)

const (
	mib = 1 << 20
	// What a kill may cost: what was not checkpointed, what was on its way, and
	// what the next run's probe is sent although it is there already.
	unsynced = 64 * mib
	inFlight = 32 * mib
	probe    = mib
	// What a run may be sent that nobody takes: a lane whose tail was stolen is
	// cut off while the system still holds bytes of it, 4 MiB each way on
	// loopback.
	stolen = 8 * mib
)

var programs program.Set

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait for lines, not for a processor.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	programs.Remove()
	os.Exit(code)
}

func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestKill kills the client at random moments and starts it again until the
// download is done, over and over. Moments are chosen by what the origin has
// sent, not by the clock alone, so that a slow machine meets the same ones.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := number(t, "DDM_KILLS", 20)
	seed := number(t, "DDM_SEED", uint64(time.Now().UnixNano()))
	t.Logf("DDM_KILLS=%d DDM_SEED=%d", kills, seed)
	shapes := []shape{
		{name: "own line", size: 8 * mib, rate: 4 * mib},
		{name: "own line, checksum", size: 8*mib + 4711, rate: 4 * mib, checksum: true},
		{name: "tiny", size: 100_001, rate: mib, checksum: true},
		{name: "big", size: 160 * mib, rate: 120 * mib},
		{name: "unknown size", size: 3*mib + 5, rate: 3 * mib, sized: -1},
		{name: "two peers", size: 12*mib + 1, rate: 2 * mib, peers: 2},
		{name: "two peers, checksum", size: 12 * mib, rate: 2 * mib, peers: 2, checksum: true},
	}
	var all tally
	t.Cleanup(func() { t.Log(all.String()) })
	for i, s := range shapes {
		share := int(kills)*(i+1)/len(shapes) - int(kills)*i/len(shapes)
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorker(t, s, seed+uint64(i), &all)
			for n := 0; share > 0; n++ {
				share -= w.download(t, fmt.Sprintf("file%d.bin", n), share)
			}
		})
	}
}

// tally counts what the kills met.
type tally struct {
	mu        sync.Mutex
	downloads int
	kills     int
	peers     int            // killed peers
	found     map[string]int // what lay on disk after a kill
	lost      int64          // most bytes that one kill cost
	resumed   int            // runs that went on from something
}

func (a *tally) note(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *tally) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d downloads, %d kills of the client, %d of peers; %d runs resumed; a kill cost %.1f MiB at most; on disk after a kill:",
		a.downloads, a.kills, a.peers, a.resumed, float64(a.lost)/mib)
	for _, state := range slices.Sorted(func(yield func(string) bool) {
		for state := range a.found {
			if !yield(state) {
				return
			}
		}
	}) {
		fmt.Fprintf(&b, " %s %d;", state, a.found[state])
	}
	return b.String()
}

// shape is a kind of download.
type shape struct {
	name     string
	size     int64
	sized    int64   // -1: the origin does not tell the size
	rate     float64 // bytes per second of each line
	peers    int
	checksum bool // the client verifies before it commits
}

// worker repeats downloads of one shape, with an origin and peers of its own.
type worker struct {
	shape

	rng     *rand.Rand
	tally   *tally
	origin  *origintest.Server
	dir     string
	tracker string
	helpers []*program.Process
}

func newWorker(t *testing.T, s shape, seed uint64, all *tally) *worker {
	t.Helper()
	w := &worker{
		shape: s, tally: all, dir: t.TempDir(), rng: rand.New(rand.NewPCG(seed, 1)),
		origin: origintest.New(t, origintest.Options{Throttle: origintest.Throttle{PerClient: s.rate}}),
	}
	if s.peers == 0 {
		return w
	}
	_, w.tracker = programs.Tracker(t)
	for i := range s.peers {
		w.helpers = append(w.helpers, w.peer(t, i))
	}
	programs.AwaitPeers(t, w.tracker, s.peers)
	return w
}

func (w *worker) peer(t *testing.T, i int) *program.Process {
	t.Helper()
	return programs.Peer(t, w.tracker, fmt.Sprintf("peer%d", i), fmt.Sprintf("127.0.0.%d", i+2))
}

// download downloads one file and kills the client up to most times on the way.
// It returns how often.
func (w *worker) download(t *testing.T, name string, most int) (killed int) {
	t.Helper()
	file := origintest.NewFile(w.size, w.rng.Uint64())
	if w.sized < 0 {
		file = file.With(origintest.Fault{Status: 200, Chunked: true})
	}
	w.origin.Set("/"+name, file)
	sum := file.SHA256(w.size)
	most = min(most, 1+w.rng.IntN(5))
	before := w.origin.Sent()
	have, runs := int64(0), int64(0)
	for {
		runs++
		start := w.origin.Sent()
		taken := exists(filepath.Join(w.dir, name))
		p := w.start(t, name, sum)
		cut := killed < most && w.killAtRandom(t, p)
		status := p.Wait(t)
		var resumed int64
		if e, ok := p.Event("start"); ok {
			resumed = e.Resumed
			w.tally.note(func() {
				if resumed > 0 {
					w.tally.resumed++
				}
				w.tally.lost = max(w.tally.lost, have-resumed)
			})
			if lost := have - resumed; lost > unsynced+inFlight+probe {
				t.Errorf("%s: a kill cost %d bytes", name, lost)
			}
			have = resumed + w.origin.Sent() - start // at most
		}
		if cut {
			killed++
			w.afterKill(t, name, file)
			continue
		}
		if want := map[bool]int{false: 0, true: 13}[taken]; status != want {
			t.Fatalf("%s: exit %d, want %d", name, status, want)
		}
		break
	}
	w.complete(t, name, sum)
	if again := w.origin.Sent() - before - w.size; w.sized >= 0 && again > int64(killed)*(unsynced+inFlight)+runs*(probe+stolen) {
		t.Errorf("%s: %d bytes were fetched again for %d kills", name, again, killed)
	}
	w.tally.note(func() { w.tally.downloads++; w.tally.kills += killed })
	for i, h := range w.helpers {
		if h.Ended() {
			w.helpers[i] = w.peer(t, i)
		}
	}
	return killed
}

func (w *worker) start(t *testing.T, name string, sum [sha256.Size]byte) *program.Process {
	t.Helper()
	args := []string{"--insecure", "--json", "--dir", w.dir, "--interface", "127.0.0.1"}
	if w.checksum {
		args = append(args, "--checksum", fmt.Sprintf("sha256:%x", sum))
	}
	if w.tracker != "" {
		args = append(args, "--tracker", w.tracker)
	} else {
		args = append(args, "--local-only")
	}
	return program.Start(t, programs.Path(t, "ddm-client"), append(args, w.origin.URL+"/"+name)...)
}

// killAtRandom reports whether it was the kill that ended the client.
func (w *worker) killAtRandom(t *testing.T, p *program.Process) bool {
	t.Helper()
	start := w.origin.Sent()
	share := float64(0)  // of what is missing, that must have been sent
	pause := time.Second // then up to that
	switch w.rng.IntN(5) {
	case 0: // while it begins
		pause = 100 * time.Millisecond
	case 1, 2: // while it fetches
		share, pause = w.rng.Float64(), 20*time.Millisecond
	case 3: // while it writes the last bytes, verifies and commits
		share, pause = 1, 150*time.Millisecond
	case 4: // whenever
	}
	if len(w.helpers) > 0 && w.rng.IntN(3) == 0 {
		victim := w.helpers[w.rng.IntN(len(w.helpers))]
		if w.sentShare(t, p, start, share*w.rng.Float64()) && victim.Kill() {
			w.tally.note(func() { w.tally.peers++ })
		}
	}
	w.sentShare(t, p, start, share)
	wait := time.NewTimer(time.Duration(w.rng.Int64N(int64(pause))))
	defer wait.Stop()
	<-wait.C
	return p.Kill()
}

// sentShare waits until the origin sent a share of what the client lacks.
func (w *worker) sentShare(t *testing.T, p *program.Process, start int64, share float64) bool {
	t.Helper()
	return share == 0 || p.Until(t, "the origin sent enough", func() bool {
		e, begun := p.Event("start")
		return begun && float64(w.origin.Sent()-start) >= share*float64(w.size-e.Resumed)
	})
}

// afterKill checks what a killed client leaves: a final name is only given to
// what is complete.
func (w *worker) afterKill(t *testing.T, name string, file origintest.File) {
	t.Helper()
	var state []string
	for _, entry := range []string{name, "." + name + ".ddm-part", "." + name + ".ddm-journal", "." + name + ".ddm-journal.new"} {
		if exists(filepath.Join(w.dir, entry)) {
			state = append(state, strings.TrimPrefix(strings.Replace(entry, name, "", 1), "..ddm-"))
		}
	}
	if slices.Contains(state, "") {
		state[slices.Index(state, "")] = "finished"
		if got, err := digest(filepath.Join(w.dir, name)); err != nil || got != file.SHA256(file.Size) {
			t.Errorf("%s has its name and is not complete: %v", name, err)
		}
	}
	if state == nil {
		state = []string{"nothing"}
	}
	w.tally.note(func() {
		if w.tally.found == nil {
			w.tally.found = make(map[string]int)
		}
		w.tally.found[strings.Join(state, "+")]++
	})
}

// complete checks the file and that nothing else is there, and removes it.
func (w *worker) complete(t *testing.T, name string, sum [sha256.Size]byte) {
	t.Helper()
	path := filepath.Join(w.dir, name)
	got, err := digest(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != sum {
		t.Errorf("%s: wrong content", name)
	}
	if w.sized < 0 {
		w.removeKept(t, name)
	}
	alone(t, w.dir, name)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// removeKept removes what a run kept aside: a part file whose length was never
// known is of no use to a later run, and is not destroyed without being asked.
func (w *worker) removeKept(t *testing.T, name string) {
	t.Helper()
	kept, err := filepath.Glob(filepath.Join(w.dir, "."+name+".ddm-*.old-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range kept {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// alone checks that a folder holds one file and nothing else.
func alone(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != name {
			t.Errorf("%s is left over", e.Name())
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func digest(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// TestGoesOnFromCheckpoint makes sure that the kills above mean something: what
// the journal speaks of is not fetched again.
func TestGoesOnFromCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorker(t, shape{size: 12 * mib, rate: 4 * mib}, 1, &tally{})
	file := origintest.NewFile(w.size, 7)
	w.origin.Set("/a.bin", file)
	journal := filepath.Join(w.dir, ".a.bin.ddm-journal")
	p := w.start(t, "a.bin", [sha256.Size]byte{})
	var first []byte // the journal as it begins
	p.Until(t, "the journal speaks of bytes", func() bool {
		now, err := os.ReadFile(journal)
		if err != nil || len(now) == 0 {
			return false
		}
		if first == nil {
			first = now
		}
		return !bytes.Equal(first, now)
	})
	if !p.Kill() {
		t.Fatal("it ended before its first checkpoint")
	}
	sent := w.origin.Sent()
	p = w.start(t, "a.bin", [sha256.Size]byte{})
	if status := p.Wait(t); status != 0 {
		t.Fatalf("exit %d", status)
	}
	e, _ := p.Event("start")
	if e.Resumed == 0 {
		t.Error("nothing was resumed")
	}
	if again := w.origin.Sent() - sent; again > w.size-e.Resumed+probe {
		t.Errorf("%d bytes were sent though %d of %d were there", again, e.Resumed, w.size)
	}
	w.complete(t, "a.bin", file.SHA256(w.size))
}
