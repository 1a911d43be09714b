package client

import (
	"context"
	"sync"
	"time"
)

// headStart is what a mirror gets before the next one is asked, too: the
// silence of one that is dead must not hold up the others.
const headStart = 500 * time.Millisecond

// race asks the URLs of a resource in their order, without waiting for each
// one's answer, until one has answered well.
type race struct {
	asks []ask
	ask  func(context.Context, ask) (*probed, error)

	answers chan answered
	asking  sync.WaitGroup
	stops   []context.CancelFunc // of those asked so far
}

type answered struct {
	n   int
	p   *probed
	err error
}

// run returns which one won, and what it said; its context lives on. Without
// a winner the error is one worth retrying, if any was.
func (r *race) run(ctx context.Context) (won int, p *probed, err error) {
	r.answers = make(chan answered, len(r.asks))
	won = -1
	defer func() { r.settle(won) }()
	next := time.NewTimer(headStart)
	defer next.Stop()
	var failure error
	for running := 0; ; {
		switch {
		case running == 0 && len(r.stops) == len(r.asks):
			return won, nil, failure
		case running == 0:
			r.start(ctx)
			running++
			next.Reset(headStart)
		}
		select {
		case a := <-r.answers:
			running--
			if a.err == nil {
				won = a.n
				return won, a.p, nil
			}
			if ctx.Err() != nil {
				return won, nil, a.err
			}
			failure = worse(failure, a.err)
		case <-next.C:
			if len(r.stops) < len(r.asks) {
				r.start(ctx)
				running++
				next.Reset(headStart)
			}
		}
	}
}

// start asks the next one.
func (r *race) start(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	n := len(r.stops)
	r.stops = append(r.stops, stop)
	r.asking.Go(func() {
		p, err := r.ask(ctx, r.asks[n])
		r.answers <- answered{n, p, err}
	})
}

// settle stops the losers and waits for them. Who answered all the same came
// too late.
func (r *race) settle(won int) {
	for n, stop := range r.stops {
		if n != won {
			stop()
		}
	}
	r.asking.Wait()
	close(r.answers)
	for a := range r.answers {
		if a.p != nil {
			a.p.discard()
		}
	}
}
