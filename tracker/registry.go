package tracker

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/protobuf/types/known/timestamppb"

	"ddm/internal/errdefs"
	"ddm/internal/lease"
	ddmv1 "ddm/proto/ddm/v1"
)

// fullRetry is when to ask again after a limit was reached.
const fullRetry = 10 * time.Second

// record is one registered peer. It never changes: a heartbeat puts another
// one in its place, so that lists and watchers read records without a lock.
type record struct {
	registration
	place place
	lease string
	beat  time.Time // when the last heartbeat came
	clone time.Time // when two living runs of this id were last complained about
}

// info is the record as somebody sees it who reached the tracker at that local
// address.
func (rec *record) info(reached netip.Addr) *ddmv1.PeerInfo {
	return &ddmv1.PeerInfo{
		Id: rec.id, Name: rec.name, Address: rec.place.seenBy(reached), Version: rec.version,
		Lines: rec.lines, Load: rec.load, LastHeartbeat: timestamppb.New(rec.beat), BootId: rec.boot,
	}
}

// change is one thing that happened to a peer.
type change struct {
	kind ddmv1.PeerChange_Kind
	rec  *record
}

// registry knows the living peers and who watches them. One mutex guards it;
// every method is short, and none waits or logs while holding it.
type registry struct {
	cfg     Config
	log     hclog.Logger
	metrics *metrics
	swarms  *swarms
	granted chan struct{} // of one: a lease ends earlier than those before it

	mu       sync.Mutex
	leases   *lease.Table[string] // lease id -> peer id
	peers    []*record            // ordered by id; one for each lease
	watchers map[*watcher]struct{}
	expired  []*record // to be logged by the next sweep
	closed   bool
}

func newRegistry(cfg Config, log hclog.Logger, m *metrics, swarms *swarms) *registry {
	return &registry{
		cfg: cfg, log: log, metrics: m, swarms: swarms,
		granted:  make(chan struct{}, 1),
		leases:   lease.NewTable[string](),
		watchers: make(map[*watcher]struct{}),
	}
}

// register grants a lease to a peer, in place of the one it may have. It is
// Busy if the registry is full.
func (r *registry) register(now time.Time, reg registration, at place) (*record, error) {
	rec := &record{registration: reg, place: at, lease: rand.Text(), beat: now}
	rec.holdings = nil // the swarms have them
	r.mu.Lock()
	r.expireLocked(now)
	i, again := r.find(rec.id)
	var old *record
	switch {
	case again:
		old = r.peers[i]
		rec.clone = old.clone
		r.leases.Revoke(old.lease)
		r.peers[i] = rec
	case len(r.peers) >= r.cfg.MaxPeers:
		r.mu.Unlock()
		return nil, fmt.Errorf("%w: %d peers are registered, which is the most: %w",
			errdefs.Busy, r.cfg.MaxPeers, errdefs.RetryAfter(fullRetry))
	default:
		r.peers = slices.Insert(r.peers, i, rec)
	}
	r.leases.Grant(rec.lease, rec.id, now.Add(r.cfg.Lease))
	clones := old != nil && r.looksCloned(old, rec)
	if clones {
		rec.clone = now
	}
	r.publishLocked(change{ddmv1.PeerChange_KIND_JOINED, rec})
	r.swarms.keep(now, rec, reg.holdings, true)
	if next, _ := r.leases.Next(); !next.Before(now.Add(r.cfg.Lease)) {
		signal(r.granted)
	}
	r.mu.Unlock()

	r.metrics.registrations.Inc()
	switch {
	case clones:
		r.log.Warn("two runs of one peer id: it restarted without deregistering, or two machines share one state directory (cloned disk); the newest is listed",
			"peer", rec.id, "name", rec.name, "address", rec.place.seenBy(netip.Addr{}), "was", old.place.seenBy(netip.Addr{}))
	case old != nil:
		r.log.Debug("peer registered again", "peer", rec.id, "name", rec.name)
	default:
		r.log.Info("peer joined", "peer", rec.id, "name", rec.name, "address", rec.place.seenBy(netip.Addr{}), "version", rec.version)
	}
	return rec, nil
}

// looksCloned says whether to complain that another run of the same id was
// alive a moment ago. Two machines with one id take turns at every heartbeat,
// so the complaint about one id comes once a minute.
func (r *registry) looksCloned(old, rec *record) bool {
	return old.boot != rec.boot && rec.beat.Sub(old.beat) <= r.cfg.Heartbeat+r.cfg.Heartbeat/4 &&
		(old.clone.IsZero() || rec.beat.Sub(old.clone) >= time.Minute)
}

// heartbeat renews a lease; it is LeaseExpired if there is no such lease.
// Watchers hear of it only if the lines changed, or the address that the peer
// comes from.
func (r *registry) heartbeat(now time.Time, b beat, from netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expireLocked(now)
	id, ok := r.leases.Renew(b.lease, now, now.Add(r.cfg.Lease))
	i, listed := r.find(id)
	if !ok || !listed {
		return fmt.Errorf("%w: register again", errdefs.LeaseExpired)
	}
	rec := *r.peers[i]
	rec.beat, rec.load, rec.place = now, b.load, rec.place.moved(from)
	if b.lines != nil {
		rec.lines = b.lines
	}
	old := r.peers[i]
	r.peers[i] = &rec
	if rec.place != old.place || !sameLines(rec.lines, old.lines) {
		r.publishLocked(change{ddmv1.PeerChange_KIND_JOINED, &rec})
	}
	if rec.place != old.place || len(b.holdings) > 0 {
		r.swarms.keep(now, &rec, b.holdings, false)
	}
	r.metrics.heartbeats.Inc()
	return nil
}

// deregister ends a lease; an unknown one is no error.
func (r *registry) deregister(now time.Time, leaseID string) {
	r.mu.Lock()
	r.expireLocked(now)
	id, ok := r.leases.Revoke(leaseID)
	if ok {
		r.removeLocked(now, id, ddmv1.PeerChange_KIND_LEFT)
	}
	r.mu.Unlock()
	if ok {
		r.metrics.departures.Inc()
		r.log.Info("peer left", "peer", id)
	}
}

// list gives at most n living peers with ids after the given one, and whether
// there are more.
func (r *registry) list(now time.Time, after string, n int) (page []*record, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expireLocked(now)
	i, found := r.find(after)
	if found {
		i++
	}
	rest := r.peers[i:]
	return slices.Clone(rest[:min(n, len(rest))]), n < len(rest)
}

// watch adds a watcher and gives the peers of the moment at which it begins to
// see changes. It is Busy if there are too many watchers, and Unavailable once
// the registry is closed. The caller ends it with unwatch.
func (r *registry) watch(now time.Time) (*watcher, []*record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, nil, errGoing()
	case len(r.watchers) >= r.cfg.MaxWatchers:
		return nil, nil, fmt.Errorf("%w: %d clients are watching, which is the most: %w",
			errdefs.Busy, r.cfg.MaxWatchers, errdefs.RetryAfter(fullRetry))
	}
	r.expireLocked(now)
	w := newWatcher(r.cfg.WatchQueue)
	r.watchers[w] = struct{}{}
	return w, slices.Clone(r.peers), nil
}

func (r *registry) unwatch(w *watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.watchers, w)
}

// close ends every watch; those that come later are refused.
func (r *registry) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for w := range r.watchers {
		w.end(errGoing())
	}
	clear(r.watchers)
}

// count gives the numbers of living peers and of watchers.
func (r *registry) count() (peers, watchers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.peers), len(r.watchers)
}

// run takes out the peers whose leases end, each at its time, until ctx is
// done. One timer stands at the earliest end. A lease that was renewed or
// replaced meanwhile is under another time or id: the timer finds nothing.
func (r *registry) run(ctx context.Context) {
	timer := time.NewTimer(r.cfg.Lease)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.granted:
		}
		timer.Reset(r.sweep(time.Now()))
	}
}

// sweep takes out the peers whose leases are over, logs who is gone since it
// was last called, and says how long to wait.
func (r *registry) sweep(now time.Time) time.Duration {
	r.mu.Lock()
	r.expireLocked(now)
	gone := r.expired
	r.expired = nil
	next, ok := r.leases.Next()
	r.mu.Unlock()

	for _, rec := range gone {
		r.log.Info("peer expired", "peer", rec.id, "name", rec.name, "last_heartbeat", rec.beat)
	}
	if !ok {
		return r.cfg.Lease
	}
	return next.Sub(now)
}

// expireLocked makes what is read or changed next exact to the moment, however
// late the timer is.
func (r *registry) expireLocked(now time.Time) {
	for _, id := range r.leases.Expire(now) {
		if rec := r.removeLocked(now, id, ddmv1.PeerChange_KIND_EXPIRED); rec != nil {
			r.expired = append(r.expired, rec)
		}
		r.metrics.expirations.Inc()
	}
}

func (r *registry) removeLocked(now time.Time, id string, kind ddmv1.PeerChange_Kind) *record {
	i, found := r.find(id)
	if !found {
		return nil
	}
	rec := r.peers[i]
	r.publishLocked(change{kind, rec})
	r.swarms.lose(now, id)
	r.peers = slices.Delete(r.peers, i, i+1)
	return rec
}

func (r *registry) publishLocked(c change) {
	for w := range r.watchers {
		if !w.push(c) {
			r.metrics.slow.Inc()
			delete(r.watchers, w)
		}
	}
}

// find gives where a peer is, or would be, among the peers.
func (r *registry) find(id string) (int, bool) {
	return slices.BinarySearchFunc(r.peers, id, func(rec *record, id string) int { return strings.Compare(rec.id, id) })
}

func errGoing() error {
	return fmt.Errorf("%w: tracker is going away", errdefs.Unavailable)
}

// signal leaves a token in a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
