package schedule

import "ddm/internal/byterange"

// A source may be a memory: it gives what it holds, and nothing else. The
// lines leave that to it as long as there is something else to fetch.

// nextHeld returns the lowest bytes that a memory holds and nobody was given,
// those first that somebody failed to bring.
func (s *Scheduler) nextHeld(src *source) (byterange.Range, bool) {
	for _, wanted := range []*byterange.Set{&s.again, &s.todo} {
		for run := range src.held.All() {
			if todo, ok := wanted.Next(run.Off); ok {
				if r := todo.Intersect(run); !r.Empty() {
					return r, true
				}
			}
		}
	}
	return byterange.Range{}, false
}

// nextUnheld returns the lowest unassigned bytes that no memory holds, if
// there are any, else the lowest of all.
func (s *Scheduler) nextUnheld() (byterange.Range, bool) {
	lowest, ok := s.todo.Next(0)
	if !ok || s.memories == 0 {
		return lowest, ok
	}
	held := s.heldByAll()
	for run := range s.todo.All() {
		for free := range held.Missing(run) {
			return free, true
		}
	}
	return lowest, true
}

// heldByAll returns what the memories that work hold.
func (s *Scheduler) heldByAll() *byterange.Set {
	var all byterange.Set
	for _, src := range s.order {
		if src.memory && src.usable(s.now) {
			for run := range src.held.All() {
				all.Add(run)
			}
		}
	}
	return &all
}
