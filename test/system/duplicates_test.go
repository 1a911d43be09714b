package system_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/origin/origintest"
)

// TestDuplicates draws small LANs by seed (DDM_DUPLICATE_SEEDS, 12): lines and
// ports of all speeds, limits, slow readers, peers that die, freeze or slow down.
// Hardly a byte is asked for twice, whatever holds whom up.
func TestDuplicates(t *testing.T) {
	var size, twice atomic.Int64
	seeds := chaosNumber("DDM_DUPLICATE_SEEDS", 12)
	t.Run("", func(t *testing.T) {
		for seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(uint64(seed), 7)) //nolint:gosec // a test's dice
				f := origintest.NewFile(int64(pick(rnd, 8, 24, 64, 128))*mib, uint64(seed))
				bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
					a := &account{}
					about, err := w.drawn(rnd, a)
					if err != nil {
						w.t.Fatal(err, about)
					}
					spilt := w.origin.Sent() - f.Size - a.done.Duplicate - a.done.Verify
					w.t.Logf("%d MiB in %v: %.2f %% came twice, %.2f %% left the origin in vain; %s", f.Size>>20, a.done.Elapsed,
						share(a.done.Duplicate, f.Size), share(spilt, f.Size), about)
					size.Add(f.Size)
					twice.Add(a.done.Duplicate)
					if a.done.Duplicate > f.Size/50+mib { // a few frames, of which little is known at the start
						w.t.Errorf("%d bytes came twice", a.done.Duplicate)
					}
				})
			})
		}
	})
	t.Logf("%.2f %% came twice", share(twice.Load(), size.Load()))
	if twice.Load() > size.Load()/100 {
		t.Errorf("%.2f %% came twice, at most 1 %% may", share(twice.Load(), size.Load()))
	}
}

func share(part, of int64) float64 { return 100 * float64(part) / float64(max(of, 1)) }

func pick(rnd *rand.Rand, of ...float64) float64 { return of[rnd.IntN(len(of))] }

// drawn downloads on a LAN that dice make, and returns in words what it was.
func (w *world) drawn(rnd *rand.Rand, a *account) (about string, err error) {
	w.tracker()
	about = "peers"
	for i := range 1 + rnd.IntN(5) {
		rate := pick(rnd, 0.2, 0.5, 1, 2, 4, 8) * mib
		h := w.peer(fmt.Sprintf("p%d", i), rate)
		about += fmt.Sprintf(" %.1f", rate/mib)
		if rnd.IntN(5) == 0 {
			lan := pick(rnd, 0.5, 1, 2, 4) * mib
			h.lan.setRate(lan)
			about += fmt.Sprintf(" (LAN %.1f)", lan/mib)
		}
		about += h.fate(w, rnd)
	}
	own := pick(rnd, 0.2, 1, 4, 16, 64) * mib
	about += fmt.Sprintf(", own %.1f", own/mib)
	var limit int64
	if rnd.IntN(4) == 0 {
		limit = int64(pick(rnd, 1, 2, 4, 10) * mib)
		about += fmt.Sprintf(", limit %d", limit>>20)
	}
	job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}}
	if rnd.IntN(4) == 0 {
		rate := pick(rnd, 0, 2, 5, 20) * mib
		job.Stdout = &lazy{rate: rate}
		about += fmt.Sprintf(", reader %.1f", rate/mib)
	}
	return about + " MiB/s", w.user(own, func(o *client.Options) { o.LimitRate = limit }).do(job, a)
}

// fate lets something happen to some peers, and says what.
func (h *helper) fate(w *world, rnd *rand.Rand) string {
	at := time.Duration(rnd.IntN(8000)) * time.Millisecond
	switch rnd.IntN(12) {
	case 0:
		time.AfterFunc(at, func() { h.kill(w) })
		return fmt.Sprintf(" (dies at %v)", at)
	case 1:
		time.AfterFunc(at, func() { h.wan.setRate(mib / 50) })
		return fmt.Sprintf(" (slow from %v)", at)
	case 2:
		time.AfterFunc(at, h.wan.freeze)
		return fmt.Sprintf(" (freezes at %v)", at)
	}
	return ""
}
