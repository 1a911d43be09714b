package flow

import (
	"cmp"
	"math"
	"slices"
)

// Bounds of what a source may say of itself, within which arithmetic with
// seconds keeps pieces apart.
const (
	minRate  = 1    // byte per second
	maxRate  = 1e12 // bytes per second
	maxReady = 1e6  // seconds
)

// network is the flow over groups of pieces with the same holders. Its slices
// are kept from one plan to the next.
type network struct {
	sources int
	piece   float64   // bytes of a piece
	rate    []float64 // per source, bytes per second
	ready   []float64 // per source, seconds
	origin  []bool

	masks   []Set   // per group: who can send its pieces; the rarest come first
	want    []int   // per group: pieces
	held    [][]int // per source: the groups it can send
	groupOf []int32 // per piece; -1: nobody can send it
	total   int     // pieces that somebody can send

	free    []int     // per group: pieces that nobody sends yet
	left    int       // their sum
	sent    []int     // by group*sources+source
	prefers []int     // likewise: what the last plan had
	carries []int     // per source: pieces
	cap     []int     // per source: pieces that fit
	steps   []float64 // seconds, rising

	// What the last search reached: from which source, and by handing over a
	// piece of which group. A source reached from none takes a free piece.
	seen Set
	from []int
	via  []int
	line []int
}

// load builds the groups of a problem, with nothing sent.
func (n *network) load(p Problem) {
	n.sources = len(p.Sources)
	n.piece = float64(max(p.Size, 1))
	n.rate, n.ready, n.origin = n.rate[:0], n.ready[:0], n.origin[:0]
	var origins, working Set
	for i, s := range p.Sources {
		n.rate = append(n.rate, min(s.Rate, maxRate))
		n.ready = append(n.ready, min(max(s.Ready.Seconds(), 0), maxReady))
		n.origin = append(n.origin, s.Origin)
		if s.Rate >= minRate {
			working.Add(i)
			if s.Origin {
				origins.Add(i)
			}
		}
	}
	n.group(p.Pieces, origins, working)
	n.held = make([][]int, n.sources)
	for g := range n.masks {
		for _, s := range n.masks[g].All() {
			n.held[s] = append(n.held[s], g)
		}
	}
	n.free = make([]int, len(n.masks))
	n.sent = make([]int, len(n.masks)*n.sources)
	n.prefers = make([]int, len(n.masks)*n.sources)
	n.carries, n.cap = make([]int, n.sources), make([]int, n.sources)
	n.from, n.via = make([]int, n.sources), make([]int, n.sources)
	n.empty()
}

// group puts pieces with the same holders together, the rarest first: what few
// have should not find them full.
func (n *network) group(pieces []Piece, origins, working Set) {
	n.masks, n.want, n.total = n.masks[:0], n.want[:0], 0
	n.groupOf = slices.Grow(n.groupOf[:0], len(pieces))
	known := make(map[Set]int32, len(pieces))
	for i := range pieces {
		mask := pieces[i].Holders
		for w := range mask {
			mask[w] = mask[w]&working[w] | origins[w]
		}
		if mask == (Set{}) {
			n.groupOf = append(n.groupOf, -1)
			continue
		}
		g, ok := known[mask]
		if !ok {
			g = int32(len(n.masks))
			known[mask] = g
			n.masks, n.want = append(n.masks, mask), append(n.want, 0)
		}
		n.want[g]++
		n.total++
		n.groupOf = append(n.groupOf, g)
	}
	order := make([]int32, len(n.masks))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(n.masks[a].Len(), n.masks[b].Len()) })
	place := make([]int32, len(order))
	masks, want := make([]Set, len(order)), make([]int, len(order))
	for to, was := range order {
		place[was], masks[to], want[to] = int32(to), n.masks[was], n.want[was]
	}
	n.masks, n.want = masks, want
	for i, g := range n.groupOf {
		if g >= 0 {
			n.groupOf[i] = place[g]
		}
	}
}

// empty takes everything back.
func (n *network) empty() {
	copy(n.free, n.want)
	n.left = n.total
	clear(n.sent)
	clear(n.carries)
}

// room is how many pieces a source can send within so many seconds. What lies
// at the edge for the inexactness of floating point fits.
func (n *network) room(s int, seconds float64) int {
	if !(n.rate[s] >= minRate) || seconds <= n.ready[s] {
		return 0
	}
	return int(min((seconds-n.ready[s])*n.rate[s]/n.piece*(1+1e-12)+1e-9, float64(n.total)))
}

// end is when a source has sent so many pieces, in seconds.
func (n *network) end(s, pieces int) float64 {
	return n.ready[s] + float64(pieces)*n.piece/n.rate[s]
}

// receive is how long the receiver needs for everything, in seconds.
func (n *network) receive(rate float64) float64 {
	if rate <= 0 {
		return 0
	}
	return float64(n.total) * n.piece / rate
}

// push sends so many pieces of a group from a source.
func (n *network) push(g, s, pieces int) {
	n.sent[g*n.sources+s] += pieces
	n.free[g] -= pieces
	n.left -= pieces
	n.carries[s] += pieces
}

// fill makes the flow a maximum one for the present capacities, from whatever
// it is: paths of one step first, those of the last plan before others, then
// the shortest that there are.
func (n *network) fill() {
	for i, g := 0, 0; i < len(n.prefers) && n.left > 0; i, g = i+n.sources, g+1 {
		for s, most := range n.prefers[i : i+n.sources] {
			if k := min(n.free[g], n.cap[s]-n.carries[s], most-n.sent[i+s]); k > 0 {
				n.push(g, s, k)
			}
		}
	}
	for g := range n.free {
		if n.free[g] == 0 {
			continue
		}
		for _, s := range n.masks[g].All() {
			if k := min(n.free[g], n.cap[s]-n.carries[s]); k > 0 {
				n.push(g, s, k)
			}
		}
	}
	for n.left > 0 {
		s := n.search()
		if s < 0 {
			return
		}
		n.augment(s)
	}
}

// search looks for the nearest source with room that free pieces can reach,
// others handing over theirs on the way; -1 if there is none. What it saw is
// then the sources' side of a minimum cut.
func (n *network) search() int {
	n.seen, n.line = Set{}, n.line[:0]
	for g := range n.free {
		if n.free[g] > 0 {
			if s := n.reach(g, -1); s >= 0 {
				return s
			}
		}
	}
	for next := 0; next < len(n.line); { // reach adds to it
		s := n.line[next]
		next++
		for _, g := range n.held[s] {
			if n.sent[g*n.sources+s] > 0 {
				if to := n.reach(g, s); to >= 0 {
					return to
				}
			}
		}
	}
	return -1
}

// reach adds the sources that can take pieces of a group from another one; it
// gives one with room, or -1.
func (n *network) reach(g, from int) int {
	fresh := n.masks[g]
	for w := range fresh {
		fresh[w] &^= n.seen[w]
	}
	if fresh == (Set{}) {
		return -1
	}
	for _, s := range fresh.All() {
		n.seen.Add(s)
		n.from[s], n.via[s] = from, g
		n.line = append(n.line, s)
		if n.carries[s] < n.cap[s] {
			return s
		}
	}
	return -1
}

// augment sends as many free pieces as fit along the path that search found.
func (n *network) augment(to int) {
	most := n.cap[to] - n.carries[to]
	first := to
	for s := to; n.from[s] >= 0; s = n.from[s] {
		most = min(most, n.sent[n.via[s]*n.sources+n.from[s]])
		first = n.from[s]
	}
	most = min(most, n.free[n.via[first]])
	for s := to; ; s = n.from[s] {
		g := n.via[s]
		n.sent[g*n.sources+s] += most
		if n.from[s] < 0 {
			n.free[g] -= most
			break
		}
		n.sent[g*n.sources+n.from[s]] -= most
	}
	n.carries[to] += most
	n.left -= most
}

// fastest gives the least time, in seconds, within which everything can be
// sent, and the cut that allows no less. It starts with what all sources need
// together. While something does not fit, the minimum cut shows sources that
// need longer for what nobody else has: no plan is faster than that, and the
// flow found so far stays valid, since more time is more capacity.
func (n *network) fastest(receive float64) (float64, Bottleneck) {
	if n.total == 0 {
		return 0, Bottleneck{}
	}
	cut := Bottleneck{Pieces: n.total}
	for g := range n.masks {
		cut.Sources.merge(n.masks[g])
	}
	limit := n.needs(cut.Sources, cut.Pieces)
	n.steps = n.steps[:0]
	for step := 1; step < levels; step++ {
		n.steps = append(n.steps, limit*float64(step)/levels)
	}
	for {
		n.steps = append(n.steps, limit)
		n.allow(limit, true)
		n.fill()
		if n.left == 0 {
			break
		}
		cut = n.cut()
		limit = max(n.needs(cut.Sources, cut.Pieces), limit*(1+1e-9)) // on, whatever rounding does
	}
	cut.Needs = duration(limit)
	if own := n.receive(receive); own >= limit {
		limit = own
		cut = Bottleneck{Pieces: n.total, Needs: duration(own), Receiver: true}
	}
	return limit, cut
}

// cut reads the minimum cut after a search that failed: sources that are full,
// and the pieces that nobody else has.
func (n *network) cut() Bottleneck {
	cut := Bottleneck{Sources: n.seen}
	for g, mask := range n.masks {
		if n.seen.contains(mask) {
			cut.Pieces += n.want[g]
		}
	}
	return cut
}

// needs is how long these sources take for so many pieces at least, in seconds:
// a binary search between what they would need if pieces could be cut at will
// and the end of the piece after that.
func (n *network) needs(sources Set, pieces int) float64 {
	list := sources.All()
	fits := func(t float64) bool {
		sum := 0
		for _, s := range list {
			sum += n.room(s, t)
		}
		return sum >= pieces
	}
	low, high := 0.0, math.Inf(1)
	for _, s := range list {
		high = min(high, n.end(s, pieces)) // alone
	}
	for {
		next := math.Inf(1) // the first end of a piece after low
		for _, s := range list {
			next = min(next, n.end(s, n.room(s, low)+1))
		}
		if next >= high {
			return high
		}
		mid := max(next, low+(high-low)/2)
		if mid <= low {
			return high // no number lies between
		}
		if !fits(mid) {
			low = mid
			continue
		}
		last := 0.0 // the last end of a piece up to mid
		for _, s := range list {
			if k := n.room(s, mid); k > 0 {
				last = max(last, n.end(s, k))
			}
		}
		if last >= high {
			return high
		}
		high = last
	}
}

// allow gives every source the capacity of so many seconds; those of the origin
// only if they may take part, others none.
func (n *network) allow(seconds float64, origin bool) {
	for s := range n.cap {
		n.cap[s] = 0
		if origin || !n.origin[s] {
			n.cap[s] = n.room(s, seconds)
		}
	}
}

// distribute makes the flow for this time: holders first, so that the origin
// gets only what they cannot bring, and everybody filled step by step, so that
// those who are not the bottleneck end early and together.
func (n *network) distribute(seconds float64) {
	n.empty()
	n.steps = append(n.steps, seconds)
	for _, origin := range []bool{false, true} {
		for _, step := range n.steps {
			if n.left == 0 {
				return
			}
			n.allow(seconds, origin)
			for s, is := range n.origin {
				if is == origin {
					n.cap[s] = n.room(s, min(step, seconds))
				}
			}
			n.fill()
		}
	}
}

// order gives the pieces, those of the rarest groups first.
func (n *network) order() []int {
	rare := func(piece int) int {
		if g := n.groupOf[piece]; g >= 0 {
			return n.masks[g].Len()
		}
		return MaxSources + 1
	}
	list := make([]int, len(n.groupOf))
	for i := range list {
		list[i] = i
	}
	slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(rare(a), rare(b)) })
	return list
}

func (s *Set) merge(other Set) {
	for w := range s {
		s[w] |= other[w]
	}
}

func (s *Set) contains(other Set) bool {
	for w := range s {
		if other[w]&^s[w] != 0 {
			return false
		}
	}
	return true
}
