package schedule_test

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// BenchmarkAssignment is the cost of one assignment with 1,000 sources of
// 1 MiB/s and a resource of 1 TB, everything included: the frames in which its
// bytes come, one in each tenth of a second, its end, its successor, and its
// share of the ticks. A resource that is complete begins anew.
func BenchmarkAssignment(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f := newFleet()
	for range 100 { // until ranges are as long as they get
		f.tick()
	}
	ended := f.ended
	b.ResetTimer()
	for f.ended-ended < b.N {
		if f.tick(); f.s.Complete() {
			b.StopTimer()
			ended -= f.ended
			f = newFleet()
			b.StartTimer()
		}
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
	b.ReportMetric(float64(held)/(1<<20), "MiB-held")
	runtime.KeepAlive(f)
}

// fleet is many sources, each with one lane, at work on a large resource.
type fleet struct {
	s     *schedule.Scheduler
	now   time.Duration
	queue [fleetSize + 1][]schedule.Assign // by source
	ended int
}

const (
	fleetSize = 1000
	fleetRate = 1 << 20 // bytes per second of each
)

func newFleet() *fleet {
	f := &fleet{s: schedule.New(schedule.Config{Size: 1e12, AllLanes: fleetSize}, byterange.Set{})}
	for i := range fleetSize {
		f.s.Join(0, schedule.Source{ID: schedule.SourceID(i + 1), Lanes: 1})
	}
	f.obey()
	return f
}

func (f *fleet) obey() {
	for _, act := range f.s.Actions() {
		switch a := act.(type) {
		case schedule.Assign:
			f.queue[a.Source] = append(f.queue[a.Source], a)
		case schedule.Cancel:
			for i, q := range f.queue[a.Source] {
				if q.ID == a.ID {
					f.queue[a.Source] = append(f.queue[a.Source][:i], f.queue[a.Source][i+1:]...)
					break
				}
			}
		}
	}
}

// tick lets a tenth of a second pass.
func (f *fleet) tick() {
	f.now += 100 * time.Millisecond
	for id := range f.queue {
		if len(f.queue[id]) == 0 {
			continue
		}
		a := &f.queue[id][0]
		frame := a.Range.Intersect(byterange.Range{Off: a.Range.Off, Len: fleetRate / 10})
		f.s.Received(f.now, a.ID, frame)
		if a.Range = byterange.Between(frame.End(), a.Range.End()); a.Range.Empty() {
			ended := a.ID
			f.queue[id] = f.queue[id][1:]
			f.ended++
			f.s.Ended(f.now, ended, schedule.OK, 0)
		}
		f.obey()
	}
	f.s.Tick(f.now)
	f.obey()
}

// BenchmarkPlan is the cost of one plan for a full window, with twenty memories
// that hold a third of 4 GiB each, by chance, building the problem included.
func BenchmarkPlan(b *testing.B) {
	rnd := rand.New(rand.NewPCG(7, 7))
	s := schedule.New(schedule.Config{Size: 4 << 30, Seed: 7}, byterange.Set{})
	for i := range 20 {
		var held byterange.Set
		for piece := range int64(4096) {
			if rnd.IntN(3) == 0 {
				held.Add(byterange.Range{Off: piece * mib, Len: mib})
			}
		}
		s.Join(0, schedule.Source{ID: schedule.SourceID(i + 1), Held: held})
	}
	for now := time.Duration(0); b.Loop(); now += time.Second {
		if n := s.Replan(now); n != 512 {
			b.Fatalf("%d pieces planned", n)
		}
	}
}
