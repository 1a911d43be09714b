package system_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/origin/origintest"
	"ddm/peer"
)

// swarmFile is long enough for leases of several sizes, and short enough for
// the race detector.
const swarmFile = 32*mib + 12345

// shared makes all sharers' own lines one.
func shared(list []*swarmer, rate float64) {
	line := newWire(rate)
	for _, s := range list {
		s.wan = line
	}
}

func TestSwarmTakesOneCopy(t *testing.T) {
	f := origintest.NewFile(2*swarmFile, 1)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		list := w.swarmers(4, 0)
		shared(list, 20e6)
		w.all(list)
		for _, s := range list {
			s.same(f)
			if most := 1.2 * 2 * swarmFile / 20e6; s.took.Seconds() > most {
				w.t.Errorf("%s took %v, want %.1f s at most", s.name, s.took, most)
			}
		}
		if n := w.copies(f); n > 1.03 {
			w.t.Errorf("%.3f copies left the origin", n)
		}
	})
}

func TestSwarmStaggered(t *testing.T) {
	f := origintest.NewFile(2*swarmFile, 1)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		list := w.swarmers(4, 0)
		shared(list, 20e6)
		w.all(list, 0, 300*time.Millisecond, 1200*time.Millisecond, 2*time.Second)
		for _, s := range list {
			s.same(f)
		}
		if n := w.copies(f); n > 1.03 {
			w.t.Errorf("%.3f copies left the origin", n)
		}
	})
}

// TestSwarmLosesAnOwner kills, in the middle, the client that fetches about half
// of the file.
func TestSwarmLosesAnOwner(t *testing.T) {
	f := origintest.NewFile(swarmFile, 1)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		list := w.swarmers(4, 2e6)
		list[0].wan.setRate(6e6)
		list[0].a.once(0.5, list[0].dies)
		w.all(list)
		if !errors.Is(list[0].err, context.Canceled) {
			w.t.Errorf("the one that was killed: %v", list[0].err)
		}
		for _, s := range list[1:] {
			s.same(f)
			if !s.a.moved("c0", "left") && !s.a.moved("c0", "failed") {
				w.t.Errorf("%s does not name it: %v", s.name, s.a.moves)
			}
		}
		if n := w.copies(f); n > 1.10 {
			w.t.Errorf("%.3f copies left the origin", n)
		}
	})
}

func TestSwarmAndTheTrackersRestart(t *testing.T) {
	f := origintest.NewFile(swarmFile, 1)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		stop := w.tracker()
		list := w.swarmers(4, 0)
		shared(list, 10e6)
		list[0].a.once(0.4, func() {
			go func() {
				stop()
				time.Sleep(300 * time.Millisecond)
				w.tracker()
			}()
		})
		w.all(list)
		for _, s := range list {
			s.same(f)
		}
		if n := w.copies(f); n > 1.05 {
			w.t.Errorf("%.3f copies left the origin", n)
		}
	})
}

// TestSwarmWithoutItsTracker goes on when the tracker is dead for good: the
// members share out what is left among themselves.
func TestSwarmWithoutItsTracker(t *testing.T) {
	f := origintest.NewFile(2*swarmFile, 1)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		stop := w.tracker()
		list := w.swarmers(4, 0)
		shared(list, 5e6)
		list[0].a.once(0.3, func() { go stop() })
		w.all(list)
		for _, s := range list {
			s.same(f)
			if most := 1.4 * 2 * swarmFile / 5e6; s.took.Seconds() > most {
				w.t.Errorf("%s took %v, want %.1f s at most", s.name, s.took, most)
			}
		}
		if n := w.copies(f); n > 1.5 {
			w.t.Errorf("%.3f copies left the origin", n)
		}
	})
}

// TestLaterClientAsksForOneByte downloads what a peer's store holds: the origin
// only says that it still is the same.
func TestLaterClientAsksForOneByte(t *testing.T) {
	f := origintest.NewFile(40*mib+12345, 1)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		kept := memory(w)
		w.machine(map[string]float64{"x": 20e6}).peer("p", peer.Config{Store: kept})
		sum := f.SHA256(f.Size)
		known := []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}}
		first := w.user(1, func(o *client.Options) { o.NoLocal = true })
		for kept.Size() < f.Size { // a piece that came in two parts is not kept at first
			if err := first.do(client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Overwrite: true}, &account{}); err != nil {
				w.t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second) // for the peer's next heartbeat
		before := w.origin.Sent()
		later := w.swarmer("later", 5e6, 125e6, nil)
		later.job.Checksums = known
		later.get()
		later.same(f)
		if n := w.origin.Sent() - before; n > 1 {
			w.t.Errorf("%d bytes left the origin, %d as the client counts", n, later.a.done.Origin)
		}
		if d := later.a.done; d.Origin != 1 || d.LAN != f.Size || d.Stored != f.Size {
			w.t.Errorf("the client counts %d bytes of the origin, %d over the LAN, %d of them stored", d.Origin, d.LAN, d.Stored)
		}
	})
}

// TestWhatIsNotShared downloads at the same time what may be shared by nobody,
// or what one of two does not share.
func TestWhatIsNotShared(t *testing.T) {
	const size = 8*mib + 77
	for name, tt := range map[string]struct {
		fault   origintest.Fault
		change  func(*client.Job)
		options func(*client.Options)
		least   float64 // copies
	}{
		"no-store":      {fault: origintest.Fault{Set: []string{"Cache-Control: no-store"}}, least: 2},
		"a cookie":      {fault: origintest.Fault{Set: []string{"Set-Cookie: a=b"}}, least: 2},
		"a weak tag":    {fault: origintest.Fault{Set: []string{"ETag:", `Etag: W/"1"`}}, least: 2},
		"private":       {change: func(j *client.Job) { j.Header = map[string][]string{"X-Secret": {"1"}} }, least: 2},
		"own line only": {options: func(o *client.Options) { o.LocalOnly = true }, least: 2},
		"nobody shares": {options: func(o *client.Options) { o.Share = nil }, least: 1.9},
	} {
		t.Run(name, func(t *testing.T) {
			f := origintest.NewFile(size, 1).With(tt.fault)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				var list []*swarmer
				for _, name := range []string{"c0", "c1"} {
					s := w.swarmer(name, 2e6, 125e6, tt.options)
					if tt.change != nil {
						tt.change(&s.job)
					}
					list = append(list, s)
				}
				w.all(list)
				for _, s := range list {
					s.same(f)
				}
				if n := w.copies(f); n < tt.least {
					w.t.Errorf("%.3f copies left the origin, want %v at least", n, tt.least)
				}
			})
		})
	}
}

// TestLiarInASwarm serves wrong bytes from the first one on that it was given.
func TestLiarInASwarm(t *testing.T) {
	const size = 32*mib + 12345
	for name, known := range map[string]bool{"a digest is known": true, "none is known": false} {
		t.Run(name, func(t *testing.T) {
			f := origintest.NewFile(size, 1)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				list := append(w.swarmers(3, 4e6), w.lyingSwarmer("liar", 4e6, f))
				liar := list[3]
				sum := f.SHA256(f.Size)
				for _, s := range list {
					s.a.retracted = true
					if known {
						s.job.Checksums = []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}}
					}
				}
				w.all(list)
				named := 0
				for _, s := range list[:3] {
					s.same(f)
					if s.a.moved(liar.name, "banned") {
						named++
					}
				}
				if named == 0 {
					w.t.Error("nobody named the liar")
				}
			})
		})
	}
}

// TestLingers ends the program of the one that alone holds a part only when
// somebody else has it.
func TestLingers(t *testing.T) {
	f := origintest.NewFile(24*mib, 1)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		first, second := w.swarmer("c0", 8e6, 4e6, nil), w.swarmer("c1", 1e6, 0, nil)
		var over time.Duration
		first.over = func() { over = time.Since(first.began) }
		w.all([]*swarmer{first, second}, 0, 2*time.Second)
		first.same(f)
		second.same(f)
		if n := w.copies(f); n > 1.05 {
			w.t.Errorf("%.3f copies left the origin", n)
		}
		if over < first.took+500*time.Millisecond || over > first.took+10*time.Second+500*time.Millisecond {
			w.t.Errorf("was done after %v and left after %v", first.took, over)
		}
	})
}

// leftovers are files that a download should have removed.
func (s *swarmer) leftovers() (list []string) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.w.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			list = append(list, filepath.Join(s.dir, e.Name()))
		}
	}
	slices.Sort(list)
	return list
}

// TestSwarmOfSmallFiles is about files that are through before anybody's rate is
// known, over a line on which who has nothing to fetch waits for seconds.
func TestSwarmOfSmallFiles(t *testing.T) {
	for _, size := range []int64{mib, 2 * mib, 4 * mib, 8 * mib, 16 * mib} {
		t.Run(fmt.Sprint(size/mib, " MiB"), func(t *testing.T) {
			f := origintest.NewFile(size, 1)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				list := w.swarmers(4, 0)
				shared(list, 2e6)
				w.all(list)
				for _, s := range list {
					s.same(f)
				}
				most := 1.03 + 512<<10/float64(size) // cells that were fetched when their ends were given to somebody else
				if n := w.copies(f); n > most {
					w.t.Errorf("%.3f copies left the origin, want %.3f at most", n, most)
				}
			})
		})
	}
}
