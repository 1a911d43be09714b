// Package sim fetches held pieces from sources that exist in arithmetic only,
// and compares ways of saying who sends what.
//
//	seed --> Scenario: rates that change, sources that leave, uneven holdings
//	             |
//	             v          every 100 ms: what is not begun is planned anew
//	           Run <------> Policy: flow, greedy, two choices
//	             |
//	             +--> Result: the time, and what came from the origin
//
// A run is exact: the same scenario and policy give the same result. Policies
// see rates as a client measures them, late and smoothed, not as they are.
package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"ddm/client/flow"
)

// Scenario is a download of pieces that others hold.
type Scenario struct {
	Name    string
	Piece   int64 // bytes
	Sources []Source
	Holders []flow.Set // per piece
	Changes []Change   // in the order of their times
}

// Source is one who sends.
type Source struct {
	Rate   float64 // bytes per second at first
	Guess  float64 // what the client believes before it has measured
	Origin bool
}

// Change is one new rate of a source; 0: it leaves.
type Change struct {
	At     time.Duration
	Source int
	Rate   float64
}

// Result is what a run came to.
type Result struct {
	Time       time.Duration
	FromOrigin float64 // bytes
}

// ErrStuck is when what is missing comes from nobody.
var ErrStuck = errors.New("sim: stuck: nobody sends what is missing")

const (
	step    = 10 * time.Millisecond
	tick    = 100 * time.Millisecond // between plans
	ahead   = 200 * time.Millisecond // of work that a source has beside what it sends
	window  = 512                    // pieces in a plan
	fade    = 1500 * time.Millisecond
	patient = time.Hour // then it is stuck
)

// world is a run.
type world struct {
	sc      Scenario
	rate    []float64 // as it is
	rates   []float64 // as it is believed
	got     []float64 // bytes since the last tick, per source
	busy    []float64 // seconds of work since then
	queue   [][]int   // per source: pieces, the first one is being sent
	left    []float64 // bytes, per piece
	missing int
	result  Result
}

// Run fetches everything.
func Run(sc Scenario, policy Policy) (Result, error) {
	n := len(sc.Sources)
	w := &world{
		sc: sc, rate: make([]float64, n), rates: make([]float64, n), got: make([]float64, n),
		busy: make([]float64, n), queue: make([][]int, n), left: make([]float64, len(sc.Holders)),
		missing: len(sc.Holders),
	}
	for s, src := range sc.Sources {
		w.rate[s], w.rates[s] = src.Rate, src.Guess
	}
	for i := range w.left {
		w.left[i] = float64(sc.Piece)
	}
	for now := time.Duration(0); w.missing > 0; now += step {
		if now > patient {
			return w.result, fmt.Errorf("%w: %d pieces of %s", ErrStuck, w.missing, sc.Name)
		}
		w.change(now)
		if now%tick == 0 {
			w.measure()
			w.plan(policy)
		}
		w.send(now)
	}
	return w.result, nil
}

// change lets happen what is due.
func (w *world) change(now time.Duration) {
	for len(w.sc.Changes) > 0 && w.sc.Changes[0].At <= now {
		c := w.sc.Changes[0]
		w.sc.Changes = w.sc.Changes[1:]
		w.rate[c.Source] = c.Rate
		if c.Rate == 0 {
			w.rates[c.Source], w.queue[c.Source] = 0, nil
		}
	}
}

// measure folds what came into what is believed.
func (w *world) measure() {
	for s := range w.rates {
		if w.busy[s] > 0 && w.rate[s] > 0 {
			part := 1 - math.Exp(-w.busy[s]/fade.Seconds())
			w.rates[s] += part * (w.got[s]/w.busy[s] - w.rates[s])
		}
	}
	clear(w.got)
	clear(w.busy)
}

// plan asks the policy about all that is not being sent yet, and gives every
// source the next of its pieces.
func (w *world) plan(policy Policy) {
	sending := make(map[int]bool)
	for s := range w.queue {
		w.queue[s] = w.queue[s][:min(len(w.queue[s]), 1)]
		for _, i := range w.queue[s] {
			sending[i] = true
		}
	}
	p := flow.Problem{Size: w.sc.Piece, Pieces: w.wanted(sending)}
	for s, src := range w.sc.Sources {
		f := flow.Source{ID: uint64(s), Rate: w.rates[s], Origin: src.Origin}
		if f.Rate > 0 && len(w.queue[s]) > 0 {
			f.Ready = time.Duration(w.left[w.queue[s][0]] / f.Rate * float64(time.Second))
		}
		p.Sources = append(p.Sources, f)
	}
	from, order := policy(p)
	for _, at := range order {
		s := from[at]
		// One waits behind what is being sent, and as many as take the time.
		if s >= 0 && (len(w.queue[s]) < 2 || float64(len(w.queue[s])-1)*float64(w.sc.Piece) < w.rates[s]*ahead.Seconds()) {
			w.queue[s] = append(w.queue[s], p.Pieces[at].Number)
		}
	}
}

// wanted is the window: the rarest of the pieces that nobody sends, in order.
func (w *world) wanted(sending map[int]bool) []flow.Piece {
	var list []flow.Piece
	for i, h := range w.sc.Holders {
		if w.left[i] > 0 && !sending[i] {
			list = append(list, flow.Piece{Number: i, Holders: h})
		}
	}
	if len(list) > window {
		slices.SortStableFunc(list, func(a, b flow.Piece) int { return cmp.Compare(a.Holders.Len(), b.Holders.Len()) })
		list = list[:window]
		slices.SortFunc(list, func(a, b flow.Piece) int { return cmp.Compare(a.Number, b.Number) })
	}
	return list
}

// send lets every source work for one step. One that has nothing helps with
// what would end last, as the scheduler's steals do.
func (w *world) send(now time.Duration) {
	for s := range w.queue {
		budget := w.rate[s] * step.Seconds()
		for budget > 0 && w.missing > 0 {
			for len(w.queue[s]) > 0 && w.left[w.queue[s][0]] <= 0 {
				w.queue[s] = w.queue[s][1:]
			}
			i := w.help(s)
			if len(w.queue[s]) > 0 {
				i = w.queue[s][0]
			}
			if i < 0 {
				break
			}
			part := min(budget, w.left[i])
			w.left[i] -= part
			budget -= part
			w.got[s] += part
			w.busy[s] += part / w.rate[s]
			if w.sc.Sources[s].Origin {
				w.result.FromOrigin += part
			}
			if w.left[i] <= 0 {
				w.missing--
				w.result.Time = now + step - time.Duration(budget/w.rate[s]*float64(time.Second))
			}
		}
	}
}

// help finds the piece of others that would end last, of those that a source
// without work can bring; -1 if there is none.
func (w *world) help(s int) int {
	if len(w.queue[s]) > 0 {
		return -1
	}
	found, latest := -1, 0.0
	for other := range w.queue {
		end := 0.0
		for _, i := range w.queue[other] {
			end += w.left[i] / w.rates[other]
			if w.left[i] > 0 && end > latest && (w.sc.Sources[s].Origin || w.sc.Holders[i].Has(s)) {
				found, latest = i, end
			}
		}
	}
	return found
}
