package partfile

import (
	"cmp"
	"slices"

	"ddm/internal/byterange"
)

// Touching returns the extents that share a byte with r, in ascending order.
func (f *File) Touching(r byterange.Range) []Extent {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []Extent
	for i, l := range []*ledger{f.synced, f.flight, f.pending} {
		for _, e := range l.touching(r) {
			list = append(list, Extent{Range: e.Range, CRC: e.crc, Giver: f.givers.name(e.giver), Synced: i == 0})
		}
	}
	slices.SortFunc(list, func(a, b Extent) int { return cmp.Compare(a.Off, b.Off) })
	return list
}

// Scrub re-reads what was written in r and drops every extent whose bytes are
// not what they were. It returns how many bytes those were.
func (f *File) Scrub(r byterange.Range) (int64, error) {
	f.checkpointing.Lock()
	f.mu.Lock()
	if err := f.usable(); err != nil {
		f.mu.Unlock()
		f.checkpointing.Unlock()
		return 0, err
	}
	list := slices.Concat(f.pending.touching(r), f.synced.touching(r))
	f.mu.Unlock()
	f.checkpointing.Unlock()
	var dropped int64
	buf := make([]byte, 256<<10)
	for _, e := range list {
		if intact(f.data, e, buf) {
			continue
		}
		n, err := f.Drop(e.Range)
		if dropped += n; err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}
