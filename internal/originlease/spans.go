package originlease

import (
	"iter"
	"slices"
	"sort"

	"ddm/internal/byterange"
)

// span is a run of bytes up to the next span.
type span struct {
	off int64
	state
}

// state is what is known of a byte.
type state struct {
	holders int32 // who share it
	by      ID    // fetches it; nobody: 0
}

func (s state) free() bool { return s == state{} }

// inside yields the runs of a set, as far as the resource goes.
func (t *Table) inside(set *byterange.Set) iter.Seq[byterange.Range] {
	return within(set, byterange.Range{Len: t.size})
}

// within yields the runs of a set inside of r.
func within(set *byterange.Set, r byterange.Range) iter.Seq[byterange.Range] {
	return func(yield func(byterange.Range) bool) {
		for at := r.Off; at < r.End(); {
			run, ok := set.Next(at)
			if run = run.Intersect(r); !ok || run.Empty() || !yield(run) {
				return
			}
			at = run.End()
		}
	}
}

// at returns the index of the span that holds a byte.
func (t *Table) at(off int64) int {
	return sort.Search(len(t.spans), func(i int) bool { return t.spans[i].off > off }) - 1
}

// end returns where a span ends.
func (t *Table) end(i int) int64 {
	if i+1 < len(t.spans) {
		return t.spans[i+1].off
	}
	return t.size
}

// find yields the runs of r whose state is wanted. The spans must not change
// meanwhile.
func (t *Table) find(r byterange.Range, wanted func(state) bool) iter.Seq[byterange.Range] {
	return func(yield func(byterange.Range) bool) {
		if r.Empty() {
			return
		}
		for i := t.at(r.Off); i < len(t.spans) && t.spans[i].off < r.End(); i++ {
			if part := byterange.Between(t.spans[i].off, t.end(i)).Intersect(r); wanted(t.spans[i].state) && !yield(part) {
				return
			}
		}
	}
}

// apply changes the state of the bytes of a set. It costs one pass over the
// spans from its first byte to its last.
func (t *Table) apply(set *byterange.Set, change func(state) state) {
	first, ok := set.Next(0)
	if !ok || first.Off >= t.size {
		return
	}
	last, _ := set.Last()
	i, j := t.at(first.Off), t.at(min(last.End(), t.size)-1)+1
	from := max(i-1, 0) // the neighbour may become one with what follows
	out := append(make([]span, 0, j-from+2*set.Len()+1), t.spans[from:i]...)
	put := func(off int64, s state) {
		if n := len(out); n == 0 || out[n-1].state != s {
			out = append(out, span{off, s})
		}
	}
	for k := i; k < j; k++ {
		was, end := t.spans[k].state, t.end(k)
		for at := t.spans[k].off; at < end; {
			run, ok := set.Next(at)
			if !ok || run.Off >= end {
				put(at, was)
				break
			}
			if run.Off > at {
				put(at, was)
			}
			at = min(run.End(), end)
			is := change(was)
			t.account(byterange.Between(run.Off, at), was, is)
			put(run.Off, is)
		}
	}
	if j < len(t.spans) && out[len(out)-1].state == t.spans[j].state {
		j++
	}
	t.spans = slices.Replace(t.spans, from, j, out...)
}

// account keeps the sums after a change of state.
func (t *Table) account(r byterange.Range, was, is state) {
	if was.free() {
		t.free -= r.Len
	}
	if is.free() {
		t.free += r.Len
		t.low = min(t.low, r.Off)
	}
	if m := t.members[was.by]; m != nil {
		m.leased -= r.Len
	}
	if m := t.members[is.by]; m != nil {
		m.leased += r.Len
	}
}
