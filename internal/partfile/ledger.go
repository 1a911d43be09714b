package partfile

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"ddm/internal/byterange"
	"ddm/internal/crc32c"
)

// extent is a run of bytes within one piece.
type extent struct {
	byterange.Range
	crc   uint32
	giver uint32 // index into a giverTable
}

// ledger holds extents that do not overlap, piece by piece, and joins
// neighbours that one giver gave. The nil ledger is empty.
type ledger struct {
	piece    int64
	byPiece  map[int64][]extent // sorted by offset
	size     int64              // bytes
	elements int
}

func newLedger(piece int64) *ledger {
	return &ledger{piece: piece, byPiece: make(map[int64][]extent)}
}

// add puts e in. It refuses an extent that is empty, crosses a piece's border
// or overlaps another.
func (l *ledger) add(e extent) {
	if !l.fits(e) {
		return
	}
	key := e.Off / l.piece
	row := l.byPiece[key]
	at, _ := slices.BinarySearchFunc(row, e.Off, func(x extent, off int64) int { return cmp.Compare(x.Off, off) })
	if at > 0 && row[at-1].End() > e.Off || at < len(row) && row[at].Off < e.End() {
		return
	}
	l.size += e.Len
	l.elements -= len(row)
	from, to := at, at
	if at > 0 && row[at-1].End() == e.Off && row[at-1].giver == e.giver {
		from--
		e = concat(row[from], e)
	}
	if at < len(row) && row[at].Off == e.End() && row[at].giver == e.giver {
		to++
		e = concat(e, row[at])
	}
	row = slices.Replace(row, from, to, e)
	l.elements += len(row)
	l.byPiece[key] = row
}

// fits reports whether e lies within one piece.
func (l *ledger) fits(e extent) bool {
	return e.Len > 0 && e.Off >= 0 && e.Len <= l.piece && e.Off/l.piece == (e.End()-1)/l.piece
}

func concat(a, b extent) extent {
	return extent{
		Range: byterange.Between(a.Off, b.End()),
		crc:   crc32c.Join(a.crc, b.crc, b.Len),
		giver: a.giver,
	}
}

// touching returns every extent that shares a byte with r, in ascending order.
func (l *ledger) touching(r byterange.Range) (list []extent) {
	if l == nil || r.Empty() {
		return nil
	}
	for key := range l.pieces(r) {
		for _, e := range l.byPiece[key] {
			if !e.Intersect(r).Empty() {
				list = append(list, e)
			}
		}
	}
	slices.SortFunc(list, byOffset)
	return list
}

// take removes every extent that shares a byte with r, whole, and returns them.
func (l *ledger) take(r byterange.Range) []extent {
	taken := l.touching(r)
	for _, e := range taken {
		key := e.Off / l.piece
		row := slices.DeleteFunc(l.byPiece[key], func(x extent) bool { return x == e })
		if l.byPiece[key] = row; len(row) == 0 {
			delete(l.byPiece, key)
		}
		l.size -= e.Len
		l.elements--
	}
	return taken
}

// pieces yields the keys that r may touch, by whichever way is shorter: the
// grid, or the pieces that hold something.
func (l *ledger) pieces(r byterange.Range) iter.Seq[int64] {
	first, last := r.Off/l.piece, (r.End()-1)/l.piece
	if last-first > int64(len(l.byPiece)) {
		return maps.Keys(l.byPiece)
	}
	return func(yield func(int64) bool) {
		for key := first; key <= last && yield(key); key++ {
		}
	}
}

// all returns the extents in ascending order.
func (l *ledger) all() []extent {
	if l == nil {
		return nil
	}
	out := make([]extent, 0, l.elements)
	for _, row := range l.byPiece {
		out = append(out, row...)
	}
	slices.SortFunc(out, byOffset)
	return out
}

// set returns what the ledger covers.
func (l *ledger) set() (s byterange.Set) {
	for _, e := range l.all() {
		s.Add(e.Range)
	}
	return s
}

func byOffset(a, b extent) int { return cmp.Compare(a.Off, b.Off) }

// collect turns a ledger into what callers see.
func collect(l *ledger, synced bool, givers giverTable) []Extent {
	rows := l.all()
	out := make([]Extent, len(rows))
	for i, e := range rows {
		out[i] = Extent{Range: e.Range, CRC: e.crc, Giver: givers.name(e.giver), Synced: synced}
	}
	return out
}

func sorted(all []Extent) iter.Seq[Extent] {
	slices.SortFunc(all, func(a, b Extent) int { return cmp.Compare(a.Off, b.Off) })
	return slices.Values(all)
}

// giverTable numbers the names of those who give. Number 0 is "", which also
// stands for those who come when the table is full.
type giverTable struct {
	names  []string // of number 1 and on
	number map[string]uint32
}

const (
	maxGivers    = 4096
	maxGiverName = 256 // bytes; longer names are cut
)

// intern returns the number of name.
func (g *giverTable) intern(name string) uint32 {
	name = name[:min(len(name), maxGiverName)]
	if name == "" {
		return 0
	}
	if n, ok := g.number[name]; ok {
		return n
	}
	if len(g.names) == maxGivers {
		return 0
	}
	if g.number == nil {
		g.number = make(map[string]uint32)
	}
	g.names = append(g.names, name)
	g.number[name] = uint32(len(g.names))
	return g.number[name]
}

func (g *giverTable) name(n uint32) string {
	if n == 0 || int(n) > len(g.names) {
		return ""
	}
	return g.names[n-1]
}
