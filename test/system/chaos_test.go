package system_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

// TestChaos runs seeds DDM_CHAOS_FIRST (0) to DDM_CHAOS_FIRST+DDM_CHAOS_SEEDS
// (100; 500 in make test): tracker, peers, liars and a client
// that may be killed, with a random choice of faults at random times. Then all
// is mended but one honest source, which may be the own line or a peer. Every
// download must end soon after that, with the bytes of one generation.
//
// Each 24th seed has a swarm besides (chaosSwarm).
//
// What happens is repeated by a seed, how goroutines interleave is not.
func TestChaos(t *testing.T) {
	t.Parallel()
	first, n := chaosNumber("DDM_CHAOS_FIRST", 0), chaosNumber("DDM_CHAOS_SEEDS", 100)
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			bubble(t, nil, func(w *world) { newChaos(w, uint64(seed)).run() })
		})
		if seed%swarmEvery == 0 {
			t.Run(fmt.Sprint("swarm, seed=", seed), func(t *testing.T) {
				bubble(t, nil, func(w *world) { newChaosSwarm(w, uint64(seed)).run() })
			})
		}
	}
}

func chaosNumber(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

const (
	chaosSpan   = 25 * time.Second // in which faults begin
	chaosMended = 40 * time.Second // when everything is mended but one source
	// How long the last run may take: its patience, the longest pause of a
	// source that failed, and the work itself.
	chaosBound = 5 * time.Minute
)

// chaos is one random download.
type chaos struct {
	*world

	rng     *rand.Rand // of the test's own goroutine
	began   time.Time
	size    int64
	digests bool // are known, so that liars can be told
	pieces  bool // the digests are of pieces, not of the whole
	noLocal bool
	// Bytes may have to be taken back: of replies that their end condemns, or of
	// a liar.
	condemned bool
	user      *user

	peers     []*helper // of who plays the faults, like what follows
	stopTrack func()

	mu     sync.Mutex        // guards what follows
	gens   []origintest.File // that the origin served, newest last
	faults []origintest.Fault
	story  []string
}

func newChaos(w *world, seed uint64) *chaos {
	c := &chaos{world: w, rng: rand.New(rand.NewPCG(seed, 77)), began: time.Now()}
	c.size = int64(1 + c.rng.IntN(2*mib))
	switch c.rng.IntN(8) {
	case 0:
		c.size = int64(1 + c.rng.IntN(5))
	case 1:
		c.size += 3 * mib
	}
	c.digests, c.pieces = c.chance(3), c.chance(2)
	c.noLocal = c.chance(6)
	c.change(c.rng.Uint64())
	c.stopTrack = w.tracker()
	peers := c.rng.IntN(4)
	if c.noLocal {
		peers = max(peers, 1)
	}
	for i := range peers {
		c.peers = append(c.peers, w.peer(fmt.Sprint("peer", i), c.rate()))
	}
	if c.digests && c.rng.IntN(2) == 0 || c.chance(4) {
		c.enlist("liar", c.liar())
		c.condemned = true
	}
	c.user = w.user(c.rate(), func(o *client.Options) { o.NoLocal = c.noLocal })
	c.tell("%d bytes, %d peers, digests %v, of pieces %v, no own line %v", c.size, peers, c.digests, c.pieces, c.noLocal)
	return c
}

// chance is true once in n times.
func (c *chaos) chance(n int) bool { return c.rng.IntN(n) == 0 }

// rate is one that takes the whole file in up to 40 s.
func (c *chaos) rate() float64 { return float64(c.size)/(4+36*c.rng.Float64()) + 8<<10 }

func (c *chaos) within(d time.Duration) time.Duration { return time.Duration(c.rng.Int64N(int64(d))) }

func (c *chaos) tell(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.story = append(c.story, fmt.Sprintf("%6.2fs ", time.Since(c.began).Seconds())+fmt.Sprintf(format, args...))
}

// change gives the resource another generation.
func (c *chaos) change(gen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gens = append(c.gens, origintest.NewFile(c.size, gen))
	c.serveLocked()
}

// fail changes how the origin fails.
func (c *chaos) fail(change func(faults []origintest.Fault) []origintest.Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = change(c.faults)
	c.serveLocked()
}

func (c *chaos) serveLocked() { c.origin.Set("/f.bin", c.gens[len(c.gens)-1].With(c.faults...)) }

// current is what the origin serves now.
func (c *chaos) current() origintest.File {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gens[len(c.gens)-1]
}

// run plays the faults beside the download and judges the end.
func (c *chaos) run() {
	ctx, stop := context.WithCancel(c.t.Context())
	played := make(chan struct{})
	plan := c.plan()
	go func() {
		defer close(played)
		c.play(ctx, plan)
	}()
	defer func() {
		stop()
		<-played
		c.stopTrack()
		if c.t.Failed() {
			c.t.Log("\n" + strings.Join(c.story, "\n"))
		}
	}()
	var lasts []string
	for runs := 1; ; runs++ {
		began := time.Now()
		a, err := c.once()
		took := time.Since(began)
		lasts = append(lasts, fmt.Sprintf("run %d at %v, %v: %v %v %v", runs, began.Sub(c.began), took, err, a.moves, a.notes))
		if err == nil {
			break
		}
		if took >= chaosBound {
			c.t.Errorf("stuck: a run took %v: %v\n%s", took, a.last(), strings.Join(lasts, "\n"))
			return
		}
		if began.Sub(c.began) > chaosMended || runs > 50 {
			c.t.Errorf("still fails after everything was mended: %v\n%s", err, strings.Join(lasts, "\n"))
			return
		}
		wait := time.NewTimer(time.Second)
		<-wait.C
	}
	if took := time.Since(c.began); took > chaosMended+chaosBound {
		c.t.Errorf("took %v", took)
	}
	c.judge()
}

// once runs the client, which may be killed on the way.
func (c *chaos) once() (*account, error) {
	ctx, kill := context.WithTimeout(c.t.Context(), chaosBound)
	defer kill()
	a := &account{retracted: c.condemned}
	var disk []remains
	switch mended := time.Since(c.began) > chaosMended; {
	case mended:
	case c.chance(2):
		at, fell := time.Now().Add(c.within(20*time.Second)), false
		a.at = func(progressSnapshot) {
			if !fell && time.Now().After(at) {
				fell, disk = true, c.snapshot()
				kill()
			}
		}
	case c.chance(4):
		at, slept := time.Now().Add(c.within(20*time.Second)), false
		a.at = func(progressSnapshot) {
			if !slept && time.Now().After(at) {
				slept = true
				time.Sleep(70 * time.Second) // stopped, and continued
			}
		}
	}
	job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: c.dir}
	switch f := c.current(); { // which never changes where digests are known
	case c.digests && c.pieces:
		job.Pieces = piecesOf(f)
	case c.digests:
		sum := f.SHA256(f.Size)
		job.Checksums = []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}}
	}
	err := c.user.c.Download(ctx, job, a)
	a.check(c.t, err)
	if disk != nil && err != nil {
		c.restore(disk)
		err = fmt.Errorf("killed: %w", err)
	}
	if err != nil && errors.Is(err, errdefs.Internal) {
		c.t.Error(err)
	}
	return a, err
}

// remains is a file as a kill leaves it.
type remains struct {
	name string
	data []byte
}

// snapshot keeps what lies on disk: what a client leaves that dies now. The
// journal is read first, as it must never be ahead of the data.
func (c *chaos) snapshot() []remains {
	disk := []remains{}
	for _, name := range []string{".f.bin.ddm-journal", ".f.bin.ddm-part"} {
		if data, err := os.ReadFile(filepath.Join(c.dir, name)); err == nil {
			disk = append(disk, remains{name, data})
		}
	}
	return disk
}

func (c *chaos) restore(disk []remains) {
	for _, name := range []string{".f.bin.ddm-journal", ".f.bin.ddm-part"} {
		_ = os.Remove(filepath.Join(c.dir, name))
	}
	for _, r := range disk {
		if err := os.WriteFile(filepath.Join(c.dir, r.name), r.data, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// last is how far it came.
func (a *account) last() string {
	if len(a.snaps) == 0 {
		return "no progress at all"
	}
	return fmt.Sprintf("%+v", a.snaps[len(a.snaps)-1])
}

// judge looks at what lies under the final name.
func (c *chaos) judge() {
	got, err := os.ReadFile(filepath.Join(c.dir, "f.bin"))
	if err != nil {
		c.t.Error(err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.ContainsFunc(c.gens, func(f origintest.File) bool { return int64(len(got)) == f.Size && f.Verify(got, 0) }) {
		c.t.Errorf("%d bytes of no generation, or of more than one", len(got))
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "f.bin" && !strings.Contains(e.Name(), ".old-") {
			c.t.Errorf("%s is left behind", e.Name())
		}
	}
}
