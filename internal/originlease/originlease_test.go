package originlease_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/originlease"
)

const (
	mib  = 1 << 20
	term = 6 * time.Second
)

var none byterange.Set

func set(ranges ...byterange.Range) *byterange.Set {
	var s byterange.Set
	for _, r := range ranges {
		s.Add(r)
	}
	return &s
}

func mibs(from, to int64) byterange.Range { return byterange.Between(from*mib, to*mib) }

func at(d time.Duration) time.Time { return time.Unix(1000, 0).Add(d) }

// got is what one member is granted, as one run.
func got(t *testing.T, leases []originlease.Lease, id originlease.ID) byterange.Range {
	t.Helper()
	for _, l := range leases {
		if l.ID != id {
			continue
		}
		runs := slices.Collect(l.Set.All())
		if len(runs) != 1 {
			t.Fatalf("member %d was granted %v", id, runs)
		}
		return runs[0]
	}
	return byterange.Range{}
}

func serve(table *originlease.Table, now time.Time) []originlease.Lease {
	granted, _ := table.Serve(now)
	return granted
}

func ask(t *testing.T, table *originlease.Table, now time.Time, id originlease.ID, bytes int64, insist ...byterange.Range) byterange.Range {
	t.Helper()
	table.Want(now, id, bytes, set(insist...))
	return got(t, serve(table, now), id)
}

func TestTwoFetchDifferentBytes(t *testing.T) {
	table := originlease.New(64*mib, term)
	table.Join(at(0), 1, true)
	table.Join(at(0), 2, true)
	if r := ask(t, table, at(0), 1, 8*mib); r != mibs(0, 8) {
		t.Errorf("the first one got %v", r)
	}
	if r := ask(t, table, at(0), 2, 8*mib-5); r != mibs(8, 15) {
		t.Errorf("the second one got %v: not whole pieces behind the first", r)
	}
	if r := ask(t, table, at(0), 1, 1); r != mibs(15, 16) {
		t.Errorf("for a byte: %v", r)
	}
}

func TestReportedBytesAreHeldUntilTheirHoldersLeave(t *testing.T) {
	table := originlease.New(4*mib, term)
	for id := range originlease.ID(3) {
		table.Join(at(0), id+1, true)
	}
	table.Hold(3, set(mibs(2, 4)), &none) // it only holds
	if r := ask(t, table, at(0), 1, 8*mib); r != mibs(0, 1) {
		t.Fatalf("granted %v", r)
	}
	table.Report(at(0), 1, set(mibs(0, 1)), &none)
	if r := ask(t, table, at(0), 2, 8*mib); r != mibs(1, 2) {
		t.Fatalf("granted %v", r)
	}
	table.Report(at(0), 2, set(mibs(0, 2)), &none)
	if free := table.Free(); free != 0 {
		t.Fatalf("%d bytes are free", free)
	}
	table.Want(at(0), 2, 4*mib, &none)
	if l := serve(table, at(0)); len(l) != 0 {
		t.Fatalf("granted %v", l)
	}
	table.Leave(1) // another one has its bytes too
	if free := table.Free(); free != 0 {
		t.Errorf("%d bytes are free", free)
	}
	table.Hold(3, &none, set(mibs(3, 4)))
	if r := got(t, serve(table, at(0)), 2); r != mibs(3, 4) {
		t.Errorf("who waits is granted %v", r)
	}
	table.Leave(3)
	if free := table.Free(); free != mib {
		t.Errorf("%d bytes are free", free)
	}
}

// What a member fetches that shares nothing must be fetched again.
func TestNotSharing(t *testing.T) {
	table := originlease.New(2*mib, term)
	table.Join(at(0), 1, false)
	table.Join(at(0), 2, true)
	if r := ask(t, table, at(0), 1, mib); r != mibs(0, 1) {
		t.Fatalf("granted %v", r)
	}
	if r := ask(t, table, at(0), 2, mib); r != mibs(1, 2) {
		t.Fatalf("granted %v: the other one is fetching the first piece", r)
	}
	table.Report(at(0), 1, set(mibs(0, 1)), &none)
	if r := ask(t, table, at(0), 1, mib); !r.Empty() {
		t.Fatalf("granted %v: it has the one and the other one is fetched", r)
	}
	if r := ask(t, table, at(0), 2, mib); r != mibs(0, 1) {
		t.Fatalf("granted %v", r)
	}
}

func TestLeasesEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		report time.Duration // how often the owner reports; 0: never
		brings bool          // each time a byte of its lease
		lost   time.Duration
	}{
		{"silent", 0, false, term},
		{"reports, and brings nothing", time.Second, false, 3 * term},
		{"brings a little", time.Second, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := originlease.New(2*mib, term)
			table.Join(at(0), 1, true)
			table.Join(at(0), 2, true)
			ask(t, table, at(0), 1, 2*mib)
			ask(t, table, at(0), 1, 2*mib)
			if table.Leased(1) != 2*mib {
				t.Fatal("the first one has not leased everything")
			}
			table.Want(at(0), 2, mib, &none)
			lost := time.Duration(0)
			for d := time.Duration(0); d < 5*term && lost == 0; d += time.Second {
				if over := table.Expire(at(d)); len(over) > 0 {
					if over[0].ID != 1 || over[0].Set.Bytes() != 2*mib {
						t.Errorf("%v: lost %v", d, over)
					}
					lost = d
				}
				if tt.report > 0 {
					came := &none
					if tt.brings {
						came = set(byterange.Range{Off: int64(d / time.Second), Len: 1})
					}
					table.Report(at(d), 1, came, &none)
				}
			}
			if lost != tt.lost {
				t.Errorf("lost after %v, not %v", lost, tt.lost)
			}
			if granted := serve(table, at(lost)); lost > 0 && len(granted) == 0 {
				t.Error("who waits is granted nothing")
			}
			if _, ok := table.Next(); lost == 0 && !ok {
				t.Error("no lease ends")
			}
		})
	}
}

// Who brought nothing of its leases proves itself with one piece.
func TestBarren(t *testing.T) {
	table := originlease.New(64*mib, term)
	table.Join(at(0), 1, true)
	ask(t, table, at(0), 1, 8*mib)
	table.Expire(at(term))
	if r := ask(t, table, at(term), 1, 8*mib); r != mibs(0, 1) {
		t.Errorf("granted %v", r)
	}
	if r := ask(t, table, at(term), 1, 8*mib); !r.Empty() {
		t.Errorf("granted %v besides", r)
	}
	table.Report(at(term+time.Second), 1, set(mibs(0, 1)), &none)
	if r := ask(t, table, at(term+time.Second), 1, 8*mib); r.Len < 2*mib {
		t.Errorf("granted %v", r)
	}
}

func TestInsist(t *testing.T) {
	table := originlease.New(8*mib, term)
	for id := range originlease.ID(3) {
		table.Join(at(0), id+1, true)
	}
	table.Hold(3, set(mibs(0, 8)), &none) // and gives nothing
	if r := ask(t, table, at(0), 1, 2*mib); !r.Empty() {
		t.Fatalf("granted %v, which is held", r)
	}
	if r := ask(t, table, at(0), 1, 2*mib, mibs(1, 3)); r != mibs(1, 3) {
		t.Errorf("insisting: %v", r)
	}
	if r := ask(t, table, at(0), 2, 0, mibs(0, 3)); r != mibs(0, 1) {
		t.Errorf("insisting on what somebody fetches: %v", r)
	}
	if r := ask(t, table, at(0), 2, 0, mibs(1, 2)); !r.Empty() {
		t.Errorf("insisting on what somebody fetches: %v", r)
	}
	table.Leave(1)
	if r := got(t, serve(table, at(0)), 2); r != mibs(1, 2) {
		t.Errorf("after it left: %v", r)
	}
}

func TestResume(t *testing.T) {
	table := originlease.New(16*mib, term)
	table.Join(at(0), 1, true)
	table.Join(at(0), 2, true)
	table.Hold(1, set(mibs(0, 2)), &none)
	if r := table.Resume(at(0), 2, set(mibs(1, 6))); r.Bytes() != 4*mib || !r.Contains(mibs(2, 6)) {
		t.Errorf("resumed %v", slices.Collect(r.All()))
	}
	if r := table.Resume(at(0), 1, set(mibs(4, 9))); r.Bytes() != 3*mib || !r.Contains(mibs(6, 9)) {
		t.Errorf("resumed %v", slices.Collect(r.All()))
	}
	if r := table.Resume(at(0), 1, set(byterange.Range{Off: 20 * mib, Len: mib})); r.Bytes() != 0 {
		t.Errorf("resumed beyond the end: %v", slices.Collect(r.All()))
	}
}

// TestLateComer finds everything leased by one that was alone, and has its part
// within moments.
func TestLateComer(t *testing.T) {
	table := originlease.New(256*mib, term)
	table.Join(at(0), 1, true)
	var fetched int64
	for d := time.Duration(0); d < 2*time.Second; d += 100 * time.Millisecond {
		for r := ask(t, table, at(d), 1, 256*mib); !r.Empty(); r = ask(t, table, at(d), 1, 256*mib) {
			continue
		}
		table.Report(at(d), 1, set(byterange.Range{Off: fetched, Len: mib}), &none)
		fetched += mib
		if leased := table.Leased(1); d < 400*time.Millisecond && leased > 64*mib {
			t.Fatalf("%v: it leased %d MiB before anybody knew how fast it is", d, leased/mib)
		}
	}
	if free := table.Free(); free > 0 {
		t.Fatalf("%d bytes are free", free)
	}
	table.Join(at(2*time.Second), 2, true)
	table.Want(at(2*time.Second), 2, 20*mib, &none)
	granted, revoked := table.Serve(at(2 * time.Second))
	if r := got(t, granted, 2); r != mibs(236, 256) || got(t, revoked, 1) != r {
		t.Errorf("granted %v, revoked %v", granted, revoked)
	}
}

// No member may take more than its part by asking often.
func TestNobodyTakesAll(t *testing.T) {
	const size = 1 << 40
	table := originlease.New(size, term)
	table.Join(at(0), 1, true)
	table.Join(at(0), 2, true)
	table.Want(at(0), 2, mib, set(mibs(0, 1)))
	for range 1000 {
		table.Want(at(0), 1, size, set(mibs(0, size/mib)))
		table.Serve(at(0))
	}
	table.Resume(at(0), 1, set(mibs(0, size/mib)))
	if n := table.Leased(1); n > size/2+64*mib {
		t.Errorf("one member fetches %d of %d bytes", n, size)
	}
}

// TestManyRuns reports more than is remembered of one member.
func TestManyRuns(t *testing.T) {
	const n = 50_000
	table := originlease.New(n*mib, term)
	table.Join(at(0), 1, true)
	var all byterange.Set
	for i := range int64(n / 2) {
		all.Add(byterange.Range{Off: 2 * i * mib, Len: mib})
	}
	table.Hold(1, &all, &none)
	if free := table.Free(); free != (n-4096)*mib {
		t.Errorf("%d MiB are free", free/mib)
	}
	table.Hold(1, &none, set(byterange.Range{Len: n * mib}))
	if free := table.Free(); free != n*mib {
		t.Errorf("%d MiB are free", free/mib)
	}
	if err := originlease.Audit(table); err != nil {
		t.Error(err)
	}
}

func FuzzTable(f *testing.F) {
	f.Add(uint64(1))
	f.Add(uint64(7))
	f.Fuzz(func(t *testing.T, seed uint64) { newModel(t, seed).run(300) })
}

func TestTableIsTheModel(t *testing.T) {
	for seed := range uint64(200) {
		newModel(t, seed).run(200)
	}
}

// model is the table cell by cell.
type model struct {
	t     *testing.T
	rng   *rand.Rand
	seed  uint64
	table *originlease.Table
	now   time.Duration
	size  int64
	by    []originlease.ID          // of each cell
	has   map[originlease.ID][]bool // of those who are there
	alone map[originlease.ID]bool   // does not share
}

const cell = mib / 16

func newModel(t *testing.T, seed uint64) *model {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 5))
	size := int64(1+rng.IntN(160)) * cell
	return &model{
		t: t, rng: rng, seed: seed, size: size, table: originlease.New(size, term),
		by: make([]originlease.ID, size/cell), has: map[originlease.ID][]bool{}, alone: map[originlease.ID]bool{},
	}
}

// some gives random cells.
func (m *model) some() *byterange.Set {
	var s byterange.Set
	for range m.rng.IntN(4) {
		s.Add(byterange.Range{Off: m.rng.Int64N(m.size/cell+2) * cell, Len: (1 + m.rng.Int64N(24)) * cell})
	}
	return &s
}

func (m *model) cells(s *byterange.Set) (cells []int) {
	for i := range m.by {
		if s.Contains(byterange.Range{Off: int64(i) * cell, Len: cell}) {
			cells = append(cells, i)
		}
	}
	return cells
}

func (m *model) held(i int) bool {
	for id, has := range m.has {
		if has[i] && !m.alone[id] {
			return true
		}
	}
	return false
}

func (m *model) run(steps int) {
	m.t.Helper()
	for range steps {
		m.step()
		m.check()
	}
}

func (m *model) step() {
	m.t.Helper()
	now, id := at(m.now), originlease.ID(1+m.rng.IntN(5))
	has := m.has[id]
	switch m.rng.IntN(9) {
	case 0:
		shares := m.rng.IntN(4) > 0
		m.table.Join(now, id, shares)
		if has == nil {
			m.has[id], m.alone[id] = make([]bool, len(m.by)), !shares
		}
	case 1:
		m.table.Leave(id)
		delete(m.has, id)
		m.end(id, nil)
	case 2, 3:
		came, gone := m.some(), m.some()
		m.table.Report(now, id, came, gone)
		if has == nil {
			break
		}
		m.end(id, came)
		for _, i := range m.cells(came) {
			has[i] = true
		}
		for _, i := range m.cells(gone) {
			has[i] = false
		}
	case 4:
		released := m.some()
		m.table.Release(now, id, released)
		m.end(id, released)
	case 5:
		fetching := m.some()
		for _, i := range m.cells(fetching) {
			if has != nil && (m.by[i] == 0 || m.by[i] == id) && !m.held(i) && !has[i] {
				defer func() { m.by[i] = id }()
			}
		}
		got := m.table.Resume(now, id, fetching)
		for _, i := range m.cells(&got) {
			if has == nil || m.by[i] != 0 && m.by[i] != id || m.held(i) || has[i] {
				m.t.Errorf("seed %d: resumed cell %d", m.seed, i)
			}
		}
	case 6:
		m.now += time.Duration(m.rng.Int64N(int64(term)))
		for _, l := range m.table.Expire(at(m.now)) {
			for _, i := range m.cells(&l.Set) {
				if m.by[i] != l.ID {
					m.t.Errorf("seed %d: %d lost cell %d of %d", m.seed, l.ID, i, m.by[i])
				}
			}
			m.end(l.ID, &l.Set)
		}
	default:
		insist := m.some()
		m.table.Want(now, id, m.rng.Int64N(4*mib), insist)
		granted, revoked := m.table.Serve(now)
		for _, l := range revoked {
			for _, i := range m.cells(&l.Set) {
				if m.by[i] != l.ID {
					m.t.Errorf("seed %d: %d lost cell %d of %d", m.seed, l.ID, i, m.by[i])
				}
				m.by[i] = 0
			}
		}
		for _, l := range granted {
			for _, i := range m.cells(&l.Set) {
				if m.by[i] != 0 || m.has[l.ID] == nil || m.has[l.ID][i] {
					m.t.Errorf("seed %d: %d was granted cell %d, which %d fetches", m.seed, l.ID, i, m.by[i])
				}
				if m.held(i) && l.ID == id && !insist.Contains(byterange.Range{Off: int64(i) * cell, Len: cell}) {
					m.t.Errorf("seed %d: %d was granted cell %d, which is held", m.seed, l.ID, i)
				}
				m.by[i] = l.ID
			}
		}
	}
}

// end ends the leases of one member, in a set or all.
func (m *model) end(id originlease.ID, in *byterange.Set) {
	for i, by := range m.by {
		if by == id && (in == nil || in.Contains(byterange.Range{Off: int64(i) * cell, Len: cell})) {
			m.by[i] = 0
		}
	}
}

func (m *model) check() {
	m.t.Helper()
	free, leased := int64(0), map[originlease.ID]int64{}
	for i, by := range m.by {
		leased[by] += cell
		if by == 0 && !m.held(i) {
			free += cell
		}
	}
	if m.table.Free() != free {
		m.t.Fatalf("seed %d: %d cells are free, not %d", m.seed, m.table.Free()/cell, free/cell)
	}
	for id := range originlease.ID(6) {
		if id > 0 && m.table.Leased(id) != leased[id] {
			m.t.Fatalf("seed %d: member %d fetches %d bytes, not %d", m.seed, id, m.table.Leased(id), leased[id])
		}
	}
	if err := originlease.Audit(m.table); err != nil {
		m.t.Fatalf("seed %d: %v", m.seed, err)
	}
}

// BenchmarkLargest is what a member's message costs at 10 TB, of which every
// second piece is held by each of 20 others as far as that is remembered.
func BenchmarkLargest(b *testing.B) {
	const size = 10 << 40
	table := originlease.New(size, term)
	rng := rand.New(rand.NewPCG(1, 2))
	for id := range originlease.ID(20) {
		table.Join(at(0), id+1, true)
		var has byterange.Set
		for has.Len() < 4000 {
			has.Add(byterange.Range{Off: rng.Int64N(size/mib) * mib, Len: mib})
		}
		table.Hold(id+1, &has, &none)
	}
	i := 0
	for b.Loop() {
		now := at(time.Duration(i) * time.Millisecond)
		id := originlease.ID(1 + i%20)
		table.Want(now, id, 8*mib, &none)
		for _, l := range serve(table, now) {
			table.Report(now, l.ID, &l.Set, &none)
		}
		i++
	}
}
