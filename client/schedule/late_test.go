package schedule_test

import (
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

const mib = 1 << 20

// assigned takes the actions and returns the assignments among them.
func assigned(s *schedule.Scheduler) (all []schedule.Assign) {
	for _, a := range s.Actions() {
		if a, ok := a.(schedule.Assign); ok {
			all = append(all, a)
		}
	}
	return all
}

// TestLateBytes reports bytes of an assignment that was given up: they are
// there, and nobody is to fetch them again.
func TestLateBytes(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 4 * mib}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 1})
	first := assigned(s)[0]
	now := time.Duration(0)
	for s.Status(1).State != schedule.Stalled {
		now += 100 * time.Millisecond
		s.Tick(now)
	}
	late := byterange.Range{Off: first.Range.Off, Len: mib / 4}
	s.Received(now, first.ID, late)
	if err := s.Audit(); err != nil {
		t.Error(err)
	}
	for now < time.Minute {
		now += 100 * time.Millisecond
		s.Tick(now)
		if next := assigned(s); len(next) > 0 {
			if !next[0].Range.Intersect(late).Empty() {
				t.Errorf("%v is asked for again, %v came late", next[0].Range, late)
			}
			return
		}
	}
	t.Error("nothing more was asked for")
}

// TestBytesBehindShrink reports bytes behind an end that moved down while they
// were on their way.
func TestBytesBehindShrink(t *testing.T) {
	t.Parallel()
	const size = 8 * mib
	s := schedule.New(schedule.Config{Size: size}, byterange.Set{})
	whole := s.Join(0, schedule.Source{ID: 1, Running: byterange.Range{Len: size}})
	s.Join(0, schedule.Source{ID: 2, Local: true})
	stolen := assigned(s)
	if len(stolen) != 1 || stolen[0].Victim != whole {
		t.Fatalf("actions %+v, want one steal", stolen)
	}
	// The thief is told to wait, and with it everybody: nobody takes its range.
	s.Ended(0, stolen[0].ID, schedule.Busy, time.Minute)
	if a := assigned(s); len(a) > 0 {
		t.Fatalf("%+v although everybody must wait", a)
	}
	end := stolen[0].Range.Off
	s.Received(0, whole, byterange.Between(0, end))
	s.Received(0, whole, byterange.Between(end, end+mib/4))
	if err := s.Audit(); err != nil {
		t.Error(err)
	}
}

// TestDoublesAtOnce brings ranges faster than a speed can be told: they must
// grow all the same, or a fast line is asked for thousands of small ones.
func TestDoublesAtOnce(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 1 << 40}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Local: true})
	queue, asked := assigned(s), 0
	for largest := int64(0); largest < 64*mib; asked++ {
		if asked > 20 {
			t.Fatalf("range %d has %v", asked, queue[0].Range)
		}
		a := queue[0]
		largest = max(largest, a.Range.Len)
		s.Received(time.Millisecond, a.ID, a.Range)
		s.Ended(time.Millisecond, a.ID, schedule.OK, 0)
		queue = append(queue[1:], assigned(s)...)
	}
}

// TestRetire sends a source away: it keeps what it can bring in time, and gets
// nothing more.
func TestRetire(t *testing.T) {
	t.Parallel()
	const size = 64 * mib
	s := schedule.New(schedule.Config{Size: size, NoSteal: true}, byterange.Set{})
	whole := s.Join(0, schedule.Source{ID: 1, Running: byterange.Range{Len: size}})
	s.Join(0, schedule.Source{ID: 2})
	s.Actions()
	now := time.Duration(0)
	for at := int64(0); at < 10*mib; at += mib / 10 { // 1 MiB/s
		now += 100 * time.Millisecond
		s.Received(now, whole, byterange.Range{Off: at, Len: mib / 10})
		s.Tick(now)
	}
	s.Actions()
	s.Retire(now, 1, 8*time.Second)
	if err := s.Audit(); err != nil {
		t.Error(err)
	}
	cut := int64(0)
	for _, act := range s.Actions() {
		if a, ok := act.(schedule.Shrink); ok && a.ID == whole {
			cut = a.End
		}
	}
	if cut < 13*mib || cut > 15*mib {
		t.Errorf("cut at %d, want what 4 s of 1 MiB/s bring", cut)
	}
	s.Ended(now, whole, schedule.OK, 0)
	s.Tick(now + time.Second)
	for _, a := range assigned(s) {
		if a.Source == 1 {
			t.Errorf("%v is asked of a source that goes away", a.Range)
		}
	}
	if st := s.Status(1).State; st != schedule.Leaving {
		t.Errorf("it is %s", st)
	}
}

// TestAskedToWait lets an origin refuse a source's second connection for a
// while: what runs goes on, and nothing new is asked for before that.
func TestAskedToWait(t *testing.T) {
	t.Parallel()
	const wait, step, frame = 20 * time.Second, 20 * time.Millisecond, mib / 4
	s := schedule.New(schedule.Config{Size: 256 * mib}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Lanes: 4})
	var first []schedule.Assign // the first connection's
	var until time.Duration     // when it may be asked again
	for now := time.Duration(0); until == 0 || now < until+time.Second; now += step {
		s.Tick(now)
		for _, a := range assigned(s) {
			switch {
			case until == 0 && a.Lane > 0:
				until = now + wait
				s.Ended(now, a.ID, schedule.Busy, wait)
			case now == until-wait: // waited behind it, and was given back with it
			case now < until:
				t.Fatalf("%v: %+v, though it is to wait until %v", now, a, until)
			case until > 0:
				return
			default:
				first = append(first, a)
			}
		}
		if len(first) == 0 {
			continue
		}
		a := &first[0]
		s.Received(now, a.ID, byterange.Range{Off: a.Range.Off, Len: min(frame, a.Range.Len)})
		if a.Range = byterange.Between(a.Range.Off+frame, a.Range.End()); a.Range.Empty() {
			s.Ended(now, a.ID, schedule.OK, 0)
			first = first[1:]
		}
		if now > wait && until == 0 {
			t.Fatal("it is never asked over a second connection")
		}
	}
	t.Fatal("it is never asked again")
}

// TestOneOriginAsksToWait: the wait that the own line is asked for binds all
// who fetch from that origin, and nobody who fetches from another.
func TestOneOriginAsksToWait(t *testing.T) {
	t.Parallel()
	s := schedule.New(schedule.Config{Size: 64 * mib}, byterange.Set{})
	s.Join(0, schedule.Source{ID: 1, Local: true})
	first := assigned(s)
	s.Ended(0, first[0].ID, schedule.Busy, time.Minute)
	assigned(s)
	s.Join(0, schedule.Source{ID: 2})            // a peer's line to the same origin
	s.Join(0, schedule.Source{ID: 3, Origin: 1}) // and one to a mirror
	got := map[schedule.SourceID]int{}
	for now := time.Duration(0); now < 10*time.Second; now += 100 * time.Millisecond {
		s.Tick(now)
		for _, a := range assigned(s) {
			got[a.Source]++
			s.Received(now, a.ID, a.Range)
			s.Ended(now, a.ID, schedule.OK, 0)
		}
	}
	if got[1]+got[2] > 0 || got[3] == 0 {
		t.Errorf("assignments by source %v, want some for 3 and none for the others", got)
	}
}
