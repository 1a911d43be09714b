// Package flow decides who sends which held piece, by a maximum flow.
//
//	pieces with      want      sent         capacity: rate x time
//	the same  --> [ group ] --------> [ source ] --------> all is here
//	holders       [ group ] ---+----> [ source ]
//	              [ group ]    +----> [ origin: holds everything, at a cost ]
//	                   |
//	   Edmonds-Karp over groups; too little fits? the minimum cut says which
//	   sources hold it up, and so how much time is needed at least: on from
//	   there, with the flow found so far, until everything fits
//
// A plan is the fastest for its moment: no other one ends sooner, whatever the
// pieces' holders are. Among the fastest it takes the fewest bytes from the
// origin, and lets sources that are not the bottleneck end early. Over time it
// is a heuristic, since rates and holders change: plan again then. A Planner
// remembers its last plan and changes no more of it than it must.
//
// Pieces count as equally long. The package is pure: times are values, nothing
// runs, waits or logs. It does not know the network, and does not keep what was
// sent: package schedule owns what is assigned, and asks.
package flow

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// MaxSources is how many sources a problem may have; those beyond are unused.
const MaxSources = 256

// Set is a set of sources, by their index in Problem.Sources.
type Set [MaxSources / 64]uint64

// Add puts source i into the set.
func (s *Set) Add(i int) { s[i/64] |= 1 << (i % 64) }

// Has reports whether source i is in the set.
func (s *Set) Has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// Len is the number of sources in the set.
func (s *Set) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// All gives the indices in the set, in order.
func (s *Set) All() []int {
	list := make([]int, 0, s.Len())
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			list = append(list, i*64+bits.TrailingZeros64(w))
		}
	}
	return list
}

// Source is somebody who can send pieces.
type Source struct {
	ID     uint64        // names it from one plan to the next
	Rate   float64       // bytes per second; one with none is not used
	Ready  time.Duration // until it is through with what it was given before
	Origin bool          // it brings any piece, and its bytes leave the origin
}

// Piece is a piece that is wanted.
type Piece struct {
	Number  int // in the grid of the resource
	Holders Set // those who have it; sources of the origin need not be named
}

// Problem is what to plan. Pieces stand in the order in which they should come.
type Problem struct {
	Size    int64 // bytes of a piece, at least 1
	Sources []Source
	Pieces  []Piece
	Receive float64 // bytes per second that the receiver can take; 0: any
	// Thrift is the share by which a plan may take longer than the fastest if
	// that spares the origin bytes; 0: not at all.
	Thrift float64
}

// Nobody is the source of a piece that nobody can send.
const Nobody = -1

// Plan says who sends what.
type Plan struct {
	From []int // for each piece the index of its source, or Nobody
	// Order lists the pieces as they are best asked for, as indices: those that
	// the fewest have come first, since a holder may leave, then as they stand.
	Order      []int
	Makespan   time.Duration // until the last piece is there
	FromOrigin int           // pieces that leave the origin
	Missing    int           // pieces that nobody can send
	Bottleneck Bottleneck
}

// Bottleneck is the minimum cut: why it cannot be faster. These sources have to
// bring these pieces, since nobody else has them, and need that long for it. It
// is the receiver itself if Receiver is set.
type Bottleneck struct {
	Sources  Set
	Pieces   int
	Needs    time.Duration
	Receiver bool
}

// levels is in how many steps sources are filled up to the time that all would
// need together, so that they are balanced to a part of it.
const levels = 4

// Planner makes plans, each near to the one before. The zero value is ready. It
// is not safe for concurrent use.
type Planner struct {
	last map[int]uint64 // piece number -> ID of its source in the last plan
	net  network
}

// Plan plans anew. What was planned before stays where that costs no time and
// no byte of the origin.
func (pl *Planner) Plan(p Problem) Plan {
	p.Sources = p.Sources[:min(len(p.Sources), MaxSources)]
	net := &pl.net
	net.load(p)
	plan := Plan{From: make([]int, len(p.Pieces)), Missing: len(p.Pieces) - net.total}
	pl.prefer(p)
	limit, cut := net.fastest(p.Receive)
	plan.Bottleneck = cut
	net.distribute(limit * (1 + max(p.Thrift, 0)))
	pl.name(p, &plan)
	plan.Order = net.order()
	end := 0.0
	for i, n := range net.carries {
		if n > 0 {
			end = max(end, net.end(i, n))
		}
		if p.Sources[i].Origin {
			plan.FromOrigin += n
		}
	}
	plan.Makespan = duration(max(end, net.receive(p.Receive)))
	return plan
}

// prefer counts, per group, what the last plan wanted of each source.
func (pl *Planner) prefer(p Problem) {
	net := &pl.net
	clear(net.prefers)
	if len(pl.last) == 0 {
		return
	}
	index := make(map[uint64]int, len(p.Sources))
	for i := range p.Sources {
		index[p.Sources[i].ID] = i
	}
	for i := range p.Pieces {
		g := net.groupOf[i]
		if id, ok := pl.last[p.Pieces[i].Number]; ok && g >= 0 {
			if s, here := index[id]; here && net.masks[g].Has(s) {
				net.prefers[int(g)*net.sources+s]++
			}
		}
	}
}

// name gives each piece its source, out of the numbers per group: those of the
// last plan first, the others in runs.
func (pl *Planner) name(p Problem, plan *Plan) {
	net := &pl.net
	left := slices.Clone(net.sent)
	for i := range p.Pieces {
		plan.From[i] = Nobody
		g := net.groupOf[i]
		id, ok := pl.last[p.Pieces[i].Number]
		if g < 0 || !ok {
			continue
		}
		for s := range p.Sources {
			if p.Sources[s].ID == id && left[int(g)*net.sources+s] > 0 {
				left[int(g)*net.sources+s]--
				plan.From[i] = s
				break
			}
		}
	}
	at := make([]int, len(net.masks)) // the source at which each group is
	last := make(map[int]uint64, len(p.Pieces))
	for i := range p.Pieces {
		if g := net.groupOf[i]; g >= 0 {
			if plan.From[i] == Nobody {
				row := left[int(g)*net.sources : (int(g)+1)*net.sources]
				for row[at[g]] == 0 {
					at[g]++
				}
				row[at[g]]--
				plan.From[i] = at[g]
			}
			last[p.Pieces[i].Number] = p.Sources[plan.From[i]].ID
		}
	}
	pl.last = last
}

// duration rounds seconds up, so that a bound stays one.
func duration(seconds float64) time.Duration {
	return time.Duration(math.Ceil(min(seconds, maxSeconds) * float64(time.Second)))
}

// maxSeconds keeps a rate next to nothing from leaving the range of a duration.
const maxSeconds = 100 * 365 * 24 * 3600
