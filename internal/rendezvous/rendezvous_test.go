package rendezvous_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/rendezvous"
)

const size = 1000*rendezvous.Part - 12345

func names(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprint("member-", i))
	}
	return list
}

func without(list []string, i int) []string { return slices.Delete(slices.Clone(list), i, i+1) }

func all() *byterange.Set {
	var set byterange.Set
	set.Add(byterange.Range{Len: size})
	return &set
}

// Every byte falls to exactly one, and nobody gets much more than its part.
func TestAllAgree(t *testing.T) {
	for _, n := range []int{1, 2, 3, 8} {
		list := names(n)
		var sum byterange.Set
		for i, me := range list {
			mine := rendezvous.Mine(me, without(list, i), all(), math.MaxInt64)
			for r := range mine.All() {
				if sum.Overlap(r) > 0 {
					t.Fatalf("%v falls to two of %d", r, n)
				}
				sum.Add(r)
			}
			if share := float64(mine.Bytes()) / size * float64(n); share < 0.75 || share > 1.3 {
				t.Errorf("%s of %d gets %.2f of an equal share", me, n, share)
			}
		}
		if sum.Bytes() != size {
			t.Errorf("%d of %d bytes fall to somebody", sum.Bytes(), int64(size))
		}
	}
}

// One that leaves moves its own parts, and no others.
func TestLeaving(t *testing.T) {
	list := names(5)
	for i, me := range list[:4] {
		before := rendezvous.Mine(me, without(list, i), all(), math.MaxInt64)
		after := rendezvous.Mine(me, without(list[:4], i), all(), math.MaxInt64)
		if after.Bytes() <= before.Bytes() {
			t.Errorf("%s has no more than before", me)
		}
		for r := range before.All() {
			if !after.Contains(r) {
				t.Errorf("%v moved from %s to another", r, me)
			}
		}
	}
}

// What is wanted is cut by parts, wherever it begins, and no more is taken than
// about as much as was asked for.
func TestWanted(t *testing.T) {
	var wanted byterange.Set
	wanted.Add(byterange.Range{Off: 100, Len: 50})
	wanted.Add(byterange.Between(rendezvous.Part-1, 3*rendezvous.Part+1))
	me := rendezvous.Mine("a", []string{"b"}, &wanted, math.MaxInt64)
	other := rendezvous.Mine("b", []string{"a"}, &wanted, math.MaxInt64)
	if me.Bytes()+other.Bytes() != wanted.Bytes() {
		t.Errorf("%d and %d of %d bytes", me.Bytes(), other.Bytes(), wanted.Bytes())
	}
	some := rendezvous.Mine("a", nil, all(), 2*rendezvous.Part+1)
	if n := some.Bytes(); n != 3*rendezvous.Part {
		t.Errorf("%d bytes", n)
	}
	if none := rendezvous.Mine("a", nil, all(), 0); none.Bytes() != 0 {
		t.Errorf("%d bytes", none.Bytes())
	}
}
