package schedule

import (
	"math"
	"time"

	"ddm/internal/byterange"
)

// State is what a source is doing, for people.
type State string

// The states.
const (
	Idle    State = "idle"
	Running State = "running"
	Spare   State = "spare"   // adds nothing beside the others: looked at again later
	Stalled State = "stalled" // silent: left alone until its wait is over
	Cooling State = "cooling" // failed or refused: left alone until its wait is over
	Out     State = "failed"  // cannot serve this resource
	Leaving State = "leaving" // is going away: ends what it runs, gets nothing more
)

// Status is a source's figures.
type Status struct {
	State State
	Bytes int64         // that arrived first from it
	Rate  float64       // bytes per second
	Lanes int           // in use
	Wait  time.Duration // until it is asked again, if Stalled or Cooling
}

// Status returns the figures of a source; the zero Status if it left.
func (s *Scheduler) Status(id SourceID) Status {
	src := s.sources[id]
	if src == nil {
		return Status{}
	}
	st := Status{Bytes: src.bytes, Rate: src.rate(), State: src.state, Lanes: src.busyLanes()}
	switch {
	case src.state == Stalled || src.state == Cooling:
		st.Wait = max(0, src.until-s.now)
	case src.state == Out:
	case src.retired:
		st.State = Leaving
	case src.sparedNow(s.now):
		st.State, st.Wait = Spare, src.spare-s.now
	case st.Lanes > 0:
		st.State = Running
	}
	return st
}

// assignment is a range that a source was asked for. Its bytes [at, end) are
// still to come.
type assignment struct {
	id             AssignmentID
	src            *source
	lane           *lane
	start, at, end int64
	since          time.Duration // head of its lane since
	lastByte       time.Duration // or since, if later
	answered       time.Duration // when its reply began; 0: not yet
	cut            bool          // its end moved down: its connection ends with it
	twin           *assignment   // the other copy in the end-game
	again          bool          // somebody else began to bring it
}

func (a *assignment) remaining() byterange.Range { return byterange.Between(a.at, a.end) }

// started notes that the reply began.
// Some of its bytes may wait to be told since before.
func (a *assignment) started(now, since time.Duration) {
	if a.answered > 0 || a.lane.head() != a {
		return
	}
	a.src.sawFirstByte(now - a.since)
	a.begun(now, max(since, a.since))
}

// begun notes that the reply's bytes come, and since when they may have come.
func (a *assignment) begun(now, since time.Duration) {
	a.answered, a.lastByte = max(now, 1), now
	a.lane.late = 0
	if a.lane.born == 0 {
		a.lane.born = a.answered
		a.lane.pulse.begin(since)
		if a.src.pulse.n == 0 {
			a.src.pulse.begin(since)
		}
	}
	a.src.ramp.answered(a.src)
}

func (a *assignment) received(now, at time.Duration, r byterange.Range, fresh int64) {
	a.started(now, now) // should nobody have told
	a.at = max(a.at, r.End())
	a.lastByte = now
	a.lane.pending += r.Len
	a.lane.pulse.add(at, r.Len)
	a.src.pulse.add(at, r.Len)
	a.src.frame = max(r.Len, a.src.frame-a.src.frame/16)
	a.src.bytes += fresh
	a.src.lastByte = now
	a.src.proven, a.src.silences = true, 0
	if a.src.state == Stalled || a.src.state == Cooling {
		a.src.state = Idle // it lives: what it was refused before is history
	}
}

// lane is one connection of a source: a queue whose head runs.
type lane struct {
	src     *source
	index   int
	queue   []*assignment
	meter   meter
	pending int64 // bytes since the last tick
	pulse   pulse
	born    time.Duration // first answer since it was opened; 0: none
	idle    time.Duration // since when it has no work, if it has none
	wait    time.Duration // gets nothing before
	best    float64
	slow    time.Duration // crawling since; 0: it is not
	calm    time.Duration // not judged by what it brought itself before
	resets  int           // replaced for that, so far
	late    int           // times in a row that a reply was waited for too long
	busy    time.Duration // has work since, or was looked at last
	worked  time.Duration // that it had work for, before
}

// renew forgets the connection that the lane had.
func (l *lane) renew() {
	l.born, l.slow, l.pulse = 0, 0, pulse{}
}

func (l *lane) head() *assignment {
	if len(l.queue) == 0 {
		return nil
	}
	return l.queue[0]
}

// work returns the bytes that the lane was asked for and did not bring yet.
func (l *lane) work() int64 {
	var n int64
	for _, a := range l.queue {
		n += a.remaining().Len
	}
	return n
}

// atWork returns for how long the lane had work since it was asked last: what
// it brings in that time is its speed, however short its ranges are.
func (l *lane) atWork(now time.Duration) time.Duration {
	if l.head() != nil {
		l.worked += now - l.busy
		l.busy = now
	}
	d := l.worked
	l.worked = 0
	return d
}

// brought returns the bytes that came of what it runs.
func (l *lane) brought() int64 {
	if a := l.head(); a != nil {
		return a.at - a.start
	}
	return 0
}

// speed returns the lane's rate, or its share of its source's if it is new; ok
// is false if nothing is known.
func (l *lane) speed() (rate float64, ok bool) {
	if l.meter.known() {
		return max(l.meter.rate(), minRate), true
	}
	rate = l.src.laneShare()
	if c := &l.src.ramp; !c.settled { // as long as it may be the connection that limits
		rate = max(rate, c.perLane)
	}
	return max(rate, minRate), rate > 0
}

// expected returns the lane's speed, or the mean of all lanes if nothing is
// known of it.
func (s *Scheduler) expected(l *lane) float64 {
	if rate, ok := l.speed(); ok {
		return rate
	}
	if l.src.memory {
		return unknownRate
	}
	if s.meanLane > 0 {
		return max(s.meanLane, minRate)
	}
	return firstRange
}

// timeLeft returns how long the lane will need for its work.
func (s *Scheduler) timeLeft(l *lane) time.Duration {
	return seconds(float64(l.work()) / s.expected(l))
}

// minRate stands for "nothing": it keeps times finite.
const minRate = 256.0

func seconds(s float64) time.Duration {
	return time.Duration(min(s, 1e6) * float64(time.Second))
}

// source is anything that ranges can be fetched from.
type source struct {
	id     SourceID
	local  bool
	alone  bool
	origin int           // the server that it fetches from
	memory bool          // it gives what it holds, and nothing else
	held   byterange.Set // if it is a memory
	// hopeless: it is a memory so slow that lines need not leave to it what it holds.
	hopeless bool
	lanes    []*lane
	width    int   // how many lanes may have work
	grant    int64 // slow start: the next range's bytes
	bytes    int64

	lastByte time.Duration // or since it had nothing to do, if later
	latency  time.Duration // from asking to the first byte, as a rule; 0: unknown
	waits    waits         // of which latency is the middle
	watched  time.Duration // when its lanes were last looked at between ticks

	state    State
	until    time.Duration // left alone before
	hold     time.Duration // the origin asked it to wait: nothing new before
	backoff  int           // how often in a row it was left alone
	failedAt time.Duration // when it was left alone last
	proven   bool          // it brought a byte since
	strikes  int           // failures since an assignment ended well
	silences int           // stalls since its last byte

	joined  time.Duration
	metered float64       // share by which it must shorten the download; 0: none
	spare   time.Duration // adds nothing: left alone before; 0: it is not
	spared  int           // how often in a row it was found to add nothing
	frame   int64         // about the most bytes that were told at once lately
	blocked time.Duration // when the receiver did not take all that it brought, at last; 0: never
	closing time.Duration // until then its origin may count a reply of which we read no more
	looked  time.Duration // when its gain was last judged
	pausing bool          // gets nothing new: what do the others do without it?
	retired bool          // gets nothing new: it is going away

	lent *lane // gets nothing new: its place is the caller's; nil: none is

	busyTicks int // in a row that it had work

	pulse   pulse
	history [historyLen]int64 // cumulative bytes at the last ticks
	ticks   int
	total   int64
	ramp    climber
}

func newSource(j Source, lanes int, now time.Duration) *source {
	src := &source{
		id: j.ID, local: j.Local, alone: j.Alone, origin: j.Origin, memory: j.Memory || j.Held.Len() > 0, held: j.Held.Clone(),
		metered: j.Metered, joined: now, width: 1, latency: j.Latency, grant: firstGrant(j.Latency), state: Idle,
	}
	if src.memory { // it asks no origin: nothing is to be found out about lanes, and what one says binds no other
		src.width, src.origin = lanes, -1-int(j.ID)
	}
	for i := range lanes {
		src.lanes = append(src.lanes, &lane{src: src, index: i})
	}
	if j.Latency > 0 {
		src.waits.add(j.Latency)
	}
	src.ramp.next = now
	return src
}

// usable reports whether the source may be given work now.
func (src *source) usable(now time.Duration) bool {
	if src.retired {
		return false
	}
	switch src.state {
	case Out:
		return false
	case Stalled, Cooling:
		return now >= src.until && now >= src.hold
	default:
	}
	return now >= src.hold
}

// heldUp reports whether the source would bring more if the receiver took more:
// what it brings is no measure of its lanes, and most of what it was asked for
// may be on its way.
func (src *source) heldUp(now time.Duration) bool {
	return src.blocked > 0 && now-src.blocked < blockedFor
}

// blockedFor is how long after a receiver was too slow it may still be.
const blockedFor = 3 * tickLength

// rate returns the bytes per second of all its lanes that have work.
func (src *source) rate() float64 {
	var sum float64
	for _, l := range src.lanes {
		if l.head() != nil {
			sum += l.meter.rate()
		}
	}
	return sum
}

// busyLanes returns how many lanes have work.
func (src *source) busyLanes() int {
	n := 0
	for _, l := range src.lanes {
		if l.head() != nil {
			n++
		}
	}
	return n
}

// answeredLanes returns how many lanes have a reply under way.
func (src *source) answeredLanes() int {
	n := 0
	for _, l := range src.lanes {
		if a := l.head(); a != nil && a.answered > 0 {
			n++
		}
	}
	return n
}

// inUse yields the lanes that may be given work: those that have some, then
// idle ones, as many as the width allows.
func (src *source) inUse(yield func(*lane) bool) {
	n := 0
	if src.lent != nil {
		n++
	}
	for _, busy := range [...]bool{true, false} {
		for _, l := range src.lanes {
			if (l.head() != nil) != busy || l == src.lent {
				continue
			}
			if n++; n > src.width || !yield(l) {
				return
			}
		}
	}
}

// laneShare returns what a lane of which nothing is known will bring at least:
// its share of what the source brings now; 0: nothing is known.
func (src *source) laneShare() float64 {
	var sum float64
	known := 0
	for l := range src.inUse {
		if l.meter.known() {
			sum += l.meter.rate()
			known++
		}
	}
	if known == 0 {
		return 0
	}
	return sum / float64(src.width)
}

func (src *source) sawFirstByte(d time.Duration) {
	if src.latency == 0 {
		src.grant = max(src.grant, firstGrant(d))
	}
	src.waits.add(max(d, time.Microsecond))
	src.latency = src.waits.median()
}

// work returns the bytes that all lanes were asked for and did not bring yet.
func (src *source) work() int64 {
	var n int64
	for _, l := range src.lanes {
		n += l.work()
	}
	return n
}

// tick moves the meters on.
func (src *source) tick(now time.Duration) {
	lines := src.lanes
	if src.memory {
		src.tickMemory(now)
		lines = nil
	}
	for _, l := range lines {
		a := l.head()
		busy := a != nil
		// The wait for a reply is no part of a lane's speed, unless it is longer
		// than replies of this source take.
		waits := busy && a.answered == 0 && now-a.since <= 2*src.latency
		if worked := l.atWork(now); busy && !waits || l.pending > 0 { // silence of the idle says nothing
			l.meter.add(l.pending, worked.Seconds())
		}
		src.total += l.pending
		l.pending = 0
		if busy {
			l.best = max(l.best*0.999, l.meter.rate())
		}
	}
	src.ticks++
	src.busyTicks++
	if src.busyLanes() == 0 {
		src.busyTicks = 0
	}
	src.history[src.ticks%historyLen] = src.total
}

const historyLen = 32

// recent returns the bytes of the last n ticks, and whether there were so many.
func (src *source) recent(n, back int) (bytes int64, ok bool) {
	if src.ticks < n+back || n+back >= historyLen {
		return 0, false
	}
	return src.history[(src.ticks-back)%historyLen] - src.history[(src.ticks-back-n)%historyLen], true
}

// meter is a moving average over time: bytes and seconds fade alike, so that
// it is right from its first sample on.
type meter struct{ bytes, secs float64 }

const meterTau = 1.5 // seconds until a sample has faded to 37 %

// add counts bytes that took some seconds.
func (m *meter) add(n int64, dt float64) {
	if dt <= 0 {
		return
	}
	fade := math.Exp(-dt / meterTau)
	m.bytes = m.bytes*fade + float64(n)
	m.secs = m.secs*fade + dt
}

// known reports whether the meter saw enough to be believed.
func (m *meter) known() bool { return m.secs >= 0.15 && (m.bytes > 0 || m.secs >= 1) }

func (m *meter) rate() float64 {
	if m.secs <= 0 {
		return 0
	}
	return m.bytes / m.secs
}

// reset forgets what was seen.
func (m *meter) reset() { m.bytes, m.secs = 0, 0 }
