package peer_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/partfile"
	"ddm/internal/partfile/crashfs"
	"ddm/internal/store"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

const memoryLine = 1<<32 - 1

// sharing is a download whose part file is on a shelf.
type sharing struct {
	t     *testing.T
	file  origintest.File
	part  *partfile.File
	shelf *offer.Shelf
	hide  func()
}

func share(t *testing.T, file origintest.File, shelf *offer.Shelf) *sharing {
	t.Helper()
	gen := origin.Generation{Size: file.Size, ETag: file.ETag}
	part, err := partfile.OpenIn(t.Context(), crashfs.New(1, -1).Open(), "x", partfile.Meta{URL: urlOf("/f"), Gen: gen}, partfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { part.Close() })
	reading, err := part.Reading()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reading.Close() })
	hide, ok := shelf.Put(urlOf("/f"), gen, reading)
	if !ok {
		t.Fatal("not put on the shelf")
	}
	t.Cleanup(func() {
		hide()
		shelf.Close()
	})
	return &sharing{t: t, file: file, part: part, shelf: shelf, hide: hide}
}

func (s *sharing) arrive(off, n int64) {
	s.t.Helper()
	b := make([]byte, n)
	s.file.Fill(b, off)
	if _, err := s.part.WriteAt([][]byte{b}, off, "origin"); err != nil {
		s.t.Fatal(err)
	}
}

// TestShareWhileItArrives: a client that downloads gives another one all that
// arrives, as it arrives, and behind its commit.
func TestShareWhileItArrives(t *testing.T) {
	const piece = 1 << 20
	file := origintest.NewFile(8*piece+100, 1)
	shelf := offer.NewShelf()
	inBubble(t, peer.Config{NoLines: true, Shelf: shelf}, nil, func(t *testing.T, w *world) {
		first := share(t, file, shelf)
		first.arrive(piece, piece)
		s := w.follow(urlOf("/f"), file)
		if !slices.Contains(s.opened.GetHello().GetCapabilities(), "holdings") || len(s.opened.GetLines()) != 0 {
			t.Errorf("opened %v", s.opened)
		}
		if s.held.Bytes() != piece {
			t.Errorf("it holds %d bytes at first", s.held.Bytes())
		}
		var asked byterange.Set
		id := uint64(0)
		fetchAll := func() {
			for r := range s.held.All() {
				for gap := range asked.Missing(r) {
					id++
					s.assignLine(id, memoryLine, gap.Off, gap.Len)
				}
			}
			asked = s.held.Clone()
		}
		fetchAll()
		for i := range int64(8) {
			if i != 1 {
				first.arrive(i*piece, piece)
			}
			s.until(func() bool { return s.held.Contains(byterange.Range{Off: i * piece, Len: piece}) })
			fetchAll()
		}
		first.arrive(8*piece, 100)
		if _, err := first.part.Commit(t.Context(), partfile.CommitOptions{Size: file.Size}); err != nil {
			t.Fatal(err)
		}
		s.until(func() bool { return s.held.Bytes() == file.Size })
		fetchAll()
		var got int64
		for n := range id {
			s.await(n + 1)
			if s.ended[n+1] != nil {
				t.Errorf("assignment %d: %v", n+1, s.ended[n+1])
			}
			got += s.got[n+1]
		}
		if got != file.Size {
			t.Errorf("%d of %d bytes came", got, file.Size)
		}
		first.hide()
		s.until(func() bool { return s.held.Bytes() == 0 })
	})
}

// TestTakenBackIsNotGiven: what is found wrong is offered no more, and an order
// for it fails at once.
func TestTakenBackIsNotGiven(t *testing.T) {
	const piece = 1 << 20
	file := origintest.NewFile(4*piece, 1)
	shelf := offer.NewShelf()
	inBubble(t, peer.Config{NoLines: true, Shelf: shelf}, nil, func(t *testing.T, w *world) {
		first := share(t, file, shelf)
		first.arrive(0, 4*piece)
		s := w.follow(urlOf("/f"), file)
		if _, err := first.part.Drop(byterange.Range{Off: 2 * piece, Len: piece}); err != nil {
			t.Fatal(err)
		}
		s.until(func() bool { return s.held.Bytes() == 3*piece })
		s.assignLine(1, memoryLine, 2*piece, piece)
		s.assignLine(2, memoryLine, piece, 2*piece) // as far as it goes
		s.await(1, 2)
		s.want(1, unavailable, 0)
		s.want(2, unavailable, piece)
	})
}

// TestHoldingsAreGathered: many changes make few messages, and who did not ask
// hears of none.
func TestHoldingsAreGathered(t *testing.T) {
	const frame, frames = 64 << 10, 64
	file := origintest.NewFile(frame*frames, 1)
	shelf := offer.NewShelf()
	inBubble(t, peer.Config{NoLines: true, Shelf: shelf}, nil, func(t *testing.T, w *world) {
		first := share(t, file, shelf)
		follower, other := w.follow(urlOf("/f"), file), w.open(urlOf("/f"), file)
		for i := range int64(frames) {
			first.arrive((i*37)%frames*frame, frame) // all over the file
			time.Sleep(5 * time.Millisecond)
		}
		follower.until(func() bool { return follower.held.Bytes() == file.Size })
		if most := 1 + frames*5/50; follower.news > most {
			t.Errorf("%d messages, at most %d are due", follower.news, most)
		}
		other.assignLine(1, memoryLine, 0, 1)
		other.await(1)
		other.want(1, none, 1)
		if other.news != 0 {
			t.Errorf("%d messages for a client that does not know them", other.news)
		}
	})
}

// TestOnlyMemory: a peer without lines fetches nothing for anybody.
func TestOnlyMemory(t *testing.T) {
	file := newFile()
	inBubble(t, peer.Config{NoLines: true, Shelf: offer.NewShelf()}, one(file), func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		s.assign(1, 0, 0, 100)
		s.assignLine(2, memoryLine, 0, 100)
		s.await(1, 2)
		s.want(1, invalid, 0)
		s.want(2, unavailable, 0)
		_, err := w.client.Probe(t.Context(), &ddmv1.ProbeRequest{Resource: &ddmv1.Resource{Url: urlOf("/f")}})
		if err := errdefs.FromStatus(err); !errors.Is(err, errdefs.Refused) {
			t.Errorf("probe: %v", err)
		}
		if n := w.origin.Total(); n != 0 {
			t.Errorf("%d requests at the origin", n)
		}
	})
}

// TestStoreTellsWhatComes: what one client's orders bring into the store, the
// next one hears of.
func TestStoreTellsWhatComes(t *testing.T) {
	const piece = 1 << 20
	file := origintest.NewFile(4*piece, 1)
	synctest.Test(t, func(t *testing.T) {
		memory, err := store.Open(store.Config{Dir: t.TempDir(), Limit: 100 * piece})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { memory.Close() }) // behind the peer
		w := newWorld(t, peer.Config{Store: memory}, one(file))
		waiting, working := w.follow(urlOf("/f"), file), w.open(urlOf("/f"), file)
		if waiting.held.Bytes() != 0 {
			t.Fatalf("it holds %d bytes at first", waiting.held.Bytes())
		}
		working.assign(1, 0, 0, 2*piece)
		working.await(1)
		waiting.until(func() bool { return waiting.held.Bytes() == 2*piece })
		waiting.assignLine(1, memoryLine, 0, 2*piece)
		waiting.await(1)
		waiting.want(1, none, 2*piece)
		if n := w.origin.Total(); n != 1 {
			t.Errorf("%d requests at the origin", n)
		}
		memory.Clear()
		waiting.until(func() bool { return waiting.held.Bytes() == 0 })
	})
}

// TestNoOriginHasIt: what is named by its digest comes from the shelf alone,
// also at a peer that has lines and a store.
func TestNoOriginHasIt(t *testing.T) {
	file := origintest.NewFile(1<<20, 1)
	const name = "ddm:sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	shelf := offer.NewShelf()
	synctest.Test(t, func(t *testing.T) {
		memory, err := store.Open(store.Config{Dir: t.TempDir(), Limit: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { memory.Close() }) // behind the peer
		w := newWorld(t, peer.Config{Shelf: shelf, Store: memory}, one(file))
		hide, ok := shelf.Put(name, origin.Generation{Size: file.Size, ETag: file.ETag}, allOf{file})
		if !ok {
			t.Fatal("not put on the shelf")
		}
		defer hide()
		s := w.open(name, file)
		if len(s.opened.GetLines()) != 0 || s.held.Bytes() != file.Size {
			t.Errorf("opened %v", s.opened)
		}
		s.assignLine(1, memoryLine, 0, file.Size)
		s.assign(2, 0, 0, 100)
		s.await(1, 2)
		s.want(1, none, file.Size)
		s.want(2, invalid, 0)
		for _, bad := range []string{"ddm:sha256:0123", "ddm:" + urlOf("/f"), "ddm:sha256:" + name[4+7:len(name)-1] + "G"} {
			s := w.start()
			s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Open{Open: openOf(bad, file)}})
			if err := errdefs.FromStatus(s.rest()); !errors.Is(err, errdefs.Invalid) {
				t.Errorf("%s: %v", bad, err)
			}
		}
		if n := w.origin.Total(); n != 0 {
			t.Errorf("%d requests at the origin", n)
		}
	})
}

// allOf is a content that is all there.
type allOf struct{ origintest.File }

func (a allOf) ReadAt(p []byte, off int64) (int, error) {
	a.Fill(p, off)
	return len(p), nil
}

func (a allOf) Have() (s byterange.Set) {
	s.Add(byterange.Range{Len: a.Size})
	return s
}

func (allOf) Changed() <-chan struct{} { return nil }
