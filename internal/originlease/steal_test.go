package originlease_test

import (
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/originlease"
)

const late = 2500 * time.Millisecond

// slowAndFast lets one member bring a quarter of [0, 1) MiB until late, and another
// one everything else.
func slowAndFast(t *testing.T) *originlease.Table {
	t.Helper()
	table := originlease.New(16*mib, term)
	table.Join(at(0), 1, true)
	table.Join(at(0), 2, true)
	if r := ask(t, table, at(0), 1, mib); r != mibs(0, 1) {
		t.Fatalf("the slow one got %v", r)
	}
	for now := time.Duration(0); table.Free() > 0; now += 250 * time.Millisecond {
		r := ask(t, table, at(now), 2, 3*mib)
		table.Report(at(now+240*time.Millisecond), 2, set(r), &none)
	}
	table.Report(at(late), 1, set(byterange.Range{Len: mib / 4}), &none)
	return table
}

// TestStealLeavesWhatComes takes the end of what a slow member fetches, but not
// what it will have brought before it hears of it.
func TestStealLeavesWhatComes(t *testing.T) {
	table := slowAndFast(t)
	table.Want(at(late), 2, 16*mib, &none)
	granted, revoked := table.Serve(at(late))
	if len(revoked) != 1 || revoked[0].ID != 1 {
		t.Fatalf("%v were taken from", revoked)
	}
	r := got(t, granted, 2)
	if r.End() != mib || r.Off < 384<<10 || r.Off > mib/2 {
		t.Errorf("%v was stolen of [256, 1024) KiB of one that brought 256 KiB in 2.5 s", r)
	}
	if err := originlease.Audit(table); err != nil {
		t.Error(err)
	}
}

// TestIdleIsNotSlow does not take for slow who had no lease so far.
func TestIdleIsNotSlow(t *testing.T) {
	table := slowAndFast(t)
	table.Join(at(0), 3, true)
	table.Want(at(0), 3, 0, &none)
	table.Want(at(late), 3, 16*mib, &none)
	if granted, _ := table.Serve(at(late)); len(granted) != 1 {
		t.Fatalf("granted: %v", granted)
	}
	table.Want(at(late+time.Millisecond), 2, 16*mib, &none)
	if _, revoked := table.Serve(at(late + time.Millisecond)); len(revoked) > 0 && revoked[0].ID == 3 {
		t.Errorf("%v was taken from one that had it for a millisecond", revoked)
	}
}
