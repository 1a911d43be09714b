// Package catalogue names what the machines of a LAN hold without saying what
// it is, and carries which bytes they are.
//
//	URL --origin.Canonical--> HMAC-SHA-256 --> Key   (which resource)
//	validator, coding, size -----> SHA-256 --> Tag   (which generation of it)
//	byterange.Set <-----------------> []*ddmv1.Run   (which bytes of that)
//
// A Key keeps URLs, and the secrets in their queries, out of the tracker, its
// logs and other machines' memories. There is no secret of the LAN yet, so the
// key of the HMAC is a fixed label: whoever can guess a whole URL can tell that
// it is this one. What a query says that nobody guesses stays hidden.
//
// The package is pure: it asks nobody and keeps nothing.
package catalogue

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"strings"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

// MaxRuns is the most runs that one message tells of one generation.
const MaxRuns = 4096

// label separates these hashes from all others of the same texts.
const label = "ddm catalogue v1"

// Key names a resource: all spellings of its URL have one.
type Key [sha256.Size]byte

// content begins the name of what no origin has; what it hashes to follows.
const content = "ddm:sha256:"

// KeyOf returns the key of a URL, or of "ddm:sha256:HEX". Its error is that of origin.Canonical: of kind
// errdefs.Invalid, without the URL.
func KeyOf(rawURL string) (Key, error) {
	url := rawURL
	if !strings.HasPrefix(rawURL, content) {
		var err error
		if url, err = origin.Canonical(rawURL); err != nil {
			return Key{}, err
		}
	}
	h := hmac.New(sha256.New, []byte(label))
	_, _ = io.WriteString(h, url) // a hash never fails
	return Key(h.Sum(nil)), nil
}

// Tag names a generation of a resource.
type Tag [sha256.Size]byte

// TagOf returns the tag of a generation; not ok: nothing tells its bytes from
// those of another one well enough to take them from others (no strong ETag, or
// no size).
func TagOf(gen origin.Generation) (tag Tag, ok bool) {
	if !gen.StrongETag() || gen.Size <= 0 {
		return Tag{}, false
	}
	h := sha256.New()
	for _, part := range []string{label, gen.ETag, gen.Coding} {
		number(h, int64(len(part)))
		_, _ = io.WriteString(h, part)
	}
	number(h, gen.Size)
	return Tag(h.Sum(nil)), true
}

func number(h hash.Hash, n int64) { _ = binary.Write(h, binary.BigEndian, n) }

// Runs tells of a set, as far as MaxRuns can: its lowest ones.
func Runs(set *byterange.Set) []*ddmv1.Run {
	runs := make([]*ddmv1.Run, 0, min(set.Len(), MaxRuns))
	for r := range set.All() {
		if len(runs) == MaxRuns {
			break
		}
		runs = append(runs, &ddmv1.Run{Offset: r.Off, Length: r.Len})
	}
	return runs
}

// Set reads what somebody told of a resource of that size. Errors are of kind
// errdefs.Invalid: more than most runs, out of order, overlapping, empty, or
// beyond the end.
func Set(runs []*ddmv1.Run, size int64, most int) (set byterange.Set, err error) {
	if len(runs) > most {
		return set, fmt.Errorf("%w: %d runs, at most %d are allowed", errdefs.Invalid, len(runs), most)
	}
	at := int64(0)
	for i, run := range runs {
		r := byterange.Range{Off: run.GetOffset(), Len: run.GetLength()}
		if r.Off < at || r.Len <= 0 || r.Len > size-r.Off {
			return byterange.Set{}, fmt.Errorf("%w: run %d: %d bytes at %d: runs ascend, are not empty and end within %d bytes",
				errdefs.Invalid, i, r.Len, r.Off, size)
		}
		set.Add(r)
		at = r.End()
	}
	return set, nil
}
