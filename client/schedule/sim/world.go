package sim

import (
	"slices"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// world is the state of the lines between two steps.
type world struct {
	sc     Scenario
	step   time.Duration
	limit  time.Duration
	now    time.Duration
	sched  *schedule.Scheduler
	peers  []*peer
	byID   map[schedule.SourceID]*peer
	nextID schedule.SourceID
	got    byterange.Set
	at99   time.Duration
	spans  []Span
	busy   int
	pauses []Pause
	owed   time.Duration // of a pause: its bytes are still to come
}

type mood int

const (
	ok mood = iota
	erring
	refusing
	denying
)

// peer is a line with what is under way on it.
type peer struct {
	Line
	index   int
	id      schedule.SourceID
	here    bool
	rate    float64
	stalled bool
	asked   int             // requests that the origin saw
	ready   int             // lanes that get bytes in this step
	closed  []time.Duration // until when the origin counts connections that were closed
	kept    map[int]bool    // lanes whose connection served a request before
	mood    mood
	wait    time.Duration
	lanes   map[int][]*request
	changes []Change
	bytes   int64
}

// request is an assignment on its way.
type request struct {
	id      schedule.AssignmentID
	rng     byterange.Range
	at      int64
	part    float64       // of the next byte
	told    int64         // up to where the scheduler knows
	open    time.Duration // since when bytes wait to be told
	since   time.Duration
	first   time.Duration // its answer began
	last    time.Duration // its newest byte came
	started bool
	cap     float64 // of this connection; 0: the line's
	why     schedule.Why

	seen   bool          // by the origin
	cut    bool          // its end moved down since
	late   time.Duration // that its reply comes after others' would
	slow   float64       // if it crawls: bytes that came with the reply; 0: it does not
	behind int64         // bytes that it was to bring, and was told not to
}

func newWorld(sc Scenario) *world {
	w := &world{sc: sc, pauses: sc.Pauses, step: sc.Step, limit: sc.Limit, byID: map[schedule.SourceID]*peer{}}
	if w.step == 0 {
		w.step = 10 * time.Millisecond
	}
	if w.limit == 0 {
		w.limit = time.Hour
	}
	sc.Config.Size = sc.Size
	w.sched = schedule.New(sc.Config, byterange.Set{})
	for i, l := range sc.Lines {
		if l.Lanes == 0 {
			l.Lanes = 16
		}
		if sc.Probe { // its reply begins the download
			l.Joins += sc.Lines[0].Latency
		}
		w.peers = append(w.peers, &peer{Line: l, index: i, rate: l.Rate, changes: l.Changes})
	}
	return w
}

// changes lets lines come, go and change.
func (w *world) changes() {
	for _, p := range w.peers {
		if !p.here && p.id == 0 && w.now >= p.Joins {
			w.join(p)
		}
		for len(p.changes) > 0 && w.now >= p.changes[0].At {
			c := p.changes[0]
			p.changes = p.changes[1:]
			w.apply(p, c)
		}
	}
}

func (w *world) join(p *peer) {
	w.nextID++
	p.id, p.here, p.lanes, p.kept = w.nextID, true, map[int][]*request{}, map[int]bool{}
	w.byID[p.id] = p
	j := schedule.Source{ID: p.id, Lanes: p.Lanes, Local: p.Local, Metered: p.Metered}
	if w.sc.Probe && p.index == 0 && w.got.Bytes() == 0 {
		j.Latency, j.Running = p.Latency, byterange.Range{Len: min(probeSize, w.sc.Size)}
		j.Since = w.now - w.owed
	}
	if id := w.sched.Join(w.now, j); id != 0 {
		w.sched.Started(w.now, id)
		p.lanes[0] = append(p.lanes[0], &request{id: id, rng: j.Running, since: w.now, started: true, first: w.now})
	}
	w.obey()
}

// probeSize is what the first request asks for.
const probeSize = 1 << 20

func (w *world) apply(p *peer, c Change) {
	switch c.Kind {
	case SetRate:
		p.rate = c.Rate
	case Stall:
		p.stalled = true
	case Heal:
		p.stalled, p.mood = false, ok
	case Leave:
		if p.here {
			p.here = false
			w.endAll(p)
			w.sched.Leave(w.now, p.id)
			delete(w.byID, p.id)
			w.obey()
		}
	case Return:
		if !p.here {
			w.join(p)
		}
	case Cut:
		for lane := range w.lanesOf(p) {
			w.end(p, lane, schedule.Failed, 0)
		}
	case Err, Refuse, Deny:
		p.mood, p.wait = map[Kind]mood{Err: erring, Refuse: refusing, Deny: denying}[c.Kind], c.Wait
	case Allow:
		p.MaxConn = c.Most
	case Slow:
		for lane := range w.lanesOf(p) {
			p.lanes[lane][0].cap = c.Rate
			break
		}
	}
}

// lanesOf yields the lanes with a request, in order.
func (w *world) lanesOf(p *peer) func(func(int) bool) {
	return func(yield func(int) bool) {
		for lane := range p.Lanes {
			if len(p.lanes[lane]) > 0 && !yield(lane) {
				return
			}
		}
	}
}

// paused reports whether the client does not run now.
func (w *world) paused() bool {
	for len(w.pauses) > 0 && w.now >= w.pauses[0].To {
		w.pauses = w.pauses[1:]
	}
	if len(w.pauses) == 0 || w.now < w.pauses[0].From {
		return false
	}
	w.owed += w.step
	return true
}

// carry moves bytes for one step.
func (w *world) carry() {
	dt := (w.step + w.owed).Seconds()
	w.owed = 0
	wanted := map[string]float64{}
	total := 0.0
	flows := map[*peer]float64{}
	for _, p := range w.peers {
		p.ready = w.prepare(p)
		n := p.ready
		if n == 0 {
			continue
		}
		rate := p.rate / float64(n)
		if p.PerConn > 0 {
			rate = min(rate, p.PerConn)
		}
		flows[p] = rate
		wanted[p.Group] += rate * float64(n)
		total += rate * float64(n)
	}
	scale := 1.0
	if w.sc.Origin > 0 && total > w.sc.Origin {
		scale = w.sc.Origin / total
	}
	for _, p := range w.peers {
		rate, busy := flows[p]
		if !busy {
			continue
		}
		if limit := w.sc.Groups[p.Group]; limit > 0 && wanted[p.Group] > limit {
			rate *= limit / wanted[p.Group]
		}
		w.deliver(p, rate*scale*dt, dt)
	}
	w.obey()
}

// prepare starts requests whose latency is over, ends those that fail, and
// returns how many are ready to bring bytes.
func (w *world) prepare(p *peer) int {
	if !p.here || p.stalled {
		return 0
	}
	p.closed = slices.DeleteFunc(p.closed, func(till time.Duration) bool { return w.now >= till })
	open, ready := len(p.closed), 0
	for lane := range w.lanesOf(p) {
		r := p.lanes[lane][0]
		if !r.started && w.now-r.since < p.Latency {
			continue
		}
		if p.see(r, lane); !r.started && w.now-r.since < p.Latency+r.late {
			open++
			continue
		}
		switch {
		case p.mood == denying:
			w.end(p, lane, schedule.Never, 0)
			continue
		case p.mood == erring:
			w.end(p, lane, schedule.Failed, 0)
			continue
		case !r.started && (p.mood == refusing || p.MaxConn > 0 && open >= p.MaxConn):
			w.busy++
			w.end(p, lane, schedule.Busy, p.wait)
			continue
		}
		if !r.started {
			r.started, r.first = true, w.now
			w.sched.Started(w.now, r.id)
		}
		open++
		ready++
	}
	return ready
}

// see lets the origin count a request. One that is to crawl is served as a
// token bucket does it, 16 KiB at a time: on a new connection two of these come
// with the reply, on one that was busy before even the first is late.
func (p *peer) see(r *request, lane int) {
	if r.seen || r.started {
		return
	}
	r.seen = true
	if p.asked++; p.SlowReq == 0 || p.asked%p.SlowReq != 0 {
		return
	}
	r.slow = 2 * slowStep
	if p.kept[lane] {
		r.slow = slowStep
		r.late = slowEvery * time.Duration(p.asked*7%16) / 16
	}
}

const (
	slowStep  = 16 << 10
	slowEvery = 500 * time.Millisecond
)

// came is how many bytes of a crawling reply came since it began.
func (r *request) came(now time.Duration) float64 {
	return r.slow + slowStep*float64((now-r.first)/slowEvery)
}

func (w *world) deliver(p *peer, each, dt float64) {
	first, ready := true, p.ready
	for lane := range w.lanesOf(p) {
		r := p.lanes[lane][0]
		if !r.started {
			continue
		}
		n := each
		if p.Hog > 0 && ready > 1 {
			n = p.hogged(each*float64(ready), first, ready)
		}
		first = false
		switch {
		case r.slow > 0:
			r.part += min(n, r.came(w.now)-float64(r.at-r.rng.Off))
		case r.cap > 0:
			r.part += min(n, r.cap*dt)
		default:
			r.part += n
		}
		bytes := min(int64(r.part), r.rng.End()-r.at)
		r.part -= float64(int64(r.part))
		if bytes > 0 {
			if r.at == r.told {
				r.open = w.now
			}
			r.at += bytes
		}
		if r.at > r.told && (r.at >= r.rng.End() || r.at-r.told >= frameSize || w.now+w.step-r.open >= frameDelay) {
			w.tell(p, r)
			w.obey()
		}
		// obey may have changed the lane: look again
		if q := p.lanes[lane]; len(q) > 0 && q[0] == r && r.at >= r.rng.End() {
			w.end(p, lane, schedule.OK, 0)
		}
	}
}

// hogged is what a connection gets of n bytes where the first one of several
// takes more than its part, as an old one does on a line whose queue is full.
func (p *peer) hogged(n float64, first bool, ready int) float64 {
	if first {
		return n * p.Hog
	}
	return n * (1 - p.Hog) / float64(ready-1)
}

// As the data plane has it: bytes leave in frames.
const (
	frameSize  = 256 << 10
	frameDelay = 100 * time.Millisecond
)

// tell reports what a request brought since it was last told.
func (w *world) tell(p *peer, r *request) {
	got := byterange.Between(r.told, r.at)
	if got.Empty() {
		return
	}
	r.told, r.last = r.at, w.now+w.step
	if w.sc.Arrived != nil {
		w.sc.Arrived(w.now, got.Len)
	}
	p.bytes += w.got.Add(got)
	if w.at99 == 0 && w.got.Bytes() >= w.sc.Size/100*99 {
		w.at99 = w.now
	}
	w.sched.Received(w.now, r.id, got)
}

// end takes the head off a lane and reports it.
func (w *world) end(p *peer, lane int, how schedule.Outcome, wait time.Duration) {
	r := p.lanes[lane][0]
	w.tell(p, r)
	w.pop(p, lane, 0)
	p.kept[lane] = how == schedule.OK && !r.cut
	if r.cut {
		w.close(p, r)
	}
	w.sched.Ended(w.now, r.id, how, wait)
	w.obey()
}

// close closes the connection of a reply that is not over.
func (w *world) close(p *peer, r *request) {
	if r.started && p.Linger > 0 {
		p.closed = append(p.closed, w.now+p.Linger)
	}
}

// pop removes a request from a lane.
func (w *world) pop(p *peer, lane, i int) {
	q := p.lanes[lane]
	r := q[i]
	if i == 0 { // it was the one that the lane worked on
		w.spans = append(w.spans, Span{
			Line: p.index, Lane: lane, From: r.since, To: max(w.now, r.last), First: r.first, Last: r.last,
			Range: byterange.Between(r.rng.Off, r.told), Why: r.why, EndedEarly: r.told < r.rng.End(),
		})
	}
	p.lanes[lane] = append(q[:i:i], q[i+1:]...)
	if i == 0 && len(p.lanes[lane]) > 0 {
		p.lanes[lane][0].since = w.now
	}
}

func (w *world) endAll(p *peer) {
	for lane := range p.Lanes {
		for len(p.lanes[lane]) > 0 {
			w.pop(p, lane, 0)
		}
	}
}

// obey carries out what the scheduler decided.
func (w *world) obey() {
	for _, a := range w.sched.Actions() {
		switch a := a.(type) {
		case schedule.Assign:
			p := w.byID[a.Source]
			p.lanes[a.Lane] = append(p.lanes[a.Lane], &request{id: a.ID, rng: a.Range, at: a.Range.Off, told: a.Range.Off, since: w.now, why: a.Why})
		case schedule.Shrink:
			if p, lane, i := w.find(a.Source, a.ID); i >= 0 {
				r := p.lanes[lane][i]
				r.rng = byterange.Between(r.rng.Off, max(a.End, r.at))
				r.cut = r.seen // what waits is asked for as it is now
			}
		case schedule.Cancel:
			if p, lane, i := w.find(a.Source, a.ID); i >= 0 {
				w.tell(p, p.lanes[lane][i])
				if i == 0 {
					p.kept[lane] = false
					w.close(p, p.lanes[lane][0])
				}
				w.pop(p, lane, i)
				w.sched.Ended(w.now, a.ID, schedule.Failed, 0)
			}
		}
	}
}

func (w *world) find(src schedule.SourceID, id schedule.AssignmentID) (p *peer, lane, i int) {
	p = w.byID[src]
	if p == nil {
		return nil, 0, -1
	}
	for lane := range p.Lanes {
		for i, r := range p.lanes[lane] {
			if r.id == id {
				return p, lane, i
			}
		}
	}
	return nil, 0, -1
}

func (w *world) result(f fluid) Result {
	for _, p := range w.peers {
		w.endAll(p)
	}
	res := Result{Time: w.now + w.step, Ideal: f.done, Tail: w.now - w.at99, Stats: w.sched.Stats(), Spans: w.spans, Busy: w.busy}
	for _, p := range w.peers {
		res.Bytes = append(res.Bytes, p.bytes)
	}
	return res
}
