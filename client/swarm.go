package client

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/backoff"
	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	ddmv1 "ddm/proto/ddm/v1"
)

// swarm is a download's part in the swarm of its resource: one Join stream to
// one tracker.
//
//	follow --Enter--> tracker --Entered--> hint: how to probe
//	loop   --bind, want, report, release--> link --> tracker
//	loop   <--joined, membersCame, leasesChanged, trackerAway-- link <-- tracker
//
// A tracker that is away is sought again, and told what is here and what is
// being fetched. What was leased stays in use meanwhile. It is safe for
// concurrent use.
type swarm struct {
	dial     func(tracker string) (joining, error)
	log      hclog.Logger
	me       *ddmv1.Enter
	trackers []string         // in the order in which everybody seeks them
	tell     func(event) bool // false: nobody listens any more
	end      context.CancelFunc
	running  sync.WaitGroup
	tried    chan struct{} // closed when a tracker answered, or all were found to be away
	try      func()        // closes it

	mu     sync.Mutex
	hint   *ddmv1.Entered // the newest; nil: no tracker answered yet
	bound  *bond          // nil: the probe did not say yet which generation it is
	link   *link          // nil: no tracker is there
	leased byterange.Set
	told   byterange.Set // what the tracker knows to be here
	toldAt time.Time
	here   int64           // bytes that were here then
	others map[string]bool // members that serve what they hold
}

// bond is what a member of a swarm downloads.
type bond struct {
	tag  catalogue.Tag
	size int64
	have func() byterange.Set
}

type (
	joined      struct{}            // a tracker is there, for the first time or again
	trackerAway struct{ why error } // the tracker is not there any more
	membersCame struct {            // or moved, or left
		came []*ddmv1.Member
		left []string
	}
	leasesChanged struct {
		granted int64 // bytes
		revoked byterange.Set
	}
)

const (
	reportGrid = 256 << 10        // what is here is told in multiples of it
	renewEvery = time.Second      // leases, while bytes come
	seekAgain  = 20 * time.Second // a tracker that is preferred to the one that is there
)

// enter begins to take part, until stop.
func (s *swarm) enter(ctx context.Context) {
	ctx, s.end = context.WithCancel(context.WithoutCancel(ctx))
	s.tried, s.others = make(chan struct{}), map[string]bool{}
	s.try = sync.OnceFunc(func() { close(s.tried) })
	s.running.Go(func() { s.follow(ctx) })
}

// stop leaves the swarm, if it was entered.
func (s *swarm) stop() {
	s.end()
	s.running.Wait()
}

// follow keeps a stream to the first tracker that answers.
func (s *swarm) follow(ctx context.Context) {
	waits := backoff.Policy{Base: 50 * time.Millisecond, Max: time.Second, Factor: 2}
	for attempt := 0; ctx.Err() == nil; attempt++ {
		for i, tracker := range s.trackers {
			began := time.Now()
			err := s.session(ctx, tracker, i > 0)
			if ctx.Err() != nil {
				return
			}
			s.log.Debug("not in the swarm any more", "tracker", tracker, "error", err)
			if time.Since(began) > 5*time.Second {
				attempt = 0
			}
		}
		s.try()
		wait := waits.Ceiling(attempt)/2 + waits.Delay(attempt, rand.Float64())/2
		if sleep(ctx, wait) != nil {
			return
		}
	}
}

// wait returns what a tracker says of how to probe, nil if none says anything
// in time.
func (s *swarm) wait(ctx context.Context, most time.Duration) *ddmv1.Entered {
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case <-s.tried:
	case <-late.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hint
}

// bind says which generation it is, and what of it is being fetched.
func (s *swarm) bind(b bond, fetching byterange.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bound, s.leased = &b, fetching
	s.bindLocked()
}

// bindLocked tells the tracker that is there, once.
func (s *swarm) bindLocked() {
	if s.link == nil || s.bound == nil || s.link.bound {
		return
	}
	s.link.bound = true
	have := s.bound.have()
	s.told = byterange.Set{}
	held := have.WholeCells(reportGrid, s.bound.size)
	fetching := s.leased.Minus(&held) // what is here of a cell is told with its rest
	bind := &ddmv1.Bind{Generation: s.bound.tag[:], Size: s.bound.size, Held: catalogue.Runs(&held), Fetching: catalogue.Runs(&fetching)}
	s.knowsLocked(bind.GetHeld(), have.Bytes())
	s.link.send(&ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Bind{Bind: bind}})
}

// knowsLocked enters what the tracker was told.
func (s *swarm) knowsLocked(runs []*ddmv1.Run, here int64) {
	for _, run := range runs {
		s.told.Add(byterange.Range{Off: run.GetOffset(), Len: run.GetLength()})
	}
	s.here, s.toldAt = here, time.Now()
}

// report tells what came or went since the last report. That bytes came at all
// renews the leases.
func (s *swarm) report() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil || s.bound == nil {
		return
	}
	s.bindLocked() // nobody else does if the loop is over
	have := s.bound.have()
	held := have.WholeCells(reportGrid, s.bound.size)
	came, lost := held.Minus(&s.told), s.told.Minus(&held)
	renews := have.Bytes() != s.here && time.Since(s.toldAt) >= renewEvery
	if came.Len() == 0 && lost.Len() == 0 && !renews {
		return
	}
	rep := &ddmv1.Report{Held: catalogue.Runs(&came), Lost: catalogue.Runs(&lost)}
	for _, run := range rep.GetLost() {
		s.told.Subtract(byterange.Range{Off: run.GetOffset(), Len: run.GetLength()})
	}
	s.knowsLocked(rep.GetHeld(), have.Bytes())
	s.link.send(&ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Report{Report: rep}})
}

// want asks for a lease of about so many bytes, and for what others hold and do
// not bring. It replaces the one before. It returns whether a tracker is there.
func (s *swarm) want(n int64, insist byterange.Set) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil || !s.link.bound {
		return false
	}
	runs := catalogue.Runs(&insist)
	s.link.send(&ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Want{Want: &ddmv1.Want{Bytes: n, Insist: runs[:min(len(runs), mostInsisted)]}}})
	return true
}

// mostInsisted is how many runs a Want may name.
const mostInsisted = 64

// release gives leases back.
func (s *swarm) release(set byterange.Set) {
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := catalogue.Runs(&set)
	for _, run := range runs {
		s.leased.Subtract(byterange.Range{Off: run.GetOffset(), Len: run.GetLength()})
	}
	if s.link != nil && s.link.bound && len(runs) > 0 {
		s.link.send(&ddmv1.JoinRequest{Step: &ddmv1.JoinRequest_Release{Release: &ddmv1.Release{Runs: runs}}})
	}
}

// leases are the bytes that this member was granted, those that came included.
func (s *swarm) leases() byterange.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leased.Clone()
}

// companions is how many others serve what they hold.
func (s *swarm) companions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.others)
}

// membersChanged enters who came and left.
func (s *swarm) membersChanged(m *ddmv1.Members) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, who := range m.GetCame() {
		if !who.GetPeer() && len(s.others) < maxRoster {
			s.others[who.GetId()] = true
		}
	}
	for _, id := range m.GetLeft() {
		delete(s.others, id)
	}
}

// sortedTrackers is the order in which all clients seek trackers: those of one
// resource have to meet at the same one.
func sortedTrackers(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}
