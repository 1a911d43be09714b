package tracker

import (
	"time"

	"ddm/internal/byterange"
	"ddm/internal/originlease"
)

// What the tracker remembers of what peers hold, in bytes of its memory: of one
// peer, and of all. What is beyond is not known here; the peer still tells it
// to whoever opens a stream.
const (
	keeperLimit   = 8 << 20
	holdingsLimit = 256 << 20
	holdingCost   = 512 // without its runs
	runCost       = 48
)

// keeper is a registered peer that holds something.
type keeper struct {
	*listed
	lease    originlease.ID
	holdings map[generationKey]*byterange.Set
	taken    int // bytes
}

func costOf(set *byterange.Set) int { return holdingCost + runCost*set.Len() }

// keep enters what a peer says to hold; fresh: what it said before is void. A
// peer that moved is told of again.
func (s *swarms) keep(now time.Time, rec *record, holdings []holding, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keepers[rec.id]
	if k != nil && fresh {
		s.dropLocked(now, k)
		k = nil
	}
	if k == nil {
		if len(holdings) == 0 {
			return
		}
		s.last++
		k = &keeper{lease: s.last, holdings: map[generationKey]*byterange.Set{}}
		s.keepers[rec.id] = k
	}
	moved := k.listed != nil && (k.place != rec.place || k.name != rec.name)
	if k.listed == nil || moved {
		k.listed = &listed{id: rec.id, name: rec.name, place: rec.place, peer: true}
	}
	for _, h := range holdings {
		s.holdLocked(now, k, h)
	}
	if moved {
		for key := range k.holdings {
			s.tellLocked(s.generations[key], event{came: k.listed})
		}
	}
}

// lose forgets what a peer held.
func (s *swarms) lose(now time.Time, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keepers[id]; k != nil {
		s.dropLocked(now, k)
	}
}

func (s *swarms) dropLocked(now time.Time, k *keeper) {
	delete(s.keepers, k.id)
	for key := range k.holdings {
		s.holdLocked(now, k, holding{generationKey: key})
	}
}

// holdLocked replaces what a peer holds of one generation.
func (s *swarms) holdLocked(now time.Time, k *keeper, h holding) {
	old := k.holdings[h.generationKey]
	if old != nil {
		k.taken -= costOf(old)
		s.remembered -= costOf(old)
	}
	if cost := costOf(&h.set); h.set.Len() > 0 && (k.taken+cost > keeperLimit || s.remembered+cost > holdingsLimit) {
		s.metrics.forgotten.Inc()
		h.set = byterange.Set{}
	}
	if h.set.Len() == 0 {
		if old != nil {
			s.unholdLocked(now, k, h.generationKey)
		}
		return
	}
	k.taken += costOf(&h.set)
	s.remembered += costOf(&h.set)
	k.holdings[h.generationKey] = &h.set
	g := s.generationLocked(h.generationKey)
	g.keepers[k] = &h.set
	if old == nil {
		s.keptLocked(g, 1)
		s.tellLocked(g, event{came: k.listed})
	}
	if g.table == nil {
		return
	}
	var gone byterange.Set
	if old != nil {
		gone = old.Clone()
		for r := range h.set.All() {
			gone.Subtract(r)
		}
	}
	g.table.Join(now, k.lease, true)
	g.table.Hold(k.lease, &h.set, &gone)
	s.serveLocked(now, g)
}

func (s *swarms) unholdLocked(now time.Time, k *keeper, key generationKey) {
	g := s.generations[key]
	delete(k.holdings, key)
	delete(g.keepers, k)
	s.keptLocked(g, -1)
	s.tellLocked(g, event{left: k.id})
	if g.table != nil {
		g.table.Leave(k.lease)
		s.serveLocked(now, g)
	}
	s.tidyLocked(g)
}

// keptLocked counts a resource's holdings.
func (s *swarms) keptLocked(g *generation, n int) {
	res := s.resources[g.key]
	if res == nil {
		res = &resource{key: g.key, members: map[string]*member{}}
		s.resources[g.key] = res
	}
	if res.kept += n; res.kept == 0 && len(res.members) == 0 {
		delete(s.resources, g.key)
	}
}

// tellLocked tells all members of a generation.
func (s *swarms) tellLocked(g *generation, e event) {
	for _, m := range g.members {
		s.push(m, e)
	}
}
