package tracker

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"ddm/internal/errdefs"
	"ddm/internal/filename"
	ddmv1 "ddm/proto/ddm/v1"
)

// Bounds of what is listed for holders of files.
const (
	maxHolders        = 2_000
	holdersPerAddress = 64
	filesPerHolder    = 10_000
	maxListed         = 200_000 // files of all holders
	filesPerChange    = 100
	maxFileName       = 255 // bytes

	sharesPerPage = 100
	namedHolders  = 64 // of a file that was asked for
	listedHolders = 4  // of one that was not
)

// shareKey is a file as a holder names it.
type shareKey struct {
	sum  [sha256.Size]byte
	size int64
	name string
}

func (k shareKey) compare(o shareKey) int {
	return cmp.Or(cmp.Compare(k.name, o.name), bytes.Compare(k.sum[:], o.sum[:]), cmp.Compare(k.size, o.size))
}

// holder is one stream of a machine that offers files.
type holder struct {
	id, name string
	place    place
	from     string // the address that it dialled from
	files    map[shareKey]bool
}

// shares is what holders offer. It is safe for concurrent use; every method is
// short.
type shares struct {
	mu      sync.Mutex
	holders map[*holder]bool
	rows    map[shareKey]map[*holder]bool
	order   []shareKey // of rows; nil: it is to be made anew
	listed  int        // files of all holders
}

func newShares() *shares {
	return &shares{holders: map[*holder]bool{}, rows: map[shareKey]map[*holder]bool{}}
}

// enter adds a holder without files.
func (s *shares) enter(h *holder) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.holders) >= maxHolders {
		return fmt.Errorf("%w: %d machines offer files already: %w", errdefs.Busy, len(s.holders), errdefs.RetryAfter(fullRetry))
	}
	alike := 0
	for o := range s.holders {
		if o.from == h.from {
			alike++
		}
	}
	if alike >= holdersPerAddress {
		return fmt.Errorf("%w: %d offer files from your address already: %w", errdefs.Busy, alike, errdefs.RetryAfter(fullRetry))
	}
	h.files = map[shareKey]bool{}
	s.holders[h] = true
	return nil
}

// leave takes a holder off the list, with all its files.
func (s *shares) leave(h *holder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range h.files {
		s.removeLocked(h, k)
	}
	delete(s.holders, h)
}

// change lists and unlists files of a holder.
func (s *shares) change(h *holder, came, gone []shareKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range gone {
		s.removeLocked(h, k)
	}
	for _, k := range came {
		switch {
		case h.files[k]:
			continue
		case len(h.files) >= filesPerHolder || s.listed >= maxListed:
			return fmt.Errorf("%w: no more files are listed: %d of this machine, %d of all: %w",
				errdefs.Busy, len(h.files), s.listed, errdefs.RetryAfter(fullRetry))
		case s.rows[k] == nil:
			s.rows[k] = map[*holder]bool{}
			s.order = nil
		}
		h.files[k], s.rows[k][h] = true, true
		s.listed++
	}
	return nil
}

func (s *shares) removeLocked(h *holder, k shareKey) {
	if !h.files[k] {
		return
	}
	delete(h.files, k)
	delete(s.rows[k], h)
	s.listed--
	if len(s.rows[k]) == 0 {
		delete(s.rows, k)
		s.order = nil
	}
}

// wantedShares is a ListSharesRequest that was found good.
type wantedShares struct {
	most  int
	after *shareKey // nil: from the beginning
	sum   []byte    // nil: whatever
	name  string    // "": whatever
}

func (w *wantedShares) matches(k shareKey) bool {
	return (w.sum == nil || bytes.Equal(w.sum, k.sum[:])) && (w.name == "" || w.name == k.name)
}

// share is a file and some of its holders.
type share struct {
	key     shareKey
	holders []*holder
	count   int
}

// list returns one page, and whether there is more.
func (s *shares) list(w *wantedShares) (page []share, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.order == nil {
		s.order = slices.SortedFunc(maps.Keys(s.rows), shareKey.compare)
	}
	at := 0
	if w.after != nil {
		i, found := slices.BinarySearchFunc(s.order, *w.after, shareKey.compare)
		if at = i; found {
			at++
		}
	}
	if first := (shareKey{name: w.name}); w.name != "" {
		i, _ := slices.BinarySearchFunc(s.order, first, shareKey.compare)
		at = max(at, i)
	}
	most := listedHolders
	if w.sum != nil || w.name != "" {
		most = namedHolders
	}
	for _, k := range s.order[at:] {
		if w.name != "" && k.name > w.name {
			break
		}
		if !w.matches(k) {
			continue
		}
		if len(page) == w.most {
			return page, true
		}
		row := share{key: k, count: len(s.rows[k])}
		for h := range s.rows[k] { // any of them, so that not all are asked of the same
			if row.holders = append(row.holders, h); len(row.holders) == most {
				break
			}
		}
		page = append(page, row)
	}
	return page, false
}

// parseBegin judges the first message of a holder.
func parseBegin(m *ddmv1.OfferRequest_Begin) (h *holder, host string, port uint16, err error) {
	if m == nil {
		return nil, "", 0, fmt.Errorf("%w: the first message is begin", errdefs.Invalid)
	}
	if err := checkHello(m.GetHello()); err != nil {
		return nil, "", 0, err
	}
	if err := checkOpaque("begin.id", m.GetId()); err != nil {
		return nil, "", 0, err
	}
	h = &holder{id: m.GetId()}
	if h.name, err = cleanText("begin.name", m.GetName()); err != nil {
		return nil, "", 0, err
	}
	if h.name == "" {
		h.name = h.id
	}
	host, port, err = parseAddress(m.GetAddress())
	return h, host, port, err
}

// parseFiles judges the files of one message.
func parseFiles(field string, files []*ddmv1.SharedFile) ([]shareKey, error) {
	if len(files) > filesPerChange {
		return nil, fmt.Errorf("%w: %s: %d files, at most %d are allowed", errdefs.Invalid, field, len(files), filesPerChange)
	}
	out := make([]shareKey, len(files))
	for i, f := range files {
		switch {
		case len(f.GetSha256()) != sha256.Size:
			return nil, fmt.Errorf("%w: %s[%d].sha256: %d bytes, not %d", errdefs.Invalid, field, i, len(f.GetSha256()), sha256.Size)
		case f.GetSize() < 1:
			return nil, fmt.Errorf("%w: %s[%d].size: %d", errdefs.Invalid, field, i, f.GetSize())
		case len(f.GetName()) > maxFileName:
			return nil, fmt.Errorf("%w: %s[%d].name: %d bytes, at most %d are allowed", errdefs.Invalid, field, i, len(f.GetName()), maxFileName)
		}
		out[i] = shareKey{sum: [sha256.Size]byte(f.GetSha256()), size: f.GetSize(), name: filename.Sanitize(f.GetName())}
		if out[i].name == "" {
			return nil, fmt.Errorf("%w: %s[%d].name: no name for a file", errdefs.Invalid, field, i)
		}
	}
	return out, nil
}

func parseListShares(m *ddmv1.ListSharesRequest) (*wantedShares, error) {
	w := &wantedShares{most: int(m.GetPageSize()), name: m.GetName(), sum: m.GetSha256()}
	switch {
	case w.most < 0:
		return nil, fmt.Errorf("%w: page_size: %d is negative", errdefs.Invalid, w.most)
	case w.most == 0 || w.most > sharesPerPage:
		w.most = sharesPerPage
	}
	if len(w.name) > maxFileName {
		return nil, fmt.Errorf("%w: name: %d bytes, at most %d are allowed", errdefs.Invalid, len(w.name), maxFileName)
	}
	if n := len(w.sum); n == 0 {
		w.sum = nil
	} else if n != sha256.Size {
		return nil, fmt.Errorf("%w: sha256: %d bytes, not %d", errdefs.Invalid, n, sha256.Size)
	}
	if m.GetPageToken() == "" {
		return w, nil
	}
	after, err := parseShareToken(m.GetPageToken())
	w.after = &after
	return w, err
}

// shareToken names the page behind a file; parseShareToken is its inverse.
func shareToken(k shareKey) string {
	b := binary.BigEndian.AppendUint64(slices.Clone(k.sum[:]), uint64(k.size))
	return base64.RawURLEncoding.EncodeToString(append(b, k.name...))
}

func parseShareToken(token string) (shareKey, error) {
	const fixed = sha256.Size + 8
	if len(token) <= base64.RawURLEncoding.EncodedLen(fixed+maxFileName) {
		if b, err := base64.RawURLEncoding.Strict().DecodeString(token); err == nil && len(b) >= fixed {
			size := int64(binary.BigEndian.Uint64(b[sha256.Size:]))
			return shareKey{sum: [sha256.Size]byte(b[:sha256.Size]), size: size, name: string(b[fixed:])}, nil
		}
	}
	return shareKey{}, fmt.Errorf("%w: page_token: not one of this tracker's", errdefs.Invalid)
}
