package schedule

import (
	"fmt"

	"ddm/internal/byterange"
)

// Audit checks that every byte is where the package comment says; for tests
// and simulations. It costs time in proportion to the live assignments.
func (s *Scheduler) Audit() error {
	var assigned byterange.Set
	for _, a := range s.live {
		r := a.remaining()
		if assigned.Overlap(r) > 0 && a.twin == nil {
			return fmt.Errorf("assignment %d: %v is assigned twice", a.id, r)
		}
		if n := s.todo.Overlap(r); n > 0 {
			return fmt.Errorf("assignment %d: %d bytes of %v are unassigned too", a.id, n, r)
		}
		assigned.Add(r)
	}
	for r := range s.done.All() {
		assigned.Add(r)
		if n := s.todo.Overlap(r); n > 0 {
			return fmt.Errorf("%d bytes of %v are unassigned although they arrived", n, r)
		}
	}
	if sum := assigned.Bytes() + s.todo.Bytes(); sum != s.cfg.Size {
		return fmt.Errorf("%d of %d bytes are accounted for", sum, s.cfg.Size)
	}
	return nil
}
