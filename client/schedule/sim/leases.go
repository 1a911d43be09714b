package sim

import (
	"time"

	"ddm/internal/byterange"
	"ddm/internal/originlease"
)

// leases are the tracker's, with what the client's side of a swarm tells and asks
// (client/swarm.go, client/member.go): holdings on a grid at each tick, and a wish
// whenever it is another one.
type leases struct {
	h     *hive
	table *originlease.Table
	by    map[originlease.ID]*bee
}

const (
	toldGrid  = 256 << 10 // what is here is told in multiples of it
	mostTurns = 16        // that the tracker and who waits take in an instant
)

func newLeases(h *hive) *leases {
	return &leases{h: h, table: originlease.New(h.Size, leaseTerm), by: map[originlease.ID]*bee{}}
}

// clock is the time that the table knows.
func (t *leases) clock() time.Time { return time.Unix(0, 0).Add(t.h.now) }

func lease(b *bee) originlease.ID { return originlease.ID(b.index + 1) }

func (t *leases) knows(b *bee) bool { return t.by[lease(b)] != nil }

// bind takes a member in, with what it fetches already.
func (t *leases) bind(b *bee) {
	id := lease(b)
	t.by[id], b.told, b.asked, b.insisted = b, byterange.Set{}, 0, byterange.Set{}
	t.table.Join(t.clock(), id, true)
	t.report(b)
	fetching := b.permit.Minus(&b.told)
	got := t.table.Resume(t.clock(), id, &fetching)
	for r := range got.All() {
		b.permit.Add(r)
	}
}

func (t *leases) leave(b *bee) {
	t.table.Leave(lease(b))
	delete(t.by, lease(b))
}

// report tells what came.
func (t *leases) report(b *bee) {
	held := b.have.WholeCells(toldGrid, t.h.Size)
	if came := held.Minus(&b.told); came.Len() > 0 {
		b.told = held
		t.table.Report(t.clock(), lease(b), &came, &byterange.Set{})
	}
}

// want asks for what a member could use, if that is not what it asked for last.
func (t *leases) want(b *bee) {
	n, insist := b.sched.Hunger(t.h.now), b.sched.Unheld(t.h.now)
	if len(b.ids) == 0 && n > 0 {
		n = t.h.Size
	}
	same := n == 0 && b.asked == 0 || n > 0 && b.asked >= n/2 && b.asked <= 2*n
	if same && insist.Equal(&b.insisted) {
		return
	}
	b.asked, b.insisted = n, insist
	t.table.Want(t.clock(), lease(b), n, &insist)
}

// release gives back what a member was granted while it was alone and does not
// need soon.
func (t *leases) release(b *bee) {
	surplus := b.sched.Surplus(t.h.now)
	t.table.Release(t.clock(), lease(b), &surplus)
	b.asked = 0
	t.lose(b, &surplus)
}

// turn ends and grants what is to be ended and granted now, until nobody is given
// any more.
func (t *leases) turn() {
	for _, over := range t.table.Expire(t.clock()) {
		t.lose(t.by[over.ID], &over.Set)
	}
	for range mostTurns {
		granted, revoked := t.table.Serve(t.clock())
		for _, l := range revoked {
			t.lose(t.by[l.ID], &l.Set)
		}
		for _, l := range granted {
			t.gain(t.by[l.ID], &l.Set)
		}
		if len(granted) == 0 {
			return
		}
	}
}

func (t *leases) gain(b *bee, set *byterange.Set) {
	if b == nil || !b.hears() {
		return
	}
	for r := range set.All() {
		b.permit.Add(r)
	}
	b.asked, b.insisted = 0, byterange.Set{}
	b.sched.Permit(t.h.now, &b.permit)
	t.h.obey(b)
	if b.done == 0 {
		t.want(b)
	}
}

func (t *leases) lose(b *bee, set *byterange.Set) {
	if b == nil || !b.hears() || set.Len() == 0 {
		return
	}
	for r := range set.All() {
		b.permit.Subtract(r)
	}
	b.sched.Permit(t.h.now, &b.permit)
	t.h.obey(b)
	b.sched.Forbid(t.h.now, set)
	t.h.obey(b)
}

// hears reports whether a member would learn of anything.
func (b *bee) hears() bool { return b.here && !b.silent && !b.Seeds }
