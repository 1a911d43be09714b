package lease_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ddm/internal/lease"
)

// at is a moment, in seconds.
func at(s int) time.Time { return time.Unix(1_000_000+int64(s), 0) }

func TestLife(t *testing.T) {
	table := lease.NewTable[string]()
	if _, ok := table.Next(); ok {
		t.Error("an empty table has a next expiry")
	}
	if !table.Grant("a", "A", at(6)) || !table.Grant("b", "B", at(4)) {
		t.Fatal("not granted")
	}
	if table.Grant("a", "other", at(60)) {
		t.Error("granted a lease id twice")
	}
	if next, ok := table.Next(); !ok || !next.Equal(at(4)) {
		t.Errorf("Next = %v, %v; want %v", next, ok, at(4))
	}
	if v, ok := table.Renew("b", at(3), at(9)); !ok || v != "B" {
		t.Errorf("Renew(b) = %q, %v", v, ok)
	}
	if over := table.Expire(at(5)); over != nil {
		t.Errorf("expired %q though all were renewed", over)
	}
	if over := table.Expire(at(6).Add(-1)); over != nil {
		t.Errorf("expired %q a nanosecond early", over)
	}
	if over := table.Expire(at(6)); !slices.Equal(over, []string{"A"}) {
		t.Errorf("expired %q, want A at its time", over)
	}
	if v, ok := table.Revoke("b"); !ok || v != "B" {
		t.Errorf("Revoke(b) = %q, %v", v, ok)
	}
	if _, ok := table.Revoke("b"); ok {
		t.Error("revoked twice")
	}
	if n := table.Len(); n != 0 {
		t.Errorf("%d leases are left", n)
	}
}

func TestRenewIsTooLateAtTheEnd(t *testing.T) {
	for _, test := range []struct {
		now  int
		want bool
	}{{5, true}, {6, false}, {7, false}} {
		table := lease.NewTable[int]()
		table.Grant("a", 1, at(6))
		if _, ok := table.Renew("a", at(test.now), at(20)); ok != test.want {
			t.Errorf("renewed at %d: %v, want %v", test.now, ok, test.want)
		}
	}
}

func TestRenewNeverShortens(t *testing.T) {
	table := lease.NewTable[int]()
	table.Grant("a", 1, at(6))
	if _, ok := table.Renew("a", at(1), at(3)); !ok {
		t.Fatal("not renewed")
	}
	if next, _ := table.Next(); !next.Equal(at(6)) {
		t.Errorf("ends at %v, want %v", next, at(6))
	}
}

// TestAgainstModel compares ten thousand leases with a plain map.
func TestAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	table, model := lease.NewTable[string](), make(map[string]time.Time)
	now := 0
	for step := range 100_000 {
		id := fmt.Sprint(rnd.IntN(10_000))
		until := at(now + 1 + rnd.IntN(30))
		end, known := model[id]
		switch rnd.IntN(8) {
		case 0, 1, 2:
			if got := table.Grant(id, id, until); got == known {
				t.Fatalf("step %d: Grant = %v though known is %v", step, got, known)
			}
			if !known {
				model[id] = until
			}
		case 3, 4, 5:
			alive := known && end.After(at(now))
			if _, got := table.Renew(id, at(now), until); got != alive {
				t.Fatalf("step %d: Renew = %v, want %v", step, got, alive)
			}
			if alive && until.After(end) {
				model[id] = until
			}
		case 6:
			if _, got := table.Revoke(id); got != known {
				t.Fatalf("step %d: Revoke = %v, want %v", step, got, known)
			}
			delete(model, id)
		default:
			if rnd.IntN(500) > 0 {
				continue
			}
			now++
			compareExpired(t, table.Expire(at(now)), model, at(now))
		}
		if table.Len() != len(model) {
			t.Fatalf("step %d: %d leases, want %d", step, table.Len(), len(model))
		}
	}
	compareExpired(t, table.Expire(at(now+100)), model, at(now+100))
}

func compareExpired(t *testing.T, over []string, model map[string]time.Time, now time.Time) {
	t.Helper()
	last := time.Time{}
	for _, id := range over {
		end, known := model[id]
		if !known || end.After(now) || end.Before(last) {
			t.Fatalf("%s expired: known %v, ends %v, now %v, the one before ended %v", id, known, end, now, last)
		}
		last = end
		delete(model, id)
	}
	for id, end := range model {
		if !end.After(now) {
			t.Fatalf("%s did not expire", id)
		}
	}
}

func BenchmarkRenew(b *testing.B) {
	table := lease.NewTable[int]()
	ids := make([]string, 10_000)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
		table.Grant(ids[i], i, at(i))
	}
	b.ResetTimer()
	for i := range b.N {
		table.Renew(ids[i%len(ids)], at(-1), at(i))
	}
}
