package schedule

import (
	"time"

	"ddm/internal/byterange"
)

// What a memory is asked for at once. Holdings grow and move, so that orders are
// shorter than those of lines; they end on pieces where pieces are whole.
const (
	memoryTarget = 400 * time.Millisecond // of its work per order, and that waits for it
	slowPiece    = 2 * time.Second        // a piece that takes longer is cut
	mostAtOnce   = 8 << 20                // bytes of one order: what lies side by side should come so
	mostWaiting  = 4                      // orders behind the running one
)

// A memory is hopelessly slow if what it and its like hold alone would take them
// this long, at less than a part of what the lines bring.
const (
	hopelessAfter = 10 * time.Second
	hopelessShare = 0.25
	unknownLines  = 2 << 20 // bytes per second of lines of which nothing is known
)

// memoryWants reports whether a memory's lane should be given more: one order
// always waits, so that no round trip leaves it idle, and small ones do not wait
// alone.
func (s *Scheduler) memoryWants(l *lane) bool {
	waiting := len(l.queue) - 1
	switch {
	case waiting < 0:
		return s.now >= l.wait
	case l.src.onProbation() || waiting >= mostWaiting:
		return false
	}
	return waiting == 0 || s.timeLeft(l) < memoryTarget
}

// fillMemory gives a memory's lane work: what it holds, else what others were
// asked for of that.
func (s *Scheduler) fillMemory(l *lane) {
	for s.memoryWants(l) {
		r, ok := s.nextHeld(l, s.orderSize(l))
		if !ok {
			if l.head() == nil {
				s.help(l)
			}
			return
		}
		s.assignOpen(l, r)
		l.src.grant = min(2*l.src.grant, mostAtOnce)
	}
}

// orderSize returns how many bytes a memory should be asked for.
func (s *Scheduler) orderSize(l *lane) int64 {
	speed, ok := l.speed()
	if !ok || l.src.onProbation() {
		return min(l.src.grant, mostAtOnce)
	}
	size := int64(speed * memoryTarget.Seconds())
	if speed*slowPiece.Seconds() >= float64(s.cfg.Piece) {
		size = max(size, s.cfg.Piece)
	}
	return max(min(size, mostAtOnce), minRange)
}

// nextHeld returns about size bytes that a memory holds and nobody was given:
// those first that somebody failed to bring, then those that the plan has it
// send. If there are none, an idle one gets the next ones behind where this client
// begins.
func (s *Scheduler) nextHeld(l *lane, size int64) (byterange.Range, bool) {
	src := l.src
	limit := s.windowEnd()
	cut := func(r byterange.Range) (byterange.Range, bool) {
		r = r.Intersect(byterange.Between(0, min(limit, s.gridEnd(r.Off, size))))
		return r, !r.Empty()
	}
	if r, ok := firstOfBoth(&s.again, &src.held, 0); ok {
		return cut(r)
	}
	planned := s.replan()
	if planned {
		if r, ok := s.nextPlanned(src, size); ok {
			return cut(r)
		}
		if l.head() != nil {
			return byterange.Range{}, false
		}
	}
	if r, ok := firstOfBoth(&s.todo, &src.held, s.beginning()); ok {
		return cut(r)
	}
	if r, ok := firstOfBoth(&s.todo, &src.held, 0); ok {
		return cut(r)
	}
	return byterange.Range{}, false
}

// memoryRate returns the bytes per second of a memory at work; ok is false if
// nothing is known.
func (src *source) memoryRate() (rate float64, ok bool) {
	for _, l := range src.lanes {
		if l.meter.known() {
			rate += l.meter.rate()
			ok = true
		}
	}
	return rate, ok
}

// tickMemory moves the meters of a memory on. It works for moments only while
// others still fetch what it will hold: what counts is what it brought while it
// had something to do.
func (src *source) tickMemory(now time.Duration) {
	for _, l := range src.lanes {
		l.meter.add(l.pending, l.atWork(now).Seconds())
		src.total += l.pending
		l.pending = 0
	}
}

// findHopeless finds out which memories are so slow that lines need not leave to
// them what nobody else holds. It stays so until one is twice as fast as that.
func (s *Scheduler) findHopeless() {
	if s.memories == 0 {
		return
	}
	floor := hopelessShare * s.linesCan()
	var fast union
	var slow []*source
	sum := 0.0
	for _, src := range s.order {
		if !src.memory || !src.usable(s.now) || src.onProbation() {
			continue
		}
		rate, known := src.memoryRate()
		if src.hopeless && rate > 2*floor {
			src.hopeless = false
		}
		if known && rate < floor {
			slow = append(slow, src)
			sum += rate
		} else {
			fast.sources = append(fast.sources, src)
		}
	}
	if len(slow) == 0 {
		return
	}
	fast.fill()
	alone := union{sources: slow}
	alone.fill()
	var bytes int64
	for run := range s.todo.All() {
		for r := range fast.set.Missing(run) {
			bytes += alone.set.Overlap(r)
		}
	}
	if seconds(float64(bytes)/max(sum, minRate)) < hopelessAfter {
		return
	}
	for _, src := range slow {
		src.hopeless = true
	}
}

// linesCan returns the bytes per second that the lines would bring together if
// they had work, as far as that is known; 0: there is none.
func (s *Scheduler) linesCan() float64 {
	var sum float64
	any, known := false, false
	for _, src := range s.order {
		if src.memory || !s.mayAssign(src) {
			continue
		}
		any = true
		if rate, ok := src.memoryRate(); ok { // what its lanes brought while they had work
			sum += rate
			known = true
		}
	}
	if any && !known {
		return unknownLines
	}
	return sum
}
