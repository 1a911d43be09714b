package blame_test

import (
	"fmt"
	"testing"

	"ddm/client/blame"
	"ddm/internal/byterange"
)

// ballot is a Quorum beside a model of it: arrays by byte.
type ballot struct {
	t     *testing.T
	q     *blame.Quorum
	gave  [64]string
	seen  [64]string
	asked map[int]inquiry
	out   map[string]bool
}

type inquiry struct {
	witness string
	r       byterange.Range
	void    [64]bool // bytes that were lost since it was asked
}

func newBallot(t *testing.T) *ballot {
	t.Helper()
	return &ballot{t: t, q: blame.NewQuorum(), asked: map[int]inquiry{}, out: map[string]bool{}}
}

func each(r byterange.Range, do func(at int64)) {
	for at := r.Off; at < r.End(); at++ {
		do(at)
	}
}

func (b *ballot) lost(r byterange.Range) {
	each(r, func(at int64) {
		b.gave[at], b.seen[at] = "", ""
		for id, a := range b.asked {
			a.void[at] = true
			b.asked[id] = a
		}
	})
}

// do takes one step that three bytes tell of, in both.
func (b *ballot) do(op, x, y byte) {
	name := fmt.Sprint(x % 4)
	r := byterange.Range{Off: int64(x) % 64}
	r.Len = min(int64(y)%24, 64-r.Off)
	switch op % 6 {
	case 0, 1:
		name = fmt.Sprint(y % 4)
		each(r, func(at int64) {
			if b.gave[at] != name {
				b.lost(byterange.Range{Off: at, Len: 1})
				b.gave[at] = name
			}
		})
		b.q.Gave(name, r)
	case 2:
		b.lost(r)
		b.q.Lost(r)
	case 3:
		id, run, ok := b.q.Next(name, 1, int64(y)%16+1)
		if !ok {
			return
		}
		if b.out[name] {
			b.t.Fatalf("%s is asked, and was expelled", name)
		}
		each(run, func(at int64) {
			if b.gave[at] == "" || b.gave[at] == name || b.seen[at] != "" {
				b.t.Fatalf("%s is asked for byte %d, which %q gave and %q saw", name, at, b.gave[at], b.seen[at])
			}
		})
		b.asked[id] = inquiry{witness: name, r: run}
	case 4:
		id := int(x)%8 + 1
		a, ok := b.asked[id]
		if !ok {
			return
		}
		same := byterange.Range{Off: a.r.Off, Len: min(a.r.Len, int64(y)%24)}
		b.q.Agreed(id, same)
		each(same, func(at int64) {
			if !a.void[at] && !b.out[a.witness] {
				b.seen[at] = a.witness
			}
		})
		b.q.End(id)
		delete(b.asked, id)
	case 5:
		if y%4 > 0 {
			return // not too often
		}
		b.q.Expel(name)
		b.out[name] = true
		for at := range b.seen {
			if b.seen[at] == name {
				b.seen[at] = ""
			}
		}
	}
}

// left counts what was not seen.
func (b *ballot) left() (n int64) {
	for at := range b.gave {
		if b.gave[at] != "" && b.seen[at] == "" {
			n++
		}
	}
	return n
}

// FuzzQuorum: whatever is given, lost, asked and said, in whatever order, a byte
// counts as seen if and only if another machine than its giver, one that was
// not expelled, was asked for it while it was there and had the same; nobody is
// asked for what it gave; and what is left can all be asked for.
func FuzzQuorum(f *testing.F) {
	f.Add([]byte{0, 0, 20, 3, 1, 15, 4, 0, 20, 3, 2, 9, 4, 1, 9})
	f.Add([]byte{0, 0, 20, 3, 1, 15, 2, 2, 3, 0, 1, 21, 4, 0, 20, 5, 1, 0})
	f.Add([]byte{0, 0, 20, 3, 1, 15, 4, 0, 20, 5, 1, 0, 3, 2, 15, 4, 1, 20})
	f.Fuzz(func(t *testing.T, steps []byte) {
		b := newBallot(t)
		for i := 0; i+3 <= min(len(steps), 600); i += 3 {
			b.do(steps[i], steps[i+1], steps[i+2])
			if got, want := b.q.Left(), b.left(); got != want {
				t.Fatalf("step %d: %d bytes are left, want %d", i/3, got, want)
			}
		}
		for id := range b.asked {
			b.q.End(id)
		}
		for _, witness := range []string{"fresh", "other"} { // two who gave nothing
			for id, r, ok := b.q.Next(witness, 1, 7); ok; id, r, ok = b.q.Next(witness, 1, 7) {
				b.q.Agreed(id, r)
				b.q.End(id)
			}
		}
		if n := b.q.Left(); n != 0 {
			t.Fatalf("%d bytes are left, and nobody is asked for them", n)
		}
	})
}

// TestQuorumOfTwo: each is asked for what the other gave, the longer run first,
// and short ones wait.
func TestQuorumOfTwo(t *testing.T) {
	t.Parallel()
	q := blame.NewQuorum()
	q.Gave("a", byterange.Range{Len: 10})
	q.Gave("b", byterange.Range{Off: 10, Len: 3})
	if _, r, ok := q.Next("b", 1, 8); !ok || r != (byterange.Range{Len: 8}) {
		t.Errorf("b is asked for %v, %v", r, ok)
	}
	if _, r, ok := q.Next("a", 4, 8); ok {
		t.Errorf("a is asked for %v", r)
	}
	if _, r, ok := q.Next("a", 1, 8); !ok || r != (byterange.Range{Off: 10, Len: 3}) {
		t.Errorf("a is asked for %v, %v", r, ok)
	}
}
