package client

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/backoff"
	ddmv1 "ddm/proto/ddm/v1"
)

// maxRoster bounds what trackers can make a client remember.
const maxRoster = 20_000

// roster is who is here, merged from all trackers. A tracker that falls silent
// takes nobody off it: the data path does not need trackers. Neither does one
// that no longer sees a peer, as long as another one does.
type roster struct {
	log    hclog.Logger
	joined func([]*ddmv1.PeerInfo) // told of new peers and new addresses; must not block

	without map[string]bool // peer ids that are not to be listed

	mu     sync.Mutex
	peers  map[string]*ddmv1.PeerInfo   // by id, as told last
	seen   map[string]map[string]bool   // by id: the trackers that see it
	news   map[string][]*ddmv1.PeerInfo // of a tracker's snapshot that is not complete
	synced map[string]bool              // trackers that gave their snapshot, or proved to be away
	change chan struct{}                // closed and replaced at every change

	members map[string]*ddmv1.PeerInfo // of the swarm, by id: they hold bytes, and have no lines to ask
}

func newRoster(log hclog.Logger, joined func([]*ddmv1.PeerInfo)) *roster {
	return &roster{
		log: log, joined: joined,
		peers: map[string]*ddmv1.PeerInfo{}, seen: map[string]map[string]bool{}, news: map[string][]*ddmv1.PeerInfo{},
		synced: map[string]bool{}, change: make(chan struct{}), members: map[string]*ddmv1.PeerInfo{},
	}
}

// watch follows one tracker until ctx ends.
func (r *roster) watch(ctx context.Context, c *Client, tracker string) {
	waits := backoff.Policy{Base: 200 * time.Millisecond, Max: 5 * time.Second, Factor: 2}
	for attempt := 0; ctx.Err() == nil; attempt++ {
		err := r.follow(ctx, c, tracker, &attempt)
		if ctx.Err() != nil {
			return
		}
		r.log.Debug("tracker is away", "tracker", tracker, "error", err)
		r.mark(tracker)
		if sleep(ctx, max(waits.Delay(attempt, rand.Float64()), 100*time.Millisecond)) != nil {
			return
		}
	}
}

// follow reads one watch stream to its end. attempt is set back once it works.
func (r *roster) follow(ctx context.Context, c *Client, tracker string, attempt *int) error {
	conn, err := c.dial(tracker, false)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is in flight to the tracker
	stream, err := ddmv1.NewTrackerServiceClient(conn).WatchPeers(ctx, &ddmv1.WatchPeersRequest{Hello: c.hello()})
	if err != nil {
		return err
	}
	for {
		msg, err := stream.Recv()
		if err != nil {
			return err
		}
		*attempt = 0
		r.apply(tracker, msg.GetChanges())
		if msg.GetSynced() {
			r.mark(tracker)
		}
	}
}

// apply takes over what a tracker says. Until its snapshot is complete, news
// are kept back: then everybody gets them in an order of their own, so that
// many clients do not all turn to the same few peers.
func (r *roster) apply(tracker string, changes []*ddmv1.PeerChange) {
	r.mu.Lock()
	var news []*ddmv1.PeerInfo
	for _, c := range changes {
		if r.applyLocked(tracker, c) {
			news = append(news, c.GetPeer())
		}
	}
	r.changedLocked()
	if !r.synced[tracker] {
		r.news[tracker] = append(r.news[tracker], news...)
		news = nil
	}
	r.mu.Unlock()
	if len(news) > 0 {
		r.joined(news)
	}
}

// all returns who is listed, ordered by name.
func (r *roster) all() []*ddmv1.PeerInfo {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sortedPeers(r.peers)
}

// name is what a peer is called, its id if that is not known. The nil roster
// knows nobody.
func (r *roster) name(id string) string {
	if r == nil {
		return id
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(r.peers[id].GetName(), r.members[id].GetName(), id)
}

// applyLocked reports whether the change brought a peer or another address.
func (r *roster) applyLocked(tracker string, change *ddmv1.PeerChange) bool {
	info := change.GetPeer()
	id := info.GetId()
	known := r.peers[id]
	switch change.GetKind() {
	case ddmv1.PeerChange_KIND_JOINED:
		if info.GetAddress() == "" || r.without[id] || known == nil && len(r.peers) >= maxRoster {
			return false
		}
		r.peers[id] = info
		if r.seen[id] == nil {
			r.seen[id] = map[string]bool{}
		}
		r.seen[id][tracker] = true
		return known == nil || keyOf(known) != keyOf(info)
	case ddmv1.PeerChange_KIND_LEFT, ddmv1.PeerChange_KIND_EXPIRED:
		if delete(r.seen[id], tracker); len(r.seen[id]) == 0 {
			delete(r.seen, id)
			delete(r.peers, id)
		}
	default: // of a newer tracker
	}
	return false
}

// admit takes up a member of the swarm; nil: it is not to be used.
func (r *roster) admit(m *ddmv1.Member) *ddmv1.PeerInfo {
	info := &ddmv1.PeerInfo{Id: m.GetId(), Name: cmp.Or(m.GetName(), m.GetId()), Address: m.GetAddress()}
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.members[info.GetId()]
	switch {
	case !properID(info.GetId()) || info.GetAddress() == "" || r.without[info.GetId()] || r.peers[info.GetId()] != nil:
		return nil
	case known == nil && len(r.members) >= maxRoster:
		return nil
	}
	r.members[info.GetId()] = info
	return info
}

// dismiss forgets a member of the swarm.
func (r *roster) dismiss(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, id)
}

// knows reports whether a tracker lists a peer, apart from members of the swarm.
func (r *roster) knows(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers[id] != nil
}

// properID reports whether an id can stand in the records of who gave what.
func properID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, unicode.IsControl)
}

// mark says that a tracker gave what it has, or cannot.
func (r *roster) mark(tracker string) {
	r.mu.Lock()
	news := r.news[tracker]
	delete(r.news, tracker)
	r.synced[tracker] = true
	r.changedLocked()
	r.mu.Unlock()
	rand.Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
	if len(news) > 0 {
		r.joined(news)
	}
}

func (r *roster) changedLocked() {
	close(r.change)
	r.change = make(chan struct{})
}

// lists reports whether the peer is still here, by its last address.
func (r *roster) lists(info *ddmv1.PeerInfo) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range []*ddmv1.PeerInfo{r.peers[info.GetId()], r.members[info.GetId()]} {
		if known != nil && keyOf(known) == keyOf(info) {
			return true
		}
	}
	return false
}

// settled reports whether n trackers answered, or proved to be away.
func (r *roster) settled(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.synced) >= n
}

// wait returns the peers once a tracker gave its snapshot and there are some,
// or after d.
func (r *roster) wait(ctx context.Context, d time.Duration) []*ddmv1.PeerInfo {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		r.mu.Lock()
		peers, synced, change := sortedPeers(r.peers), len(r.synced), r.change
		r.mu.Unlock()
		if synced > 0 && len(peers) > 0 || ctx.Err() != nil {
			return peers
		}
		select {
		case <-change:
		case <-ctx.Done():
		}
	}
}

func sortedPeers(byID map[string]*ddmv1.PeerInfo) []*ddmv1.PeerInfo {
	return slices.SortedFunc(maps.Values(byID), func(a, b *ddmv1.PeerInfo) int {
		return cmp.Or(cmp.Compare(a.GetName(), b.GetName()), cmp.Compare(a.GetId(), b.GetId()))
	})
}
