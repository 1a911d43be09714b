package client

import (
	"cmp"
	"math"
	"slices"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/lines"
	"ddm/internal/progress"
)

// table is who the sources are. The loop owns it.
type table struct {
	sched  *schedule.Scheduler
	rows   map[schedule.SourceID]*row
	order  []*row // by arrival; rows of those that left stay, for the account
	owners map[schedule.AssignmentID]owner
	nextID schedule.SourceID
	locals []*localSource         // all there were
	peers  map[*remoteSource]bool // that are here
	lan    int64                  // bytes received over streams that are over
	stored int64                  // of them, those that came from stores
}

// row is one source: an own line, or one line of a peer.
type row struct {
	id      schedule.SourceID
	name    string
	kind    string // local, peer
	local   *localSource
	peer    *remoteSource
	line    uint32              // its id, own or the peer's
	seed    bool                // a memory that is treated as an origin
	were    []schedule.SourceID // that this one is the same as
	mirror  *mirror
	here    bool
	brought int64 // bytes of earlier streams of the same line
	status  schedule.Status
	told    schedule.State // what the reporter knows
	why     string         // its newest failure
	strikes int
	owners  map[schedule.AssignmentID]owner
}

// owner is whose an assignment is that has not ended.
type owner struct {
	id     schedule.SourceID
	wanted bool // it was not cancelled
}

func newTable(s *schedule.Scheduler) *table {
	return &table{sched: s, rows: map[schedule.SourceID]*row{}, owners: map[schedule.AssignmentID]owner{}, peers: map[*remoteSource]bool{}}
}

func (t *table) row(id schedule.SourceID) *row { return t.rows[id] }

// owner returns whose assignment it is, 0 if nobody's.
func (t *table) owner(id schedule.AssignmentID) schedule.SourceID { return t.owners[id].id }

// take returns whose assignment it was, and forgets it. It is not wanted if it
// was cancelled.
func (t *table) take(id schedule.AssignmentID) (r *row, wanted bool) {
	o := t.owners[id]
	delete(t.owners, id)
	return t.rows[o.id], o.wanted
}

func (t *table) add(r *row) *row {
	t.nextID++
	r.id, r.here, r.owners = t.nextID, true, t.owners
	t.rows[r.id] = r
	if i := slices.IndexFunc(t.order, func(o *row) bool { return !o.here && o.name == r.name && o.kind == r.kind }); i >= 0 {
		r.brought = t.order[i].bytes() // it is back
		r.were = slices.Concat(t.order[i].were, []schedule.SourceID{t.order[i].id})
		t.order[i] = r
	} else {
		t.order = append(t.order, r)
	}
	return r
}

func (t *table) addLocal(now time.Duration, src *localSource, line lines.Line, join schedule.Source) (schedule.SourceID, schedule.AssignmentID) {
	m := src.mirror
	r := t.add(&row{name: src.name, kind: "local", local: src, line: line.ID, mirror: m})
	t.locals = append(t.locals, src)
	join.ID, join.Lanes, join.Local, join.Alone = r.id, src.d.c.opts.Connections, m.n == 0, src.d.roster != nil
	join.Origin, join.Metered = m.n, line.Spec.Metered
	id := t.sched.Join(now, join)
	if id != 0 {
		t.owners[id] = owner{r.id, true}
	}
	return r.id, id
}

// addRemote makes sources of those open lines of a peer that are none yet, one
// per mirror.
func (t *table) addRemote(now time.Duration, peer *remoteSource, mirrors []*mirror) []*row {
	var added []*row
	t.peers[peer] = true
	all := peer.opened.GetLines()
	for _, line := range all {
		name := peer.info.GetName()
		if len(all) > 1 {
			name += "/" + line.GetName()
		}
		for _, m := range mirrors {
			if line.GetClosed() || t.serves(peer, line.GetId(), m) {
				continue
			}
			r := t.add(&row{name: m.at(name), kind: "peer", peer: peer, line: line.GetId(), mirror: m})
			t.sched.Join(now, schedule.Source{ID: r.id, Lanes: int(peer.opened.GetMaxLanes()), Origin: m.n, Metered: metered(line)})
			added = append(added, r)
		}
	}
	return added
}

// addMemory makes a source of what a peer holds, if that is none yet. A peer
// without lines is nothing else.
//
// A seed has everything, like an origin. It is asked for what was leased from
// the swarm and no more, so that its bytes leave it once: for the scheduler it
// is a line.
func (t *table) addMemory(now time.Duration, peer *remoteSource, m *mirror, seed bool) *row {
	lineless := len(peer.opened.GetLines()) == 0
	if t.memory(peer) != nil || peer.held.Len() == 0 && !lineless {
		return nil
	}
	t.peers[peer] = true
	name := peer.info.GetName()
	if !lineless {
		name += "/store"
	}
	r := t.add(&row{name: name, kind: "peer", peer: peer, line: storeLine, mirror: m, seed: seed})
	src := schedule.Source{ID: r.id, Lanes: 1, Memory: true, Held: peer.held}
	if seed {
		src = schedule.Source{ID: r.id, Lanes: 1, Origin: -1 - int(r.id)} // what it says of its load binds no other
	}
	t.sched.Join(now, src)
	return r
}

// memory returns the row of what a peer holds; nil: it is no source.
func (t *table) memory(peer *remoteSource) *row {
	i := slices.IndexFunc(t.order, func(r *row) bool { return r.here && r.peer == peer && r.line == storeLine })
	if i < 0 {
		return nil
	}
	return t.order[i]
}

// storeLine is the id of a peer's store among its lines.
const storeLine = math.MaxUint32

// remembered returns what all memories that are here hold, but for seeds: who
// fetches from those has nobody else to fetch from.
func (t *table) remembered() (set byterange.Set) {
	for peer := range t.peers {
		if r := t.memory(peer); r != nil && r.seed {
			continue
		}
		for r := range peer.held.All() {
			set.Add(r)
		}
	}
	return set
}

func (t *table) removeRemote(now time.Duration, peer *remoteSource) []*row {
	var removed []*row
	for _, r := range t.order {
		if r.here && r.peer == peer {
			t.leave(now, r)
			removed = append(removed, r)
		}
	}
	delete(t.peers, peer)
	t.lan += peer.received()
	t.stored += peer.memory.bytes.Load()
	for id, o := range t.owners { // of whom nothing comes any more
		if t.rows[o.id] == nil && slices.ContainsFunc(t.order, func(r *row) bool { return r.id == o.id && r.peer == peer }) {
			delete(t.owners, id)
		}
	}
	return removed
}

// leave takes a source off. What it had begun may still bring bytes, until it
// ends; that it ends is no news.
func (t *table) leave(now time.Duration, r *row) {
	r.status = t.sched.Status(r.id)
	r.here = false
	t.sched.Leave(now, r.id)
	delete(t.rows, r.id)
	for id, o := range t.owners {
		if o.id == r.id {
			t.owners[id] = owner{r.id, false}
		}
	}
}

// late credits bytes to a source that left.
func (t *table) late(id schedule.AssignmentID, fresh int64) {
	sid := t.owner(id)
	if sid == 0 || fresh == 0 || t.rows[sid] != nil {
		return
	}
	for _, r := range t.order {
		if r.id == sid || slices.Contains(r.were, sid) {
			r.brought += fresh
		}
	}
}

// debit takes back what a source was credited for.
func (t *table) debit(id schedule.SourceID, n int64) {
	for _, r := range t.order {
		if r.id == id {
			r.brought -= n
		}
	}
}

// forfeit takes back credit for bytes of a giver. Where two brought the same
// bytes, one may have written them and the other been credited: that comes off
// who has most.
func (t *table) forfeit(giver string, n int64) {
	for _, theirs := range []bool{true, false} {
		list := slices.SortedStableFunc(slices.Values(t.order), func(a, b *row) int { return cmp.Compare(b.credit(t.sched), a.credit(t.sched)) })
		for _, r := range list {
			if n > 0 && r.gives(giver) == theirs {
				part := min(n, r.credit(t.sched))
				r.brought -= part
				n -= part
			}
		}
	}
}

// gives reports whether bytes of the source are recorded as the giver's.
func (r *row) gives(giver string) bool { return r.giver() == giver }

// giver is what bytes of the source are recorded as.
func (r *row) giver() string {
	if r.local != nil {
		return r.local.in.giver
	}
	return r.mirror.giver("peer:" + r.peer.info.GetId())
}

// credit is bytes with the newest figures.
func (r *row) credit(s *schedule.Scheduler) int64 {
	if r.here {
		r.status = s.Status(r.id)
	}
	return r.bytes()
}

// own reports whether an own line is a source of a mirror.
func (t *table) own(line uint32, m *mirror) bool {
	return slices.ContainsFunc(t.order, func(r *row) bool { return r.here && r.local != nil && r.line == line && r.mirror == m })
}

// serves reports whether a line of a peer is a source of a mirror.
func (t *table) serves(peer *remoteSource, line uint32, m *mirror) bool {
	return slices.ContainsFunc(t.order, func(r *row) bool { return r.here && r.peer == peer && r.line == line && r.mirror == m })
}

// streams returns the peers that are here, in order of their arrival.
func (t *table) streams() []*remoteSource {
	var list []*remoteSource
	for _, r := range t.order {
		if r.here && r.peer != nil && !slices.Contains(list, r.peer) {
			list = append(list, r.peer)
		}
	}
	return list
}

// anyUsable reports whether a source is here that is not out for good.
func (t *table) anyUsable() bool {
	for _, r := range t.rows {
		if t.sched.Status(r.id).State != schedule.Out {
			return true
		}
	}
	return false
}

// anyHere reports whether there is a source at all.
func (t *table) anyHere() bool { return len(t.rows) > 0 }

func (t *table) intakes() []*intake {
	var list []*intake
	for _, r := range t.order {
		if r.here {
			list = append(list, r.intake())
		}
	}
	return list
}

func (t *table) closeAll() {
	for _, src := range t.locals {
		src.close()
	}
}

// notice tells of sources whose state changed for the worse.
func (t *table) notice(rep progress.Reporter) {
	for _, r := range t.order {
		if !r.here {
			continue
		}
		now := t.sched.Status(r.id)
		if was := r.told; now.State != was {
			r.told = now.State
			switch now.State {
			case schedule.Stalled:
				t.change(rep, r, "stalled", "no byte for a while; its ranges go to the others")
			case schedule.Cooling, schedule.Out:
				t.change(rep, r, "failed", r.why)
			default: // the display shows it
			}
		}
	}
}

func (t *table) change(rep progress.Reporter, r *row, change, reason string) {
	rep.Source(progress.SourceChange{Name: r.name, Change: change, Reason: reason})
}

// sources is the table for people.
func (t *table) sources() []progress.Source {
	list := make([]progress.Source, 0, len(t.order))
	for _, r := range t.order {
		src := progress.Source{Name: r.name, Kind: r.kind, State: "left"}
		if r.here {
			r.status = t.sched.Status(r.id)
			src.Rate, src.State = r.status.Rate, string(r.status.State)
		}
		src.Bytes = r.bytes()
		if src.State != string(schedule.Running) && src.State != string(schedule.Idle) {
			src.Note = r.why
		}
		list = append(list, src)
	}
	return list
}

// fetched returns the bytes that all sources received, by kind; stored are
// those of the peers' that no origin was asked for.
func (t *table) fetched() (local, peers, stored int64) {
	peers, stored = t.lan, t.stored
	for _, src := range t.locals {
		local += src.in.bytes.Load()
	}
	for peer := range t.peers { // whose lines share one stream
		peers += peer.received()
		stored += peer.memory.bytes.Load()
	}
	return local, peers, stored
}

// bytes returns what the source brought first, over all its streams.
func (r *row) bytes() int64 { return r.brought + r.status.Bytes }

func (r *row) intake() *intake {
	if r.local != nil {
		return &r.local.in
	}
	return r.peer.intake(r.line, r.mirror)
}

func (r *row) assign(a schedule.Assign) {
	r.owners[a.ID] = owner{r.id, true}
	if r.local != nil {
		r.local.assign(a)
	} else {
		r.peer.assign(r.line, r.mirror, a)
	}
}

func (r *row) shrink(id schedule.AssignmentID, end int64) {
	if r.local != nil {
		r.local.shrink(id, end)
	} else {
		r.peer.shrink(id, end)
	}
}

func (r *row) cancel(id schedule.AssignmentID) {
	r.owners[id] = owner{r.id, false}
	if r.local != nil {
		r.local.cancel(id)
	} else {
		r.peer.cancel(id)
	}
}
