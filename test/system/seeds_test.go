package system_test

import (
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/origin/origintest"
)

// getters are clients that want the shared file of that name, each into a folder
// of its own.
func (w *world) getters(n int, lan float64, found *client.Shared) []*swarmer {
	list := w.swarmers(n, 1)
	for _, s := range list {
		s.lan.setRate(lan)
		s.job = client.Job{Shared: found, Dir: s.dir, Output: "f.bin"}
	}
	return list
}

// TestSharedSwarm: several want the same file at once, and each byte leaves who
// offers it about once.
func TestSharedSwarm(t *testing.T) {
	const rate = 12.5e6
	f := origintest.NewFile(64*mib+77, 12)
	bubble(t, nil, func(w *world) {
		w.tracker()
		holder := w.sharer("a", w.folder("f.bin", f), rate)
		found := w.user(1, nil).listed("ddm:f.bin", 1)
		list := w.getters(8, rate, found)
		before := holder.lan.passed.Load()
		w.all(list)
		copies := float64(holder.lan.passed.Load()-before) / float64(f.Size)
		slowest := time.Duration(0)
		for _, s := range list {
			s.same(f)
			slowest = max(slowest, s.took)
			if s.a.done == nil || s.a.done.Identity != "digest" || s.a.done.Origin != 0 {
				w.t.Errorf("%s: %+v", s.name, s.a.done)
			}
		}
		bound := float64(f.Size) / rate
		w.t.Logf("%.3f copies, %v of %.1f s", copies, slowest, bound)
		if copies > 1.1 {
			w.t.Errorf("%.3f copies left the holder", copies)
		}
		if slowest.Seconds() > 1.15*bound {
			w.t.Errorf("the slowest took %v, the bound is %.2f s", slowest, bound)
		}
	})
}
