// Package lease keeps time-limited registrations.
//
//	Grant ---+            +--- Revoke: ended by its holder, or replaced
//	         v            ^
//	      [ living lease ]+
//	         ^            v
//	Renew ---+            +--- Expire: its time is over
//
// The package is pure: times are values, nothing runs, nothing waits. Whoever
// owns a Table asks Next when to come again and calls Expire then. An id is
// used for one lease only, so that what was decided for an old lease can never
// hit the one that replaced it.
//
// A Table is not safe for concurrent use: it lives under its owner's lock.
package lease

import (
	"container/heap"
	"time"
)

// Table holds leases by id, each with a value of its owner. Every operation
// costs at most the logarithm of the number of leases.
type Table[V any] struct {
	byID   map[string]*entry[V]
	byTime queue[V]
}

type entry[V any] struct {
	id    string
	value V
	until time.Time
	index int // in the queue
}

// NewTable returns an empty table.
func NewTable[V any]() *Table[V] {
	return &Table[V]{byID: make(map[string]*entry[V])}
}

// Len returns the number of leases that were neither revoked nor expired.
func (t *Table[V]) Len() int { return len(t.byTime) }

// Grant adds a lease that lives while the time is before until. It reports
// false, and changes nothing, if the id is in use.
func (t *Table[V]) Grant(id string, value V, until time.Time) bool {
	if _, taken := t.byID[id]; taken {
		return false
	}
	e := &entry[V]{id: id, value: value, until: until}
	t.byID[id] = e
	heap.Push(&t.byTime, e)
	return true
}

// Renew lets a lease that lives at now live until the given time, and returns
// its value. It never shortens a lease. An unknown lease, and one whose time is
// over even if Expire was not called yet, is not renewed: ok is false.
func (t *Table[V]) Renew(id string, now, until time.Time) (value V, ok bool) {
	e := t.byID[id]
	if e == nil || !e.until.After(now) {
		return value, false
	}
	if until.After(e.until) {
		e.until = until
		heap.Fix(&t.byTime, e.index)
	}
	return e.value, true
}

// Revoke ends a lease and returns its value; ok is false if it is unknown.
func (t *Table[V]) Revoke(id string) (value V, ok bool) {
	e := t.byID[id]
	if e == nil {
		return value, false
	}
	heap.Remove(&t.byTime, e.index)
	delete(t.byID, id)
	return e.value, true
}

// Next returns when the first of the leases ends; ok is false if there is none.
func (t *Table[V]) Next() (at time.Time, ok bool) {
	if len(t.byTime) == 0 {
		return time.Time{}, false
	}
	return t.byTime[0].until, true
}

// Expire removes the leases whose time is over at now, and returns their
// values, the earliest first.
func (t *Table[V]) Expire(now time.Time) []V {
	var over []V
	for len(t.byTime) > 0 && !t.byTime[0].until.After(now) {
		e := t.byTime[0]
		heap.Remove(&t.byTime, 0)
		delete(t.byID, e.id)
		over = append(over, e.value)
	}
	return over
}

// queue is a heap of entries, the one that ends first on top.
type queue[V any] []*entry[V]

func (q queue[V]) Len() int           { return len(q) }
func (q queue[V]) Less(i, j int) bool { return q[i].until.Before(q[j].until) }

func (q queue[V]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is called by container/heap.
func (q *queue[V]) Push(x any) {
	e, ok := x.(*entry[V])
	if !ok {
		panic("lease: not an entry")
	}
	e.index = len(*q)
	*q = append(*q, e)
}

// Pop is called by container/heap.
func (q *queue[V]) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
