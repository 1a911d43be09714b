// Package schedule decides who fetches which bytes. It is a pure state
// machine: no goroutine, no clock, no network, no log. Events go in, actions
// come out; time is a value that the caller brings with each event.
//
//	Join, Leave ---------------\                         /--> Assign (source, lane, range)
//	Started, Received, Ended ---+--> Scheduler (state) -+---> Shrink (end moves down)
//	Blocked, Tick -------------/                         \--> Cancel
//
// Every byte of the resource is at any time in exactly one of these: it
// arrived, it is unassigned, or it lies ahead of the read pointer of a live
// assignment (of two in the end-game). What an assignment did not bring when
// it ended goes back to the unassigned.
//
// The rules, by file: fill.go gives unassigned ranges sized by time; steal.go
// takes the tail of the slowest for the idle and copies the last ranges;
// health.go finds stalls, crawling lanes and sources to be left alone for a
// while; climb.go finds out how many lanes pay, gain.go which sources do. Bytes
// that memories hold come from them (held.go, memory.go), by a plan if there are
// several (plan.go); what lines may be given can be limited (permit.go).
//
// A Scheduler is owned by one goroutine.
package schedule

import (
	"slices"
	"time"

	"ddm/internal/byterange"
)

// SourceID names a source; chosen by the caller, never used twice.
type SourceID uint64

// AssignmentID names an assignment; chosen by the scheduler, never used twice.
type AssignmentID uint64

// Config sets the limits of a Scheduler. Zero fields mean the defaults.
type Config struct {
	Size     int64         // bytes of the resource; required
	Piece    int64         // grid on which ranges end; 0: 1 MiB
	MaxLanes int           // lanes per source; 0: 16
	AllLanes int           // lanes of all sources together; 0: 64, or one each if there are more sources
	Window   int64         // nothing is assigned this far ahead of the lowest missing byte; 0: no limit
	Target   time.Duration // work per range; 0: 2 s
	NoSteal  bool          // for comparisons: ranges stay with whom they were given
	Seed     uint64        // this client's own: where it begins with what others hold
}

// Why says what led to an assignment.
type Why string

// The reasons of an assignment.
const (
	Fresh Why = "fresh" // unassigned bytes
	Again Why = "again" // bytes that another assignment failed to bring
	Steal Why = "steal" // the tail of a running or waiting assignment
	Copy  Why = "copy"  // end-game: a second copy of what is still running
)

// Action is what the caller must do. The concrete types are Assign, Shrink
// and Cancel.
type Action interface{ action() }

// Assign orders a range from a source. Assignments of one lane run one after
// another.
type Assign struct {
	ID     AssignmentID
	Source SourceID
	Lane   int
	Range  byterange.Range
	Why    Why
	Victim AssignmentID // whose bytes a Steal or Copy takes; else 0
}

// Shrink moves the end of an assignment down.
type Shrink struct {
	ID     AssignmentID
	Source SourceID
	End    int64
}

// Cancel ends an assignment. The scheduler has forgotten it already; bytes of
// it that still arrive may be reported and count.
type Cancel struct {
	ID     AssignmentID
	Source SourceID
	Reset  bool // the connection is to blame: do not use it again
}

func (Assign) action() {}
func (Shrink) action() {}
func (Cancel) action() {}

// Outcome is how an assignment ended, by reaction.
type Outcome int

// The outcomes.
const (
	OK     Outcome = iota // reached its end
	Failed                // network trouble: back off when it repeats
	Busy                  // refused for now: fewer lanes, not before the wait
	Never                 // this source cannot: use it no more
)

// Scheduler is the state of one download.
type Scheduler struct {
	cfg     Config
	todo    byterange.Set // unassigned
	again   byterange.Set // the part of todo that was assigned before
	done    byterange.Set // arrived
	sources map[SourceID]*source
	order   []*source // by join: iteration is deterministic
	live    map[AssignmentID]*assignment
	ghosts  map[AssignmentID]*source // cancelled, end not yet reported
	nextID  AssignmentID
	actions []Action

	now      time.Duration
	lastTick time.Duration
	resumed  time.Duration // ticks were missing until then
	blocked  time.Duration // the receiver could not take bytes then; 0: never
	rate     float64       // bytes per second of all sources, at the last tick
	lineRate float64       // of those that are no memories
	meanLane float64       // the same per lane at work
	// slowestStart is the longest that a source takes from a request to its
	// first byte: what a new source, too, may need.
	slowestStart time.Duration
	lanes        int           // of lines that get work, at the last tick
	held         map[int]hold  // by origin
	habits       map[int]habit // by origin
	memories     int           // sources that are one
	union        union
	plan         plan
	ahead        ahead
	permit       *byterange.Set // what lines may be given; nil: all
	among        int            // who ask the same origins, this client included; 0: nobody else
	place        int64          // from where on held bytes are asked for
	trial        trial
	orphans      bool          // bytes were given back that somebody had begun to bring
	risk         int64         // bytes that may come twice for the cuts of late
	risked       time.Duration // when the last of these was made

	stats Stats
}

// Stats counts what happened so far.
type Stats struct {
	Assignments int   // all that were made
	Reassigned  int   // of them, those of bytes that another failed to bring
	Steals      int   // of them, tails taken from another
	Copies      int   // of them, second copies
	Stalls      int   // stalls found
	Resets      int   // crawling lanes replaced
	Duplicate   int64 // bytes that arrived twice
}

// New returns a scheduler for a resource of which the bytes of have are there
// already.
func New(cfg Config, have byterange.Set) *Scheduler {
	cfg.Piece = orDefault(cfg.Piece, 1<<20)
	cfg.MaxLanes = orDefault(cfg.MaxLanes, 16)
	cfg.AllLanes = orDefault(cfg.AllLanes, 64)
	cfg.Target = orDefault(cfg.Target, 2*time.Second)
	s := &Scheduler{
		cfg: cfg, done: have.Clone(),
		held: map[int]hold{}, habits: map[int]habit{}, sources: map[SourceID]*source{}, live: map[AssignmentID]*assignment{}, ghosts: map[AssignmentID]*source{},
	}
	for r := range have.Missing(byterange.Range{Len: cfg.Size}) {
		s.todo.Add(r)
	}
	if cfg.Seed != 0 && cfg.Window == 0 && cfg.Size > 0 {
		s.place = int64(cfg.Seed%uint64(cfg.Size)) / cfg.Piece * cfg.Piece
	}
	return s
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// Actions returns what is to be done since the last call, in order.
func (s *Scheduler) Actions() []Action {
	a := s.actions
	s.actions = nil
	return a
}

// Complete reports whether every byte arrived.
func (s *Scheduler) Complete() bool { return s.done.Bytes() >= s.cfg.Size }

// Done returns the number of bytes that arrived.
func (s *Scheduler) Done() int64 { return s.done.Bytes() }

// Rate returns the bytes per second of all sources together.
func (s *Scheduler) Rate() float64 { return s.rate }

// Stats returns the counts so far.
func (s *Scheduler) Stats() Stats { return s.stats }

// Source describes a source that joins.
type Source struct {
	ID    SourceID
	Lanes int  // that it grants at most; 0: 1
	Local bool // this machine's own line
	// Alone asks to leave it with one lane for a little longer, so that what it
	// brings can be told before others join.
	Alone bool
	// Origin numbers the server that it fetches from: what one says of its
	// load binds nobody who fetches from another.
	Origin int
	// Metered: every byte costs, so it is used only if it shortens the
	// download by more than this share (0.2: a fifth); 0: it is not metered.
	Metered float64
	// Latency is from a request to its first byte, if a request told already.
	Latency time.Duration
	// Memory: it gives what it holds, and nothing else; else it is a line.
	Memory bool
	// Held is what a memory holds; who holds something is one.
	Held byterange.Set
	// Running is what it fetches on its lane 0 already: the probe's body.
	Running byterange.Range
	// Since is when the reply that brings Running began: some of it may wait
	// to be read. 0: now.
	Since time.Duration
}

// Join adds a source. It returns the id of the assignment that Source.Running
// becomes, 0 if that is empty.
func (s *Scheduler) Join(now time.Duration, j Source) AssignmentID {
	s.now = now
	if s.sources[j.ID] != nil {
		return 0
	}
	src := newSource(j, max(1, min(j.Lanes, s.cfg.MaxLanes)), now)
	s.sources[j.ID] = src
	if src.memory {
		s.memories++
	}
	s.order = append(s.order, src)
	var adopted AssignmentID
	if !j.Running.Empty() {
		s.takeFromTodo(j.Running)
		a := s.begin(src.lanes[0], j.Running)
		a.begun(now, min(orDefault(j.Since, now), now)) // how long its reply took was measured elsewhere
		adopted = a.id
	}
	s.tryJoined(src)
	s.yield(src)
	s.fillAll()
	return adopted
}

// Leave removes a source; what it did not bring is given to the others.
func (s *Scheduler) Leave(now time.Duration, id SourceID) {
	s.now = now
	src := s.sources[id]
	if src == nil {
		return
	}
	s.dropAll(src, false)
	s.recall()
	delete(s.sources, id)
	if src.memory {
		s.memories--
	}
	s.order = slices.DeleteFunc(s.order, func(o *source) bool { return o == src })
	for a, owner := range s.ghosts {
		if owner == src {
			delete(s.ghosts, a)
		}
	}
	s.fillAll()
}

// Started tells that the reply to an assignment's request began: its bytes
// follow.
func (s *Scheduler) Started(now time.Duration, id AssignmentID) {
	s.now = now
	if a := s.live[id]; a != nil {
		a.started(now, s.bytesSince())
		s.widen(a.src)
	}
}

// Received tells that the assignment's bytes r arrived and are written (or
// were there). Bytes of one assignment come in order.
func (s *Scheduler) Received(now time.Duration, id AssignmentID, r byterange.Range) {
	s.ReceivedAt(now, now, id, r)
}

// ReceivedAt is Received for news that is a little old: the newest of the bytes
// came at a time before now.
func (s *Scheduler) ReceivedAt(now, at time.Duration, id AssignmentID, r byterange.Range) {
	s.now = now
	fresh := s.done.Add(r)
	s.stats.Duplicate += r.Len - fresh
	a := s.live[id]
	if a == nil {
		s.takeFromTodo(r) // a late byte of a cancelled assignment is as good as any
		if src := s.ghosts[id]; src != nil {
			src.bytes += fresh
		}
		return
	}
	a.received(now, min(at, now), r, fresh)
	if c := &a.src.ramp; !c.settled && now-c.looked >= pulseStep && !s.paused() {
		s.ramp(a.src)
	}
	s.watch(a.src)
	if a.at > a.end {
		s.takeFromTodo(byterange.Between(a.end, a.at)) // it crossed a shrink
	}
	if twin := a.twin; twin != nil && s.done.Contains(twin.remaining()) {
		s.cancel(twin, false)
		s.fillSource(twin.src)
	}
}

// takeFromTodo forgets that r is to be fetched.
func (s *Scheduler) takeFromTodo(r byterange.Range) {
	s.todo.Subtract(r)
	s.again.Subtract(r)
}

// Ended tells that an assignment is over. wait is how long the source asked
// not to be asked again (0: nothing asked).
func (s *Scheduler) Ended(now time.Duration, id AssignmentID, how Outcome, wait time.Duration) {
	s.now = now
	delete(s.ghosts, id)
	a := s.live[id]
	if a == nil {
		return
	}
	brought := a.at > a.start
	if how == OK && !a.remaining().Empty() {
		how = Failed // says it is done and is not
	}
	s.remove(a)
	s.release(a, true)
	s.judge(a, how, wait, brought)
	if a.remaining().Empty() {
		s.fillSource(a.src)
	} else {
		s.fillAll()
	}
}

// Lost tells that bytes which arrived are no longer there, or were wrong.
func (s *Scheduler) Lost(now time.Duration, r byterange.Range) {
	s.now = now
	s.done.Subtract(r)
	s.todo.Add(r)
	s.again.Add(r)
	for _, a := range s.live {
		s.takeFromTodo(a.remaining())
	}
	s.fillAll()
}

// Blocked tells that the receiver itself could not take what some sources
// brought (a slow disk, a limit): their silence until now counts as no stall, and
// what they bring for a while says nothing of their lanes. Who had nothing to be
// taken is as silent as it seems.
func (s *Scheduler) Blocked(now time.Duration, ids ...SourceID) {
	s.now, s.blocked = now, now
	for _, a := range s.live {
		if slices.Contains(ids, a.src.id) {
			a.lastByte, a.src.lastByte, a.src.blocked = now, now, now
		}
	}
}

// Tick lets time pass. It wants to be called about ten times a second.
func (s *Scheduler) Tick(now time.Duration) {
	s.now = now
	if now <= s.lastTick {
		return
	}
	if s.paused() {
		s.resumed = now
	}
	s.lastTick = now
	s.rate, s.lineRate = 0, 0
	busy := 0
	s.lanes, s.slowestStart = 0, 0
	for _, src := range s.order {
		src.tick(now)
		s.rate += src.rate()
		if src.memory {
			continue
		}
		s.slowestStart = max(s.slowestStart, src.latency)
		s.lineRate += src.rate()
		busy += src.busyLanes()
		s.lanes += src.width
	}
	s.meanLane = s.lineRate / float64(max(busy, 1))
	s.findHopeless()
	s.lookAhead()
	for _, src := range s.order {
		s.checkStalls(src)
		if !src.memory { // it has no connection to an origin that could be a bad one
			s.checkCrawl(src)
			s.climb(src)
		}
	}
	s.weigh()
	s.fillAll()
}

// assign makes an assignment of r for a lane. The bytes must have been taken
// out of todo, or off a victim, by the caller.
func (s *Scheduler) assign(l *lane, r byterange.Range, why Why, victim *assignment) *assignment {
	a := s.begin(l, r)
	act := Assign{ID: a.id, Source: l.src.id, Lane: l.index, Range: r, Why: why}
	if victim != nil {
		act.Victim = victim.id
	}
	s.actions = append(s.actions, act)
	return a
}

// begin enters an assignment at the end of a lane's queue.
func (s *Scheduler) begin(l *lane, r byterange.Range) *assignment {
	s.nextID++
	if l.src.busyLanes() == 0 && s.now-l.idle > tickLength {
		l.src.lastByte = s.now // its silence begins
	}
	if l.head() == nil && s.now-l.idle > idleFor {
		l.renew()
	}
	if l.head() == nil {
		l.busy = s.now
	}
	a := &assignment{id: s.nextID, src: l.src, lane: l, start: r.Off, at: r.Off, end: r.End(), since: s.now, lastByte: s.now}
	l.queue = append(l.queue, a)
	s.live[a.id] = a
	s.stats.Assignments++
	return a
}

// remove takes an assignment off its lane and out of the live ones.
func (s *Scheduler) remove(a *assignment) {
	delete(s.live, a.id)
	if a.answered > 0 && (a.cut || a.at < a.end) {
		a.src.closing = s.now + closeFor
	}
	l := a.lane
	wasHead := l.head() == a
	l.queue = slices.DeleteFunc(l.queue, func(o *assignment) bool { return o == a })
	if next := l.head(); next == nil {
		l.idle = s.now
		l.worked += s.now - l.busy
	} else if wasHead {
		next.since, next.lastByte = s.now, s.now
	}
	if a.twin != nil {
		a.twin.twin = nil
	}
}

// release gives back what a removed assignment did not bring. begun says that
// it was running, so that whoever takes it takes it over.
func (s *Scheduler) release(a *assignment, begun bool) {
	var kept byterange.Set // by others
	if a.twin != nil {
		kept.Add(a.twin.remaining())
	}
	for r := range s.done.Missing(a.remaining()) {
		for part := range kept.Missing(r) {
			s.todo.Add(part)
			if begun {
				s.again.Add(part)
				s.orphans = true
			}
		}
	}
}

// cancel ends an assignment from our side.
func (s *Scheduler) cancel(a *assignment, reset bool) {
	begun := a.lane.head() == a || a.again
	s.remove(a)
	s.release(a, begun)
	s.ghosts[a.id] = a.src
	s.actions = append(s.actions, Cancel{ID: a.id, Source: a.src.id, Reset: reset})
}

// shrink moves the end of an assignment down.
func (s *Scheduler) shrink(a *assignment, end int64) {
	a.end, a.cut = end, true
	s.actions = append(s.actions, Shrink{ID: a.id, Source: a.src.id, End: end})
}

// dropAll cancels everything that a source has.
func (s *Scheduler) dropAll(src *source, reset bool) {
	for _, l := range src.lanes {
		for len(l.queue) > 0 {
			s.cancel(l.queue[len(l.queue)-1], reset)
		}
	}
}
