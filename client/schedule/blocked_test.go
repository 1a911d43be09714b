package schedule_test

import (
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// TestBlockedBySourceAlone has one source fill the disk and another one die
// meanwhile: that the disk is busy must not hide it.
func TestBlockedBySourceAlone(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 64 * mib}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Local: true})
	s.Join(0, schedule.Source{ID: 2})
	now := 10 * time.Millisecond
	for _, a := range assigned(s) {
		s.Started(now, a.ID)
		s.Received(now, a.ID, byterange.Range{Off: a.Range.Off, Len: 64 << 10})
	}
	for now < 4*time.Second {
		now += 100 * time.Millisecond
		s.Blocked(now, 1)
		s.Tick(now)
	}
	if got := s.Status(2).State; got != schedule.Stalled {
		t.Errorf("the silent source is %s, want %s", got, schedule.Stalled)
	}
	if got := s.Status(1).State; got != schedule.Running {
		t.Errorf("the source that was held up is %s, want %s", got, schedule.Running)
	}
}
