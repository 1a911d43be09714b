package peer

import (
	"fmt"
	"sync"
	"time"

	"ddm/internal/errdefs"
)

// Bounds of what clients may hold at once.
const (
	maxStreams          = 1024 // Fetch streams and probes, all clients
	maxStreamsPerClient = 64   // of one client address
	maxConns            = 1024 // of clients, who have one each
	maxConnsPerAddress  = 64   // there may be many containers behind one address
	streamsPerAddress   = 200  // begun per second, Fetch or probe
	maxLanes            = 16   // per line and stream
	maxPerOrigin        = 64   // connections to one origin, all clients
	defaultAssignments  = 256

	busyWait = time.Second // what a client is asked to wait for a slot
)

// admission counts what runs, over all streams, and refuses what is too much.
// Every successful call is undone by exactly one call of what it returned.
type admission struct {
	maxRunning int

	mu       sync.Mutex // guards what follows
	running  int
	byOrigin map[string]int
	streams  int
	byClient map[string]int
}

func newAdmission(maxRunning int) *admission {
	return &admission{maxRunning: maxRunning, byOrigin: make(map[string]int), byClient: make(map[string]int)}
}

// enter admits a stream or a probe of a client.
func (a *admission) enter(client string) (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.streams >= maxStreams:
		return nil, busy("all %d streams of this peer are taken", maxStreams)
	case a.byClient[client] >= maxStreamsPerClient:
		return nil, busy("this client has %d streams already", maxStreamsPerClient)
	}
	a.streams++
	a.byClient[client]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.streams--
		release(a.byClient, client)
	}, nil
}

// start admits one lane at work, which is one connection to an origin; "": to
// none, its bytes come from memory.
func (a *admission) start(origin string) (end func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.running >= a.maxRunning:
		return nil, busy("%d of %d assignments run", a.running, a.maxRunning)
	case origin != "" && a.byOrigin[origin] >= maxPerOrigin:
		return nil, busy("this peer has %d connections to the origin already", maxPerOrigin)
	}
	a.running++
	a.byOrigin[origin]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.running--
		release(a.byOrigin, origin)
	}, nil
}

// counts returns the running assignments and the open streams.
func (a *admission) counts() (running, streams int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running, a.streams
}

func release(counts map[string]int, key string) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

func busy(format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", errdefs.Busy, fmt.Sprintf(format, args...), errdefs.RetryAfter(busyWait))
}
