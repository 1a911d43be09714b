package flow_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"ddm/client/flow"
)

const mib = 1 << 20

func set(sources ...int) (s flow.Set) {
	for _, i := range sources {
		s.Add(i)
	}
	return s
}

// pieces gives one piece per set, numbered from 0.
func pieces(holders ...flow.Set) []flow.Piece {
	list := make([]flow.Piece, len(holders))
	for i, h := range holders {
		list[i] = flow.Piece{Number: i, Holders: h}
	}
	return list
}

func rates(all ...float64) []flow.Source {
	list := make([]flow.Source, len(all))
	for i, r := range all {
		list[i] = flow.Source{ID: uint64(100 + i), Rate: r * mib}
	}
	return list
}

func TestPlan(t *testing.T) {
	t.Parallel()
	var pl flow.Planner
	// The first holder has everything, the second only what comes first: taken
	// in order, the second would do half of that and the first too much.
	p := flow.Problem{
		Size: mib, Sources: rates(1, 1),
		Pieces: pieces(set(0, 1), set(0, 1), set(0, 1), set(0, 1), set(0), set(0), set(0), set(0)),
	}
	got := pl.Plan(p)
	if got.Makespan != 4*time.Second || fmt.Sprint(got.From) != "[1 1 1 1 0 0 0 0]" {
		t.Errorf("%v in %v", got.From, got.Makespan)
	}
	if b := got.Bottleneck; b.Pieces != 8 || b.Needs != 4*time.Second || b.Sources.Len() != 2 {
		t.Errorf("bottleneck %+v", b)
	}

	// Nobody else has what the slow one has: it alone is the bottleneck.
	p = flow.Problem{Size: mib, Sources: rates(10, 0.5), Pieces: pieces(set(0), set(0, 1), set(1), set(1))}
	got = new(flow.Planner).Plan(p)
	if b := got.Bottleneck; got.Makespan != 4*time.Second || b.Pieces != 2 || fmt.Sprint(b.Sources.All()) != "[1]" {
		t.Errorf("%v in %v, bottleneck %+v", got.From, got.Makespan, b)
	}

	// The receiver takes no more.
	p.Receive = 0.5 * mib
	if got = new(flow.Planner).Plan(p); got.Makespan != 8*time.Second || !got.Bottleneck.Receiver || got.Bottleneck.Pieces != 4 {
		t.Errorf("in %v, bottleneck %+v", got.Makespan, got.Bottleneck)
	}
}

func TestOriginIsSpared(t *testing.T) {
	t.Parallel()
	p := flow.Problem{Size: mib, Sources: rates(1, 1, 1), Pieces: pieces(set(0), set(0), set(0), set(0), set(1), set(1))}
	p.Sources[2].Origin = true
	got := new(flow.Planner).Plan(p)
	if got.Makespan != 2*time.Second || got.FromOrigin != 2 {
		t.Errorf("%v in %v with %d from the origin, want 2s and 2", got.From, got.Makespan, got.FromOrigin)
	}
	p.Thrift = 0.5
	if got = new(flow.Planner).Plan(p); got.Makespan != 3*time.Second || got.FromOrigin != 1 {
		t.Errorf("%v in %v with %d from the origin, want 3s and 1", got.From, got.Makespan, got.FromOrigin)
	}
	p.Thrift = 5
	if got = new(flow.Planner).Plan(p); got.Makespan != 4*time.Second || got.FromOrigin != 0 {
		t.Errorf("%v in %v with %d from the origin, want 4s and 0", got.From, got.Makespan, got.FromOrigin)
	}
	// What takes no longer from holders costs nothing, without any thrift.
	p.Thrift, p.Pieces = 0, pieces(set(0), set(0), set(1), flow.Set{}, flow.Set{})
	if got = new(flow.Planner).Plan(p); got.FromOrigin != 2 || fmt.Sprint(got.From) != "[0 0 1 2 2]" {
		t.Errorf("%v with %d from the origin, want the two that nobody has", got.From, got.FromOrigin)
	}
}

func TestReadyAndMissing(t *testing.T) {
	t.Parallel()
	p := flow.Problem{Size: mib, Sources: rates(1, 1, 0, math.NaN()), Pieces: pieces(set(0, 1), set(0, 1), set(2), set(3), flow.Set{})}
	p.Sources[0].Ready = 2 * time.Second
	got := new(flow.Planner).Plan(p)
	if got.Missing != 3 || got.Makespan != 2*time.Second || fmt.Sprint(got.From) != "[1 1 -1 -1 -1]" {
		t.Errorf("%v in %v, %d missing", got.From, got.Makespan, got.Missing)
	}
	if got = new(flow.Planner).Plan(flow.Problem{}); got.Makespan != 0 || len(got.From) != 0 {
		t.Errorf("nothing is planned as %+v", got)
	}
}

// TestStaysNear checks that a plan moves little when little changes.
func TestStaysNear(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	p := random(rnd, 20, 512, 0.3)
	var pl flow.Planner
	before := pl.Plan(p)
	again := pl.Plan(p)
	if n := moved(before, again); n != 0 {
		t.Errorf("%d pieces moved although nothing changed", n)
	}
	p.Sources[16].Rate *= 0.7
	remembered, fresh := moved(before, pl.Plan(p)), moved(before, new(flow.Planner).Plan(p))
	t.Logf("slower: %d of 512 pieces moved, %d without a memory", remembered, fresh)
	if remembered > 60 || remembered*2 > fresh {
		t.Errorf("%d of 512 pieces moved because one of 20 sources is slower, %d without a memory", remembered, fresh)
	}
	// Indices change when somebody leaves; the others keep their work.
	last := pl.Plan(p) // as before
	next := without(p, 7)
	kept := pl.Plan(next)
	if err := check(next, kept); err != nil {
		t.Error(err)
	}
	n := 0
	for i, s := range last.From {
		if to := kept.From[i]; s < 7 && to != s || s > 7 && to != s-1 {
			n++
		}
	}
	t.Logf("one left: %d of 512 pieces moved from others", n)
	if n > 100 {
		t.Errorf("%d of 512 pieces moved from others because one of 20 sources left", n)
	}
}

// without takes a source out of a problem.
func without(p flow.Problem, gone int) flow.Problem {
	p.Sources = slices.Delete(slices.Clone(p.Sources), gone, gone+1)
	p.Pieces = slices.Clone(p.Pieces)
	for i := range p.Pieces {
		var h flow.Set
		for _, s := range p.Pieces[i].Holders.All() {
			switch {
			case s < gone:
				h.Add(s)
			case s > gone:
				h.Add(s - 1)
			}
		}
		p.Pieces[i].Holders = h
	}
	return p
}

func moved(a, b flow.Plan) int {
	n := 0
	for i := range a.From {
		if a.From[i] != b.From[i] {
			n++
		}
	}
	return n
}

// random makes a problem whose pieces are held with this probability each.
func random(rnd *rand.Rand, sources, n int, held float64) flow.Problem {
	p := flow.Problem{Size: mib}
	for i := range sources {
		p.Sources = append(p.Sources, flow.Source{ID: rnd.Uint64(), Rate: math.Exp(rnd.Float64()*4) * mib, Origin: i == 0 && rnd.IntN(2) == 0})
		if rnd.IntN(3) == 0 {
			p.Sources[i].Ready = time.Duration(rnd.IntN(3000)) * time.Millisecond
		}
	}
	for i := range n {
		piece := flow.Piece{Number: i}
		for s := range sources {
			if rnd.Float64() < held {
				piece.Holders.Add(s)
			}
		}
		p.Pieces = append(p.Pieces, piece)
	}
	return p
}

// TestRandom holds plans against what must be true of any.
func TestRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		p := random(rnd, 1+rnd.IntN(24), rnd.IntN(200), rnd.Float64())
		if rnd.IntN(4) == 0 {
			p.Receive = 20 * mib
		}
		var pl flow.Planner
		for range 3 { // later from what is remembered
			plan := pl.Plan(p)
			if err := check(p, plan); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if len(p.Sources) > 1 && rnd.IntN(3) == 0 {
				p = without(p, rnd.IntN(len(p.Sources)))
			}
			p.Sources[rnd.IntN(len(p.Sources))].Rate *= 0.5
		}
	}
}

// check says what is wrong with a plan: a piece from somebody who does not have
// it, a makespan that is not what its sources need, or one that the bottleneck
// does not explain.
func check(p flow.Problem, plan flow.Plan) error {
	works := func(s int) bool { return p.Sources[s].Rate >= 1 }
	carries := make([]int, len(p.Sources))
	missing, total := 0, 0
	for i, s := range plan.From {
		possible := false
		for h := range p.Sources {
			possible = possible || works(h) && (p.Pieces[i].Holders.Has(h) || p.Sources[h].Origin)
		}
		switch {
		case s == flow.Nobody && possible:
			return fmt.Errorf("piece %d is left out", i)
		case s == flow.Nobody:
			missing++
			continue
		case !works(s) || !p.Pieces[i].Holders.Has(s) && !p.Sources[s].Origin:
			return fmt.Errorf("piece %d comes from %d, who does not have it", i, s)
		}
		carries[s]++
		total++
	}
	if missing != plan.Missing {
		return fmt.Errorf("%d missing, it says %d", missing, plan.Missing)
	}
	end := 0.0
	if p.Receive > 0 {
		end = float64(total) * float64(p.Size) / p.Receive
	}
	for s, n := range carries {
		if n > 0 {
			end = max(end, p.Sources[s].Ready.Seconds()+float64(n)*float64(p.Size)/p.Sources[s].Rate)
		}
	}
	end = min(end, 100*365*24*3600) // more is not told apart
	if d := plan.Makespan.Seconds(); math.Abs(d-end) > 1e-6*max(1, end) {
		return fmt.Errorf("its sources need %v s, it says %v", end, d)
	}
	return explain(p, plan, total)
}

// explain checks that the bottleneck is one: what it has to bring nobody else
// could, and it cannot be done faster. So the plan is the fastest.
func explain(p flow.Problem, plan flow.Plan, total int) error {
	b := plan.Bottleneck
	limit := plan.Makespan.Seconds()/(1+p.Thrift) - 1e-6
	if total == 0 || b.Receiver {
		return nil // the makespan is the receiver's own, which was checked
	}
	only := 0
	for i := range p.Pieces {
		inside, somebody := true, false
		for s := range p.Sources {
			if p.Sources[s].Rate >= 1 && (p.Pieces[i].Holders.Has(s) || p.Sources[s].Origin) {
				somebody = true
				inside = inside && b.Sources.Has(s)
			}
		}
		if inside && somebody {
			only++
		}
	}
	if only != b.Pieces {
		return fmt.Errorf("only the bottleneck %v has %d pieces, it says %d", b.Sources.All(), only, b.Pieces)
	}
	fits := 0
	for _, s := range b.Sources.All() {
		src := p.Sources[s]
		fits += int(max(0, (limit-src.Ready.Seconds())*src.Rate/float64(p.Size)))
	}
	if fits >= b.Pieces {
		return fmt.Errorf("the bottleneck %v brings %d pieces in %v s, enough for its %d: not the fastest", b.Sources.All(), fits, limit, b.Pieces)
	}
	return nil
}

// TestFlowIsCut checks the theorem on capacities too small for everything.
func TestFlowIsCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(1000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		p := random(rnd, 1+rnd.IntN(12), rnd.IntN(100), rnd.Float64()*0.6)
		if f, cut := flow.FlowAndCut(p, rnd.Float64()*6); f != cut {
			t.Fatalf("seed %d: a flow of %d and a cut of %d", seed, f, cut)
		}
	}
}

// TestAgainstAll compares with every possible plan of small problems: as fast,
// and with as little from the origin.
func TestAgainstAll(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		p := random(rnd, 1+rnd.IntN(3), 1+rnd.IntN(6), 0.7)
		plan := new(flow.Planner).Plan(p)
		best, origin := math.Inf(1), 0
		carries := make([]int, len(p.Sources))
		var try func(i int)
		try = func(i int) {
			if i < len(p.Pieces) {
				some := false
				for s := range p.Sources {
					if p.Pieces[i].Holders.Has(s) || p.Sources[s].Origin {
						some = true
						carries[s]++
						try(i + 1)
						carries[s]--
					}
				}
				if !some {
					try(i + 1)
				}
				return
			}
			end, from := 0.0, 0
			for s, n := range carries {
				if n > 0 {
					end = max(end, p.Sources[s].Ready.Seconds()+float64(n)*mib/p.Sources[s].Rate)
				}
				if p.Sources[s].Origin {
					from += n
				}
			}
			if end < best-1e-9 || end < best+1e-9 && from < origin {
				best, origin = end, from
			}
		}
		try(0)
		if math.Abs(plan.Makespan.Seconds()-best) > 1e-6 || plan.FromOrigin != origin {
			t.Fatalf("seed %d: %v with %d from the origin, the best is %v s with %d", seed, plan.Makespan, plan.FromOrigin, best, origin)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte{3, 1, 9, 0, 200, 7, 255, 1, 2, 3, 4, 5, 6, 7})
	f.Add([]byte{1, 0, 0, 1, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() byte {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return b
		}
		p := flow.Problem{Size: 1 << (next() % 31)}
		for range next() % 16 {
			b := next()
			p.Sources = append(p.Sources, flow.Source{
				ID: uint64(b % 20), Rate: min(math.Pow(float64(b), float64(next()%6))-1, 1e12),
				Ready: time.Duration(next()) * time.Second, Origin: b%16 == 7,
			})
		}
		for len(data) > 0 && len(p.Pieces) < 500 {
			piece := flow.Piece{Number: len(p.Pieces)}
			piece.Holders[0] = uint64(next()) | uint64(next())<<8
			p.Pieces = append(p.Pieces, piece)
		}
		for i := range p.Pieces {
			p.Pieces[i].Holders[0] &= 1<<len(p.Sources) - 1
		}
		var pl flow.Planner
		for range 2 {
			if err := check(p, pl.Plan(p)); err != nil {
				t.Fatal(err)
			}
			p.Thrift = 0
		}
	})
}

func TestBounds(t *testing.T) {
	t.Parallel()
	const f, w = 128 << 20, 200e6 / 8
	for _, tt := range []struct {
		what string
		got  time.Duration
		want float64
	}{
		{"four copies from a server", flow.ClientServer(f, 4, w), 4 * f / w},
		{"one copy", flow.OneCopy(f, w), f / w},
		{"a swarm behind one line", flow.PeerToPeer(f, w, 0, []float64{w, w, w, w}), f / w},
		{"a slow client", flow.PeerToPeer(f, w, w/2, []float64{w}), 2 * f / w},
		{"little upload", flow.PeerToPeer(f, w, 0, []float64{0, 0, 0}), 3 * f / w},
		{"unknown", flow.OneCopy(f, 0), 0},
	} {
		if math.Abs(tt.got.Seconds()-tt.want) > 1e-6 {
			t.Errorf("%s: %v, want %v s", tt.what, tt.got, tt.want)
		}
	}
}

// BenchmarkPlan plans a full window for twenty holders: anew, and again after a
// rate changed and four pieces came.
func BenchmarkPlan(b *testing.B) {
	for _, tt := range []struct {
		name string
		make func(rnd *rand.Rand) flow.Problem
	}{
		{"random", func(rnd *rand.Rand) flow.Problem { return random(rnd, 20, 512, 0.3) }},
		{"rare", func(rnd *rand.Rand) flow.Problem { return random(rnd, 20, 512, 0.1) }},
		{"grouped", func(rnd *rand.Rand) flow.Problem {
			p := random(rnd, 20, 512, 0)
			for i := range p.Pieces {
				p.Pieces[i].Holders = set(i/32%20, i/64%20, 19)
			}
			return p
		}},
	} {
		p := tt.make(rand.New(rand.NewPCG(7, 7)))
		b.Run(tt.name+"/new", func(b *testing.B) {
			for b.Loop() {
				new(flow.Planner).Plan(p)
			}
		})
		b.Run(tt.name+"/again", func(b *testing.B) {
			var pl flow.Planner
			p := p
			pl.Plan(p)
			for i := 0; b.Loop(); i++ {
				s := &p.Sources[i%20]
				was := s.Rate
				s.Rate *= 0.8 + 0.4*float64(i%7)/6
				q := p
				q.Pieces = p.Pieces[4*(i%16):]
				pl.Plan(q)
				s.Rate = was
			}
		})
	}
}
