package sim

import (
	"fmt"
	"slices"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// path is a lane's request that is ready to bring bytes.
type path struct {
	to   *bee
	from *bee // nil: the origin
	src  schedule.SourceID
	lane int
	r    *request
}

// carry moves bytes for one step: the origin's line is shared evenly by all
// requests, and so is what a member can send, and what it can receive.
func (h *hive) carry() {
	paths := h.paths()
	sending, receiving, asking := map[*bee]int{}, map[*bee]int{}, 0
	defer func() { h.asking = asking }()
	for _, p := range paths {
		if p.from == nil {
			asking++
		} else {
			sending[p.from]++
		}
		receiving[p.to]++
	}
	for _, p := range paths {
		rate := h.LAN / float64(receiving[p.to])
		if p.from == nil {
			rate = min(rate, h.Origin/float64(asking))
		} else {
			up := h.LAN
			if p.from.Upload > 0 {
				up = p.from.Upload
			}
			rate = min(rate, up/float64(sending[p.from]))
		}
		h.deliver(p, rate*swarmStep.Seconds())
	}
}

// paths are the requests whose answer began.
func (h *hive) paths() (list []path) {
	for _, b := range h.members {
		if !b.here || b.silent || b.done > 0 {
			continue
		}
		for id := range b.nextID + 1 {
			from, delay := b.who[id], memberDelay
			if id == lineID {
				delay = originDelay
			}
			if from != nil && (!from.here || from.silent) {
				continue
			}
			for lane := range h.Lanes {
				q := b.queues[id][lane]
				if len(q) == 0 || h.now-q[0].since < delay {
					continue
				}
				if r := q[0]; !r.started {
					r.started = true
					b.sched.Started(h.now, r.id)
				}
				list = append(list, path{b, from, id, lane, q[0]})
			}
		}
	}
	return list
}

// deliver brings a request so many bytes further, and the lane's next ones
// after it.
func (h *hive) deliver(p path, n float64) {
	b := p.to
	for n >= 1 {
		q := b.queues[p.src][p.lane]
		if len(q) == 0 || q[0] != p.r && p.from == nil { // the next one has its own wait
			return
		}
		r := q[0]
		r.part += n
		bytes := min(int64(r.part), r.rng.End()-r.at)
		n = r.part - float64(bytes)
		r.part = 0
		if r.at += bytes; r.at < r.rng.End() {
			r.part = n
			n = 0
		}
		if r.at >= r.rng.End() || r.at-r.told >= frameSize || h.now-r.open >= frameDelay {
			h.tell(p, r)
		}
		if q := b.queues[p.src][p.lane]; len(q) > 0 && q[0] == r && r.at >= r.rng.End() {
			h.waste(p.src, r)
			h.pop(b, p.src, p.lane, 0)
			b.sched.Ended(h.now, r.id, schedule.OK, 0)
		}
		h.obey(b)
	}
}

// tell reports what a request brought since it was last told.
func (h *hive) tell(p path, r *request) {
	got := byterange.Between(r.told, r.at)
	r.open = h.now
	if got.Empty() {
		return
	}
	b := p.to
	r.told = r.at
	if p.from == nil {
		h.result.FromOrigin += got.Len
		h.result.ByOrigin[b.index] += got.Len
	}
	for gap := range b.have.Missing(got) {
		b.news.Add(gap)
	}
	b.have.Add(got)
	b.sched.Received(h.now, r.id, got)
}

// waste counts what had left the origin for a request when it was cut.
func (h *hive) waste(src schedule.SourceID, r *request) {
	if src != lineID || !r.started || r.behind == 0 {
		return
	}
	n := min(r.behind, int64(h.Origin*onItsWay.Seconds()/float64(max(h.asking, 1))))
	h.result.FromOrigin += n
	h.result.Wasted += n
}

func (h *hive) pop(b *bee, src schedule.SourceID, lane, i int) {
	q := slices.Delete(b.queues[src][lane], i, i+1)
	b.queues[src][lane] = q
	if i == 0 && len(q) > 0 {
		q[0].since = h.now
		if src != lineID { // it was read while the one before was sent
			q[0].since -= memberDelay
		}
		q[0].open = h.now
	}
}

// obey carries out what a member's scheduler decided.
func (h *hive) obey(b *bee) {
	for _, a := range b.sched.Actions() {
		switch a := a.(type) {
		case schedule.Assign:
			h.check(b, a)
			b.queues[a.Source][a.Lane] = append(b.queues[a.Source][a.Lane],
				&request{id: a.ID, rng: a.Range, at: a.Range.Off, told: a.Range.Off, since: h.now, open: h.now, why: a.Why})
		case schedule.Shrink:
			if lane, i := b.find(a.Source, a.ID); i >= 0 {
				r := b.queues[a.Source][lane][i]
				r.behind += r.rng.End() - max(a.End, r.at)
				r.rng = byterange.Between(r.rng.Off, max(a.End, r.at))
			}
		case schedule.Cancel:
			if lane, i := b.find(a.Source, a.ID); i >= 0 {
				r := b.queues[a.Source][lane][i]
				h.tell(path{b, b.who[a.Source], a.Source, lane, nil}, r)
				r.behind += r.rng.End() - r.at
				h.waste(a.Source, r)
				h.pop(b, a.Source, lane, i)
				b.sched.Ended(h.now, a.ID, schedule.Failed, 0)
			}
		}
	}
}

// check looks for an order that must not be: bytes that nobody permitted, or
// that a member never held.
func (h *hive) check(b *bee, a schedule.Assign) {
	from := b.who[a.Source]
	switch {
	case h.broken != nil:
	case from != nil && !from.have.Contains(a.Range):
		h.broken = fmt.Errorf("member %d is asked for %v, which it does not hold", from.index, a.Range)
	case from == nil && !b.alone && !b.permit.Contains(a.Range) && (a.Victim == 0 || b.ofMemory(a.Victim)):
		h.broken = fmt.Errorf("member %d asks the origin for %v, which was not permitted", b.index, a.Range)
	}
}

// ofMemory reports whether an assignment is one of another member.
func (b *bee) ofMemory(id schedule.AssignmentID) bool {
	for src := range b.queues {
		if _, i := b.find(src, id); i >= 0 {
			return src != lineID
		}
	}
	return false
}

func (b *bee) find(src schedule.SourceID, id schedule.AssignmentID) (lane, i int) {
	for lane, q := range b.queues[src] {
		for i, r := range q {
			if r.id == id {
				return lane, i
			}
		}
	}
	return 0, -1
}
