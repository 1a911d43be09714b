package schedule

import (
	"cmp"
	"slices"
	"time"

	"ddm/internal/byterange"
)

// Sizes of ranges. The first one of a source is small, later ones double until
// one is Config.Target of that lane's work.
const (
	firstRange = 1 << 20
	minRange   = 256 << 10
	maxRange   = 64 << 20
	fineGrid   = 64 << 10 // for ranges smaller than a piece
)

// fillAll gives work to every lane that wants some: those that run dry first,
// and those of sources that failed before last.
func (s *Scheduler) fillAll() {
	if s.orphans {
		for range s.forLines(&s.again) {
			s.makeRoom()
			break
		}
		s.orphans = false
	}
	type wish struct {
		l    *lane
		left time.Duration
	}
	var wishes []wish
	for _, src := range s.order {
		if !s.mayAssign(src) {
			continue
		}
		for l := range src.inUse {
			if s.wantsMore(l) {
				wishes = append(wishes, wish{l, s.timeLeft(l)})
			}
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int {
		return cmp.Or(compareBool(a.l.src.onProbation(), b.l.src.onProbation()), cmp.Compare(a.left, b.left))
	})
	for _, w := range wishes {
		s.fillLane(w.l)
	}
}

const (
	soonEnough = 500 * time.Millisecond // for a range that its source failed to bring
	worthACut  = 512 << 10              // bytes: a cut costs a connection
)

// makeRoom sees to it that ranges which their source failed to bring are begun
// soon: what waits on other lanes steps back, and if no lane will be free
// soon, the ends of running ranges move down until one is. What peers bring that
// the receiver holds up is on its way already: they make room only if nobody
// else can.
func (s *Scheduler) makeRoom() {
	var lanes []*lane
	crossing := func(src *source) bool { return !src.local && src.heldUp(s.now) }
	for _, src := range s.order {
		if src.memory || !s.mayAssign(src) || src.onProbation() || len(lanes) > 0 && crossing(src) {
			continue
		}
		if len(lanes) > 0 && crossing(lanes[0].src) {
			lanes = nil
		}
		for l := range src.inUse {
			lanes = append(lanes, l)
		}
	}
	for _, l := range lanes {
		for len(l.queue) > 1 {
			s.cancel(l.queue[len(l.queue)-1], false)
		}
	}
	slices.SortStableFunc(lanes, func(a, b *lane) int { return cmp.Compare(s.timeLeft(a), s.timeLeft(b)) })
	for _, l := range lanes[:min(len(lanes), s.again.Len())] {
		if a := l.head(); a != nil {
			s.cutShort(a)
		}
	}
}

// cutShort moves the end of a running assignment down, so that it ends soon.
func (s *Scheduler) cutShort(a *assignment) {
	if a.twin == nil {
		s.cut(a, a.at+int64(s.expected(a.lane)*(soonEnough+4*a.src.latency).Seconds()))
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// fillSource gives work to the lanes of one source.
func (s *Scheduler) fillSource(src *source) {
	if !s.mayAssign(src) {
		return
	}
	for l := range src.inUse {
		if s.wantsMore(l) {
			s.fillLane(l)
		}
	}
}

func (s *Scheduler) mayAssign(src *source) bool {
	return src.usable(s.now) && !src.pausing && !src.sparedNow(s.now) && s.now >= s.held[src.origin].until && !s.Complete()
}

// wantsMore reports whether the lane should be given a further range: one
// waits behind the running one as soon as that has less than a target left, so
// that no round trip to the source leaves the line idle. While nothing is known
// of the lane, ranges are small and two wait.
func (s *Scheduler) wantsMore(l *lane) bool {
	if l.src.memory {
		return s.memoryWants(l)
	}
	waiting := len(l.queue) - 1
	if waiting < 0 {
		return s.now >= l.wait
	}
	if l.src.onProbation() || waiting >= 2 {
		return false
	}
	if !l.meter.known() {
		return waiting == 0 || l.src.width == 1
	}
	return s.timeLeft(l) < s.cfg.Target
}

// onProbation reports whether the source was left alone before and has not
// brought a byte since: it gets one range at a time.
func (src *source) onProbation() bool { return src.backoff > 0 && !src.proven }

// fillLane gives a lane its next range, from the unassigned if there are any,
// else from others.
func (s *Scheduler) fillLane(l *lane) {
	if l.src.memory {
		s.fillMemory(l)
		return
	}
	size := s.rangeSize(l)
	r, ok := s.nextRange(l, size)
	if !ok || r.Empty() { // nothing is left, or the window is full: the slow hold it shut
		if l.head() == nil {
			s.help(l)
		}
		return
	}
	if size <= 0 {
		return
	}
	s.assignOpen(l, r)
	if l.src.grant < maxRange {
		l.src.grant *= 2
	}
}

// assignOpen gives a lane a range that is unassigned.
func (s *Scheduler) assignOpen(l *lane, r byterange.Range) {
	why := Fresh
	if s.again.Overlap(r) > 0 {
		why = Again
		s.stats.Reassigned++
	}
	s.takeFromTodo(r)
	s.assign(l, r, why, nil).again = why == Again
}

// nextRange returns about size unassigned bytes for a lane: what somebody began
// to bring comes first, then the lowest ones; a source on probation gets what
// nobody waits for, the highest. It is empty if the window is full, and ok is
// false if nothing is unassigned.
func (s *Scheduler) nextRange(l *lane, size int64) (r byterange.Range, ok bool) {
	limit := s.windowEnd()
	if l.src.onProbation() {
		last, ok := s.lastForLines()
		last = last.Intersect(byterange.Between(0, limit))
		from := max(last.Off, s.gridEnd(max(last.End()-2*size, 0), size))
		if from >= last.End() {
			from = last.Off
		}
		return byterange.Between(from, min(last.End(), from+size)), ok
	}
	run, ok := s.nextForLines()
	run = run.Intersect(byterange.Between(0, limit))
	return byterange.Between(run.Off, min(run.End(), s.gridEnd(run.Off, size))), ok
}

// windowEnd returns before which offset bytes may be given to somebody.
func (s *Scheduler) windowEnd() int64 {
	if s.cfg.Window <= 0 {
		return s.cfg.Size
	}
	lowest, _ := s.lowestMissing()
	return min(s.cfg.Size, lowest+s.cfg.Window)
}

// lowestMissing returns the offset of the first byte that has not arrived.
func (s *Scheduler) lowestMissing() (int64, bool) {
	for r := range s.done.Missing(byterange.Range{Len: s.cfg.Size}) {
		return r.Off, true
	}
	return s.cfg.Size, false
}

// firstGrant returns the bytes of a source's first ranges: where each request
// waits long for its first byte, there must be few of them. What turns out to
// be too long a range is stolen from.
func firstGrant(latency time.Duration) int64 {
	return min(firstRange+int64(float64(latency)/float64(50*time.Millisecond)*firstRange), maxRange)
}

// rangeSize returns how many bytes the lane should be given; 0: none for now.
// Towards the end ranges become shorter than the target, and nobody is given
// more than what it can bring until all are expected to be done.
func (s *Scheduler) rangeSize(l *lane) int64 {
	if l.src.onProbation() {
		return firstRange
	}
	size := min(l.src.grant, maxRange)
	speed, ok := l.speed()
	if !ok { // as much as it brought: doubling needs no clock
		return min(size, max(firstGrant(l.src.latency), int64(l.meter.bytes)+l.pending))
	}
	target := max(s.cfg.Target, 20*l.src.latency)
	if !l.src.ramp.settled && !l.meter.known() {
		target /= 4 // it may be one lane too many
	}
	if s.lineRate > 0 && s.lanes > 1 {
		left := seconds(float64(s.linesHave()) / s.lineRate)
		target = min(target, max(left/2, 250*time.Millisecond, 2*l.src.latency))
		mine := s.timeLeft(l)
		if mine >= left && l.head() != nil {
			return 0
		}
		target = min(target, max(left-mine, 250*time.Millisecond, 2*l.src.latency)) // it begins when that is done
	}
	return max(min(size, int64(speed*target.Seconds())), minRange)
}

// gridEnd returns where a range of about size bytes from off should end: on a
// piece's edge, so that whole pieces come from one source, unless it is too
// small for that.
func (s *Scheduler) gridEnd(off, size int64) int64 {
	grid := s.cfg.Piece
	if size < grid {
		grid = min(grid, fineGrid)
	}
	end := (off + size) / grid * grid
	if end-off < size/2 || end <= off {
		end += grid
	}
	return end
}
