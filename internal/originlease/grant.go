package originlease

import (
	"slices"
	"time"

	"ddm/internal/byterange"
)

// unknown is the most, in bytes, that a member fetches at a time of which nobody
// knows how fast it is.
const unknown = 16 * Piece

// Serve grants what can be granted to those who wait, longest first. Where
// nothing is left for somebody, it takes from who will be through last: revoked.
func (t *Table) Serve(now time.Time) (granted, revoked []Lease) {
	t.served = now
	if len(t.waiting) == 0 {
		return nil, nil
	}
	active, rates := t.working(now)
	for _, id := range slices.Clone(t.waiting) {
		m := t.members[id]
		set := t.insisted(m)
		if left := t.amount(m, active, rates) - set.Bytes(); left > 0 {
			t.lowest(m, left, &set)
		}
		if set.Len() == 0 {
			if from := t.steal(m, rates/float64(max(active, 1)), &set); from != nil {
				t.settle(from, &set)
				revoked = append(revoked, Lease{ID: from.id, Set: set.Clone()})
			}
		}
		if set.Len() == 0 {
			continue
		}
		t.lease(now, m, &set)
		t.quit(m)
		granted = append(granted, Lease{ID: id, Set: set})
	}
	return granted, revoked
}

// working returns how many fetch or want to, and what they bring together in
// bytes per second, as far as that is known.
func (t *Table) working(now time.Time) (active int64, rates float64) {
	for _, m := range t.members {
		m.pace.pass(now, m.leased > 0)
		if m.leased == 0 && m.want == 0 {
			continue
		}
		active++
		if rate, ok := m.pace.rate(); ok {
			rates += rate
		}
	}
	return active, rates
}

// amount is how many free bytes a member is granted now.
func (t *Table) amount(m *member, active int64, rates float64) int64 {
	if t.free == 0 || m.want == 0 {
		return 0
	}
	if m.barren {
		return min(m.want, Piece-m.leased)
	}
	share := max(t.free/(2*max(active, 1)), Piece)
	// Nobody has much more than its part, however often it asks.
	room := max(ahead, (t.free+m.leased)/max(active, 1))
	rate, known := m.pace.rate()
	switch {
	case !known && active > 1:
		room = unknown
	case !known:
		room = ahead // whoever comes next finds something left
	case rates > rate && Piece/max(rate, 1) > 2*float64(t.free+m.leased)/(rates-rate)+0.5:
		return 0 // the others bring everything before it is through with one piece
	default:
		share = min(share, max(int64(float64(t.free)*rate/max(rates, 1)/2), Piece))
	}
	return min(m.want, share, room-m.leased)
}

// insisted returns what a member is granted although others hold it: what
// nobody fetches.
func (t *Table) insisted(m *member) (set byterange.Set) {
	for r := range t.inside(&m.insist) {
		for part := range t.find(r, func(s state) bool { return s.by == 0 }) {
			for gap := range m.has.Missing(part) {
				if set.Len() == maxLeaseRuns || set.Bytes() >= ahead-m.leased {
					return set
				}
				gap.Len = min(gap.Len, ahead-m.leased-set.Bytes())
				set.Add(gap)
			}
		}
	}
	return set
}

// lowest adds about so many free bytes that a member does not have, lowest
// first and to the end of a piece.
func (t *Table) lowest(m *member, bytes int64, set *byterange.Set) {
	low := t.size
	for r := range t.find(byterange.Between(t.low, t.size), state.free) {
		low = min(low, r.Off)
		for gap := range m.has.Missing(r) {
			if set.Len() == maxLeaseRuns || bytes <= 0 {
				t.low = low
				return
			}
			part := cut(gap, bytes)
			set.Add(part)
			if bytes -= part.Len; part != gap {
				bytes = 0
			}
		}
	}
	t.low = low
}

// cut returns about so many bytes of the beginning of r: to the end of a piece,
// below where there is one, else behind.
func cut(r byterange.Range, bytes int64) byterange.Range {
	if bytes >= r.Len {
		return r
	}
	end := (r.Off + bytes) / Piece * Piece
	if end <= r.Off {
		end += Piece
	}
	return byterange.Between(r.Off, min(end, r.End()))
}
