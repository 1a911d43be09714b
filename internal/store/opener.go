package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/crc32c"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// Line opens ranges at an origin; *origin.Line is one.
type Line interface {
	Open(ctx context.Context, res origin.Resource, r byterange.Range) (*origin.Reply, error)
}

// Opener is one way to a generation: what the store holds of it, or a line, of
// whose replies whole pieces are kept. A reply of the store may hold less than
// was asked for.
type Opener struct {
	store *Store
	line  Line // nil: the store
	id    Identity
	key   Key
	keep  bool
}

// Opener returns the way to a resource over a line; without one, what the
// store holds.
func (s *Store) Opener(line Line, res origin.Resource) *Opener {
	o := &Opener{store: s, line: line, id: IdentityOf(res.URL, res.Gen)}
	o.key, o.keep = o.id.Key()
	o.keep = o.keep && plain(res.Header) && res.Jar == nil
	return o
}

// plain reports whether a request asks for what everybody would get: nothing but
// the name of a program is in its header. A reply that depends on that has a
// strong validator of its own.
func plain(h http.Header) bool {
	for name := range h {
		if http.CanonicalHeaderKey(name) != "User-Agent" {
			return false
		}
	}
	return true
}

// Open implements transfer.Opener.
func (o *Opener) Open(ctx context.Context, res origin.Resource, r byterange.Range) (*origin.Reply, error) {
	if o.line == nil {
		return o.held(res, r)
	}
	reply, err := o.line.Open(ctx, res, r)
	if err == nil && o.keep && reply.Shareable() {
		reply.Body = &tee{ReadCloser: reply.Body, o: o, from: reply.Range.Off, at: reply.Range.Off}
	}
	return reply, err
}

// held gives what the store holds at the beginning of r.
func (o *Opener) held(res origin.Resource, r byterange.Range) (*origin.Reply, error) {
	if o.keep {
		if held := o.store.prefix(o.key, r); !held.Empty() {
			if body := o.store.reader(o.key, held); body != nil {
				return &origin.Reply{Gen: res.Gen, Level: origin.Strong, Range: held, Body: body}, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: not in the store any more", errdefs.Unavailable)
}

// prefix returns what is held at the beginning of r.
func (s *Store) prefix(key Key, r byterange.Range) byterange.Range {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := r.Off
	if e := s.entries[key]; e != nil {
		for at < r.End() {
			if _, ok := e.pieces[uint32(at/Piece)]; !ok {
				break
			}
			at = (at/Piece + 1) * Piece
		}
		e.used = time.Now()
	}
	return byterange.Between(r.Off, min(at, r.End()))
}

// check reports whether a piece is what it was; if not, it is dropped.
func (s *Store) check(e *entry, n uint32) bool { return s.content(e, n, nil) != nil }

// content reads a piece into buf, if that is large enough, and drops it if it
// is not what it was: nil. What it returns are the very bytes that were
// checked: those on disk may go, or rot, at any time.
func (s *Store) content(e *entry, n uint32, buf []byte) []byte {
	s.mu.Lock()
	p, ok := e.pieces[n]
	r := e.rangeOf(n)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	if int64(len(buf)) < r.Len {
		buf = make([]byte, r.Len)
	}
	buf = buf[:r.Len]
	f, err := s.pieces(e.key, os.O_RDONLY)
	if err == nil {
		_, err = io.ReadFull(io.NewSectionReader(f, r.Off, r.Len), buf)
		if err == nil && crc32c.Checksum(buf) != p.crc {
			err = errdefs.Corrupt
		}
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		return buf
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.pieces[n] == p && s.entries[e.key] == e {
		s.cfg.Log.Warn("a piece on disk is not what it was; dropping it", "file", e.key.String(), "range", r, "error", err)
		s.dropLocked(e, []uint32{n})
	}
	return nil
}

// reader gives held bytes, each piece once it is checked. It ends early at one
// that is not what it was. nil: it cannot even begin.
func (s *Store) reader(key Key, r byterange.Range) io.ReadCloser {
	s.mu.Lock()
	e := s.entries[key]
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	h := &held{s: s, e: e, left: r}
	if !h.next() {
		return nil
	}
	return h
}

// held is a reply of the store. Its memory is one piece.
type held struct {
	s    *Store
	e    *entry
	left byterange.Range
	buf  []byte
	rest []byte // of the piece in buf: checked, and not given yet
}

// next takes the piece in which what is left begins; false: it is not held.
func (h *held) next() bool {
	n := h.left.Off / Piece
	content := h.s.content(h.e, uint32(n), h.buf[:cap(h.buf)])
	if content == nil {
		return false
	}
	h.buf = content
	h.rest = content[h.left.Off-n*Piece:]
	h.rest = h.rest[:min(int64(len(h.rest)), h.left.Len)]
	return true
}

func (h *held) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if h.left.Empty() || len(h.rest) == 0 && !h.next() {
		return 0, io.EOF
	}
	n := copy(p, h.rest)
	h.rest = h.rest[n:]
	h.left = byterange.Between(h.left.Off+int64(n), h.left.End())
	return n, nil
}

func (h *held) Close() error {
	h.buf, h.rest = nil, nil
	h.left.Len = 0
	return nil
}

// tee keeps the whole pieces of a body that passes. It is one lane's own.
type tee struct {
	io.ReadCloser
	o    *Opener
	from int64 // offset of the first byte
	at   int64 // and of the next one
	f    *os.File
	crc  uint32
	ok   bool  // every byte since the piece's beginning was written
	off  bool  // keep nothing more
	room int64 // bytes of the store that were set aside for what is written
	done []record
}

// Read passes bytes on, and keeps what a piece needs of them.
func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.keep(p[:n])
	if errors.Is(err, errdefs.BadReply) {
		t.off, t.done = true, nil // all of it is void
	}
	return n, err
}

func (t *tee) keep(b []byte) {
	for len(b) > 0 && !t.off {
		if t.at%Piece == 0 {
			t.crc, t.ok = 0, t.begin()
		}
		end := min((t.at/Piece+1)*Piece, t.o.id.Size)
		part := b[:min(int64(len(b)), end-t.at)]
		if t.ok {
			t.write(part)
		}
		t.at += int64(len(part))
		b = b[len(part):]
		if t.ok && t.at == end {
			t.done = append(t.done, record{piece: uint32((end - 1) / Piece), crc: t.crc})
		}
	}
}

// begin sets room aside for the piece at t.at; false: it is not to be kept.
func (t *tee) begin() bool {
	n := min(Piece, t.o.id.Size-t.at)
	if !t.o.store.reserve(t.o.key, uint32(t.at/Piece), n) {
		return false
	}
	t.room += n
	return true
}

func (t *tee) write(b []byte) {
	err := error(nil)
	if t.f == nil {
		t.f, err = t.o.store.begin(t.o.key, t.o.id)
	}
	if err == nil {
		_, err = t.f.WriteAt(b, t.at)
	}
	if err != nil {
		t.off = true
		t.o.store.cfg.Log.Warn("keeping nothing of this range", "error", err)
	}
	t.crc = crc32c.Update(t.crc, b)
}

// Close makes what was kept part of the store, unless the reply was void.
func (t *tee) Close() error {
	err := t.ReadCloser.Close()
	t.o.store.release(t.room)
	t.room = 0
	if t.f == nil {
		return err
	}
	if e := t.f.Close(); e != nil {
		t.done = nil
	}
	t.o.store.add(t.o.key, t.done, byterange.Between(t.from, t.at))
	return err
}

var errFull = errors.New("the store has room for no more")

// begin opens the file of a generation's pieces for writing.
func (s *Store) begin(key Key, id Identity) (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key] == nil {
		if len(s.entries) >= maxEntries || s.cfg.Limit < Piece {
			return nil, errFull
		}
		e, err := s.create(key, id)
		if err != nil {
			return nil, err
		}
		s.entries[key] = e
		close(s.born)
		s.born = make(chan struct{})
	}
	return s.pieces(key, os.O_CREATE|os.O_WRONLY)
}

// reserve sets n bytes aside for a piece that is about to be written; false: it
// is there already, or there is no room for it.
func (s *Store) reserve(key Key, number uint32, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key]; e != nil {
		if _, had := e.pieces[number]; had {
			return false
		}
	}
	if !s.makeRoomLocked(n) {
		return false
	}
	s.coming += n
	return true
}

// release gives back what was set aside.
func (s *Store) release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.coming -= n
}

// add enters pieces that were written, and gives back the room of what else
// was written of r.
func (s *Store) add(key Key, list []record, r byterange.Range) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if e == nil { // shed meanwhile, and its file with it
		return
	}
	e.used = time.Now()
	defer s.tellLocked(e)
	var err error
	for _, rec := range list {
		n := e.rangeOf(rec.piece).Len
		_, had := e.pieces[rec.piece]
		if !had && !s.makeRoomLocked(n) {
			break
		}
		if s.entries[key] != e { // it went to make room for itself
			return
		}
		if err = s.write(e, 0, rec.bytes()); err != nil {
			break
		}
		e.apply(rec)
		if !had {
			s.size += n
		}
	}
	if err == nil {
		err = s.punch(e, e.missing(r))
	}
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		s.cfg.Log.Warn("cannot write the store's index", "file", key.String(), "error", err)
		s.removeLocked(e)
	}
}
