package schedule_test

import (
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// TestSilentLane answers every request but those of one lane, whose replies
// never begin: what it holds is given away, though the source is not silent.
func TestSilentLane(t *testing.T) {
	t.Parallel()
	const tick, patience = 100 * time.Millisecond, 4 * time.Second
	s := schedule.New(schedule.Config{Size: 16 << 30}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Lanes: 4})
	type work struct {
		schedule.Assign
		at int64
	}
	running := map[schedule.AssignmentID]*work{}
	var mute *schedule.Assign
	var since time.Duration
	for now := tick; now < 30*time.Second; now += tick {
		s.Tick(now)
		for _, a := range s.Actions() {
			switch a := a.(type) {
			case schedule.Assign:
				if a.Lane == 1 && mute == nil {
					mute, since = &a, now
				} else if mute == nil || a.Lane != 1 {
					running[a.ID] = &work{a, a.Range.Off}
				}
			case schedule.Shrink:
				if w := running[a.ID]; w != nil {
					w.Range = byterange.Between(w.Range.Off, a.End)
				}
			case schedule.Cancel:
				if mute != nil && a.ID == mute.ID {
					return // it is given away
				}
				delete(running, a.ID)
			}
		}
		if mute != nil && now-since > patience {
			t.Fatalf("after %v nobody else is asked for %v", now-since, mute.Range)
		}
		lanes := map[int]bool{}
		for id, w := range running {
			if lanes[w.Lane] || s.Status(1).State != schedule.Running {
				continue
			}
			lanes[w.Lane] = true
			if w.at == w.Range.Off {
				s.Started(now, id)
			}
			n := min(mib, w.Range.End()-w.at)
			s.Received(now, id, byterange.Range{Off: w.at, Len: n})
			if w.at += n; w.at >= w.Range.End() {
				delete(running, id)
				s.Ended(now, id, schedule.OK, 0)
			}
		}
	}
	t.Fatal("no second lane was opened")
}
