package tracker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/errdefs"
	"ddm/internal/originlease"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	membersPerAddress = 256
	membersPerSwarm   = 1000
	// leaseLook is how late a lease may end that nothing else brings to light.
	leaseLook = 500 * time.Millisecond
)

// swarms knows who downloads what, who holds what, and who fetches which bytes
// from the origin. One mutex guards it; every method is short, and none waits
// or logs while holding it. The registry calls it with its own mutex held,
// never the other way round.
//
//	resource (a key) --> members: entered
//	generation ---------> members: bound; keepers: peers that hold some of it
//	    `-- table: while somebody is bound
type swarms struct {
	cfg     Config
	metrics *metrics
	bound   chan struct{} // of one: a first member is bound
	going   chan struct{} // closed: the tracker is going away

	mu          sync.Mutex
	last        originlease.ID
	members     map[*member]struct{}
	from        map[netip.Addr]int // members
	resources   map[catalogue.Key]*resource
	generations map[generationKey]*generation
	keepers     map[string]*keeper       // by the id of the peer
	remembered  int                      // bytes that all holdings take
	open        map[*generation]struct{} // those with a table
	closed      bool
}

// resource is what a key names, of whatever generation.
type resource struct {
	key     catalogue.Key
	members map[string]*member // by id
	kept    int                // holdings of peers
	opener  *member            // entered when nobody was there, and is probing
}

// generation is one swarm.
type generation struct {
	generationKey
	table   *originlease.Table // nil: nobody is bound
	members map[originlease.ID]*member
	keepers map[*keeper]*byterange.Set
}

func newSwarms(cfg Config, m *metrics) *swarms {
	return &swarms{
		cfg: cfg, metrics: m,
		bound: make(chan struct{}, 1), going: make(chan struct{}),
		members: map[*member]struct{}{}, from: map[netip.Addr]int{}, resources: map[catalogue.Key]*resource{},
		generations: map[generationKey]*generation{}, keepers: map[string]*keeper{},
		open: map[*generation]struct{}{},
	}
}

// enter takes a member in and queues its Entered. It is Busy if there are too
// many, Invalid if another machine has its id.
func (s *swarms) enter(m *member, e entry, at place, from netip.Addr, hello *ddmv1.Hello) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	res := s.resources[e.key]
	if res == nil {
		res = &resource{key: e.key, members: map[string]*member{}}
	}
	old := res.members[e.id]
	switch {
	case s.closed || m.gone:
		return errGoing()
	case old != nil && old.from != from:
		return fmt.Errorf("%w: enter.id: another machine has it: choose another", errdefs.Invalid)
	case old == nil && (len(s.members) >= s.cfg.MaxMembers || len(res.members) >= membersPerSwarm || s.from[from] >= membersPerAddress):
		return fmt.Errorf("%w: too many clients take part: go on alone: %w", errdefs.Busy, errdefs.RetryAfter(fullRetry))
	}
	if old != nil {
		old.end(fmt.Errorf("%w: the same member entered again", errdefs.Unavailable))
		s.leaveLocked(time.Now(), old)
	}
	s.last++
	m.listed = &listed{id: e.id, name: e.name, place: at}
	m.lease, m.shares, m.from, m.res = s.last, e.shares, from, res
	s.resources[e.key] = res
	others, held := res.present()
	if others == 0 && !held && res.opener == nil {
		res.opener = m
	}
	res.members[m.id] = m
	s.members[m] = struct{}{}
	s.from[from]++
	m.push(event{entered: &ddmv1.Entered{Hello: hello, Others: others, Held: held}})
	return nil
}

// present tells who else is there.
func (r *resource) present() (others int32, held bool) {
	held = r.kept > 0
	for _, m := range r.members {
		if m.shares {
			others++
			held = held || m.holds
		}
	}
	return others, held
}

// bind makes a member one of a generation's swarm.
func (s *swarms) bind(now time.Time, m *member, b binding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.gone {
		return
	}
	g := s.generationLocked(generationKey{m.res.key, b.tag, b.size})
	s.openLocked(now, g)
	if opener := m.res.opener; opener != nil && opener != m && !slices.Contains(opener.reserved, g) {
		// What its probe brings need not be fetched twice.
		g.table.Join(now, opener.lease, opener.shares)
		first := setOf(byterange.Range{Len: min(originlease.Piece, g.size)})
		g.table.Resume(now, opener.lease, &first)
		opener.reserved = append(opener.reserved, g)
	}
	m.gen = g
	s.probedLocked(now, m)
	g.members[m.lease] = m
	for k := range g.keepers {
		m.push(event{came: k.listed})
	}
	for _, o := range g.members {
		if o != m && o.shares {
			m.push(event{came: o.listed})
		}
		if o != m && m.shares {
			s.push(o, event{came: m.listed})
		}
	}
	var none byterange.Set
	g.table.Join(now, m.lease, m.shares)
	all := setOf(byterange.Range{Len: g.size})
	g.table.Release(now, m.lease, &all)
	g.table.Report(now, m.lease, &b.held, &none)
	m.holds = b.held.Len() > 0
	if got := g.table.Resume(now, m.lease, &b.fetching); got.Len() > 0 {
		s.push(m, event{granted: &got})
	}
	s.serveLocked(now, g)
}

// probedLocked ends what was reserved for a member's probe, except in its own
// generation.
func (s *swarms) probedLocked(now time.Time, m *member) {
	if m.res.opener == m {
		m.res.opener = nil
	}
	for _, g := range m.reserved {
		if g != m.gen && g.table != nil {
			g.table.Leave(m.lease)
			s.serveLocked(now, g)
		}
	}
	m.reserved = nil
}

// openLocked gives a generation its table.
func (s *swarms) openLocked(now time.Time, g *generation) {
	if g.table != nil {
		return
	}
	g.table = originlease.New(g.size, s.cfg.Lease)
	s.open[g] = struct{}{}
	var none byterange.Set
	for k, set := range g.keepers {
		g.table.Join(now, k.lease, true)
		g.table.Hold(k.lease, set, &none)
	}
	signal(s.bound)
}

func (s *swarms) report(now time.Time, m *member, held, lost *byterange.Set) {
	s.step(now, m, func(t *originlease.Table) {
		t.Report(now, m.lease, held, lost)
		m.holds = m.holds || held.Len() > 0
	})
}

func (s *swarms) want(now time.Time, m *member, bytes int64, insist *byterange.Set) {
	s.step(now, m, func(t *originlease.Table) { t.Want(now, m.lease, bytes, insist) })
}

func (s *swarms) release(now time.Time, m *member, set *byterange.Set) {
	s.step(now, m, func(t *originlease.Table) { t.Release(now, m.lease, set) })
}

// step does something for a bound member, and what follows from it. Leases
// that are over by now are not renewed by what came too late.
func (s *swarms) step(now time.Time, m *member, do func(t *originlease.Table)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.gone {
		return
	}
	s.expireLocked(now, m.gen)
	do(m.gen.table)
	s.serveLocked(now, m.gen)
}

// leave takes a member out; its leases are free at once.
func (s *swarms) leave(now time.Time, m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaveLocked(now, m)
}

func (s *swarms) leaveLocked(now time.Time, m *member) {
	entered := m.res != nil && !m.gone
	m.gone = true
	if !entered {
		return
	}
	delete(s.members, m)
	delete(m.res.members, m.id)
	if s.from[m.from]--; s.from[m.from] == 0 {
		delete(s.from, m.from)
	}
	if g := m.gen; g != nil {
		delete(g.members, m.lease)
		if m.shares {
			for _, o := range g.members {
				s.push(o, event{left: m.id})
			}
		}
		g.table.Leave(m.lease)
		s.serveLocked(now, g)
		s.tidyLocked(g)
	}
	s.probedLocked(now, m)
	if len(m.res.members) == 0 && m.res.kept == 0 {
		delete(s.resources, m.res.key)
	}
}

func (s *swarms) generationLocked(key generationKey) *generation {
	g := s.generations[key]
	if g == nil {
		g = &generation{generationKey: key, members: map[originlease.ID]*member{}, keepers: map[*keeper]*byterange.Set{}}
		s.generations[key] = g
	}
	return g
}

// tidyLocked forgets what nobody needs of a generation.
func (s *swarms) tidyLocked(g *generation) {
	if g.table != nil && len(g.members) == 0 {
		g.table = nil
		delete(s.open, g)
	}
	if g.table == nil && len(g.keepers) == 0 {
		delete(s.generations, g.generationKey)
	}
}

func (s *swarms) expireLocked(now time.Time, g *generation) {
	for _, l := range g.table.Expire(now) {
		s.revokeLocked(g, l)
	}
}

func (s *swarms) revokeLocked(g *generation, l originlease.Lease) {
	s.metrics.revoked.Add(float64(l.Set.Bytes()))
	if m := g.members[l.ID]; m != nil {
		s.push(m, event{revoked: &l.Set})
	}
}

// serveLocked ends and grants what is to be ended and granted now.
func (s *swarms) serveLocked(now time.Time, g *generation) {
	s.expireLocked(now, g)
	granted, revoked := g.table.Serve(now)
	for _, l := range revoked {
		s.revokeLocked(g, l)
	}
	for _, l := range granted {
		s.metrics.leases.Inc()
		s.metrics.leased.Add(float64(l.Set.Bytes()))
		if m := g.members[l.ID]; m != nil {
			s.push(m, event{granted: &l.Set})
		}
	}
}

func (s *swarms) push(m *member, e event) {
	if !m.push(e) {
		s.metrics.slowMembers.Inc()
	}
}

// run ends leases that nothing else brings to light, until ctx is done.
func (s *swarms) run(ctx context.Context) {
	timer := time.NewTimer(leaseLook)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.bound:
		}
		if s.sweep(time.Now()) {
			timer.Reset(leaseLook)
		}
	}
}

// sweep looks at all tables, and reports whether there are any.
func (s *swarms) sweep(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.open {
		if at, ok := g.table.Next(); ok && !at.After(now) {
			s.serveLocked(now, g)
		}
	}
	return len(s.open) > 0
}

// close ends every membership; those that come later are refused.
func (s *swarms) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	close(s.going)
	for m := range s.members {
		m.end(errGoing())
	}
}

// count gives the numbers of swarms, of members, and of bytes that are taken by
// what peers hold.
func (s *swarms) count() (tables, members, remembered int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open), len(s.members), s.remembered
}

func setOf(r byterange.Range) (set byterange.Set) {
	set.Add(r)
	return set
}
