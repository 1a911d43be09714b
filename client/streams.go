package client

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/progress"
	ddmv1 "ddm/proto/ddm/v1"
)

// maxStreams is how many peers a download uses at once. More are kept waiting:
// each open stream costs a connection and windows of memory.
const maxStreams = 64

// streams is which peers are used. The loop owns it, apart from crowded.
type streams struct {
	kept    map[string]bool            // by peer id, boot and address: a goroutine keeps its stream
	waiting map[string]*ddmv1.PeerInfo // the same keys
	queue   []string                   // of waiting, first come first served
	holders map[string]bool            // by id: hold some of it, and come before the others
	banned  map[string]bool            // by peer id
	ready   []*remoteSource            // arrived while the own lines are measured
	trying  int                        // of kept: have no stream at the moment
	crowded *atomic.Bool               // somebody waits
	said    bool                       // that there are more than can be used
}

func newStreams() streams {
	return streams{
		kept: map[string]bool{}, waiting: map[string]*ddmv1.PeerInfo{}, banned: map[string]bool{}, crowded: new(atomic.Bool),
		holders: map[string]bool{},
	}
}

type (
	listed   struct{ infos []*ddmv1.PeerInfo } // peers are on the roster
	arrived  struct{ peer *remoteSource }      // its stream is open
	draining struct {                          // it takes no new orders and will soon be gone
		peer  *remoteSource
		grace time.Duration // then it cuts what runs
	}
	gone struct { // its stream is over
		peer *remoteSource
		err  error
	}
	unserved struct { // no stream to the peer is kept any more
		info *ddmv1.PeerInfo
		err  error // of the last attempt
	}
)

func keyOf(info *ddmv1.PeerInfo) string {
	return info.GetId() + "/" + info.GetBootId() + "@" + info.GetAddress()
}

func (e listed) handle(l *loop) error {
	if l.d.roster == nil {
		return nil
	}
	for _, info := range e.infos {
		l.streams.wait(info)
	}
	l.streams.promote()
	l.serveMore()
	return nil
}

// wait puts a peer at the end of the queue, if it is not there or in use.
func (s *streams) wait(info *ddmv1.PeerInfo) {
	key := keyOf(info)
	if s.kept[key] || s.waiting[key] != nil || s.banned[info.GetId()] {
		return
	}
	s.waiting[key] = info
	s.queue = append(s.queue, key)
}

// waitFirst is wait for one that holds what others do not: it is served before
// those that merely have lines.
func (s *streams) waitFirst(info *ddmv1.PeerInfo) {
	s.holders[info.GetId()] = true
	s.wait(info)
	s.promote()
}

// prefer serves a peer that holds some of it before others, as soon as it is
// listed.
func (s *streams) prefer(id string) {
	if len(s.holders) < maxRoster {
		s.holders[id] = true
	}
	s.promote()
}

// promote moves those that hold something to the front of the queue.
func (s *streams) promote() {
	slices.SortStableFunc(s.queue, func(a, b string) int {
		return compareBool(s.holders[s.waiting[b].GetId()], s.holders[s.waiting[a].GetId()])
	})
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// serveMore takes peers off the queue while more may be used.
func (l *loop) serveMore() {
	s, d := &l.streams, l.d
	for len(s.kept) < maxStreams && len(s.queue) > 0 {
		key := s.queue[0]
		s.queue = s.queue[1:]
		info := s.waiting[key]
		delete(s.waiting, key)
		if s.banned[info.GetId()] || !d.roster.lists(info) {
			continue
		}
		s.kept[key] = true
		s.trying++
		d.work.Go(func() {
			d.send(unserved{info, d.serve(l.ctx, info, s.crowded)})
		})
	}
	s.crowded.Store(len(s.queue) > 0)
	if len(s.queue) > 0 && !s.said {
		s.said = true
		d.note(fmt.Sprintf("%d peers are here and %d of them are used at a time", len(s.queue)+len(s.kept), maxStreams))
	}
}

func (e unserved) handle(l *loop) error {
	s := &l.streams
	delete(s.kept, keyOf(e.info))
	s.trying--
	if errors.Is(e.err, errdefs.Corrupt) && !s.banned[e.info.GetId()] { // before it was of any use
		s.banned[e.info.GetId()] = true
		l.d.rep.Source(progress.SourceChange{Name: e.info.GetName(), Change: "banned", Reason: text(e.err)})
	}
	if !final(e.err) && l.d.roster.lists(e.info) {
		s.wait(e.info) // it made room for others, or came back just now
	}
	l.serveMore()
	return nil
}

func (e arrived) handle(l *loop) error {
	l.streams.trying--
	l.lift()
	l.askPieces(e.peer.info)
	not := l.otherwise(e.peer, &e.peer.held)
	for r := range not.All() {
		e.peer.held.Subtract(r)
	}
	l.joinMemory(e.peer)
	if l.alone.over(l.now(), l.table) {
		l.join(e.peer)
	} else {
		l.streams.ready = append(l.streams.ready, e.peer)
	}
	return nil
}

// joinReady gives work to those that arrived while the own lines were measured.
func (l *loop) joinReady() {
	for _, peer := range l.streams.ready {
		l.join(peer)
	}
	l.streams.ready = nil
}

// join makes every line of a peer a source, for each mirror.
func (l *loop) join(peer *remoteSource) {
	l.welcome(l.table.addRemote(l.now(), peer, l.offered(peer)))
}

// joinMemory makes what a peer holds a source. It takes no byte from the own
// lines' measurement that they would have to fetch. A store that holds what its
// peer brought just now, and nothing else that is wanted, is none.
func (l *loop) joinMemory(peer *remoteSource) {
	if len(peer.opened.GetLines()) > 0 && !l.sched.Waiting(&peer.held) {
		return
	}
	if !peer.offer(l.pool.first()) { // the one that Open named
		return
	}
	if r := l.table.addMemory(l.now(), peer, l.pool.first(), l.isSeed(peer)); r != nil {
		l.welcome([]*row{r})
		if r.seed {
			l.hunger() // not at the next tick only
		}
	}
}

// isSeed reports whether a peer has all of a shared file whose swarm says who
// fetches what from such peers.
func (l *loop) isSeed(peer *remoteSource) bool {
	m := &l.member
	return l.d.job.Shared != nil && m.of != nil && !m.leech && !m.others[peer.info.GetId()] &&
		peer.held.Contains(byterange.Range{Len: l.d.gen.Size})
}

func (l *loop) welcome(rows []*row) {
	for _, row := range rows {
		l.d.rec.joined(row.id, row.name)
		l.table.change(l.d.rep, row, "joined", "")
	}
	l.obey()
}

func (e draining) handle(l *loop) error {
	l.streams.ready = slices.DeleteFunc(l.streams.ready, func(r *remoteSource) bool { return r == e.peer })
	for _, row := range l.table.order {
		if row.here && row.peer == e.peer {
			row.why = "the peer is going away"
			l.sched.Retire(l.now(), row.id, min(max(e.grace, 0), longestGrace))
		}
	}
	return nil
}

// longestGrace is how long a peer that goes away is believed to stay.
const longestGrace = 10 * time.Second

func (e gone) handle(l *loop) error {
	l.streams.trying++
	l.streams.ready = slices.DeleteFunc(l.streams.ready, func(r *remoteSource) bool { return r == e.peer })
	if !l.table.peers[e.peer] {
		return nil // it never was a source
	}
	l.failed(e.err, false)
	change := "left"
	switch {
	case errors.Is(e.err, errdefs.Corrupt):
		change = "banned"
		l.streams.banned[e.peer.info.GetId()] = true
	case errors.Is(e.err, errCaptive):
		change = "banned" // for a while
	case !errors.Is(e.err, errdefs.Unavailable):
		change = "failed"
	}
	for _, row := range l.table.removeRemote(l.now(), e.peer) {
		l.d.rec.left(l.now(), row.id)
		l.table.change(l.d.rep, row, change, text(e.err))
	}
	_, err := l.sweep() // of what a liar wrote until it was cut off
	return err
}

// coming reports whether a peer that is listed has no stream yet.
func (s *streams) coming() bool { return s.trying > 0 || len(s.queue) > 0 }

// peersMayCome reports whether a peer may become a source although none that
// is here is of use. Without an own line, peers are all there is: then even
// those that nobody has seen yet are waited for.
func (l *loop) peersMayCome() bool {
	d := l.d
	if d.roster == nil {
		return false
	}
	return l.streams.trying > 0 || len(l.streams.ready) > 0 || !d.roster.settled(len(d.c.opts.Trackers)) ||
		d.c.own == nil && !l.table.anyHere()
}
