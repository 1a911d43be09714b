// Package sim runs the scheduler against lines that exist in arithmetic only:
// a fluid model with a virtual clock, so that ten thousand downloads with
// every kind of trouble take seconds and each can be repeated by its seed.
//
//	Scenario --> world (lines, lanes, clock) --events--> schedule.Scheduler
//	                     ^------------------actions-----------'
//	         --> Result (time, ideal time, tail, spans)
package sim

import (
	"errors"
	"fmt"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// Scenario is one simulated download.
type Scenario struct {
	Size   int64
	Lines  []Line
	Origin float64            // bytes per second of the origin; 0: no limit
	Groups map[string]float64 // bytes per second of routers that lines share
	Step   time.Duration      // resolution; 0: 10 ms
	Limit  time.Duration      // virtual time after which the run is stuck; 0: an hour
	Config schedule.Config    // limits of the scheduler; Size is filled in
	Audit  bool               // check the scheduler's books at every tick
	// Probe has the first line ask for the first MiB before anybody joins, as
	// the client does; the others join so much later.
	Probe bool
	// Pauses are times in which the client does not run, in their order: what
	// its lines bring then comes at once when they end.
	Pauses []Pause
	// Arrived is told of bytes as they come; nil: nobody is.
	Arrived func(at time.Duration, n int64)
}

// Pause is a time in which a busy machine lets the client wait.
type Pause struct{ From, To time.Duration }

// Line is one simulated way to the origin.
type Line struct {
	Name    string
	Rate    float64       // bytes per second of the whole line
	PerConn float64       // bytes per second of one connection; 0: the line's
	Hog     float64       // share of the line that its first busy connection takes beside others; 0: all get the same
	SlowReq int           // every so many-th request gets 32 KiB/s, in steps of 16 KiB; 0: none
	MaxConn int           // connections that the origin accepts; 0: any number
	Linger  time.Duration // that the origin still counts a connection which was closed in a reply
	Latency time.Duration // from a request to its first byte
	Group   string        // router that it shares
	Lanes   int           // that it grants; 0: 16
	Local   bool
	Metered float64 // share by which it must shorten the download; 0: it is not metered
	Joins   time.Duration
	Changes []Change // in the order of their times
}

// Change is something that happens to a line.
type Change struct {
	At   time.Duration
	Kind Kind
	Rate float64       // SetRate: the new rate; Slow: of the one connection
	Wait time.Duration // Refuse: what Retry-After asks for
	Most int           // Allow: the new MaxConn
}

// Kind is what happens to a line.
type Kind int

// The kinds of changes.
const (
	SetRate Kind = iota // the line has a new rate
	Stall               // silence: nothing arrives and nothing ends
	Heal                // ends Stall, Err and Refuse
	Leave               // the peer is gone, and known to be
	Return              // it is back, as a new source
	Cut                 // running requests fail, later ones work
	Err                 // every request fails at once
	Refuse              // every request is refused
	Deny                // every request is denied for good
	Slow                // one running connection gets Rate, until it is closed
	Allow               // the origin accepts Most connections from here on
)

// Span is one assignment as it ran, for pictures and judgements. One that
// ended while it waited for its lane has none.
type Span struct {
	Line        int
	Lane        int
	From, To    time.Duration
	First, Last time.Duration   // its answer began, its newest byte came; 0: never
	Range       byterange.Range // that arrived
	Why         schedule.Why
	EndedEarly  bool
}

// Result is what a run came to.
type Result struct {
	Time  time.Duration
	Ideal time.Duration // fluid limit of the lines as they were
	Tail  time.Duration // that the last 1 % took
	Stats schedule.Stats
	Bytes []int64 // by line
	Spans []Span
	Busy  int // requests that were refused
}

// Efficiency is T*/T.
func (r Result) Efficiency() float64 { return r.Ideal.Seconds() / r.Time.Seconds() }

// ErrStuck is returned when the download did not end within the limit.
var ErrStuck = errors.New("sim: stuck")

// Run simulates a scenario to its end.
func Run(sc Scenario) (Result, error) {
	w := newWorld(sc)
	var ideal fluid
	nextTick := time.Duration(0)
	for now := time.Duration(0); ; now += w.step {
		w.now = now
		w.changes()
		ideal.step(w)
		if w.paused() {
			nextTick = max(nextTick, now)
			continue
		}
		w.carry()
		if now >= nextTick {
			nextTick += 100 * time.Millisecond
			w.sched.Tick(now)
			w.obey()
			if sc.Audit {
				if err := w.sched.Audit(); err != nil {
					return w.result(ideal), fmt.Errorf("at %v: %w", now, err)
				}
			}
		}
		if w.sched.Complete() != (w.got.Bytes() == sc.Size) {
			return w.result(ideal), fmt.Errorf("at %v: complete is %v with %d of %d bytes", now, w.sched.Complete(), w.got.Bytes(), sc.Size)
		}
		if w.sched.Complete() {
			return w.result(ideal), nil
		}
		if now > w.limit {
			return w.result(ideal), fmt.Errorf("%w after %v with %d of %d bytes", ErrStuck, now, w.got.Bytes(), sc.Size)
		}
	}
}

// fluid integrates what the lines could have brought.
type fluid struct {
	bytes float64
	done  time.Duration
}

func (f *fluid) step(w *world) {
	if f.done > 0 {
		return
	}
	total := 0.0
	groups := map[string]float64{}
	for _, p := range w.peers {
		if !p.here || p.stalled || p.mood != ok {
			continue
		}
		rate := p.rate
		if p.PerConn > 0 {
			lanes := p.Lanes
			if p.MaxConn > 0 {
				lanes = min(lanes, p.MaxConn)
			}
			rate = min(rate, p.PerConn*float64(lanes))
		}
		if p.Group != "" {
			rate = min(rate, w.sc.Groups[p.Group]-groups[p.Group])
			groups[p.Group] += rate
		}
		total += rate
	}
	if w.sc.Origin > 0 {
		total = min(total, w.sc.Origin)
	}
	f.bytes += total * w.step.Seconds()
	if f.bytes >= float64(w.sc.Size) {
		f.done = w.now + w.step
	}
}
