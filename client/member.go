package client

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/rendezvous"
)

// member is the loop's side of a swarm: what its lines may fetch.
//
//	no tracker answered yet    all, as without a swarm
//	a tracker is there         what it granted
//	away for tooLong           what was granted, and by rendezvous with those
//	                           members whose streams live; all, if none does
//	nothing came for starving  a little more than that, whoever has leased it
//
// Who serves nobody (standard output, --no-share) takes from the others and
// asks for no lease: nobody shall wait for bytes that would come to it alone.
type member struct {
	of     *swarm // nil: the download is in none
	bound  bool
	leech  bool
	others map[string]bool // members that serve what they hold, by id

	asked    int64         // bytes in the Want that no lease answered yet
	insisted byterange.Set // named in the last Want
	calm     time.Duration // nothing is wanted before: others are still coming back
	away     time.Duration // since when no tracker is there; 0: one is
	idle     time.Duration // since when lines want bytes and have none; 0: they have some
}

const (
	hintWithin = 100 * time.Millisecond // the probe waits so long for what a tracker says of it
	firstBinds = 100 * time.Millisecond // then whoever came first has told what its probe brings
	leastLook  = 8                      // members are expected where there is one besides this: more may come
	mostLook   = 16                     // members, at most, leave their part of the looks to each other
	comeBack   = time.Second            // all have told a tracker that restarted what they fetch
	tooLong    = time.Second            // without a tracker: then the members decide
	starving   = 2 * time.Second        // without work: then what others have leased is fetched, too
	starvedFor = 50                     // one part in so many of the resource, but at least a part
)

// joinSwarm begins to take part with what the probe said, before the lines get
// any work.
func (l *loop) joinSwarm(p *probed, have byterange.Set) {
	d := l.d
	if d.swarm == nil {
		return
	}
	if !d.shareable(p) {
		d.leave()
		return
	}
	d.offer()
	l.member = member{of: d.swarm, leech: d.taking.content == nil, others: map[string]bool{}}
	if d.hint == nil {
		return // nobody answered: it is joined when somebody does
	}
	if d.others() {
		d.taking.confirmed += p.confirm()
	}
	if d.hint.GetOthers() > 0 && d.job.Shared == nil { // of which no probe brings anything
		l.member.calm = l.now() + firstBinds
	}
	l.bind(p.fetching(have))
	if d.others() {
		l.among(int(d.hint.GetOthers()) + 1)
		l.alone.ended = true // what the own lines bring alone cannot be told beside others
	}
}

// among leaves to each of several members its part of the looks, and of the
// lanes at the origin.
func (l *loop) among(n int) {
	l.sched.Among(l.now(), n)
	if l.spots.of != nil {
		if n > 1 {
			n = min(max(n, leastLook), mostLook)
		}
		l.spots.of.Among(n)
	}
}

// bind tells which generation it is, and what of it is on its way already.
func (l *loop) bind(fetching byterange.Set) {
	m := &l.member
	m.bound = true
	if m.leech {
		fetching = byterange.Set{}
	}
	m.of.bind(l.d.bond(), fetching)
	l.permit()
	l.hunger()
}

// permit tells the scheduler what lines may be given.
func (l *loop) permit() {
	m := &l.member
	if m.of == nil || !m.bound || m.leech {
		return
	}
	if m.away > 0 && l.now()-m.away >= tooLong && len(l.companions()) == 0 {
		l.sched.Permit(l.now(), nil)
		return
	}
	set := m.of.leases()
	l.sched.Permit(l.now(), &set)
}

// companions are the members whose streams are open.
func (l *loop) companions() []string {
	var list []string
	for peer := range l.table.peers {
		if id := peer.info.GetId(); l.member.others[id] {
			list = append(list, id)
		}
	}
	return list
}

// takePart is what a tick does in a swarm.
func (l *loop) takePart(now time.Duration) {
	m := &l.member
	if m.of == nil || !m.bound {
		return
	}
	m.of.report()
	if m.leech {
		return
	}
	l.hunger()
	l.starve(now)
}

// hunger asks for as much as the lines could use.
func (l *loop) hunger() {
	m := &l.member
	if m.of == nil || !m.bound || m.leech {
		return
	}
	now := l.now()
	want, insist := l.sched.Hunger(now), l.sched.Unheld(now)
	if m.away > 0 {
		if now-m.away >= tooLong {
			l.withoutTracker(want)
		}
		return
	}
	if now < m.calm {
		return
	}
	if len(m.others) == 0 && want > 0 {
		want = l.d.gen.Size // nobody else wants any
	}
	same := want == 0 && m.asked == 0 || want > 0 && m.asked >= want/2 && m.asked <= 2*want
	if same && insist.Equal(&m.insisted) {
		return
	}
	if m.of.want(want, insist) {
		m.asked, m.insisted = want, insist
	}
}

// withoutTracker takes about so many bytes of what falls to this member.
func (l *loop) withoutTracker(want int64) {
	m := &l.member
	free := l.sched.Unsourced(l.now())
	mine := rendezvous.Mine(m.of.me.GetId(), l.companions(), &free, want)
	m.of.lease(&mine, (*byterange.Set).Add)
	l.permit()
}

// starve lets lines that have had nothing to do for too long fetch what others
// were to fetch, a little at a time: who has leased it may be slow, or lie.
func (l *loop) starve(now time.Duration) {
	m := &l.member
	free := l.sched.Unsourced(now)
	if l.working() || free.Len() == 0 {
		m.idle = 0
		return
	}
	if m.idle == 0 {
		m.idle = now
	}
	if now-max(m.idle, l.lastByte) < starving { // as long as some comes, the others are at it
		return
	}
	m.idle = now
	left := max(l.d.gen.Size/starvedFor, rendezvous.Part)
	var some byterange.Set
	for r := range free.All() {
		r.Len = min(r.Len, left)
		left -= r.Len
		some.Add(r)
	}
	m.of.lease(&some, (*byterange.Set).Add)
	l.permit()
}

// working reports whether anybody has been given anything.
func (l *loop) working() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(l.table.rows)), func(r *row) bool {
		return l.sched.Status(r.id).State == schedule.Running
	})
}

func (joined) handle(l *loop) error {
	m := &l.member
	if m.of == nil || m.bound && m.away == 0 { // the tracker that answered before the probe
		return nil
	}
	fetching := l.sched.Underway()
	if m.bound {
		leased := m.of.leases()
		for r := range leased.All() {
			fetching.Add(r)
		}
		m.calm = l.now() + comeBack
	}
	m.away, m.asked, m.insisted = 0, 0, byterange.Set{}
	l.bind(fetching)
	return nil
}

func (e trackerAway) handle(l *loop) error {
	if m := &l.member; m.of != nil && m.away == 0 {
		m.away = max(l.now(), 1)
		l.d.c.log.Debug("the swarm's tracker is away", "error", e.why)
	}
	return nil
}

func (e leasesChanged) handle(l *loop) error {
	m := &l.member
	if m.of == nil {
		return nil
	}
	if e.granted > 0 { // the lease answers what was wanted
		m.asked, m.insisted = 0, byterange.Set{}
	}
	l.permit()
	if e.revoked.Len() > 0 {
		l.sched.Forbid(l.now(), &e.revoked)
	}
	l.hunger()
	return nil
}

func (e membersCame) handle(l *loop) error {
	m, d := &l.member, l.d
	if m.of == nil || d.roster == nil {
		return nil
	}
	alone := len(m.others) == 0
	for _, who := range e.came {
		if who.GetPeer() {
			l.streams.prefer(who.GetId())
			continue
		}
		if info := d.roster.admit(who); info != nil {
			m.others[who.GetId()] = true
			l.streams.waitFirst(info)
		}
	}
	for _, id := range e.left {
		delete(m.others, id)
		d.roster.dismiss(id)
	}
	l.serveMore()
	l.among(len(m.others) + 1)
	if len(m.others) > 0 && m.calm-l.now() <= firstBinds {
		m.calm = 0
		l.hunger()
	}
	if alone && len(m.others) > 0 && m.bound && !m.leech {
		surplus := l.sched.Surplus(l.now())
		m.of.release(surplus)
		m.asked = 0
		l.permit()
	}
	return nil
}

// heldChanged is what a peer says of its memory.
type heldChanged struct {
	peer       *remoteSource
	came, gone byterange.Set
}

func (e heldChanged) handle(l *loop) error {
	for r := range e.gone.All() {
		e.peer.held.Subtract(r)
	}
	not := l.otherwise(e.peer, &e.came)
	for r := range not.All() {
		e.came.Subtract(r)
	}
	for r := range e.came.All() {
		e.peer.held.Add(r)
	}
	if e.peer.held.Len() > mostHeldRuns {
		e.peer.end(fmt.Errorf("%w: %s: it holds %d runs", errdefs.Corrupt, tableClosed, e.peer.held.Len()))
		return nil
	}
	r := l.table.memory(e.peer)
	if r != nil && r.seed && e.gone.Len() > 0 { // what it has left it gives as others do
		l.cancelAll(r)
		l.removeRow(r, "it has no longer all of it")
		r = nil
	}
	if r != nil {
		l.sched.Held(l.now(), r.id, e.came, e.gone)
	} else {
		l.joinMemory(e.peer)
	}
	return nil
}
