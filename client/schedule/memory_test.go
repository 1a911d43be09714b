package schedule_test

import (
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// TestPlan has several memories send what only each of them holds, and nobody
// what he does not hold.
func TestPlan(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 64 * mib, Seed: 7}, byterange.Set{})
	held := map[schedule.SourceID]byterange.Set{
		1: runs(mibs(0, 32)), 2: runs(mibs(16, 32)), 3: runs(mibs(40, 24), mibs(3, 1)),
	}
	for id := schedule.SourceID(1); id <= 3; id++ {
		s.Join(0, schedule.Source{ID: id, Held: held[id]})
	}
	for id, got := range bring(t, s, 0) {
		mine := held[id]
		for r := range got.All() {
			if !mine.Contains(r) {
				t.Errorf("%d brought %v, which it does not hold", id, r)
			}
		}
	}
	if !s.Complete() {
		t.Errorf("%d bytes came of %d", s.Done(), 64*mib)
	}
}

// TestRarestFirst has a memory send first what only it holds.
func TestRarestFirst(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 64 * mib, Seed: 7}, byterange.Set{})
	for id := schedule.SourceID(1); id <= 3; id++ {
		s.Join(0, schedule.Source{ID: id, Held: runs(mibs(0, 60))})
	}
	s.Join(0, schedule.Source{ID: 4, Held: runs(mibs(0, 64))})
	const later = 300 * time.Millisecond // time for a plan that knows of all
	for _, a := range assigned(s) {
		s.Received(later, a.ID, a.Range)
		s.Ended(later, a.ID, schedule.OK, 0)
	}
	for _, a := range assigned(s) {
		if a.Source == 4 {
			if mibs(60, 4).Intersect(a.Range).Empty() {
				t.Errorf("%v comes first, others have that too", a.Range)
			}
			return
		}
	}
	t.Error("nothing was ordered")
}

// TestSeedsDiffer lets clients with seeds of their own begin at different
// places, so that they have something for each other; at the beginning if nobody
// who is there lacks anything.
func TestSeedsDiffer(t *testing.T) {
	t.Parallel()
	for _, missing := range []bool{true, false} {
		begin := map[int64]int{}
		for seed := uint64(1); seed <= 32; seed++ {
			s := schedule.New(schedule.Config{Size: 1 << 30, Seed: seed * 0x9e3779b97f4a7c15}, byterange.Set{})
			if missing {
				s.Join(0, schedule.Source{ID: 1, Memory: true})
			}
			s.Join(0, schedule.Source{ID: 2, Held: runs(byterange.Range{Len: 1 << 30})})
			for _, a := range assigned(s) {
				if a.Source == 2 {
					begin[a.Range.Off]++
					break
				}
			}
		}
		if missing && len(begin) < 24 || !missing && begin[0] != 32 {
			t.Errorf("somebody lacks some: %v; 32 clients begin at %d places, %d at the beginning", missing, len(begin), begin[0])
		}
	}
}

// play lets lines and memories of so many bytes per second work for a time, and
// returns what each brought. It tells everybody's bytes each 100 ms.
func play(t *testing.T, s *schedule.Scheduler, rates map[schedule.SourceID]int64, from, until time.Duration) map[schedule.SourceID]int64 {
	t.Helper()
	type running struct {
		a  schedule.Assign
		at int64
	}
	lanes := map[schedule.SourceID][]*running{}
	brought := map[schedule.SourceID]int64{}
	clock := from
	obey := func() {
		for _, act := range s.Actions() {
			switch a := act.(type) {
			case schedule.Assign:
				lanes[a.Source] = append(lanes[a.Source], &running{a, a.Range.Off})
			case schedule.Shrink:
				for _, r := range lanes[a.Source] {
					if r.a.ID == a.ID {
						r.a.Range = byterange.Between(r.a.Range.Off, max(a.End, r.at))
					}
				}
			case schedule.Cancel:
				for i, r := range lanes[a.Source] {
					if r.a.ID == a.ID {
						lanes[a.Source] = append(lanes[a.Source][:i:i], lanes[a.Source][i+1:]...)
						s.Ended(clock, a.ID, schedule.Failed, 0)
						break
					}
				}
			}
		}
	}
	for now := from; now < until && !s.Complete(); now += 100 * time.Millisecond {
		clock = now
		s.Tick(now)
		obey()
		for id := schedule.SourceID(1); int(id) <= len(rates); id++ {
			for budget := rates[id] / 10; budget > 0 && len(lanes[id]) > 0; obey() {
				r := lanes[id][0]
				n := min(budget, r.a.Range.End()-r.at)
				s.Received(now, r.a.ID, byterange.Range{Off: r.at, Len: n})
				r.at, budget, brought[id] = r.at+n, budget-n, brought[id]+n
				if r.at >= r.a.Range.End() {
					lanes[id] = lanes[id][1:]
					s.Ended(now, r.a.ID, schedule.OK, 0)
				}
			}
		}
		if err := s.Audit(); err != nil {
			t.Fatal(err)
		}
	}
	return brought
}

// TestStoreBringsAll fetches a file of which a store has all: not a byte comes
// from the own line, as fast as that may be.
func TestStoreBringsAll(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 1 << 30}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 2, Held: runs(byterange.Range{Len: 1 << 30})})
	s.Join(0, schedule.Source{ID: 1, Local: true, Lanes: 16})
	got := play(t, s, map[schedule.SourceID]int64{1: 100e6, 2: 50e6}, 0, time.Minute)
	if !s.Complete() || got[1] > 0 {
		t.Errorf("%d bytes came from the line, %d from the store", got[1], got[2])
	}
}

// TestHopeless leaves a store that is far slower than the line alone with its
// part only, but not one that is somewhat slower.
func TestHopeless(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		memory int64
		helped bool
	}{{"far slower", 1e6, true}, {"slower", 10e6, false}} {
		s := schedule.New(schedule.Config{Size: 512 * mib}, byterange.Set{})
		s.Join(0, schedule.Source{ID: 1, Local: true, Lanes: 1})
		s.Join(0, schedule.Source{ID: 2, Held: runs(mibs(256, 256))})
		got := play(t, s, map[schedule.SourceID]int64{1: 20e6, 2: tt.memory}, 0, 10*time.Minute)
		if !s.Complete() || (got[1] > 256*mib) != tt.helped {
			t.Errorf("%s: %d bytes came from the line, %d from the store", tt.name, got[1], got[2])
		}
	}
}
