package schedule_test

import (
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// TestCutsLeaveWhatIsOnItsWay has a memory join that holds what a line is
// bringing, so early that the line's rate is not known: as much as it brought may
// be on its way.
func TestCutsLeaveWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 32 * mib}, byterange.Set{})
	id := s.Join(0, schedule.Source{ID: 1, Running: mibs(0, 32)})
	s.Received(10*time.Millisecond, id, mibs(0, 4))
	s.Join(10*time.Millisecond, schedule.Source{ID: 2, Held: runs(mibs(0, 32))})
	for _, a := range s.Actions() {
		if cut, ok := a.(schedule.Shrink); ok {
			if cut.End < 8*mib || cut.End > 16*mib {
				t.Errorf("4 MiB came in an instant: it is cut at %.1f MiB", float64(cut.End)/mib)
			}
			return
		}
	}
	t.Error("nothing is left to the memory")
}

// TestNewLanesAreJudgedByWhatTheyBrought has a line bring 15 of 31 MiB in an
// instant, before its rate is known: it has the rest before anybody could help.
func TestNewLanesAreJudgedByWhatTheyBrought(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 31 * mib}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 1})
	now := 10 * time.Millisecond
	list := assigned(s)
	for ; s.Done() < 15*mib; list = append(list[1:], assigned(s)...) {
		s.Started(now, list[0].ID)
		s.Received(now, list[0].ID, list[0].Range)
		s.Ended(now, list[0].ID, schedule.OK, 0)
	}
	if s.Complete() {
		t.Fatal("nothing is left to take")
	}
	s.Join(now, schedule.Source{ID: 2, Latency: time.Millisecond})
	for _, a := range s.Actions() {
		t.Errorf("%d MiB came in %v, and then: %T %+v", s.Done()/mib, now, a, a)
	}
}
