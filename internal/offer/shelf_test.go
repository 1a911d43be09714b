package offer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/internal/origin"
)

// growing is a content whose bytes come and go.
type growing struct {
	truth []byte

	mu      sync.Mutex
	have    byterange.Set
	changed chan struct{}
	fail    error
}

func newGrowing(truth []byte) *growing {
	return &growing{truth: truth, changed: make(chan struct{})}
}

func (g *growing) change(f func(have *byterange.Set)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.have)
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *growing) add(r byterange.Range) {
	g.change(func(have *byterange.Set) { have.Add(r) })
}

func (g *growing) ReadAt(p []byte, off int64) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.fail != nil {
		return 0, g.fail
	}
	if !g.have.Contains(byterange.Range{Off: off, Len: int64(len(p))}) {
		return 0, fmt.Errorf("%w: taken back", errdefs.BadRange)
	}
	return copy(p, g.truth[off:]), nil
}

func (g *growing) Have() byterange.Set {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.have.Clone()
}

func (g *growing) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

const somewhere = "http://origin.example/file"

func strong(size int64) origin.Generation { return origin.Generation{Size: size, ETag: `"one"`} }

func named(size int64) origin.Resource {
	return origin.Resource{URL: somewhere, Gen: strong(size)}
}

func mustPut(t *testing.T, s *offer.Shelf, gen origin.Generation, c offer.Content) func() {
	t.Helper()
	withdraw, ok := s.Put(somewhere, gen, c)
	if !ok {
		t.Fatalf("%+v was not put on the shelf", gen)
	}
	return withdraw
}

func held(s *offer.Shelf, res origin.Resource) string {
	have := s.Holds(res)
	var runs []byterange.Range
	for r := range have.All() {
		runs = append(runs, r)
	}
	return fmt.Sprint(runs)
}

func TestOnlyWhoKnowsTheValidatorFindsIt(t *testing.T) {
	t.Parallel()
	s := offer.NewShelf()
	c := newGrowing(make([]byte, 100))
	c.add(byterange.Range{Len: 100})
	withdraw := mustPut(t, s, strong(100), c)
	for _, res := range []origin.Resource{
		{URL: somewhere, Gen: origin.Generation{Size: 100, ETag: `"two"`}},
		{URL: somewhere, Gen: origin.Generation{Size: 100, ETag: `W/"one"`}},
		{URL: somewhere, Gen: origin.Generation{Size: 100}},
		{URL: somewhere, Gen: strong(99)},
		{URL: somewhere, Gen: origin.Generation{Size: 100, ETag: `"one"`, Coding: "gzip"}},
		{URL: somewhere + "2", Gen: strong(100)},
		{URL: "nonsense", Gen: strong(100)},
	} {
		if got := held(s, res); got != "[]" {
			t.Errorf("%+v is told of %s", res, got)
		}
		if reply, err := s.Open(t.Context(), res, byterange.Range{Len: 10}); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("%+v: opened %v, %v", res, reply, err)
		}
	}
	same := origin.Resource{URL: "HTTP://Origin.example:80/file", Gen: strong(100)}
	if got := held(s, same); got != "[[0,100)]" {
		t.Errorf("under another spelling of its URL: %s", got)
	}
	withdraw()
	withdraw()
	if got := held(s, same); got != "[]" || !s.Empty() {
		t.Errorf("after it was withdrawn: %s", got)
	}
}

func TestWeakOnesAreNotOffered(t *testing.T) {
	t.Parallel()
	s := offer.NewShelf()
	for _, gen := range []origin.Generation{
		{Size: 100},
		{Size: 100, ETag: `W/"one"`},
		{Size: -1, ETag: `"one"`},
		{Size: 0, ETag: `"one"`},
		{Size: 100, LastModified: "Mon, 02 Jan 2006 15:04:05 GMT"},
	} {
		if _, ok := s.Put(somewhere, gen, newGrowing(nil)); ok || !s.Empty() {
			t.Errorf("%+v was put on the shelf", gen)
		}
	}
	if _, ok := s.Put("ftp://origin.example/x", strong(100), newGrowing(nil)); ok {
		t.Error("a URL that no origin is asked for was put on the shelf")
	}
}

func TestAReplyGivesWhatIsThere(t *testing.T) {
	t.Parallel()
	truth := []byte("0123456789abcdefghij")
	s := offer.NewShelf()
	c, other := newGrowing(truth), newGrowing(truth)
	c.add(byterange.Between(2, 8))
	other.add(byterange.Between(4, 12))
	mustPut(t, s, strong(20), c)
	mustPut(t, s, strong(20), other)
	if got := held(s, named(20)); got != "[[2,12)]" {
		t.Errorf("holds %s", got)
	}
	for _, c := range []struct{ ask, want byterange.Range }{
		{byterange.Between(2, 6), byterange.Between(2, 6)},
		{byterange.Between(2, 20), byterange.Between(2, 8)},
		{byterange.Between(5, 20), byterange.Between(5, 12)}, // whoever has more of it
	} {
		reply, err := s.Open(t.Context(), named(20), c.ask)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(reply.Body)
		if err != nil || reply.Range != c.want || !bytes.Equal(got, truth[c.want.Off:c.want.End()]) {
			t.Errorf("asked for %v: %v with %q, %v", c.ask, reply.Range, got, err)
		}
	}
	for _, r := range []byterange.Range{byterange.Between(0, 4), byterange.Between(12, 13)} {
		if _, err := s.Open(t.Context(), named(20), r); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("%v: %v", r, err)
		}
	}
}

func TestBytesTakenBackEndAReply(t *testing.T) {
	t.Parallel()
	truth := []byte("0123456789abcdefghij")
	s := offer.NewShelf()
	c := newGrowing(truth)
	c.add(byterange.Between(0, 20))
	mustPut(t, s, strong(20), c)
	reply, err := s.Open(t.Context(), named(20), byterange.Between(0, 20))
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 10)
	if _, err := io.ReadFull(reply.Body, p); err != nil {
		t.Fatal(err)
	}
	c.change(func(have *byterange.Set) { have.Subtract(byterange.Between(12, 14)) })
	if n, err := reply.Body.Read(p); n != 0 || !errors.Is(err, errdefs.Unavailable) {
		t.Errorf("read %q, %v", p[:n], err)
	}
}

func TestWatchersHearOfEveryChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := offer.NewShelf()
		c := newGrowing(make([]byte, 100))
		fired := func(what string, ch <-chan struct{}) {
			t.Helper()
			synctest.Wait()
			select {
			case <-ch:
			default:
				t.Errorf("nobody was told: %s", what)
			}
		}
		ch := s.Changed(named(100))
		withdraw := mustPut(t, s, strong(100), c)
		fired("it was put on the shelf", ch)

		ch = s.Changed(named(100))
		c.add(byterange.Range{Len: 10})
		fired("bytes came", ch)

		ch = s.Changed(named(100))
		synctest.Wait()
		select {
		case <-ch:
			t.Error("told of nothing")
		default:
		}
		second := mustPut(t, s, strong(100), newGrowing(nil))
		fired("another download of it began", ch)

		ch = s.Changed(named(100))
		second()
		fired("the other one ended", ch)

		ch = s.Changed(named(100))
		withdraw()
		fired("it was withdrawn", ch)
		s.Close()
	})
}
