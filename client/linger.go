package client

import (
	"context"
	"sync"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/partfile"
)

// A download that is done may hold bytes that nobody else has yet: then what it
// shares is served on for a moment.

const (
	lingerMost = 10 * time.Second
	lingerIdle = 2 * time.Second // without a read: nobody depends on it
	lingerTick = 100 * time.Millisecond
)

// given is what is held out, and who took it is written down.
type given struct {
	*partfile.Reading

	mu   sync.Mutex
	gone byterange.Set // was read: somebody else has it now
	last time.Time     // of the newest read
}

// ReadAt implements offer.Content.
func (g *given) ReadAt(p []byte, off int64) (int, error) {
	n, err := g.Reading.ReadAt(p, off)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone.Add(byterange.Range{Off: off, Len: int64(n)})
	g.last = time.Now()
	return n, err
}

// taken returns what was read, and when something was read last.
func (g *given) taken() (byterange.Set, time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.gone.Clone(), g.last
}

// linger is what is still served of a download that is done.
type linger struct {
	of      *swarm
	content *given
	size    int64
	others  byterange.Set // that others held when the download was done
	least   time.Duration // it is served for so long in any case
	end     func()
}

// needed reports whether somebody would miss it now.
func (l *linger) needed(now, since time.Time) bool {
	if now.Sub(since) < l.least {
		return true
	}
	taken, last := l.content.taken()
	if last.Before(since) {
		last = since
	}
	if l.of.companions() == 0 || now.Sub(since) >= lingerMost || now.Sub(last) >= lingerIdle {
		return false
	}
	for r := range l.others.All() {
		taken.Add(r)
	}
	return taken.Bytes() < l.size
}

// run serves until it is needed no more, or stop.
func (l *linger) run(stop <-chan struct{}) {
	defer l.end()
	tick := time.NewTicker(lingerTick)
	defer tick.Stop()
	since := time.Now()
	for now := since; l.needed(now, since); {
		l.of.report()
		select {
		case now = <-tick.C:
		case <-stop:
			return
		}
	}
}

// lingers are all of a Client.
type lingers struct {
	mu      sync.Mutex
	stop    chan struct{} // closed: end them all; nil: there was none yet
	running sync.WaitGroup
	n       int
}

func (l *lingers) add(one *linger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop == nil {
		l.stop = make(chan struct{})
	}
	l.n++
	stop := l.stop
	l.running.Go(func() {
		one.run(stop)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.n--
	})
}

func (l *lingers) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// end stops them all and waits for them.
func (l *lingers) end() {
	l.mu.Lock()
	if l.stop != nil {
		close(l.stop)
		l.stop = nil
	}
	l.mu.Unlock()
	l.running.Wait()
}

// Linger serves on what other clients still fetch from this one and can get
// nowhere else, or what Sharing.For asks for, until ctx ends. Those who wait
// are told why, if it takes more than a moment. No download may be running.
func (c *Client) Linger(ctx context.Context, note func(string)) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.lingers.running.Wait()
	}()
	defer func() { <-over }()
	told := time.NewTimer(2 * lingerTick)
	defer told.Stop()
	for {
		select {
		case <-over:
			return
		case <-told.C:
			if c.lingers.count() > 0 {
				note("all is saved; others still fetch from this machine what they have nowhere else (Ctrl-C ends that)")
			}
		case <-ctx.Done():
			c.lingers.end()
			return
		}
	}
}
