package system_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"ddm/internal/origin/origintest"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

// incident is something that happens at a time.
type incident struct {
	at   time.Duration // since the beginning
	what string
	do   func()
}

// plan chooses what happens: each seed has some kinds of faults only.
func (c *chaos) plan() []incident {
	var plan []incident
	kinds := []func() []incident{
		c.die, c.hang, c.flap, c.slow, c.ownLine, c.originFails, c.trackerFails, c.changes, c.lateComer,
	}
	for _, kind := range kinds {
		if !c.chance(3) {
			continue
		}
		for range 1 + c.rng.IntN(2) {
			plan = append(plan, kind()...)
		}
	}
	ownLine, rate := !c.noLocal && c.chance(2), c.rate()
	plan = append(plan, incident{chaosMended, "all is mended but one source", func() { c.mend(ownLine, rate) }})
	slices.SortStableFunc(plan, func(a, b incident) int { return cmp.Compare(a.at, b.at) })
	return plan
}

func (c *chaos) play(ctx context.Context, plan []incident) {
	for _, i := range plan {
		wait := time.NewTimer(time.Until(c.began.Add(i.at)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			return
		}
		c.tell("%s", i.what)
		i.do()
	}
}

// moment is when a fault begins.
func (c *chaos) moment() time.Duration { return c.within(chaosSpan) }

// pair is a fault and its end.
func (c *chaos) pair(what string, begin, end func()) []incident {
	at := c.moment()
	return []incident{{at, what, begin}, {at + time.Second + c.within(10*time.Second), what + ": over", end}}
}

// victim chooses a peer; nil: there is none.
func (c *chaos) victim() *helper {
	if len(c.peers) == 0 {
		return nil
	}
	return c.peers[c.rng.IntN(len(c.peers))]
}

func (c *chaos) die() []incident {
	h := c.victim()
	if h == nil {
		return nil
	}
	return []incident{{c.moment(), h.name + " is killed", func() { h.kill(c.world) }}}
}

func (c *chaos) hang() []incident {
	h := c.victim()
	if h == nil {
		return nil
	}
	line, name := h.lan, h.name+" hangs"
	if c.chance(2) {
		line, name = h.wan, h.name+"'s line hangs"
	}
	return c.pair(name, line.freeze, line.thaw)
}

// flap cuts a peer off again and again, every 1 to 5 s.
func (c *chaos) flap() []incident {
	h := c.victim()
	if h == nil {
		return nil
	}
	var all []incident
	for at := c.moment(); at < chaosMended-5*time.Second; at += time.Second + c.within(4*time.Second) {
		all = append(all, incident{at, h.name + " flaps", h.lan.cut})
	}
	return all
}

func (c *chaos) slow() []incident {
	h := c.victim()
	if h == nil {
		return nil
	}
	rate := c.rate()
	return c.pair(h.name+" is slow", func() { h.wan.setRate(rate / 50) }, func() { h.wan.setRate(rate) })
}

func (c *chaos) ownLine() []incident {
	u := c.user.wan
	switch c.rng.IntN(3) {
	case 0:
		return c.pair("the own line hangs", u.freeze, u.thaw)
	case 1:
		return c.pair("the own line is cut", func() { u.setDead(true); u.cut() }, func() { u.setDead(false) })
	}
	return []incident{{c.moment(), "the own line breaks", u.cut}}
}

func (c *chaos) originFails() []incident {
	faults := []origintest.Fault{
		{Status: 503, RetryAfter: "2"},
		{Status: 429},
		{Status: 502},
		{Status: 200},
		{HeaderDelay: 3 * time.Second},
		{After: c.size / 7, End: origintest.Reset},
		{After: c.size / 9, End: origintest.Truncate},
		{After: c.size / 5, End: origintest.Stall},
		{Short: 1 + c.size/11},
		{Shift: 1},
		{Excess: 5},
		{Multipart: true},
		{Set: []string{"Etag:", "Last-Modified:"}},
		{ContentRange: []string{"bytes 0-0/1"}},
	}
	f := faults[c.rng.IntN(len(faults))]
	c.condemned = c.condemned || f.Excess > 0
	// A whole reply that is longer says so in its length: nobody can tell it from
	// that of a longer resource.
	longer := func(o origintest.Fault) bool {
		return o.Excess > 0 && f.Status == 200 || o.Status == 200 && f.Excess > 0
	}
	begin := func() {
		c.fail(func(all []origintest.Fault) []origintest.Fault { return append(slices.DeleteFunc(all, longer), f) })
	}
	end := func() { c.fail(func([]origintest.Fault) []origintest.Fault { return nil }) }
	return c.pair(fmt.Sprintf("the origin fails: %+v", f), begin, end)
}

func (c *chaos) trackerFails() []incident {
	return c.pair("the tracker is killed", func() { c.stopTrack() }, c.restartTracker)
}

func (c *chaos) restartTracker() {
	c.stopTrack()
	c.stopTrack = c.tracker()
}

// changes is a new generation, which nobody expects where digests are known.
func (c *chaos) changes() []incident {
	if c.digests {
		return nil
	}
	gen := c.rng.Uint64()
	return []incident{{c.moment(), "the resource changes", func() { c.change(gen) }}}
}

func (c *chaos) lateComer() []incident {
	rate, name := c.rate(), fmt.Sprint("late", c.rng.IntN(1000))
	return []incident{{c.moment(), name + " comes", func() { c.peers = append(c.peers, c.peer(name, rate)) }}}
}

// mend takes every fault away and then every source but one, which is honest:
// the own line, or a new peer with that rate.
func (c *chaos) mend(ownLine bool, rate float64) {
	c.fail(func([]origintest.Fault) []origintest.Fault { return nil })
	c.restartTracker()
	for _, h := range c.peers {
		h.wan.thaw()
		h.lan.thaw()
	}
	wan := c.user.wan
	wan.thaw()
	wan.setDead(false)
	if ownLine {
		for _, h := range c.peers {
			h.kill(c.world)
		}
		return
	}
	c.peer("last", rate)
	wan.setDead(true)
	wan.cut()
}

// liar chooses how a peer lies. Wrong bytes under right words can be told by
// digests alone.
func (c *chaos) liar() *liar {
	l := &liar{rate: c.rate()}
	wrong := origintest.NewFile(c.size, 4711)
	gen := c.current
	ways := []func(s *lies, a *ddmv1.Assign) error{
		func(s *lies, a *ddmv1.Assign) error { return s.done(a) },
		func(s *lies, a *ddmv1.Assign) error { // ends early
			return errors.Join(s.started(a, gen()), s.bytes(a, a.GetLength()/2), s.done(a))
		},
		func(s *lies, a *ddmv1.Assign) error { // says too much
			return errors.Join(s.started(a, gen()), s.bytes(a, a.GetLength()+1))
		},
		func(s *lies, a *ddmv1.Assign) error { // has another generation, and says so
			return errors.Join(s.started(a, wrong), s.bytes(a, a.GetLength()), s.done(a))
		},
		func(*lies, *ddmv1.Assign) error { return nil }, // says nothing
		func(s *lies, a *ddmv1.Assign) error { return s.fail(a, ddmv1.FailureKind_FAILURE_KIND_BUSY) },
	}
	way := ways[c.rng.IntN(len(ways))]
	if c.digests {
		sometimes := c.rng.IntN(3)
		way = func(s *lies, a *ddmv1.Assign) error {
			file := wrong
			if int(a.GetAssignmentId())%3 < sometimes {
				file = gen()
			}
			said := &lies{liar: &liar{file: file, rate: s.rate}, stream: s.stream}
			return errors.Join(s.started(a, gen()), said.bytes(a, a.GetLength()), s.done(a))
		}
	}
	l.file = gen()
	l.order = twist(way)
	return l
}

// enlist keeps a scripted peer registered with the tracker until the test ends.
func (c *chaos) enlist(name string, l *liar) {
	info := c.world.liar(name, l)
	conn, err := rpc.Dial("passthrough:///"+trackerAddr, rpc.Options{},
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return c.net.dial(ctx, addr) }))
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	beating.Go(func() {
		for ctx.Err() == nil {
			_, _ = ddmv1.NewTrackerServiceClient(conn).Register(ctx, &ddmv1.RegisterRequest{Peer: info}) // it may be down
			pause := time.NewTimer(2 * time.Second)
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
	})
	c.t.Cleanup(func() {
		stop()
		beating.Wait()
		_ = conn.Close()
	})
}
