package schedule_test

import (
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// TestLateRepliesLeaveLatency has one reply in five begin half a second late:
// what is known of the others must not change with it.
func TestLateRepliesLeaveLatency(t *testing.T) {
	t.Parallel()
	const usual = 5 * time.Millisecond
	s := schedule.New(schedule.Config{Size: 1 << 40}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Local: true})
	now := time.Duration(0)
	queue := assigned(s)
	for n := range 20 {
		a := queue[0]
		wait := usual
		if n%5 == 4 {
			wait = 500 * time.Millisecond
		}
		now += wait
		s.Started(now, a.ID)
		if got := s.Latency(1); got != usual {
			t.Fatalf("reply %d: latency %v, want %v", n, got, usual)
		}
		s.Received(now, a.ID, a.Range)
		s.Ended(now, a.ID, schedule.OK, 0)
		queue = append(queue[1:], assigned(s)...)
	}
}
