package schedule_test

import (
	"runtime"
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// BenchmarkAssignment is the cost of one assignment with 1,000 sources and a
// resource of 1 TB, everything included: its bytes' arrival in frames of
// 256 KiB, its end, its successor, and its share of the ticks of 2 s of work.
func BenchmarkAssignment(b *testing.B) {
	const sources, rate = 1000, 1 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s := schedule.New(schedule.Config{Size: 1e12, AllLanes: sources}, byterange.Set{})
	now := time.Duration(0)
	for i := range sources {
		s.Join(now, schedule.Source{ID: schedule.SourceID(i + 1), Lanes: 1})
	}
	queue := make([]schedule.Assign, 0, 4*sources)
	take := func() {
		for _, a := range s.Actions() {
			if a, ok := a.(schedule.Assign); ok {
				queue = append(queue, a)
			}
		}
	}
	take()
	next, perTick := 0, sources/20 // 2 s ranges: a twentieth of them ends in each tick
	b.ResetTimer()
	for i := range b.N {
		if i%perTick == 0 {
			now += 100 * time.Millisecond
			s.Tick(now)
			take()
		}
		if next == len(queue) {
			b.Skip("the resource is complete: fewer iterations, please")
		}
		a := queue[next]
		next++
		for off := a.Range.Off; off < a.Range.End(); off += 256 << 10 {
			s.Received(now, a.ID, byterange.Between(off, min(off+256<<10, a.Range.End())))
		}
		s.Ended(now, a.ID, schedule.OK, 0)
		take()
		if next > 8*sources {
			queue = append(queue[:0], queue[next:]...)
			next = 0
		}
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB-held")
	runtime.KeepAlive(s)
}
