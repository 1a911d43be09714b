// Package originlease decides who fetches which bytes of one generation from
// its origin, so that each byte leaves that once.
//
//	Join, Leave -------> members: who shares, what each has
//	Hold, Report ------> spans: how many hold it, who fetches it
//	Want --------------> who waits
//	                       |
//	          Serve(now) --+--> leases granted, and taken from the slow
//	          Expire(now) ----> leases that are over, since nothing came of them
//
// A byte is free if nobody who shares holds it and nobody fetches it. Free
// bytes are leased lowest first, in whole pieces, to whoever asks: about as much
// as was asked for, but less and less towards the end, by the rates at which
// leases were brought, so that all end together (guided self-scheduling).
//
// Where nothing is free, who waits is given the end of what somebody much slower
// fetches.
//
// A lease lasts for a term after its member was last heard of, and three terms
// after something last came of its leases. Then others may have it.
//
// The package is pure: times are values, nothing runs, nothing waits. A Table
// is not safe for concurrent use: it lives under its owner's lock.
package originlease

import (
	"cmp"
	"slices"
	"time"

	"ddm/internal/byterange"
)

// Piece is the grid on which leases are granted, in bytes: that of the stores.
const Piece = 1 << 20

const (
	maxRuns      = 4096 // that are known of one member; of what it has beyond, its highest runs are not believed
	maxLeaseRuns = 64   // in one lease
	ahead        = 64 << 20
	barrenTerms  = 3 // of time in which nothing came of a lease
	fade         = 2 * time.Second
	look         = 500 * time.Millisecond // between looks whether somebody became too slow for those who wait
	forget       = 10 * time.Second       // without a lease, and a pace means nothing any more
)

// ID names a member; the owner of the Table chooses it.
type ID uint64

// Lease is what a member was granted, or lost.
type Lease struct {
	ID  ID
	Set byterange.Set
}

// Table is the state of one generation.
type Table struct {
	size    int64
	term    time.Duration
	spans   []span // ascending; neighbours differ
	low     int64  // nothing below is free
	free    int64  // bytes
	members map[ID]*member
	waiting []ID // who wants, longest first
	served  time.Time
}

// member is one that downloads, or only holds. Its leases are in the spans.
type member struct {
	id     ID
	shares bool
	has    byterange.Set // whether it shares it or not
	leased int64         // bytes
	until  time.Time     // unless it is heard of
	fruit  time.Time     // when something came of its leases, or the first of them was granted
	given  time.Time     // when the last of them was granted
	barren bool          // nothing came of the last ones
	want   int64         // bytes
	insist byterange.Set
	pace   pace
}

// New returns the table of a generation of so many bytes, whose leases last for
// a term.
func New(size int64, term time.Duration) *Table {
	return &Table{size: size, term: term, spans: []span{{}}, free: size, members: map[ID]*member{}}
}

// Join adds a member; id is not 0. One that does not share has its bytes for
// itself. Joining again changes nothing.
func (t *Table) Join(now time.Time, id ID, shares bool) {
	if t.members[id] == nil {
		t.members[id] = &member{id: id, shares: shares, until: now.Add(t.term)}
	}
}

// Leave takes a member out. What it fetched, and what nobody else holds, is
// free.
func (t *Table) Leave(id ID) {
	m := t.members[id]
	if m == nil {
		return
	}
	t.revoke(m)
	if m.shares {
		t.apply(&m.has, func(s state) state { s.holders--; return s })
	}
	t.quit(m)
	delete(t.members, id)
}

// Hold says what a member has besides, and what no more. It tells nothing of
// its leases.
func (t *Table) Hold(id ID, came, gone *byterange.Set) {
	m := t.members[id]
	if m == nil {
		return
	}
	var added, removed byterange.Set
	for r := range t.inside(came) {
		for gap := range m.has.Missing(r) {
			added.Add(gap)
		}
	}
	for r := range added.All() {
		m.has.Add(r)
	}
	for r := range gone.All() {
		for part := range within(&m.has, r) {
			removed.Add(part)
		}
	}
	for r := range removed.All() {
		m.has.Subtract(r)
	}
	for m.has.Len() > maxRuns {
		last, _ := m.has.Last()
		m.has.Subtract(last)
		removed.Add(last)
	}
	if m.shares {
		t.apply(&added, func(s state) state { s.holders++; return s })
		t.apply(&removed, func(s state) state { s.holders--; return s })
	}
}

// Report is Hold by a member that downloads: it renews its leases, except for
// what came.
func (t *Table) Report(now time.Time, id ID, came, gone *byterange.Set) {
	m := t.heard(now, id)
	if m == nil {
		return
	}
	before := m.leased
	t.settle(m, came)
	if brought := before - m.leased; brought > 0 {
		m.pace.bring(brought)
		m.fruit, m.barren = now, false
	}
	t.Hold(id, came, gone)
}

// Want says that a member could fetch about so many bytes more, and which it
// wants although others hold them. It replaces the Want before; the next lease
// answers it.
func (t *Table) Want(now time.Time, id ID, bytes int64, insist *byterange.Set) {
	m := t.heard(now, id)
	if m == nil {
		return
	}
	if m.want, m.insist = max(bytes, 0), insist.Clone(); m.want == 0 && m.insist.Len() == 0 {
		t.quit(m)
	} else if !slices.Contains(t.waiting, id) {
		t.waiting = append(t.waiting, id)
	}
}

// Release gives leases back.
func (t *Table) Release(now time.Time, id ID, set *byterange.Set) {
	if m := t.heard(now, id); m != nil {
		t.settle(m, set)
	}
}

// Resume grants a member again what it was granted by somebody who forgot it,
// unless others hold or fetch it now, within reason. It returns what it got.
func (t *Table) Resume(now time.Time, id ID, fetching *byterange.Set) (got byterange.Set) {
	m := t.heard(now, id)
	if m == nil {
		return got
	}
	room := max(ahead, t.free/2) - m.leased
	for r := range t.inside(fetching) {
		for free := range t.find(r, func(s state) bool { return s.free() || s == state{by: id} }) {
			for gap := range m.has.Missing(free) {
				gap.Len = min(gap.Len, room-got.Bytes())
				got.Add(gap)
			}
		}
	}
	t.lease(now, m, &got)
	return got
}

// Expire ends the leases whose time is over, and returns them by ascending id.
func (t *Table) Expire(now time.Time) (over []Lease) {
	for _, m := range t.members {
		if m.leased > 0 && !t.ends(m).After(now) {
			over = append(over, Lease{ID: m.id})
		}
	}
	slices.SortFunc(over, func(a, b Lease) int { return cmp.Compare(a.ID, b.ID) })
	for i := range over {
		m := t.members[over[i].ID]
		m.pace.pass(now, true)
		over[i].Set = t.revoke(m)
		m.barren = true
	}
	return over
}

// Next returns when to call Expire and Serve again, even if nothing comes; ok
// is false if there is no lease.
func (t *Table) Next() (at time.Time, ok bool) {
	for _, m := range t.members {
		if m.leased > 0 && (!ok || t.ends(m).Before(at)) {
			at, ok = t.ends(m), true
		}
	}
	if again := t.served.Add(look); ok && len(t.waiting) > 0 && again.Before(at) {
		at = again
	}
	return at, ok
}

// Free returns how many bytes nobody who shares holds and nobody fetches.
func (t *Table) Free() int64 { return t.free }

// Leased returns how many bytes a member is fetching.
func (t *Table) Leased(id ID) int64 {
	if m := t.members[id]; m != nil {
		return m.leased
	}
	return 0
}

func (t *Table) ends(m *member) time.Time {
	if barren := m.fruit.Add(barrenTerms * t.term); barren.Before(m.until) {
		return barren
	}
	return m.until
}

// heard renews a member's leases.
func (t *Table) heard(now time.Time, id ID) *member {
	m := t.members[id]
	if m != nil {
		m.pace.pass(now, m.leased > 0)
		m.until = now.Add(t.term)
	}
	return m
}

// quit ends a member's want.
func (t *Table) quit(m *member) {
	m.want, m.insist = 0, byterange.Set{}
	t.waiting = slices.DeleteFunc(t.waiting, func(id ID) bool { return id == m.id })
}

// lease enters what a member fetches from now on.
func (t *Table) lease(now time.Time, m *member, set *byterange.Set) {
	if m.leased == 0 {
		m.fruit = now
	}
	m.given = now
	t.apply(set, func(s state) state { s.by = m.id; return s })
}

// settle ends a member's leases on the bytes of a set.
func (t *Table) settle(m *member, set *byterange.Set) {
	if m.leased == 0 {
		return
	}
	t.apply(set, func(s state) state {
		if s.by == m.id {
			s.by = 0
		}
		return s
	})
}

// revoke ends all leases of a member, and returns them.
func (t *Table) revoke(m *member) (set byterange.Set) {
	if m.leased > 0 {
		for r := range t.find(byterange.Range{Len: t.size}, func(s state) bool { return s.by == m.id }) {
			set.Add(r)
		}
		t.settle(m, &set)
	}
	return set
}
