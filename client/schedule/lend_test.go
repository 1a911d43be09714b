package schedule_test

import (
	"testing"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// lanes answers what a scheduler orders: each lane brings 2 MiB/s.
type lanes struct {
	s     *schedule.Scheduler
	now   time.Duration
	queue [8][]schedule.Assign
	begun schedule.AssignmentID // the newest that was answered
}

func (l *lanes) obey() {
	for _, act := range l.s.Actions() {
		switch a := act.(type) {
		case schedule.Assign:
			l.queue[a.Lane] = append(l.queue[a.Lane], a)
		case schedule.Cancel:
			for i, q := range l.queue {
				if n := len(q); n > 0 && q[n-1].ID == a.ID {
					l.queue[i] = q[:n-1]
				}
			}
		}
	}
}

// tick lets a tenth of a second pass.
func (l *lanes) tick() {
	l.now += 100 * time.Millisecond
	for i, q := range l.queue {
		if len(q) == 0 {
			continue
		}
		a := &l.queue[i][0]
		if a.ID > l.begun {
			l.begun = a.ID
			l.s.Started(l.now-100*time.Millisecond, a.ID)
		}
		got := a.Range.Intersect(byterange.Range{Off: a.Range.Off, Len: 2 * mib / 10})
		l.s.Received(l.now, a.ID, got)
		a.Range = byterange.Between(got.End(), a.Range.End())
		if a.Range.Empty() {
			id := a.ID
			l.queue[i] = l.queue[i][1:]
			l.s.Ended(l.now, id, schedule.OK, 0)
		}
		l.obey()
	}
	l.s.Tick(l.now)
	l.obey()
}

// TestLend takes a lane's place for the caller's own requests: it becomes free
// when a range ends, stays free until it is given back, and the other lane goes
// on meanwhile.
func TestLend(t *testing.T) {
	t.Parallel()
	l := &lanes{s: schedule.New(schedule.Config{Size: 1 << 30}, byterange.Set{})}
	l.s.Join(0, schedule.Source{ID: 1, Lanes: 2, Local: true})
	l.obey()
	if l.s.Lend(l.now, 1) || !l.s.Crowded(1) {
		t.Fatal("a source that looks how many lanes pay lends one")
	}
	for range 30 {
		l.tick()
	}
	if n := l.s.Status(1).Lanes; n != 2 || !l.s.Crowded(1) {
		t.Fatalf("%d lanes at work, want the 2 that there may be; crowded %v", n, l.s.Crowded(1))
	}
	ticks := 0
	for ; !l.s.Lend(l.now, 1); ticks++ {
		if ticks > 30 {
			t.Fatal("no lane is lent")
		}
		l.obey()
		l.tick()
	}
	if ticks == 0 {
		t.Error("the place of a lane that works is free")
	}
	for range 30 {
		l.tick()
		if n := l.s.Status(1).Lanes; n != 1 || !l.s.Lend(l.now, 1) {
			t.Fatalf("%d lanes work beside the one that is lent", n)
		}
	}
	l.s.GiveBack(l.now, 1)
	l.obey()
	if n := l.s.Status(1).Lanes; n != 2 {
		t.Errorf("%d lanes work after it was given back", n)
	}
	if err := l.s.Audit(); err != nil {
		t.Error(err)
	}
}

// TestCrowded: whose connection was refused, and who fetches from the same
// origin, has none to spare.
func TestCrowded(t *testing.T) {
	t.Parallel()
	l := &lanes{s: schedule.New(schedule.Config{Size: 1 << 30}, byterange.Set{})}
	l.s.Join(0, schedule.Source{ID: 1, Lanes: 2, Local: true})
	l.obey()
	for len(l.queue[1]) == 0 {
		l.tick()
	}
	refused := l.queue[1][0].ID
	l.queue[1] = nil
	l.s.Ended(l.now, refused, schedule.Busy, 0)
	l.obey()
	for range 20 {
		l.tick()
	}
	if !l.s.Crowded(1) {
		t.Error("it is not crowded although it was refused a connection")
	}
}
