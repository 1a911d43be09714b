package store

import (
	"time"

	"ddm/internal/byterange"
)

// Pretend enters all pieces of a generation, which are on no disk.
func (s *Store) Pretend(id Identity) {
	key, _ := id.Key()
	e := &entry{key: key, id: id, pieces: map[uint32]piece{}, used: time.Now()}
	for n := range uint32((id.Size + Piece - 1) / Piece) {
		e.apply(record{piece: n, crc: n})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[key] = e
	s.size += e.size
}

// Prefix is what is held at the beginning of r.
func (s *Store) Prefix(id Identity, r byterange.Range) byterange.Range {
	key, _ := id.Key()
	return s.prefix(key, r)
}
