package store

import (
	"encoding/hex"
	"maps"
	"slices"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/origin"
)

// Named is a generation of which something is held, under the names by which
// others know it.
type Named struct {
	Key    catalogue.Key
	Tag    catalogue.Tag
	Size   int64  // bytes of the resource
	Change uint64 // differs once something more, or less, is held of it

	entry *entry
}

// Changes counts what came to the store and went: while it stays, so does what
// Catalogue returns.
func (s *Store) Changes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changes
}

// Catalogue returns every generation of which something is held, in no order.
// Those that were kept before there were names for others have none, and are
// left out.
func (s *Store) Catalogue() []Named {
	s.mu.Lock()
	all := make([]Named, 0, len(s.entries))
	for _, e := range s.entries {
		if len(e.pieces) > 0 {
			all = append(all, Named{Size: e.id.Size, Change: e.change, entry: e})
		}
	}
	s.mu.Unlock()
	named := all[:0]
	for _, n := range all {
		if n.fill() {
			named = append(named, n)
		}
	}
	return named
}

// fill names a generation; what names it never changes.
func (n *Named) fill() bool {
	tag, ok := catalogue.TagOf(origin.Generation{Size: n.Size, ETag: n.entry.id.ETag, Coding: n.entry.id.Code})
	key, err := hex.DecodeString(n.entry.id.Name)
	if !ok || err != nil || len(key) != len(n.Key) {
		return false
	}
	n.Key, n.Tag = catalogue.Key(key), tag
	return true
}

// Set returns what is held of a generation of the Catalogue now.
func (s *Store) Set(n Named) (held byterange.Set) {
	s.mu.Lock()
	numbers := slices.Collect(maps.Keys(n.entry.pieces))
	s.mu.Unlock()
	slices.Sort(numbers)
	for _, number := range numbers {
		held.Add(n.entry.rangeOf(number))
	}
	return held
}
