package originlease

import (
	"slices"

	"ddm/internal/byterange"
)

const (
	stealGain = 0.5      // seconds by which the one that is stolen from must end earlier
	stealGrid = 64 << 10 // bytes: at the end, pieces count less than time

	// What a member brings in unseen seconds, at most so many bytes, is left to it: it
	// arrived and was not reported, or will have before it is told.
	unseen     = 0.5
	mostUnseen = Piece
)

// steal adds to set what m takes from the member that would be through last, so
// that both are through together; nil: nobody's end would come much earlier.
// mean is what to think of a member's rate that nobody knows.
func (t *Table) steal(m *member, mean float64, set *byterange.Set) (from *member) {
	rate, known := m.pace.rate()
	if !known {
		rate = mean
	}
	if m.want == 0 || m.barren || rate <= 0 {
		return nil
	}
	var most float64 // bytes
	gain := stealGain
	for _, v := range t.members {
		theirs, known := v.pace.rate()
		if v == m || v.leased == 0 || !known || v.given.Equal(t.served) {
			continue
		}
		bytes := (float64(v.leased)*rate - float64(m.leased)*theirs) / (rate + theirs)
		if g := bytes / max(theirs, 1); g > gain || g == gain && from != nil && v.id < from.id {
			from, most, gain = v, bytes, g
		}
	}
	if from == nil {
		return nil
	}
	t.highest(from, m, min(int64(most), max(m.want, Piece)), set)
	if set.Len() == 0 {
		return nil
	}
	return from
}

// highest adds the last bytes of a member's leases that nobody holds and
// another one does not have, but for what it is about to bring: that would leave
// the origin twice.
func (t *Table) highest(of, m *member, bytes int64, set *byterange.Set) {
	rate, _ := of.pace.rate()
	bytes = min(bytes, of.leased-min(int64(rate*unseen), mostUnseen))
	fetching := slices.Collect(t.find(byterange.Range{Len: t.size}, func(s state) bool { return s == state{by: of.id} }))
	for _, r := range slices.Backward(fetching) {
		if bytes <= 0 || set.Len() >= maxLeaseRuns {
			return
		}
		from := max(r.Off, r.End()-bytes)
		if from > r.Off {
			from = (from + stealGrid - 1) / stealGrid * stealGrid
		}
		part := byterange.Between(from, r.End())
		bytes -= r.Len
		for gap := range m.has.Missing(part) {
			set.Add(gap)
		}
	}
}
