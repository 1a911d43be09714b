package partfile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/crc32c"
	"ddm/internal/origin"
)

// A journal is the magic line and then records:
//
//	type (1 byte) | length of the payload (4, little endian) | payload | CRC32C (4)
//
// The CRC covers the record and the CRC before it, so that a record is valid
// only behind the very ones it was written behind. Numbers in payloads are
// varints. The first record is the header; there is one.
const (
	magic   = "ddm journal "
	version = "1\n"

	frame      = 9 // bytes of a record round its payload
	maxPayload = 64 << 10
)

// The types of records.
const (
	recHeader  = 'H' // JSON of header
	recGiver   = 'G' // a name; the next number
	recLevel   = 'L' // the word of a level: what follows, and so all, is of no better evidence
	recExtents = 'E' // extents: now there
	recDrop    = 'D' // range, then extents: what the range touched is gone, but for those
	recStamp   = 'S' // the data file as a clean end left it; counts as the last record only
)

var (
	errForeign = errors.New("not a journal")
	errVersion = errors.New("journal of another format version")
)

// header says what the extents are extents of.
type header struct {
	URL          string    `json:"url"`
	Size         int64     `json:"size"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	Coding       string    `json:"coding,omitempty"`
	Piece        int64     `json:"piece_size"`
	Modified     time.Time `json:"modified,omitzero"`
	Level        string    `json:"identity,omitempty"` // of the evidence; "": written before that was recorded
}

func headerOf(m Meta, piece int64) header {
	return header{
		URL: m.URL, Size: m.Gen.Size, ETag: m.Gen.ETag, LastModified: m.Gen.LastModified,
		Coding: m.Gen.Coding, Piece: piece, Modified: m.Modified, Level: m.Level.String(),
	}
}

// level is what the header says of the evidence; unsaid: nothing.
func (h header) level() origin.Level {
	if l, ok := origin.ParseLevel(h.Level); ok {
		return l
	}
	return unsaid
}

// worst is the least evidence under which bytes of a journal can have come that
// does not say: what is mixed has one date at least, or one strong tag and none.
func (h header) worst() origin.Level {
	switch gen := h.generation(); {
	case !gen.StrongETag():
		return origin.None
	case gen.LastModified != "":
		return origin.Weak
	}
	return origin.Strong
}

func (h header) generation() origin.Generation {
	return origin.Generation{Size: h.Size, ETag: h.ETag, LastModified: h.LastModified, Coding: h.Coding}
}

// stamp is how a clean end left the data file.
type stamp struct {
	id       uint64
	size     int64
	modified int64 // Unix nanoseconds
}

// encoder appends records to a buffer.
type encoder struct {
	buf   []byte
	chain uint32 // CRC of the last record
}

// begin starts a journal.
func (e *encoder) begin(h header) error {
	payload, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(payload) > maxPayload {
		return errors.New("the journal's header is too long: shorten the URL")
	}
	e.buf = append(e.buf, magic+version...)
	e.record(recHeader, payload)
	return nil
}

func (e *encoder) record(kind byte, payload []byte) {
	at := len(e.buf)
	e.buf = append(e.buf, kind)
	e.buf = binary.LittleEndian.AppendUint32(e.buf, uint32(len(payload)))
	e.buf = append(e.buf, payload...)
	e.chain = crc32c.Update(e.chain, e.buf[at:])
	e.buf = binary.LittleEndian.AppendUint32(e.buf, e.chain)
}

// extents appends as many records as list takes.
func (e *encoder) extents(list []extent) {
	var payload []byte
	for _, x := range list {
		payload = appendExtent(payload, x)
		if len(payload) > maxPayload-64 {
			e.record(recExtents, payload)
			payload = payload[:0]
		}
	}
	if len(payload) > 0 {
		e.record(recExtents, payload)
	}
}

// drop appends that what r touches is gone, but for left. Torn or not, it is
// one record: either all of it counts or nothing.
func (e *encoder) drop(r byterange.Range, left []extent) {
	payload := binary.AppendUvarint(nil, uint64(r.Off))
	payload = binary.AppendUvarint(payload, uint64(r.Len))
	for _, x := range left {
		payload = appendExtent(payload, x)
	}
	e.record(recDrop, payload)
}

func (e *encoder) stamp(s stamp) {
	payload := binary.AppendUvarint(nil, s.id)
	payload = binary.AppendUvarint(payload, uint64(s.size))
	e.record(recStamp, binary.AppendVarint(payload, s.modified))
}

func appendExtent(b []byte, x extent) []byte {
	b = binary.AppendUvarint(b, uint64(x.Off))
	b = binary.AppendUvarint(b, uint64(x.Len))
	b = binary.LittleEndian.AppendUint32(b, x.crc)
	return binary.AppendUvarint(b, uint64(x.giver))
}

// replayed is what a journal says.
type replayed struct {
	head   header
	live   *ledger
	givers giverTable
	level  origin.Level      // of the evidence; unsaid: it is not recorded
	order  []byterange.Range // extents as they came, dropped ones too
	stamp  *stamp            // nil: the last run did not end cleanly
	valid  int64             // length of the prefix that holds
	chain  uint32            // CRC of its last record
}

// replay reads a journal as far as it holds together. It fails only if there
// is no header to begin with.
func replay(b []byte) (replayed, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok {
		return replayed{}, errForeign
	}
	rest, ok = bytes.CutPrefix(rest, []byte(version))
	if !ok {
		return replayed{}, errVersion
	}
	var r replayed
	kind, payload, rest, chain, ok := nextRecord(rest, 0)
	if !ok || kind != recHeader {
		return replayed{}, fmt.Errorf("%w: no header", errForeign)
	}
	if err := json.Unmarshal(payload, &r.head); err != nil || r.head.Piece <= 0 {
		return replayed{}, fmt.Errorf("%w: bad header", errForeign)
	}
	r.live, r.chain, r.level = newLedger(r.head.Piece), chain, r.head.level()
	r.valid = int64(len(b) - len(rest))
	for {
		kind, payload, rest, chain, ok = nextRecord(rest, r.chain)
		if !ok || !r.apply(kind, payload) {
			return r, nil
		}
		r.chain, r.valid = chain, int64(len(b)-len(rest))
	}
}

// nextRecord cuts one valid record off b.
func nextRecord(b []byte, before uint32) (kind byte, payload, rest []byte, chain uint32, ok bool) {
	if len(b) < frame {
		return 0, nil, nil, 0, false
	}
	n := binary.LittleEndian.Uint32(b[1:])
	if n > maxPayload || int(n) > len(b)-frame {
		return 0, nil, nil, 0, false
	}
	body, rest := b[:5+n], b[frame+n:]
	chain = crc32c.Update(before, body)
	if chain != binary.LittleEndian.Uint32(b[5+n:]) {
		return 0, nil, nil, 0, false
	}
	return b[0], body[5:], rest, chain, true
}

// apply does what one record says; false: it makes no sense, and nothing
// behind it counts either.
func (r *replayed) apply(kind byte, payload []byte) bool {
	r.stamp = nil
	switch kind {
	case recGiver:
		before := len(r.givers.names)
		return int(r.givers.intern(string(payload))) == before+1
	case recLevel:
		l, ok := origin.ParseLevel(string(payload))
		r.level = min(r.level, l)
		return ok
	case recExtents:
		list, ok := r.decode(payload)
		return ok && r.add(list)
	case recDrop:
		return r.drop(payload)
	case recStamp:
		s, ok := decodeStamp(payload)
		r.stamp = &s
		return ok
	}
	return false
}

// add puts in all of list or, if one does not fit, none.
func (r *replayed) add(list []extent) bool {
	var seen byterange.Set
	for _, x := range list {
		if !r.live.fits(x) || len(r.live.touching(x.Range)) > 0 || seen.Add(x.Range) != x.Len {
			return false
		}
	}
	r.put(list)
	return true
}

func (r *replayed) put(list []extent) {
	for _, x := range list {
		r.live.add(x)
		r.order = append(r.order, x.Range)
	}
}

// drop takes out what a range touches and puts back what was left of it.
func (r *replayed) drop(payload []byte) bool {
	d := decoder{b: payload}
	gone := byterange.Range{Off: d.number(), Len: d.number()}
	if d.bad || gone.Len <= 0 || gone.Off > math.MaxInt64-gone.Len {
		return false
	}
	left, ok := r.decode(d.b)
	if !ok {
		return false
	}
	var free byterange.Set // where something may be left
	for _, x := range r.live.touching(gone) {
		free.Add(x.Range)
	}
	free.Subtract(gone)
	for _, x := range left {
		if !r.live.fits(x) || free.Subtract(x.Range) != x.Len {
			return false
		}
	}
	r.live.take(gone)
	r.put(left)
	return true
}

// decode reads extents to the end of payload.
func (r *replayed) decode(payload []byte) ([]extent, bool) {
	var list []extent
	d := decoder{b: payload}
	for len(d.b) > 0 && !d.bad {
		x := extent{Range: byterange.Range{Off: d.number(), Len: d.number()}}
		x.crc = d.fixed()
		giver := d.number()
		if d.bad || x.Off > math.MaxInt64-x.Len || giver > int64(len(r.givers.names)) {
			return nil, false
		}
		if r.head.Size >= 0 && x.End() > r.head.Size {
			return nil, false
		}
		x.giver = uint32(giver)
		list = append(list, x)
	}
	return list, !d.bad
}

func decodeStamp(payload []byte) (stamp, bool) {
	id, n := binary.Uvarint(payload)
	if n <= 0 {
		return stamp{}, false
	}
	d := decoder{b: payload[n:]}
	s := stamp{id: id, size: d.number()}
	modified, n := binary.Varint(d.b)
	s.modified = modified
	return s, !d.bad && n == len(d.b)
}

// decoder reads numbers off b until it is bad.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() int64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > math.MaxInt64 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return int64(v)
}

func (d *decoder) fixed() uint32 {
	if len(d.b) < 4 {
		d.bad, d.b = true, nil
		return 0
	}
	v := binary.LittleEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}
