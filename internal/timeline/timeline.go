// Package timeline draws a download: who fetched which range when. It is pure:
// what happened goes in as spans, a picture (SVG 1.1) comes out.
//
//	simulator ----\                        /--> rate over time
//	               +--Span--> Picture ----+---> a row per source over time
//	real download /         (bounded)      \--> a row per source over the file
//
// A Picture holds at most some tens of thousands of bars, however long the
// download: when there are more, neighbours that no eye could tell apart are
// merged. The SVG stays below a few megabytes for the same reason.
package timeline

import (
	"cmp"
	"slices"
	"time"

	"ddm/internal/byterange"
)

// Why says what led to an assignment.
type Why string

// The reasons, in the scheduler's words. What is none of them counts as Fresh.
const (
	Fresh Why = "fresh" // bytes that nobody had been given
	Again Why = "again" // bytes that another assignment failed to bring
	Steal Why = "steal" // the tail of a running assignment
	Copy  Why = "copy"  // a second copy of what was still running
)

// whys is their order, the rarer last: of bars that share a pixel the last
// one shows.
func whys() [4]Why { return [...]Why{Fresh, Again, Steal, Copy} }

// Span is one assignment as it ran. Times count from the download's start.
type Span struct {
	Row         int           // of the source, as Picture.Row gave it
	Lane        int           // connection of that source
	From, To    time.Duration // it was the one that its lane worked on
	First, Last time.Duration // answer began, newest byte came; both 0: no byte came
	Range       byterange.Range
	Why         Why
	EndedEarly  bool // not all that it was to bring in the end came
}

// Picture collects a download. It is owned by one goroutine.
type Picture struct {
	Title string
	Notes []string      // lines under the title
	Size  int64         // bytes of the resource; 0 or less: as far as the spans reach
	Took  time.Duration // length of the time axis; 0: as far as the spans reach

	rows    []row
	held    bars // lanes at work, over time
	brought bars // bytes coming in, over time
	parts   bars // what they were, over the file
	flow    flow
	counts  [4]int
	covered byterange.Set
	before  byterange.Set
	bytes   int64 // duplicates included
}

// row is one source.
type row struct {
	name  string
	bytes int64 // that it brought, duplicates included
}

// Row adds a row for a source, below those there are, and returns its number.
func (p *Picture) Row(name string) int {
	p.rows = append(p.rows, row{name: name})
	return len(p.rows) - 1
}

// Before tells that bytes were there when the download began.
func (p *Picture) Before(r byterange.Range) {
	p.before.Add(r)
}

// Arrived tells that n bytes came at a time, for the curve of the total rate.
// Without it the curve supposes that the bytes of a span came evenly.
func (p *Picture) Arrived(at time.Duration, n int64) {
	if at >= 0 && n > 0 {
		p.flow.add(int64(at), n)
	}
}

// Add enters a span. One of a row that does not exist, or that lasted no time
// and brought nothing, is left out.
func (p *Picture) Add(s Span) {
	if s.Row < 0 || s.Row >= len(p.rows) || s.To < s.From || s.To == s.From && s.Range.Empty() {
		return
	}
	k := kindOf(s.Why, s.EndedEarly)
	b := bar{row: s.Row, lane: s.Lane, kind: k, count: 1, bytes: max(s.Range.Len, 0)}
	p.counts[k.why()]++
	p.rows[s.Row].bytes += b.bytes
	p.bytes += b.bytes
	p.covered.Add(s.Range)

	b.from, b.to = int64(s.From), int64(s.To)
	p.held.add(b)
	if s.Range.Empty() {
		return
	}
	if s.Last <= s.First { // known only to have come within the span
		s.First, s.Last = s.From, s.To
	}
	b.from, b.to = int64(s.First), int64(s.Last)
	p.brought.add(b)
	b.from, b.to, b.lane = s.Range.Off, s.Range.End(), 0
	p.parts.add(b)
}

// kind is why and, in its lowest bit, whether it ended early.
type kind uint8

func kindOf(w Why, early bool) kind {
	all := whys()
	k := kind(max(slices.Index(all[:], w), 0)) << 1
	if early {
		k |= 1
	}
	return k
}

func (k kind) why() int    { return int(k >> 1) }
func (k kind) early() bool { return k&1 == 1 }

// bar is a run on one track: nanoseconds or offsets, half-open.
type bar struct {
	row, lane int
	from, to  int64
	bytes     int64
	count     int // assignments in it
	kind      kind
}

// bars is a bounded list of them.
type bars struct {
	list  []bar
	end   int64 // largest to
	limit int
}

const (
	mostBars = 1 << 15 // kept
	finest   = 4096    // cells of an axis, if they need not be larger
)

func (b *bars) add(one bar) {
	b.list = append(b.list, one)
	b.end = max(b.end, one.to)
	b.limit = max(b.limit, mostBars)
	if len(b.list) > b.limit {
		b.list = fit(b.list, b.end/finest, mostBars/2)
		b.limit = max(mostBars, 2*len(b.list)) // there may be more tracks than that
	}
}

// merge joins neighbours on a track that are closer than a cell and of which
// one is shorter than a cell. Those of different kinds stay apart unless both
// are so short: then the rarer kind shows. It sorts by track, reuses the list
// and leaves at most about two bars for each cell of a track.
func merge(list []bar, cell int64) []bar {
	slices.SortFunc(list, func(a, b bar) int {
		return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.lane, b.lane), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	out := list[:0]
	for _, b := range list {
		if n := len(out); n > 0 && joins(out[n-1], b, cell) {
			a := &out[n-1]
			a.to = max(a.to, b.to)
			a.bytes += b.bytes
			a.count += b.count
			a.kind = max(a.kind, b.kind)
			continue
		}
		out = append(out, b)
	}
	return out
}

func joins(a, b bar, cell int64) bool {
	if a.row != b.row || a.lane != b.lane || b.from-a.to >= cell {
		return false
	}
	shortA, shortB := a.to-a.from < cell, b.to-b.from < cell
	return shortA && shortB || (shortA || shortB) && a.kind == b.kind
}

// fit merges, with cells of at least the given size, until at most so many
// bars are left, or one for each track. It reuses the list.
func fit(list []bar, cell int64, most int) []bar {
	end := int64(0)
	for _, b := range list {
		end = max(end, b.to)
	}
	cell = max(cell, 1)
	for list = merge(list, cell); len(list) > most && cell <= end; {
		cell *= 2
		list = merge(list, cell)
	}
	return list
}
