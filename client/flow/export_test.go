package flow

// FlowAndCut solves a problem for one time, in seconds, and gives what is sent
// and the capacity of the minimum cut.
func FlowAndCut(p Problem, seconds float64) (flow, cut int) {
	var n network
	n.load(p)
	n.allow(seconds, true)
	n.fill()
	n.search()
	for s, c := range n.cap {
		if n.seen.Has(s) {
			cut += c
		}
	}
	for g, mask := range n.masks {
		if !n.seen.contains(mask) {
			cut += n.want[g]
		}
	}
	return n.total - n.left, cut
}
