// Package offer holds out what this process has to others: bytes of a
// generation that are here already, while the rest still arrives or for good.
//
//	download --Put(url, generation, part file)--> Shelf <--Holds, Changed-- peer
//	                                               |     <--Open(range)----   |
//	                                               `--------ReadAt------------'--> clients
//
// Nothing on a Shelf is listed: who does not name a URL and a strong validator
// learns nothing, and gets nothing. Whether others may have a resource at all
// is judged by who puts it there.
package offer

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// Scheme begins the name of a resource that no origin has; what follows is
// what its content hashes to: "ddm:sha256:HEX".
const Scheme = "ddm:"

// Content is what one has of a generation. It is safe for concurrent use.
type Content interface {
	// ReadAt reads bytes of Have, all of p or an error. Bytes that were taken
	// back meanwhile are errdefs.BadRange.
	ReadAt(p []byte, off int64) (int, error)
	// Have returns which bytes are there now.
	Have() byterange.Set
	// Changed returns a channel that is closed at the next change of Have. A
	// caller takes it before it looks.
	Changed() <-chan struct{}
}

// Shelf is what a process offers. The zero Shelf is not usable: make one with
// NewShelf. It is safe for concurrent use.
type Shelf struct {
	waiters sync.WaitGroup // goroutines that wait for a content's change

	mu     sync.Mutex // guards what follows
	topics map[key]*topic
	put    chan struct{} // closed and replaced when a topic is new
}

// key is a generation of a resource.
type key struct {
	url, etag, coding string
	size              int64
}

// topic is what is offered of one generation: two downloads of one resource
// are two contents.
type topic struct {
	contents []*item
	changed  chan struct{} // closed at the next change; nil: nobody waits
}

type item struct{ Content }

// NewShelf returns an empty one.
func NewShelf() *Shelf {
	return &Shelf{topics: map[key]*topic{}, put: make(chan struct{})}
}

// keyOf names a generation; not ok: it cannot be offered, since nothing says
// that it still is the same.
func keyOf(url string, gen origin.Generation) (k key, ok bool) {
	if !gen.StrongETag() || gen.Size <= 0 {
		return key{}, false
	}
	if !strings.HasPrefix(url, Scheme) {
		full, err := origin.Canonical(url)
		if err != nil {
			return key{}, false
		}
		url = full
	}
	return key{url: url, etag: gen.ETag, coding: gen.Coding, size: gen.Size}, true
}

// Put offers a content until withdraw is called, which may be done again. The
// content stays the caller's. A reply that is under way may read it after
// withdraw returned: a content that is closed then fails those reads. ok is
// false, and nothing is offered, if the generation has no strong validator or
// no length.
func (s *Shelf) Put(url string, gen origin.Generation, c Content) (withdraw func(), ok bool) {
	k, ok := keyOf(url, gen)
	if !ok {
		return func() {}, false
	}
	it := &item{c}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[k]
	if t == nil {
		t = &topic{}
		s.topics[k] = t
		close(s.put)
		s.put = make(chan struct{})
	}
	t.contents = append(t.contents, it)
	t.fire()
	return sync.OnceFunc(func() { s.withdraw(k, it) }), true
}

func (s *Shelf) withdraw(k key, it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[k]
	t.contents = slices.DeleteFunc(t.contents, func(other *item) bool { return other == it })
	if len(t.contents) == 0 {
		delete(s.topics, k)
	}
	t.fire()
}

// Close waits for what Changed began. Everything must be withdrawn.
func (s *Shelf) Close() { s.waiters.Wait() }

// fire tells those who wait. The caller holds the Shelf's mutex.
func (t *topic) fire() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// contents returns what is offered of a generation.
func (s *Shelf) contents(res origin.Resource) []*item {
	k, ok := keyOf(res.URL, res.Gen)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topics[k]; t != nil {
		return slices.Clone(t.contents)
	}
	return nil
}

// Empty reports whether nothing is offered.
func (s *Shelf) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.topics) == 0
}

// Holds returns which bytes of the resource's generation are here.
func (s *Shelf) Holds(res origin.Resource) (held byterange.Set) {
	for i, c := range s.contents(res) {
		have := c.Have()
		if i == 0 {
			held = have
			continue
		}
		for r := range have.All() {
			held.Add(r)
		}
	}
	return held
}

// Changed returns a channel that is closed when Holds changes after this call.
// It may be closed for other reasons, too.
func (s *Shelf) Changed(res origin.Resource) <-chan struct{} {
	k, ok := keyOf(res.URL, res.Gen)
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[k]
	if !ok || t == nil {
		return s.put
	}
	if t.changed == nil {
		t.changed = make(chan struct{})
		for _, c := range t.contents {
			moved, over := c.Changed(), t.changed
			s.waiters.Go(func() { s.await(t, moved, over) })
		}
	}
	return t.changed
}

// await fires the topic when a content moved, unless it has fired already.
func (s *Shelf) await(t *topic, moved <-chan struct{}, over chan struct{}) {
	select {
	case <-moved:
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.changed == over {
			t.fire()
		}
	case <-over:
	}
}

// errGone is what is said of bytes that are not here, or no more.
var errGone = fmt.Errorf("%w: not held here any more", errdefs.Unavailable)
