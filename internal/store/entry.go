package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/crc32c"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// Identity is what a generation is known by. Only one with a strong ETag and a
// known size can be kept: nothing else says that it is still the same.
type Identity struct {
	URL  string `json:"url"` // canonical, without query and user
	Size int64  `json:"size"`
	ETag string `json:"etag"`
	Code string `json:"coding,omitempty"` // Content-Encoding

	// Name is what others know the resource by: its catalogue.Key in
	// hexadecimal; "": it was kept before there were such names.
	Name string `json:"name,omitempty"`

	full string // the canonical URL with its query, for the key alone; "": no origin is asked for it
}

// IdentityOf describes a generation of a URL.
func IdentityOf(raw string, gen origin.Generation) Identity {
	id := Identity{Size: gen.Size, Code: gen.Coding}
	if gen.StrongETag() {
		id.ETag = gen.ETag
	}
	if full, err := origin.Canonical(raw); err == nil {
		id.full = full
		id.URL, _, _ = strings.Cut(full, "?")
	}
	if key, err := catalogue.KeyOf(raw); err == nil {
		id.Name = hex.EncodeToString(key[:])
	}
	return id
}

// Key names a generation on disk.
type Key [sha256.Size]byte

// String is the key as a file's name.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

func parseKey(name string) (k Key, ok bool) {
	b, err := hex.DecodeString(name)
	return Key(append(b, make([]byte, max(0, len(k)-len(b)))...)[:len(k)]), err == nil && len(b) == len(k)
}

// Key returns the key; not ok: the generation cannot be kept.
func (id Identity) Key() (k Key, ok bool) {
	if id.full == "" || id.ETag == "" || id.Size <= 0 || id.Size > math.MaxUint32*Piece {
		return Key{}, false
	}
	h := sha256.New()
	for _, part := range []string{id.full, id.ETag, id.Code} {
		_ = binary.Write(h, binary.BigEndian, int64(len(part))) // a hash never fails
		_, _ = io.WriteString(h, part)
	}
	_ = binary.Write(h, binary.BigEndian, id.Size)
	return Key(h.Sum(nil)), true
}

// entry is one generation. The Store's mutex guards it; its files are open
// only while somebody uses them.
type entry struct {
	key    Key
	id     Identity
	end    int64 // of the index
	pieces map[uint32]piece
	stamp  uint32 // of the newest piece
	size   int64  // bytes of the pieces
	used   time.Time
	queue  []uint32 // pieces in the order in which they go, none younger than sorted
	sorted uint32   // stamp of the newest piece when that was made

	change  uint64        // the Store's last one of its pieces
	changed chan struct{} // closed when a piece comes or goes; nil: nobody waits
}

// tellLocked notes a change of what is held of a generation, and wakes those
// who wait for it.
func (s *Store) tellLocked(e *entry) {
	s.changes++
	e.change = s.changes
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
}

type piece struct {
	crc   uint32
	stamp uint32 // order of arrival
}

// rangeOf returns the bytes of a piece: the last one is shorter.
func (e *entry) rangeOf(n uint32) byterange.Range {
	off := int64(n) * Piece
	return byterange.Range{Off: off, Len: min(Piece, e.id.Size-off)}
}

// missing returns the runs of pieces in r that are not held.
func (e *entry) missing(r byterange.Range) (runs []byterange.Range) {
	for n := r.Off / Piece; n*Piece < r.End(); n++ {
		if _, ok := e.pieces[uint32(n)]; ok {
			continue
		}
		if last := len(runs) - 1; last >= 0 && runs[last].End() == n*Piece {
			runs[last].Len += Piece
		} else {
			runs = append(runs, byterange.Range{Off: n * Piece, Len: Piece})
		}
	}
	return runs
}

// The index: a line of JSON, then records of 16 bytes: the piece's number, its
// CRC32C, 1 if it is gone, and the CRC32C of these three.
type record struct {
	piece uint32
	crc   uint32
	gone  bool
}

const recordLen = 16

func (r record) bytes() []byte {
	b := make([]byte, 0, recordLen)
	b = binary.BigEndian.AppendUint32(b, r.piece)
	b = binary.BigEndian.AppendUint32(b, r.crc)
	flag := uint32(0)
	if r.gone {
		flag = 1
	}
	b = binary.BigEndian.AppendUint32(b, flag)
	return binary.BigEndian.AppendUint32(b, crc32c.Checksum(b))
}

func parseRecord(b []byte) (r record, ok bool) {
	if crc32c.Checksum(b[:12]) != binary.BigEndian.Uint32(b[12:]) {
		return r, false
	}
	return record{
		piece: binary.BigEndian.Uint32(b), crc: binary.BigEndian.Uint32(b[4:]), gone: binary.BigEndian.Uint32(b[8:]) == 1,
	}, true
}

// header is the first line of an index.
type header struct {
	Version int `json:"version"`
	Identity
}

const version = 1

// create makes the index of a generation; its pieces' file comes with them.
func (s *Store) create(key Key, id Identity) (*entry, error) {
	e := &entry{key: key, id: id, pieces: map[uint32]piece{}, used: time.Now()}
	line, err := json.Marshal(header{version, id})
	if err != nil {
		return nil, err
	}
	line = append(line, '\n')
	return e, s.write(e, os.O_CREATE|os.O_TRUNC, line)
}

// write puts bytes at the end of an index.
func (s *Store) write(e *entry, flag int, b []byte) error {
	f, err := s.root.OpenFile(e.key.String()+indexEnd, flag|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := f.WriteAt(b, e.end)
	if err == nil {
		e.end += int64(n)
	}
	return errors.Join(err, f.Close())
}

// load reads the index of a generation. A torn end is written over.
func (s *Store) load(key Key) (*entry, error) {
	f, err := s.root.Open(key.String() + indexEnd)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	const most = 256 << 20 // bytes of an index that are believed
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	line, rest, found := bytes.Cut(b, []byte{'\n'})
	var h header
	if err := json.Unmarshal(line, &h); err != nil || !found || h.Version != version || h.Size <= 0 {
		return nil, fmt.Errorf("%w: its first line is not that of an index", errdefs.Corrupt)
	}
	e := &entry{key: key, id: h.Identity, pieces: map[uint32]piece{}, used: st.ModTime(), end: int64(len(line) + 1)}
	for ; len(rest) >= recordLen; rest = rest[recordLen:] {
		r, ok := parseRecord(rest[:recordLen])
		if !ok {
			break
		}
		e.end += recordLen
		e.apply(r)
	}
	return e, nil
}

// apply enters a record.
func (e *entry) apply(r record) {
	bytes := e.rangeOf(r.piece).Len
	_, had := e.pieces[r.piece]
	switch {
	case bytes <= 0:
		return
	case r.gone && had:
		delete(e.pieces, r.piece)
		e.size -= bytes
	case !r.gone:
		e.stamp++
		e.pieces[r.piece] = piece{r.crc, e.stamp}
		if !had {
			e.size += bytes
		}
	}
}
