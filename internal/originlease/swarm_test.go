package originlease_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/originlease"
)

// swarm runs members of arithmetic against a table: each fetches its leases at
// its rate, lowest first, and reports now and then; what others hold it gets
// from them at the next report.
type swarm struct {
	t       *testing.T
	table   *originlease.Table
	size    int64
	now     time.Duration
	fetched int64 // bytes from the origin
	lost    int64 // of them, with those who died, or twice after a lease was taken
	members []*arith
}

// arith is one member.
type arith struct {
	id          originlease.ID
	rate        int64 // bytes per second of its own lines
	alone       bool  // it does not share
	joins, dies time.Duration
	leased, has byterange.Set
	told        byterange.Set
	done        time.Duration // 0: not yet
	gone        bool
}

const tick, reports = 20 * time.Millisecond, 100 * time.Millisecond

func (s *swarm) present(m *arith) bool { return !m.gone && m.joins <= s.now }

// run goes on until all who live are done; false: they never are.
func (s *swarm) run(limit time.Duration) bool {
	for ; s.now < limit; s.now += tick {
		for _, l := range s.table.Expire(at(s.now)) {
			s.members[l.ID-1].leased = byterange.Set{}
		}
		left := 0
		for _, m := range s.members {
			if m.joins == s.now {
				s.table.Join(at(s.now), m.id, !m.alone)
			}
			if s.present(m) && m.dies > 0 && m.dies <= s.now {
				s.die(m)
			}
			if s.present(m) && m.done == 0 {
				s.fetch(m)
				if s.now%reports == 0 || m.leased.Bytes() == 0 {
					s.report(m)
				}
			}
			if !m.gone && m.done == 0 {
				left++
			}
		}
		s.grant()
		if left == 0 {
			return true
		}
	}
	return false
}

func (s *swarm) die(m *arith) {
	m.gone = true
	s.table.Leave(m.id)
	for r := range m.has.All() {
		s.lost += r.Len
	}
}

func (s *swarm) fetch(m *arith) {
	for n := m.rate * int64(tick) / int64(time.Second); n > 0; {
		r, ok := m.leased.Next(0)
		if !ok {
			return
		}
		r.Len = min(r.Len, n)
		m.leased.Subtract(r)
		m.has.Add(r)
		n -= r.Len
		s.fetched += r.Len
	}
}

// report tells what came, takes what others have told, and asks for 2 s more.
func (s *swarm) report(m *arith) {
	came := m.has.Clone()
	for r := range m.told.All() {
		came.Subtract(r)
	}
	for _, o := range s.members {
		if o == m || !s.present(o) || o.alone {
			continue
		}
		for r := range o.told.All() {
			for gap := range m.has.Missing(r) {
				came.Add(gap)
			}
		}
	}
	for r := range came.All() {
		m.has.Add(r)
	}
	m.told = m.has.Clone()
	s.table.Report(at(s.now), m.id, &came, &none)
	if m.has.Bytes() == s.size {
		m.done = s.now
	}
	if want := 2*m.rate - m.leased.Bytes(); want > 0 || m.done > 0 {
		s.table.Want(at(s.now), m.id, max(want, 0)*min(1, s.size-m.has.Bytes()), &none)
	}
}

func (s *swarm) grant() {
	granted, revoked := s.table.Serve(at(s.now))
	for _, l := range revoked {
		for r := range l.Set.All() {
			s.members[l.ID-1].leased.Subtract(r)
			s.lost += s.members[l.ID-1].has.Overlap(r) // it had not told yet
		}
	}
	for _, l := range granted {
		for _, o := range s.members {
			for r := range l.Set.All() {
				if s.present(o) && o.leased.Overlap(r) > 0 {
					s.t.Errorf("%v: %v was granted to %d, and %d has it", s.now, r, l.ID, o.id)
				}
			}
		}
		for r := range l.Set.All() {
			s.members[l.ID-1].leased.Add(r)
		}
	}
}

// audit runs the swarm and looks at what every swarm must do.
func (s *swarm) audit() {
	s.t.Helper()
	if !s.run(time.Hour) {
		s.t.Fatal("it never ends")
	}
	alone := int64(0)
	for _, m := range s.members {
		if m.alone {
			alone += s.size
		}
	}
	if s.fetched > s.size+s.lost+alone {
		s.t.Errorf("%d bytes left the origin of %d, and %d were lost", s.fetched, s.size, s.lost)
	}
	if err := originlease.Audit(s.table); err != nil {
		s.t.Error(err)
	}
}

func newSwarm(t *testing.T, size int64, members ...*arith) *swarm {
	t.Helper()
	s := &swarm{t: t, table: originlease.New(size, term), size: size, members: members}
	for i, m := range members {
		m.id = originlease.ID(i + 1)
	}
	return s
}

// TestAllEndTogether compares with what the lines can do together.
func TestAllEndTogether(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int64
		rates []int64 // KiB per second
		most  float64 // T/T*
	}{
		{"alone", 128 * mib, []int64{25 << 10}, 1.05},
		{"four alike", 128 * mib, []int64{6 << 10, 6 << 10, 6 << 10, 6 << 10}, 1.10},
		{"one is ten times slower", 128 * mib, []int64{20 << 10, 20 << 10, 2 << 10}, 1.10},
		{"one is hopeless", 128 * mib, []int64{20 << 10, 20 << 10, 20}, 1.10},
		{"all differ", 512 * mib, []int64{1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10}, 1.10},
		{"sixteen", 1024 * mib, []int64{4096, 4096, 4096, 4096, 4096, 4096, 4096, 4096, 999, 999, 999, 999, 50, 50, 50, 50}, 1.10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var members []*arith
			total := int64(0)
			for _, r := range tt.rates {
				members = append(members, &arith{rate: r << 10})
				total += r << 10
			}
			s := newSwarm(t, tt.size, members...)
			s.audit()
			ideal := float64(tt.size) / float64(total)
			last := time.Duration(0)
			for _, m := range members {
				last = max(last, m.done)
			}
			t.Logf("%.2f s, at best %.2f s: %.3f", last.Seconds(), ideal, last.Seconds()/ideal)
			if last.Seconds() > tt.most*ideal+0.2 {
				t.Errorf("%.2f s, at best %.2f s", last.Seconds(), ideal)
			}
			if s.fetched != tt.size {
				t.Errorf("%d bytes of %d left the origin", s.fetched, tt.size)
			}
		})
	}
}

// TestSwarms has members come, stop, die and keep to themselves, by seed.
func TestSwarms(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			var members []*arith
			for range 1 + rng.IntN(8) {
				m := &arith{
					rate: 1 << (15 + rng.IntN(10)), alone: rng.IntN(8) == 0,
					joins: time.Duration(rng.IntN(200)) * tick,
				}
				if rng.IntN(3) == 0 && len(members) > 0 { // the first one lives
					m.dies = m.joins + time.Duration(1+rng.IntN(300))*tick
				}
				members = append(members, m)
			}
			newSwarm(t, 1+rng.Int64N(96*mib), members...).audit()
		})
	}
}
