package sim

import (
	"fmt"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// Swarm is one resource that several clients download, each with a scheduler of
// its own. They share the origin's line, send each other what they hold, and the
// tracker's table leases each byte of the origin to one of them.
//
//	originlease <--Hunger, Unheld-- scheduler --Assign--> the one line
//	   '------Permit, Forbid---->    |  ^ '----------> members: a LAN
//	                               v  '--Held--- what they came to hold
type Swarm struct {
	Size    int64
	Origin  float64 // bytes per second of the line that all share
	LAN     float64 // bytes per second that each can send, and receive
	Members []Member
	Outages []Outage
	Seed    uint64
	Lanes   int           // of each member at the origin; 0: 4
	Limit   time.Duration // virtual time after which it is stuck; 0: an hour
	Audit   bool
}

// Member is one client, or a peer whose store has everything.
type Member struct {
	Joins  time.Duration
	Dies   time.Duration // 0: it does not
	Frozen bool          // when it dies nobody is told: it is silent
	Seeds  bool          // it holds everything and wants nothing
	Upload float64       // bytes per second that it can send; 0: as the LAN has it
}

// Outage is a time without the tracker. When it is back it knows nothing.
type Outage struct{ From, To time.Duration }

// SwarmResult is what a swarm came to.
type SwarmResult struct {
	Done       []time.Duration // per member, since the beginning; 0: it died or wants nothing
	Last       time.Duration
	FromOrigin int64   // that left it
	Wasted     int64   // of them, those that were on their way behind a cut
	Duplicate  int64   // bytes that a member received twice, of all members
	ByOrigin   []int64 // what each brought from the origin
}

const (
	swarmStep   = 10 * time.Millisecond
	tellEvery   = 50 * time.Millisecond // what came to be held
	originDelay = 20 * time.Millisecond
	memberDelay = time.Millisecond
	leaseTerm   = 6 * time.Second
	onItsWay    = 60 * time.Millisecond // of the line's rate
	deafFor     = time.Second           // without the tracker until a member goes on by itself
	lineID      = schedule.SourceID(1)
)

// hive is the state of a swarm.
type hive struct {
	Swarm
	now     time.Duration
	members []*bee
	leases  *leases
	result  SwarmResult
	asking  int   // requests that the origin answers at a time
	broken  error // an order that must not be
}

// bee is a member that joined.
type bee struct {
	Member
	index    int
	here     bool
	silent   bool // dead, and nobody knows
	sched    *schedule.Scheduler
	have     byterange.Set
	news     byterange.Set // that nobody was told yet
	permit   byterange.Set
	told     byterange.Set // what the tracker knows that it has
	asked    int64         // as the client's member has it
	insisted byterange.Set
	alone    bool // it gave up on the tracker
	queues   map[schedule.SourceID]map[int][]*request
	who      map[schedule.SourceID]*bee // nil: the line
	ids      map[*bee]schedule.SourceID
	nextID   schedule.SourceID
	done     time.Duration
}

// RunSwarm lets everybody finish.
func RunSwarm(sw Swarm) (SwarmResult, error) {
	h := &hive{Swarm: sw}
	h.leases = newLeases(h)
	if h.Lanes == 0 {
		h.Lanes = 4
	}
	if h.Limit == 0 {
		h.Limit = time.Hour
	}
	h.result.Done = make([]time.Duration, len(sw.Members))
	h.result.ByOrigin = make([]int64, len(sw.Members))
	for i, m := range sw.Members {
		h.members = append(h.members, &bee{Member: m, index: i})
	}
	for ; ; h.now += swarmStep {
		h.comeAndGo()
		h.carry()
		if h.now%tellEvery == 0 {
			h.spread()
		}
		if h.now%(100*time.Millisecond) == 0 {
			if err := h.tick(); err != nil {
				return h.result, fmt.Errorf("at %v: %w", h.now, err)
			}
		}
		over, err := h.over()
		if over || err != nil {
			return h.result, err
		}
	}
}

// over reports whether everybody who lives and wants it has it.
func (h *hive) over() (bool, error) {
	if h.broken != nil {
		return false, fmt.Errorf("at %v: %w", h.now, h.broken)
	}
	missing := 0
	for _, b := range h.members {
		if b.Seeds || b.silent || b.done > 0 || b.Dies > 0 && !b.here && h.now > b.Joins {
			continue
		}
		if b.here && b.sched.Complete() {
			if b.have.Bytes() != h.Size {
				return false, fmt.Errorf("member %d is complete with %d of %d bytes", b.index, b.have.Bytes(), h.Size)
			}
			b.done = h.now + swarmStep
			h.result.Done[b.index], h.result.Last = b.done, b.done
			h.result.Duplicate += b.sched.Stats().Duplicate
			h.leases.table.Want(h.leases.clock(), lease(b), 0, &byterange.Set{})
			continue
		}
		missing++
	}
	if missing > 0 && h.now > h.Limit {
		return false, fmt.Errorf("%w after %v: %d are not done", ErrStuck, h.now, missing)
	}
	return missing == 0, nil
}

// out reports whether the tracker is away.
func (h *hive) out() bool {
	for _, o := range h.Outages {
		if h.now >= o.From && h.now < o.To {
			return true
		}
	}
	return false
}

func (h *hive) comeAndGo() {
	for _, o := range h.Outages {
		if h.now >= o.From && h.now < o.From+swarmStep {
			h.leases = newLeases(h)
		}
	}
	for _, b := range h.members {
		switch {
		case b.sched == nil && h.now >= b.Joins:
			h.join(b)
		case b.here && !b.silent && b.Dies > 0 && h.now >= b.Dies:
			if b.Frozen {
				b.silent = true // the tracker's lease of it ends some time
				continue
			}
			h.leave(b)
		case b.silent && b.here && h.now >= b.Dies+leaseTerm:
			h.leave(b)
		}
	}
}

func (h *hive) join(b *bee) {
	b.here = true
	b.queues = map[schedule.SourceID]map[int][]*request{}
	b.who, b.ids = map[schedule.SourceID]*bee{}, map[*bee]schedule.SourceID{}
	if b.Seeds {
		b.have.Add(byterange.Range{Len: h.Size})
	}
	b.sched = schedule.New(schedule.Config{Size: h.Size, Seed: draw(h.Seed, b.index)}, b.have)
	if !b.Seeds {
		b.sched.Permit(h.now, &byterange.Set{})
		b.sched.Join(h.now, schedule.Source{ID: lineID, Lanes: h.Lanes, Local: true})
		b.who[lineID], b.queues[lineID], b.nextID = nil, map[int][]*request{}, lineID
	}
	for _, o := range h.members {
		if o != b && o.here {
			h.meet(b, o)
			h.meet(o, b)
		}
	}
	h.obey(b)
}

// draw is a number of a member's own.
func draw(seed uint64, member int) uint64 {
	return (seed+1)*0x9e3779b97f4a7c15 ^ uint64(member+1)*0xbf58476d1ce4e5b9
}

// meet makes one a source of another.
func (h *hive) meet(b, o *bee) {
	if b.Seeds || b.done > 0 {
		return
	}
	b.nextID++
	b.who[b.nextID], b.ids[o], b.queues[b.nextID] = o, b.nextID, map[int][]*request{}
	b.sched.Join(h.now, schedule.Source{ID: b.nextID, Memory: true, Held: o.have.Clone()})
	b.sched.Among(h.now, len(b.ids)+1)
	h.obey(b)
	if len(b.ids) == 1 && !h.out() && h.leases.knows(b) {
		h.leases.release(b)
	}
}

// leave takes a member off, as all learn at once.
func (h *hive) leave(b *bee) {
	b.here = false
	h.leases.leave(b)
	for _, o := range h.members {
		if id, ok := o.ids[b]; ok && o.here {
			delete(o.ids, b)
			delete(o.queues, id)
			o.sched.Leave(h.now, id)
			h.obey(o)
		}
	}
}

// spread tells everybody what members came to hold.
func (h *hive) spread() {
	for _, b := range h.members {
		if !b.here || b.silent || b.news.Len() == 0 {
			continue
		}
		came := b.news
		b.news = byterange.Set{}
		for _, o := range h.members {
			if id, ok := o.ids[b]; ok && o.here && !o.silent {
				o.sched.Held(h.now, id, came, byterange.Set{})
				h.obey(o)
			}
		}
	}
}

// tick lets time pass for the schedulers, and asks for leases.
func (h *hive) tick() error {
	for _, b := range h.members {
		if !b.here || b.silent || b.Seeds || b.done > 0 {
			continue
		}
		b.sched.Tick(h.now)
		h.obey(b)
		if h.Audit {
			if err := b.sched.Audit(); err != nil {
				return fmt.Errorf("member %d: %w", b.index, err)
			}
		}
		h.ask(b)
	}
	if h.out() {
		return nil
	}
	for _, b := range h.members {
		if b.here && !b.silent && (b.Seeds || b.done > 0) {
			h.keep(b)
		}
	}
	h.leases.turn()
	return nil
}

// keep tells the tracker of one that only holds.
func (h *hive) keep(b *bee) {
	if h.leases.knows(b) {
		h.leases.report(b)
	} else {
		h.leases.bind(b)
	}
}

// ask tells the tracker what a member could use. One that waited too long for a
// tracker that is away goes on by itself.
func (h *hive) ask(b *bee) {
	away := h.out()
	if away && !b.alone && !b.outFor(h) {
		return
	}
	switch {
	case away && !b.alone:
		b.alone = true
		b.sched.Permit(h.now, nil)
		h.obey(b)
	case !away && b.alone, !away && !h.leases.knows(b):
		b.alone = false
		h.leases.bind(b)
		b.sched.Permit(h.now, &b.permit)
		h.obey(b)
	}
	if !away {
		h.leases.report(b)
		h.leases.want(b)
	}
}

// outFor reports whether the tracker is away for long.
func (b *bee) outFor(h *hive) bool {
	for _, o := range h.Outages {
		if h.now >= o.From+deafFor && h.now < o.To {
			return true
		}
	}
	return false
}
