package tracker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"google.golang.org/protobuf/types/known/durationpb"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/errdefs"
	"ddm/internal/originlease"
	ddmv1 "ddm/proto/ddm/v1"
)

// listed is how a member or a peer appears to others. It never changes.
type listed struct {
	id, name string
	place    place
	peer     bool
}

// event is one thing that a member is to be told. One field is set.
type event struct {
	entered *ddmv1.Entered
	came    *listed
	left    string // an id
	granted *byterange.Set
	revoked *byterange.Set
}

// weight is about how much memory an event holds, in runs.
func (e event) weight() int {
	n := 1
	for _, set := range []*byterange.Set{e.granted, e.revoked} {
		if set != nil {
			n += set.Len()
		}
	}
	return n
}

// member is one client's part in a swarm: one stream. The fields of the first
// block never change after enter, those of the second one are the swarms'.
type member struct {
	*listed
	lease  originlease.ID
	shares bool
	from   netip.Addr
	limit  int           // of the queue's weight
	wake   chan struct{} // of one: there are events
	over   chan struct{} // closed when the membership is ended from this side

	res      *resource
	gen      *generation   // nil: not bound
	reserved []*generation // bound by others, while this one probes
	holds    bool          // it said to hold something
	gone     bool

	mu     sync.Mutex
	queue  []event
	weight int
	reason error // why it is over
}

func newMember(limit int) *member {
	return &member{limit: limit, wake: make(chan struct{}, 1), over: make(chan struct{})}
}

// push adds an event. A member that reads too little is ended, as missing one
// would mislead it: push is false, once.
func (m *member) push(e event) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reason != nil {
		return true
	}
	if m.weight += e.weight(); m.weight > m.limit {
		m.endLocked(fmt.Errorf("%w: too many messages were not read: enter again", errdefs.Busy))
		return false
	}
	m.queue = append(m.queue, e)
	signal(m.wake)
	return true
}

// take removes and gives all events.
func (m *member) take() []event {
	m.mu.Lock()
	defer m.mu.Unlock()
	queue := m.queue
	m.queue, m.weight = nil, 0
	return queue
}

// end ends the membership with a reason; the first one stays.
func (m *member) end(reason error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.reason == nil {
		m.endLocked(reason)
	}
}

func (m *member) endLocked(reason error) {
	m.reason, m.queue = reason, nil
	close(m.over)
}

// err is why the membership is over; read it after over is closed.
func (m *member) err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reason
}

// responses turns events into messages, for a member that reached the tracker
// at that local address. Those who came and those who left never share one, so
// that their order is that of the messages.
func responses(events []event, reached netip.Addr, term *durationpb.Duration) (out []*ddmv1.JoinResponse) {
	var batch ddmv1.Members
	flush := func() {
		if len(batch.Came)+len(batch.Left) > 0 {
			members := &ddmv1.Members{Came: batch.Came, Left: batch.Left}
			out = append(out, &ddmv1.JoinResponse{Step: &ddmv1.JoinResponse_Members{Members: members}})
			batch.Came, batch.Left = nil, nil
		}
	}
	for _, e := range events {
		switch {
		case e.came != nil:
			if len(batch.Left) > 0 || len(batch.Came) == maxBatch {
				flush()
			}
			batch.Came = append(batch.Came, &ddmv1.Member{
				Id: e.came.id, Name: e.came.name, Address: e.came.place.seenBy(reached), Peer: e.came.peer,
			})
		case e.left != "":
			if len(batch.Came) > 0 || len(batch.Left) == maxBatch {
				flush()
			}
			batch.Left = append(batch.Left, e.left)
		case e.entered != nil:
			out = append(out, &ddmv1.JoinResponse{Step: &ddmv1.JoinResponse_Entered{Entered: e.entered}})
		case e.granted != nil:
			flush()
			for runs := range chunks(e.granted) {
				granted := &ddmv1.Granted{Runs: runs, Duration: term}
				out = append(out, &ddmv1.JoinResponse{Step: &ddmv1.JoinResponse_Granted{Granted: granted}})
			}
		case e.revoked != nil:
			flush()
			for runs := range chunks(e.revoked) {
				revoked := &ddmv1.Revoked{Runs: runs}
				out = append(out, &ddmv1.JoinResponse{Step: &ddmv1.JoinResponse_Revoked{Revoked: revoked}})
			}
		}
	}
	flush()
	return out
}

// chunks cuts a set into what messages may hold.
func chunks(set *byterange.Set) func(yield func([]*ddmv1.Run) bool) {
	return func(yield func([]*ddmv1.Run) bool) {
		for part := range slices.Chunk(slices.Collect(set.All()), catalogue.MaxRuns) {
			var s byterange.Set
			for _, r := range part {
				s.Add(r)
			}
			if !yield(catalogue.Runs(&s)) {
				return
			}
		}
	}
}
