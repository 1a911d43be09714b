package schedule

import (
	"cmp"
	"slices"
	"time"

	"ddm/client/flow"
	"ddm/internal/byterange"
)

const (
	planEvery    = 200 * time.Millisecond // at most
	planWindow   = 512                    // pieces of a plan
	planLooksAt  = 2048                   // pieces of which the rarest come into the window
	rateMoved    = 0.25                   // by which part of itself a rate must change for a new plan
	unknownRate  = 8 << 20                // bytes per second of memories of which nothing is known
	besideEach   = 8                      // pieces that come one after another if they are equally rare
	hashConstant = 0x9e3779b97f4a7c15
)

// plan says which memory sends which of the pieces that several hold.
type plan struct {
	planner flow.Planner
	made    time.Duration
	stale   bool
	sources []*source
	rates   []float64
	queues  map[*source][]int64 // offsets of what each is to send, in order
	owner   map[int64]*source   // by piece
}

// item is a piece of which something is held that nobody was given yet.
type item struct {
	number       int64
	r            byterange.Range // its first run
	whole, begin flow.Set        // who holds all of the run, who its first byte
}

// replan sees to it that there is a plan that is not too old, and reports
// whether there is one: a memory that is alone needs none.
func (s *Scheduler) replan() bool {
	p := &s.plan
	working := s.heldNow().sources
	if len(working) < 2 {
		return false
	}
	if p.made > 0 && s.now-p.made < planEvery {
		return true
	}
	rates := s.memoryRates(working)
	if p.made > 0 && !p.stale && slices.Equal(p.sources, working) && near(p.rates, rates) {
		return true
	}
	p.made, p.stale = max(s.now, 1), false
	p.sources, p.rates = slices.Clone(working), rates
	s.makePlan()
	return true
}

func near(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return max(x, y) <= (1+rateMoved)*min(x, y) })
}

// memoryRates returns what each memory is expected to bring per second.
func (s *Scheduler) memoryRates(list []*source) []float64 {
	rates := make([]float64, len(list))
	sum, n := 0.0, 0.0
	for i, src := range list {
		if rate, ok := src.memoryRate(); ok {
			rates[i] = max(rate, minRate)
			sum += rates[i]
			n++
		}
	}
	mean := float64(unknownRate)
	if n > 0 {
		mean = sum / n
	}
	for i := range rates {
		if rates[i] == 0 {
			rates[i] = mean
		}
	}
	return rates
}

// makePlan plans the rarest pieces by a maximum flow.
func (s *Scheduler) makePlan() {
	p := &s.plan
	items := s.rarest(s.holders(s.heldPieces()))
	problem := flow.Problem{Size: s.cfg.Piece, Pieces: make([]flow.Piece, len(items))}
	for i, src := range p.sources[:min(len(p.sources), flow.MaxSources)] {
		problem.Sources = append(problem.Sources, flow.Source{
			ID: uint64(src.id), Rate: p.rates[i], Ready: seconds(float64(src.work()) / p.rates[i]),
		})
	}
	for i, it := range items {
		problem.Pieces[i] = flow.Piece{Number: int(it.number), Holders: it.whole}
	}
	made := p.planner.Plan(problem)
	p.queues = make(map[*source][]int64, len(p.sources))
	p.owner = make(map[int64]*source, len(items))
	for _, i := range made.Order {
		if at := made.From[i]; at != flow.Nobody {
			src := p.sources[at]
			p.queues[src] = append(p.queues[src], items[i].r.Off)
			p.owner[items[i].number] = src
		}
	}
}

// heldPieces returns the pieces of which something is held and unassigned, in
// order: so many as may be looked at, from this client's place on.
func (s *Scheduler) heldPieces() []item {
	held := &s.heldNow().set
	limit := s.windowEnd()
	var items []item
	look := func(from, to int64) {
		for off := from; off < to && len(items) < planLooksAt; {
			r, ok := firstOfBoth(&s.todo, held, off)
			if !ok || r.Off >= to {
				return
			}
			n := r.Off / s.cfg.Piece
			edge := (n + 1) * s.cfg.Piece
			items = append(items, item{number: n, r: byterange.Between(r.Off, min(r.End(), edge))})
			off = edge
		}
	}
	from := s.beginning()
	look(from, limit)
	back := len(items)
	look(0, min(from, limit))
	return slices.Concat(items[back:], items[:back])
}

// holders finds out who holds which of the pieces, which come in order.
func (s *Scheduler) holders(items []item) []item {
	for i, src := range s.plan.sources[:min(len(s.plan.sources), flow.MaxSources)] {
		at := 0
		for run := range src.held.All() {
			for at < len(items) && items[at].r.End() <= run.Off {
				at++
			}
			for j := at; j < len(items) && items[j].r.Off < run.End(); j++ {
				if run.Off <= items[j].r.Off {
					items[j].begin.Add(i)
					if items[j].r.End() <= run.End() {
						items[j].whole.Add(i)
					}
				}
			}
		}
	}
	for i := range items {
		if items[i].whole.Len() == 0 { // nobody has what all together have
			items[i].whole = items[i].begin
		}
	}
	return items
}

// rarest returns those that the fewest hold, in the order in which they should
// come: the rarest first, the equally rare in an order of this client's own, a
// few that lie side by side at a time.
func (s *Scheduler) rarest(items []item) []item {
	type rank struct {
		holders int
		draw    uint64
	}
	ranks := make(map[int64]rank, len(items))
	mine := s.cfg.Window == 0 && s.scattered()
	for i := range items {
		it := &items[i]
		k := rank{holders: it.whole.Len()}
		if mine {
			k.draw = draw(s.cfg.Seed, uint64(it.number/besideEach))
		}
		ranks[it.number] = k
	}
	slices.SortFunc(items, func(a, b item) int {
		x, y := ranks[a.number], ranks[b.number]
		return cmp.Or(cmp.Compare(x.holders, y.holders), cmp.Compare(x.draw, y.draw), cmp.Compare(a.number, b.number))
	})
	return items[:min(len(items), planWindow)]
}

// draw is a number that looks random, the same one for the same arguments.
func draw(seed, n uint64) uint64 {
	x := (seed + n + 1) * hashConstant
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// nextPlanned returns the next bytes that the plan has a memory send: a piece,
// and those behind it that it is to send too, up to about size bytes.
func (s *Scheduler) nextPlanned(src *source, size int64) (byterange.Range, bool) {
	p := &s.plan
	for queue := p.queues[src]; len(queue) > 0; queue = p.queues[src] {
		off := queue[0]
		piece := byterange.Range{Off: off / s.cfg.Piece * s.cfg.Piece, Len: s.cfg.Piece}
		r, ok := firstOfBoth(&s.todo, &src.held, off)
		if !ok || r.Off >= piece.End() {
			p.queues[src] = queue[1:]
			continue
		}
		end := piece.End()
		for ; end < r.End() && end-r.Off < size; end += s.cfg.Piece {
			if other, planned := p.owner[end/s.cfg.Piece]; planned && other != src {
				break
			}
		}
		return byterange.Between(r.Off, min(r.End(), end)), true
	}
	return byterange.Range{}, false
}
