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

// TestNoCutsThatMayExceedTheBudget has a source join when a fast line needs 0.4 s
// for what is left, whether its reply began or not. Had the line brought only a
// little more than is known, too much would come twice, but for a resource of many
// times the size.
func TestNoCutsThatMayExceedTheBudget(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		size, running int64 // MiB; all but the last 100 are here
		cuts          bool
	}{
		{100, 100, false},
		{400, 100, true},
		{100, 60, false},
		{400, 60, true},
	} {
		here := tc.size - 100
		s := schedule.New(schedule.Config{Size: tc.size * mib}, runs(mibs(0, here)))
		id := s.Join(0, schedule.Source{ID: 1, Lanes: 1, Running: mibs(here, tc.running)})
		var now time.Duration
		for i := range int64(4) {
			now += 100 * time.Millisecond
			s.Received(now, id, mibs(here+i*15, 15))
			s.Tick(now)
		}
		if tc.running == 60 {
			s.Ended(now, id, schedule.OK, 0)
		}
		queue := assigned(s)
		for more := queue; len(more) > 0; queue = append(queue, more...) { // until it is given all
			s.Received(now, queue[0].ID, queue[0].Range)
			s.Ended(now, queue[0].ID, schedule.OK, 0)
			queue, more = queue[1:], assigned(s)
		}
		s.Join(now, schedule.Source{ID: 2, Latency: time.Millisecond})
		cuts := false
		for _, a := range s.Actions() {
			switch a.(type) {
			case schedule.Shrink, schedule.Cancel:
				cuts = true
			}
		}
		if cuts != tc.cuts {
			t.Errorf("%d MiB, %d of them running: cut: %v, want %v", tc.size, tc.running, cuts, tc.cuts)
		}
	}
}

// TestCutsShareTheBudget has two sources join beside two fast lines: what may come
// twice for the first cut is not told yet when the second is asked for.
func TestCutsShareTheBudget(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		size   int64 // MiB; all but the last 120 are here
		steals int
	}{
		{200, 1},
		{800, 2},
	} {
		here := tc.size - 120
		s := schedule.New(schedule.Config{Size: tc.size * mib}, runs(mibs(0, here)))
		a := s.Join(0, schedule.Source{ID: 1, Lanes: 1, Running: mibs(here, 60)})
		b := s.Join(0, schedule.Source{ID: 2, Lanes: 1, Running: mibs(here+60, 60)})
		var now time.Duration
		for i := range int64(2) {
			now += 100 * time.Millisecond
			s.Received(now, a, mibs(here+i*15, 15))
			s.Received(now, b, mibs(here+60+i*15, 15))
			s.Tick(now)
		}
		for id := range schedule.SourceID(2) {
			s.Join(now, schedule.Source{ID: 3 + id, Lanes: 1, Latency: time.Millisecond})
		}
		if got := s.Stats().Steals; got != tc.steals {
			t.Errorf("%d MiB: %d steals, want %d", tc.size, got, tc.steals)
		}
	}
}

// TestIdleLanesKeepTheirRate has a line wait for a permit during half of each
// tick: it is no slower for that.
func TestIdleLanesKeepTheirRate(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 64 * mib}, byterange.Set{})
	permit := runs()
	s.Permit(0, &permit)
	s.Join(0, schedule.Source{ID: 1, Lanes: 1})
	var now time.Duration
	for i := range int64(20) {
		permit.Add(mibs(i, 1))
		s.Permit(now, &permit)
		if rate := s.Status(1).Rate / mib; i > 5 && (rate < 19 || rate > 21) {
			t.Fatalf("%v: 1 MiB in 50 ms is %.1f MiB/s", now, rate)
		}
		for _, a := range assigned(s) {
			s.Started(now, a.ID)
			s.Received(now+50*time.Millisecond, a.ID, a.Range)
			s.Ended(now+50*time.Millisecond, a.ID, schedule.OK, 0)
		}
		now += 100 * time.Millisecond
		s.Tick(now)
	}
	if s.Done() != 20*mib {
		t.Errorf("%d of 20 MiB came", s.Done()/mib)
	}
}
