// Package quota keeps what a line may bring per day or month, over restarts,
// crashes and several processes.
//
//	Read of a body --Take(n)--> Budget --slice empty--> the line's file in the
//	                <--Give-----'  slice of 1 to 16 MiB     state folder, under flock
//
// Bytes are reserved before they are read: first in the file, a slice at a
// time, then out of the slice, a read at a time. A process that is killed has
// therefore entered at least what it read; what it had reserved beyond that is
// lost to the period, which is the harmless side. Period and arithmetic are
// pure (period.go); the file is replaced as a whole.
package quota

import (
	"fmt"
	"sync"
	"time"

	"ddm/internal/errdefs"
)

// Budget is the quota of one line. It is safe for concurrent use.
type Budget struct {
	line  string
	limit Limit
	store store
	tell  func() // called when the budget is used up; may be nil

	mu    sync.Mutex // guards what follows; held while the file is written
	slice int64      // reserved in the file, not taken yet
	size  int64      // of the last slice
	got   time.Time  // when it was reserved
	end   time.Time  // of the period that it belongs to
	spent error      // nothing is left until end; nil: not so
}

// Open returns the budget of a line whose account is kept in dir, which is
// made if it is not there. Spent, which may be nil, is called each time that
// the budget is found used up; it must not block, nor call the budget. Errors
// carry kinds of files.
func Open(dir, line string, limit Limit, spent func()) (*Budget, error) {
	st, err := openStore(dir, line)
	if err != nil {
		return nil, err
	}
	b := &Budget{line: line, limit: limit, store: st, tell: spent}
	_, err = b.account(time.Now(), 0)
	return b, err
}

// Limit is what Open was told.
func (b *Budget) Limit() Limit { return b.limit }

// Take reserves at most n bytes and at least one, or says why there are none:
// a SpentError, or the store's error, of kind errdefs.Refused both. What is
// not used must be given back.
func (b *Budget) Take(n int) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	fresh := now.Before(b.end)
	if fresh && b.spent != nil {
		return 0, b.spent
	}
	if !fresh || b.slice == 0 {
		if err := b.refillLocked(now, fresh); err != nil {
			return 0, err
		}
	}
	got := min(int64(n), b.slice)
	b.slice -= got
	return int(got), nil
}

// Give returns n bytes that were taken and not used. It opens no budget that
// was found used up: what little came back serves after a restart.
func (b *Budget) Give(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slice += int64(n)
}

// Err says why nothing is left, as Take would; nil: something is.
func (b *Budget) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	fresh := now.Before(b.end)
	switch {
	case fresh && b.spent != nil:
		return b.spent
	case fresh && b.slice > 0:
		return nil
	}
	return b.refillLocked(now, fresh)
}

// Left returns how many bytes the running period still allows, those included
// that this process has reserved.
func (b *Budget) Left() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	a, err := b.account(now, 0)
	switch {
	case !now.Before(b.end):
		return a.left(b.limit)
	case err != nil:
		return b.slice
	}
	return a.left(b.limit) + b.slice
}

// Close gives back to the account what was reserved and not used. Nothing may
// be taken or given any more.
func (b *Budget) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.slice
	b.slice = 0
	if now := time.Now(); n > 0 && now.Before(b.end) {
		_, err := b.account(now, -n)
		return err
	}
	return nil
}

// refillLocked reserves the next slice. What is left of an older period's
// slice is void.
func (b *Budget) refillLocked(now time.Time, fresh bool) error {
	if !fresh {
		b.slice = 0
	}
	var n int64
	a, err := b.store.change(func(a account) account {
		a = a.at(now)
		n = nextSlice(b.size, now.Sub(b.got), a.left(b.limit))
		return a.add(n)
	})
	if err != nil {
		return fmt.Errorf("%w: the quota of line %s cannot be kept: %w", errdefs.Refused, b.line, err)
	}
	_, b.end = b.limit.Period.Bounds(now)
	b.spent = nil
	if n == 0 && a.left(b.limit) == 0 {
		b.spent = &SpentError{Line: b.line, Limit: b.limit, Until: b.end, Wait: b.end.Sub(now)}
		if b.tell != nil {
			b.tell()
		}
		return b.spent
	}
	b.slice += n
	b.size, b.got = n, now
	return nil
}

// account adds n bytes to what is kept and returns it as it is then.
func (b *Budget) account(now time.Time, n int64) (account, error) {
	return b.store.change(func(a account) account { return a.at(now).add(n) })
}
