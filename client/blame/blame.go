// Package blame decides who lied about bytes, and what to fetch again to find
// out. It is pure: no I/O, no clock; chance is an argument.
//
//	extents with their givers --New--> Hunt --Next--> what to fetch once more, and whose bytes to hold it against
//	                                    ^                  |
//	                                    '----- Blame ------'  --> Liars, Unseen
//	claims about one block --Judge--> who lied, if that is proved
//
// Nobody is blamed without proof: somebody trusted says otherwise, or two of
// three that cannot know what the others say.
package blame

import (
	"cmp"
	"maps"
	"slices"

	"ddm/internal/byterange"
)

// Claim is what one source says that a block holds.
type Claim struct {
	Source  string
	Content string // the bytes, or a digest of them that cannot be forged
	Trusted bool   // this machine's own line
}

// Judge decides between claims about one block: a trusted one is right, else
// what more than half of at least three say. Liars are the sources that said
// otherwise; decided is false if nothing is proved.
func Judge(claims []Claim) (right string, liars []string, decided bool) {
	votes := map[string]int{}
	for _, c := range claims {
		votes[c.Content]++
		if c.Trusted {
			if decided && right != c.Content {
				return "", nil, false // those whom we trust disagree: nobody is to blame
			}
			right, decided = c.Content, true
		}
	}
	for content, n := range votes {
		if !decided && len(claims) >= 3 && 2*n > len(claims) {
			right, decided = content, true
			break
		}
	}
	if !decided {
		return "", nil, false
	}
	for _, c := range claims {
		if c.Content != right {
			liars = append(liars, c.Source)
		}
	}
	return right, liars, true
}

// Given is a run of bytes that one giver brought.
type Given struct {
	byterange.Range
	Giver string
}

const (
	sampleLength = 64 << 10
	samplesEach  = 8        // of one giver, by chance, before everything is compared
	runShare     = 64       // one part in so many is compared at once afterwards,
	leastRun     = 1 << 20  // so many bytes at least
	mostRun      = 16 << 20 // and at most
)

// Hunt is the search for who gave wrong bytes, when all that is known is that
// some are wrong. First a few blocks of each giver are compared, which finds
// who lies in bulk; only if nobody is found, everything is, a run of one giver
// and a run of another, by chance: who lies in several places is found long
// before the end, whoever it is. No byte is compared twice.
type Hunt struct {
	random func(n int64) int64 // a number below n
	left   map[string]*byterange.Set
	order  []string
	due    map[string]int // samples of a giver still to be taken
	liars  map[string]bool
	run    int64 // that is compared at once
}

// New begins a hunt among givers. What is of nobody else is given by none of
// them: leave out what is trusted, and what was compared before.
func New(given []Given, random func(n int64) int64) *Hunt {
	h := &Hunt{random: random, left: map[string]*byterange.Set{}, due: map[string]int{}, liars: map[string]bool{}}
	for _, g := range given {
		if h.left[g.Giver] == nil {
			h.left[g.Giver], h.due[g.Giver] = &byterange.Set{}, samplesEach
			h.order = append(h.order, g.Giver)
		}
		h.left[g.Giver].Add(g.Range)
	}
	total := int64(0)
	for _, s := range h.left {
		total += s.Bytes()
	}
	h.run = min(max(total/runShare, leastRun), mostRun)
	// Who gave most is looked at first: so is most of the file, soon.
	slices.SortStableFunc(h.order, func(a, b string) int { return cmp.Compare(h.left[b].Bytes(), h.left[a].Bytes()) })
	return h
}

// Next returns what is to be compared next, all of one giver. It is not
// returned again. Done is when nothing is left, or when a liar is known and
// every giver's samples were taken: then it is time to replace what it gave.
func (h *Hunt) Next() (g Given, ok bool) {
	for _, giver := range h.order {
		if h.due[giver] > 0 && h.left[giver].Len() > 0 && !h.liars[giver] {
			h.due[giver]--
			return h.cut(giver, h.chance(giver)), true
		}
	}
	if len(h.liars) > 0 {
		return Given{}, false
	}
	if giver, ok := h.anybody(); ok {
		for r := range h.left[giver].All() {
			r.Len = min(r.Len, h.run)
			return h.cut(giver, r), true
		}
	}
	return Given{}, false
}

// anybody picks a giver by chance, as much as is left to compare of it.
func (h *Hunt) anybody() (string, bool) {
	total := int64(0)
	for _, giver := range h.order {
		total += h.left[giver].Bytes()
	}
	if total == 0 {
		return "", false
	}
	at := h.random(total)
	for _, giver := range h.order {
		if at -= h.left[giver].Bytes(); at < 0 {
			return giver, true
		}
	}
	return "", false
}

// chance picks a block of a giver's bytes.
func (h *Hunt) chance(giver string) byterange.Range {
	at := h.random(h.left[giver].Bytes())
	for r := range h.left[giver].All() {
		if at < r.Len {
			return byterange.Between(r.Off+at, min(r.Off+at+sampleLength, r.End()))
		}
		at -= r.Len
	}
	return byterange.Range{}
}

func (h *Hunt) cut(giver string, r byterange.Range) Given {
	h.left[giver].Subtract(r)
	return Given{Range: r, Giver: giver}
}

// Back returns what was to be compared and was not.
func (h *Hunt) Back(g Given) { h.left[g.Giver].Add(g.Range) }

// Blame enters that a giver is proved to have lied.
func (h *Hunt) Blame(giver string) { h.liars[giver] = true }

// Liars returns who is proved to have lied, in order of their names.
func (h *Hunt) Liars() []string { return slices.Sorted(maps.Keys(h.liars)) }

// Unseen returns what a giver brought and nobody compared.
func (h *Hunt) Unseen(giver string) byterange.Set {
	if s := h.left[giver]; s != nil {
		return s.Clone()
	}
	return byterange.Set{}
}
