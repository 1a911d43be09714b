package blame

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"ddm/internal/byterange"
)

// Lists are what holders of a file say that its pieces hash to, when nothing is
// proved but what all of it hashes to. One list is believed at a time, pieces
// are judged by it, and the whole at the end judges the list:
//
//	Say --> lists --Choose--> believed --whole is right--> Dissenters lied
//	          ^                  |
//	          |                  +-- whole is wrong, Refute --> who said it lied
//	          '------- Pass -----'   nobody brings what it says
//
// A list commits its holder: who gives a piece that is not what it said itself
// has lied, whichever list is right. Who merely says otherwise than what is
// believed is not asked for what it would say, and blamed for nothing yet.
// Pieces that two lists agree on need not be fetched again when one follows the
// other: what a false list costs is what it alone has otherwise, at most the
// file, and all who said it are gone with it.
type Lists struct {
	random   func(n int64) int64 // a number below n
	lists    []*list             // in order of their arrival
	by       map[string]*list    // of each holder
	strays   map[string]bool     // gave other bytes than what is believed, and said nothing before
	believed *list               // nil: none is
	tried    *list               // what was believed at last, and is not any more
}

// list is one, and who says it.
type list struct {
	sums    [][]byte
	holders map[string]bool
	passed  bool // nobody brought what it says
}

// maxLists bounds what holders can make one remember.
const maxLists = 64

// NewLists begins without any.
func NewLists(random func(n int64) int64) *Lists {
	return &Lists{random: random, by: map[string]*list{}, strays: map[string]bool{}}
}

// Say enters what a holder says, once: later words do not count. False: it does
// not count, or there are too many lists. All are to have one length.
func (l *Lists) Say(holder string, sums [][]byte) bool {
	if l.by[holder] != nil {
		return false
	}
	i := slices.IndexFunc(l.lists, func(o *list) bool { return slices.EqualFunc(o.sums, sums, bytes.Equal) })
	if i < 0 {
		if len(l.lists) >= maxLists {
			return false
		}
		i = len(l.lists)
		l.lists = append(l.lists, &list{sums: sums, holders: map[string]bool{}})
	}
	l.lists[i].holders[holder] = true
	l.by[holder] = l.lists[i]
	return true
}

// Heard reports whether a holder said anything.
func (l *Lists) Heard(holder string) bool { return l.by[holder] != nil }

// Choose believes one of the lists and returns it; nil: there is none that was
// not passed. At first it is what most holders say, afterwards what differs
// least from what was believed, since that is what it costs to find out; of
// several such it is one by chance.
func (l *Lists) Choose() [][]byte {
	l.believed = nil
	l.strays = map[string]bool{}
	ties := int64(0)
	for _, o := range l.lists {
		if o.passed || len(o.holders) == 0 {
			continue
		}
		better := 1
		if l.believed != nil {
			better = cmp.Or(l.distance(l.believed)-l.distance(o), len(o.holders)-len(l.believed.holders))
		}
		if better > 0 {
			l.believed, ties = o, 1
		} else if better == 0 {
			if ties++; l.random(ties) == 0 {
				l.believed = o
			}
		}
	}
	if l.believed != nil {
		l.tried = l.believed
	}
	return l.Believed()
}

// distance is in how many pieces a list differs from the one before.
func (l *Lists) distance(o *list) (n int) {
	if l.tried == nil {
		return 0
	}
	for i, sum := range o.sums {
		if !bytes.Equal(sum, l.tried.sums[i]) {
			n++
		}
	}
	return n
}

// Believed is what is believed; nil: nothing.
func (l *Lists) Believed() [][]byte {
	if l.believed == nil {
		return nil
	}
	return l.believed.sums
}

// Vouched reports whether anybody is left who says what is believed.
func (l *Lists) Vouched() bool { return l.believed != nil && len(l.believed.holders) > 0 }

// Says reports whether a holder says of piece i what is believed of it.
func (l *Lists) Says(holder string, i int) bool {
	o := l.by[holder]
	return o != nil && l.believed != nil && bytes.Equal(o.sums[i], l.believed.sums[i])
}

// Vouchers are those who say of piece i what is believed of it, in order.
func (l *Lists) Vouchers(i int) (holders []string) {
	for _, holder := range slices.Sorted(maps.Keys(l.by)) {
		if l.Says(holder, i) {
			holders = append(holders, holder)
		}
	}
	return holders
}

// Astray enters that a holder gave other bytes of piece i than what is believed,
// and returns whether that proves that it lies: it said what is believed itself.
func (l *Lists) Astray(holder string, i int) (lied bool) {
	if l.Says(holder, i) {
		return true
	}
	if l.by[holder] == nil {
		l.strays[holder] = true
	}
	return false
}

// Otherwise is what a holder is not to be asked for, as runs of pieces: those of
// which it says otherwise, and everything if it went astray.
func (l *Lists) Otherwise(holder string) (pieces byterange.Set) {
	o := l.by[holder]
	switch {
	case l.believed == nil || o == l.believed:
	case o != nil:
		for i, sum := range o.sums {
			if !bytes.Equal(sum, l.believed.sums[i]) {
				pieces.Add(byterange.Range{Off: int64(i), Len: 1})
			}
		}
	case l.strays[holder]:
		pieces.Add(byterange.Range{Len: int64(len(l.believed.sums))})
	}
	return pieces
}

// Expel forgets what a liar said.
func (l *Lists) Expel(holder string) {
	if o := l.by[holder]; o != nil {
		delete(o.holders, holder)
		delete(l.by, holder)
	}
	delete(l.strays, holder)
	l.lists = slices.DeleteFunc(l.lists, func(o *list) bool { return o != l.believed && len(o.holders) == 0 })
}

// Pass puts what is believed aside: nobody brings it. It returns whether there
// is something else to go by: another list, or holders without one.
func (l *Lists) Pass() bool {
	if l.believed == nil {
		return false
	}
	l.believed.passed = true
	return len(l.strays) > 0 || slices.ContainsFunc(l.lists, func(o *list) bool { return !o.passed && len(o.holders) > 0 })
}

// Refute enters that what is believed is false. It returns who said it, in
// order: they lied, and are expelled.
func (l *Lists) Refute() (liars []string) {
	if l.believed == nil {
		return nil
	}
	liars = slices.Sorted(maps.Keys(l.believed.holders))
	l.believed = nil
	for _, holder := range liars {
		l.Expel(holder) // the list goes with the last of them
	}
	return liars
}

// Dissenters are those who say, or gave, something else than what is believed,
// in order. Once that is proved, they lied.
func (l *Lists) Dissenters() []string {
	if l.believed == nil {
		return nil
	}
	others := maps.Clone(l.strays)
	for holder, o := range l.by {
		if o != l.believed {
			others[holder] = true
		}
	}
	return slices.Sorted(maps.Keys(others))
}
