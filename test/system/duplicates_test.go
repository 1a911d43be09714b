package system_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
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

// TestDuplicatesOfAStore draws peers that hold a part of a file and fetch the rest
// by their lines, on LANs as fast as the machine: what a store learns to hold
// while its peer brings it is on its way, and is not asked for once more.
func TestDuplicatesOfAStore(t *testing.T) {
	for seed := range chaosNumber("DDM_DUPLICATE_SEEDS", 12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 11)) //nolint:gosec // a test's dice
			size := int64(pick(rnd, 24, 96) * mib)
			f := origintest.NewFile(size, uint64(seed))
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				names := []string{"p", "q"}[:1+rnd.IntN(2)]
				lan, wan := newWire(pick(rnd, 100, 200, 400)*mib), pick(rnd, 40, 100, 200, 400)*mib
				for _, name := range names {
					w.lans.Store(name+":7430", lan) // the client's own port
					w.machine(map[string]float64{"x": wan}).peer(name, peer.Config{Store: memory(w)})
				}
				own := wan * float64(1+rnd.IntN(3)) / 2
				if err := w.user(own, nil).get("/f.bin", &account{}); err != nil { // which leaves the peers a part
					w.t.Fatal(err)
				}
				if err := os.Remove(filepath.Join(w.dir, "f.bin")); err != nil {
					w.t.Fatal(err)
				}
				time.Sleep(time.Minute)
				a := &account{}
				if err := w.user(0, func(o *client.Options) { o.NoLocal = true }).get("/f.bin", a); err != nil {
					w.t.Fatal(err)
				}
				w.holds("f.bin", f)
				w.t.Logf("%d MiB, %d peers, LAN %.0f, lines %.0f MiB/s: %v, %.2f %% came twice; stored %.0f %%", size/mib, len(names), lan.rate/mib, wan/mib, a.done.Elapsed, share(a.done.Duplicate, size), share(a.done.Stored, size))
				if a.done.Duplicate > size/100 {
					w.t.Errorf("%d bytes came twice", a.done.Duplicate)
				}
			})
		})
	}
}

// TestBytesBeforeNewsOfThem has a peer say that its store holds a file while its
// line is bringing it, 10 MiB behind the beginning of a range: the store is asked
// for nothing that was sent before that was said, told to the scheduler or not.
func TestBytesBeforeNewsOfThem(t *testing.T) {
	const size = 64 * mib
	f := origintest.NewFile(size, 5)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		var sent int64 // before it said so
		gen := origin.GenerationToProto(origin.Generation{Size: size, ETag: f.ETag, LastModified: f.Modified.Format(http.TimeFormat)})
		l := &liar{file: f, rate: 100 * mib, probe: &ddmv1.ProbeResponse{Generation: gen, Ranges: true}, open: func(s *lies) error {
			return s.send(&ddmv1.Opened{Lines: []*ddmv1.Line{{Name: "line"}}, MaxLanes: 1})
		}}
		l.order = twist(func(s *lies, a *ddmv1.Assign) error {
			if sent > 0 && a.GetOffset() < sent {
				w.t.Errorf("[%d,%d) is asked for again: %d were sent", a.GetOffset(), a.GetOffset()+a.GetLength(), sent)
			}
			if err := s.started(a, f); err != nil {
				return err
			}
			for off, n := range s.parts(a, a.GetLength(), 256<<10) {
				if err := s.data(a.GetAssignmentId(), off, f.Bytes(off, n)); err != nil {
					return err
				}
				if sent == 0 && off+int64(n)-a.GetOffset() == 10*mib {
					sent = off + int64(n)
					if err := s.send(&ddmv1.HeldChanged{Came: []*ddmv1.Run{{Length: size}}}); err != nil {
						return err
					}
				}
			}
			return s.done(a)
		})
		w.book(trackerAddr).join(w.liar("liar", l))
		a := &account{}
		if err := w.user(0, func(o *client.Options) { o.NoLocal = true }).get("/f.bin", a); err != nil {
			w.t.Fatal(err, a.moves)
		}
		w.holds("f.bin", f)
		if sent == 0 || a.brought("liar/store") == 0 {
			w.t.Errorf("%d MiB were sent first, the store brought %d MiB", sent/mib, a.brought("liar/store")/mib)
		}
	})
}
