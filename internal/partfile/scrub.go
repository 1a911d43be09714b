package partfile

import (
	"slices"

	"ddm/internal/byterange"
)

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
