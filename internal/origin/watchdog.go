package origin

import (
	"sync"
	"sync/atomic"
	"time"
)

// watchdog bites when a Read has waited for the origin for stall. Time between
// Reads does not count: that is our own disk, or a limit. Its timer is set once
// per stall, not once per Read: setting one may wake a thread, and that costs
// as much as the Read.
type watchdog struct {
	stall   time.Duration
	bite    func()
	born    time.Time
	since   atomic.Int64 // when the Read that waits began, in ns after born; 0: none waits
	stalled atomic.Bool

	mu    sync.Mutex
	timer *time.Timer // nil: stopped
}

func newWatchdog(stall time.Duration, bite func()) *watchdog {
	w := &watchdog{stall: stall, bite: bite, born: time.Now()}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer = time.AfterFunc(stall, w.look)
	return w
}

func (w *watchdog) enter() { w.since.Store(max(int64(time.Since(w.born)), 1)) }
func (w *watchdog) leave() { w.since.Store(0) }

// look bites, or comes back when it will have to.
func (w *watchdog) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer == nil {
		return
	}
	next := w.stall
	if since := w.since.Load(); since != 0 {
		next = time.Duration(since) + w.stall - time.Since(w.born)
	}
	if next > 0 {
		w.timer.Reset(next)
		return
	}
	w.timer = nil
	w.stalled.Store(true)
	w.bite()
}

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}
