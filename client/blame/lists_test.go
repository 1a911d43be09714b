package blame_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"ddm/client/blame"
)

// town is holders of a file that say what its pieces hash to, some of them
// falsely.
type town struct {
	right [][]byte
	says  map[string][][]byte
}

func newTown(rng *rand.Rand) town {
	c := town{says: map[string][][]byte{}}
	n := 1 + rng.IntN(20)
	for i := range n {
		c.right = append(c.right, []byte{byte(i), 0})
	}
	var lies [][][]byte
	for range rng.IntN(4) {
		list := slices.Clone(c.right)
		for range 1 + rng.IntN(2*n) {
			i := rng.IntN(n)
			list[i] = []byte{byte(i), 1 + byte(rng.IntN(3))}
		}
		lies = append(lies, list)
	}
	for i := range 1 + rng.IntN(8) {
		list := c.right
		if k := rng.IntN(len(lies) + 1); k < len(lies) {
			list = lies[k]
		}
		c.says[fmt.Sprint("holder", i)] = list
	}
	return c
}

func (c town) honest(holder string) bool {
	return slices.EqualFunc(c.says[holder], c.right, slices.Equal)
}

// distance is in how many pieces two lists differ.
func distance(a, b [][]byte) (n int) {
	for i := range a {
		if !slices.Equal(a[i], b[i]) {
			n++
		}
	}
	return n
}

// TestLists: whoever lies, however many agree on it, the right list is found if
// one holder says it. Nobody who says it is blamed, everybody else is, no list is
// believed twice, and the next one is what costs least.
func TestLists(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5000) {
		rng := rand.New(rand.NewPCG(seed, 6))
		c, l := newTown(rng), blame.NewLists(rng.Int64N)
		some := false
		for holder, list := range c.says {
			if !l.Say(holder, list) || l.Say(holder, c.right) {
				t.Fatalf("seed %d: %s is not heard once", seed, holder)
			}
			some = some || c.honest(holder)
		}
		blamed := map[string]bool{}
		var before [][]byte
		for round := 0; ; round++ {
			sums := l.Choose()
			if sums == nil {
				if some {
					t.Fatalf("seed %d: the right list is not believed", seed)
				}
				break
			}
			for _, list := range c.says {
				if before != nil && !blamed[holderOf(c, list)] && distance(before, list) < distance(before, sums) {
					t.Fatalf("seed %d: a dearer list is tried", seed)
				}
			}
			if distance(sums, c.right) == 0 {
				for _, holder := range l.Dissenters() {
					blamed[holder] = true
				}
				break
			}
			for _, holder := range l.Refute() {
				blamed[holder] = true
			}
			if before = sums; round > 4 {
				t.Fatalf("seed %d: it does not end", seed)
			}
		}
		for holder := range c.says {
			if blamed[holder] == c.honest(holder) {
				t.Fatalf("seed %d: %s is blamed %v, and says the truth %v", seed, holder, blamed[holder], c.honest(holder))
			}
		}
	}
}

// holderOf is somebody who says a list.
func holderOf(c town, list [][]byte) string {
	for holder, said := range c.says {
		if distance(said, list) == 0 {
			return holder
		}
	}
	return ""
}

// TestListsByMost: what most say is tried first.
func TestListsByMost(t *testing.T) {
	t.Parallel()
	a, b := [][]byte{{1}, {2}}, [][]byte{{1}, {3}}
	for seed := range uint64(20) {
		l := blame.NewLists(rand.New(rand.NewPCG(seed, 7)).Int64N)
		l.Say("x", a)
		l.Say("y", b)
		l.Say("z", b)
		if got := l.Choose(); distance(got, b) != 0 {
			t.Fatalf("seed %d: %v is believed", seed, got)
		}
	}
}

// TestListsCommit: who gave what is not what it said itself has lied; who said
// otherwise, or nothing, is asked for that no more, and blamed once all is proved.
func TestListsCommit(t *testing.T) {
	t.Parallel()
	l := blame.NewLists(rand.New(rand.NewPCG(1, 8)).Int64N)
	l.Say("a", [][]byte{{1}, {2}, {3}})
	l.Say("b", [][]byte{{1}, {2}, {3}})
	l.Say("c", [][]byte{{1}, {9}, {3}})
	l.Choose()
	for i, want := range []bool{true, false, true} {
		if l.Astray("c", i) != want || !l.Astray("a", i) || l.Astray("silent", i) {
			t.Errorf("piece %d: who lied is wrong", i)
		}
	}
	other, all, none := l.Otherwise("c"), l.Otherwise("silent"), l.Otherwise("a")
	if fmt.Sprint(slices.Collect(other.All())) != "[[1,2)]" || all.Bytes() != 3 || none.Len() > 0 {
		t.Errorf("not asked for: %v, %v, %v", other, all, none)
	}
	if got := fmt.Sprint(l.Vouchers(1), l.Vouchers(0), l.Dissenters()); got != "[a b] [a b c] [c silent]" {
		t.Errorf("%s", got)
	}
	l.Expel("a")
	if !l.Vouched() {
		t.Error("b still says it")
	}
	l.Expel("b")
	if l.Vouched() || !l.Pass() {
		t.Error("nobody says it any more, and c says something else")
	}
	if got := l.Choose(); distance(got, [][]byte{{1}, {9}, {3}}) != 0 || l.Pass() || l.Choose() != nil {
		t.Errorf("then %v", got)
	}
}

// TestListsAreBounded: so many lists are remembered, and no more.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	l := blame.NewLists(func(int64) int64 { return 0 })
	for i := range 64 {
		if !l.Say(fmt.Sprint(i), [][]byte{{byte(i)}}) {
			t.Fatalf("list %d is not heard", i)
		}
	}
	if l.Say("more", [][]byte{{64}}) || !l.Say("same", [][]byte{{1}}) {
		t.Error("another list is heard, or the same is not")
	}
}
