package schedule_test

import (
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

func runs(list ...byterange.Range) (s byterange.Set) {
	for _, r := range list {
		s.Add(r)
	}
	return s
}

// mibs is a run of so many MiB from an offset in MiB.
func mibs(off, n int64) byterange.Range { return byterange.Range{Off: off * mib, Len: n * mib} }

// bring lets assignments arrive in an instant until nobody is given more, and
// returns what each source brought.
func bring(t *testing.T, s *schedule.Scheduler, now time.Duration) map[schedule.SourceID]*byterange.Set {
	t.Helper()
	got := map[schedule.SourceID]*byterange.Set{}
	for list := assigned(s); len(list) > 0; list = assigned(s) {
		for _, a := range list {
			if got[a.Source] == nil {
				got[a.Source] = &byterange.Set{}
			}
			got[a.Source].Add(a.Range)
			s.Received(now, a.ID, a.Range)
			s.Ended(now, a.ID, schedule.OK, 0)
		}
		if err := s.Audit(); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// TestPermit gives a line what it is permitted, and nothing else; a memory what
// it holds, whatever the permits are.
func TestPermit(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 16 * mib}, byterange.Set{})
	s.Permit(0, &byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Local: true, Lanes: 4})
	s.Join(0, schedule.Source{ID: 2, Memory: true})
	if a := assigned(s); len(a) > 0 {
		t.Fatalf("%+v without a permit and holdings", a)
	}
	if s.Hunger(0) <= 0 {
		t.Error("no hunger although nothing is permitted or held")
	}
	permit := runs(mibs(2, 3), mibs(7, 1))
	s.Permit(0, &permit)
	permit.Add(mibs(0, 16)) // the set is copied
	s.Held(0, 2, runs(mibs(3, 1), mibs(10, 4)), byterange.Set{})
	got := bring(t, s, 0)
	if want := runs(mibs(2, 1), mibs(4, 1), mibs(7, 1)); !same(got[1], want) {
		t.Errorf("the line brought %v, want %v", got[1], want)
	}
	if want := runs(mibs(3, 1), mibs(10, 4)); !same(got[2], want) {
		t.Errorf("the memory brought %v, want %v", got[2], want)
	}
	if want := runs(mibs(0, 2), mibs(5, 2), mibs(8, 2), mibs(14, 2)); !same(new(s.Unsourced(0)), want) {
		t.Errorf("unsourced: %v, want %v", s.Unsourced(0), want)
	}
	s.Permit(0, nil)
	bring(t, s, 0)
	if !s.Complete() {
		t.Error("not complete although everything is permitted")
	}
}

func same(got *byterange.Set, want byterange.Set) bool {
	if got == nil {
		return want.Len() == 0
	}
	for r := range want.All() {
		if !got.Contains(r) {
			return false
		}
	}
	return got.Bytes() == want.Bytes()
}

// TestPermitTakenBack takes back what waits on a line when it is permitted no
// more, and lets go on what runs.
func TestPermitTakenBack(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 16 * mib}, byterange.Set{})
	all := runs(mibs(0, 16))
	s.Permit(0, &all)
	s.Join(0, schedule.Source{ID: 1, Local: true})
	s.Tick(100 * time.Millisecond)
	given := assigned(s)
	if len(given) < 2 {
		t.Fatalf("%+v: nothing waits", given)
	}
	s.Permit(0, &byterange.Set{})
	var cancelled []schedule.AssignmentID
	for _, a := range s.Actions() {
		switch a := a.(type) {
		case schedule.Cancel:
			cancelled = append(cancelled, a.ID)
		default:
			t.Errorf("%+v: nothing is permitted", a)
		}
	}
	if len(cancelled) != len(given)-1 {
		t.Errorf("%v were cancelled of %+v, want all but the first", cancelled, given)
	}
	if err := s.Audit(); err != nil {
		t.Error(err)
	}
}

// TestHeldComesFromHolders lets a line begin a file that then turns out to be
// held: it ends what is under way and gets nothing more, until the holder is
// gone.
func TestHeldComesFromHolders(t *testing.T) {
	t.Parallel()
	const size = 64 * mib
	s := schedule.New(schedule.Config{Size: size}, byterange.Set{})
	whole := s.Join(0, schedule.Source{ID: 1, Local: true, Lanes: 4, Running: byterange.Range{Len: size}})
	s.Join(0, schedule.Source{ID: 2, Held: runs(byterange.Range{Len: size})})
	var end int64 = size
	for _, a := range s.Actions() {
		switch a := a.(type) {
		case schedule.Shrink:
			end = a.End
		case schedule.Assign:
			if a.Source != 2 {
				t.Errorf("%+v: the memory holds it", a)
			}
		}
	}
	if end > 2*mib {
		t.Errorf("the line goes on to %d, although the memory holds everything", end)
	}
	s.Received(0, whole, byterange.Range{Len: end})
	s.Ended(0, whole, schedule.OK, 0)
	for now := 100 * time.Millisecond; now < time.Second; now += 100 * time.Millisecond {
		s.Tick(now)
	}
	for _, a := range assigned(s) {
		if a.Source == 1 {
			t.Errorf("%+v: the memory holds it", a)
		}
	}
	s.Leave(time.Second, 2)
	if got := bring(t, s, time.Second); got[1] == nil || got[1].Bytes() != size-end {
		t.Errorf("%v came after the memory left, want the rest of %d bytes", got[1], size-end)
	}
}

// TestHeldNoMore takes back what a memory lost before it gave it.
func TestHeldNoMore(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 8 * mib}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 2, Held: runs(mibs(0, 8))})
	given := assigned(s)
	s.Held(0, 2, byterange.Set{}, runs(mibs(0, 8)))
	if n := len(s.Actions()); n != len(given) {
		t.Errorf("%d actions, want %d assignments cancelled", n, len(given))
	}
	if err := s.Audit(); err != nil {
		t.Error(err)
	}
	s.Held(0, 2, runs(mibs(4, 2)), byterange.Set{})
	if got := bring(t, s, 0); !same(got[2], runs(mibs(4, 2))) {
		t.Errorf("%v came, want what is held again", got[2])
	}
}

// TestUnheld names what only memories hold that do not work.
func TestUnheld(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 8 * mib}, byterange.Set{})
	s.Permit(0, &byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Held: runs(mibs(0, 4))})
	s.Join(0, schedule.Source{ID: 2, Held: runs(mibs(2, 1))})
	if u := s.Unheld(0); u.Len() > 0 {
		t.Errorf("%v although everybody works", u)
	}
	for _, a := range assigned(s) {
		if a.Source == 1 {
			s.Ended(0, a.ID, schedule.Failed, 0)
		} else {
			s.Received(0, a.ID, a.Range)
			s.Ended(0, a.ID, schedule.OK, 0)
		}
	}
	if got := bring(t, s, 0); got[1] != nil {
		t.Errorf("%v came from a source that failed", got[1])
	}
	if u := s.Unheld(0); !same(&u, runs(mibs(0, 2), mibs(3, 1))) {
		t.Errorf("unheld: %v, want what the failed one holds alone", u)
	}
}

// TestHungerStops is about what a line could still use: nothing if memories
// bring it all, and never more than there is.
func TestHungerStops(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 2 * mib}, byterange.Set{})
	s.Permit(0, &byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Local: true, Lanes: 16})
	if n := s.Hunger(0); n != 2*mib {
		t.Errorf("hunger for %d, want all of it", n)
	}
	half := runs(mibs(0, 1))
	s.Permit(0, &half)
	if n := s.Hunger(0); n != mib {
		t.Errorf("hunger for %d beside a permitted half, want the other", n)
	}
	s.Join(0, schedule.Source{ID: 2, Held: runs(mibs(1, 1))})
	if n := s.Hunger(0); n != 0 {
		t.Errorf("hunger for %d although the rest is held", n)
	}
}

// TestAmong opens fewer lanes beside others who ask the same origin, and gives up
// those that are too many when others come.
func TestAmong(t *testing.T) {
	t.Parallel()
	for others, want := range map[int][2]int{0: {4, 4}, 1: {4, 4}, 2: {2, 2}, 8: {2, 2}} {
		for when, early := range []bool{true, false} {
			l := &lanes{s: schedule.New(schedule.Config{Size: 1 << 30}, byterange.Set{})}
			all := runs(byterange.Range{Len: 1 << 30})
			l.s.Permit(0, &all)
			if early {
				l.s.Among(0, others)
			}
			l.s.Join(0, schedule.Source{ID: 1, Lanes: 4, Local: true})
			l.obey()
			for i := range 120 {
				if l.tick(); i == 40 && !early {
					l.s.Among(l.now, others)
				}
			}
			if n := l.s.Status(1).Lanes; n != want[when] {
				t.Errorf("%d lanes among %d, told early: %v; want %d", n, others, early, want[when])
			}
			if err := l.s.Audit(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestForbid cuts short what runs into bytes that somebody else was given, if
// those are more than what a cut loses.
func TestForbid(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ theirs, end int64 }{{64 << 10, 8 * mib}, {256 << 10, 8*mib - 256<<10}, {4 * mib, 4 * mib}} {
		s := schedule.New(schedule.Config{Size: 8 * mib}, byterange.Set{})
		s.Permit(0, &byterange.Set{})
		s.Join(0, schedule.Source{ID: 1, Local: true, Running: mibs(0, 8)})
		set := runs(byterange.Between(8*mib-tt.theirs, 8*mib))
		s.Forbid(0, &set)
		end := int64(8 * mib)
		for _, a := range s.Actions() {
			if cut, ok := a.(schedule.Shrink); ok {
				end = cut.End
			}
		}
		if end != tt.end {
			t.Errorf("%d bytes are another's: the request ends at %d, want %d", tt.theirs, end, tt.end)
		}
	}
}

// TestNoStealInASwarm leaves a lane's tail to it as long as others bring what is
// missing for even longer.
func TestNoStealInASwarm(t *testing.T) {
	t.Parallel()
	l := &lanes{s: schedule.New(schedule.Config{Size: 256 * mib}, byterange.Set{})}
	mine := runs(mibs(0, 24)) // others fetch the rest
	l.s.Permit(0, &mine)
	l.s.Among(0, 2)
	l.s.Join(0, schedule.Source{ID: 1, Lanes: 8, Local: true})
	l.obey()
	for l.s.Done() < 24*mib-512<<10 && l.now < time.Minute {
		l.tick()
	}
	if n := l.s.Stats().Steals; n > 0 {
		t.Errorf("%d tails were stolen although 232 MiB are to come from others", n)
	}
}
