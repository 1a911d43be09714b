package originlease

import "fmt"

// Audit looks for contradictions in a table.
func Audit(t *Table) error {
	var free int64
	leased := map[ID]int64{}
	for i, s := range t.spans {
		n := t.end(i) - s.off
		switch {
		case n <= 0 || s.holders < 0:
			return fmt.Errorf("span %d: %+v, %d bytes", i, s, n)
		case i > 0 && t.spans[i-1].state == s.state:
			return fmt.Errorf("spans %d and %d are one", i-1, i)
		case s.free() && s.off < t.low:
			return fmt.Errorf("free at %d, below %d", s.off, t.low)
		}
		if s.free() {
			free += n
		}
		leased[s.by] += n
	}
	if free != t.free {
		return fmt.Errorf("%d bytes are free, not %d", free, t.free)
	}
	for id, m := range t.members {
		if leased[id] != m.leased {
			return fmt.Errorf("member %d leased %d bytes, not %d", id, leased[id], m.leased)
		}
	}
	return nil
}
