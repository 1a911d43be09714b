package schedule

import (
	"time"

	"ddm/internal/byterange"
)

// Retire tells that a source is going away within a time: it gets nothing
// more, what waits on it goes to the others, and so does of what runs the part
// that it could not bring in half of that time. It stays until Leave.
func (s *Scheduler) Retire(now time.Duration, id SourceID, within time.Duration) {
	s.now = now
	src := s.sources[id]
	if src == nil || src.retired {
		return
	}
	src.retired = true
	for _, l := range src.lanes {
		for len(l.queue) > 1 {
			s.cancel(l.queue[len(l.queue)-1], false)
		}
		if a := l.head(); a != nil && a.twin == nil {
			s.cut(a, a.at+int64(s.expected(l)*within.Seconds()/2))
		}
	}
	s.fillAll()
}

// cut moves an assignment's end down to about an offset ahead of its read
// pointer and gives the rest back, if that is worth it.
func (s *Scheduler) cut(a *assignment, to int64) { s.cutFrom(a, to, worthACut) }

// cutFrom is cut where so many bytes are worth it.
func (s *Scheduler) cutFrom(a *assignment, to, worth int64) {
	to = (to + fineGrid - 1) / fineGrid * fineGrid
	if a.end-to < worth {
		return
	}
	s.todo.Add(byterange.Between(to, a.end))
	s.shrink(a, to)
}
