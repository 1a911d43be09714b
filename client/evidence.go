package client

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"slices"
	"strings"

	"ddm/internal/byterange"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/filename"
	"ddm/internal/origin"
	"ddm/internal/progress"
)

// expectation is a digest that the finished content must have.
type expectation struct {
	digest.Digest
	from string // who says so, as in "as ... says"; "": the user
}

// sums are the digests that a download is to have, or to report.
type sums struct {
	hashes []named
	want   []expectation
	pieces *pieceSums // nil: the file is judged by pieces, or nothing is
}

type named struct {
	algorithm string
	hash.Hash
}

func newSums(job Job) (*sums, error) {
	s := &sums{}
	if p := job.Pieces; p != nil && (p.Length <= 0 || digest.Size(p.Algorithm) == 0) {
		return nil, fmt.Errorf("%w: pieces of %d bytes by %q", errdefs.Invalid, p.Length, p.Algorithm)
	}
	for _, d := range job.Checksums {
		if err := s.expect(d, ""); err != nil {
			return nil, err
		}
	}
	if job.Digest && s.of(digest.SHA256) == nil {
		s.hashes = append(s.hashes, named{digest.SHA256, sha256.New()})
	}
	return s, nil
}

// expect adds what the content must hash to.
func (s *sums) expect(d digest.Digest, from string) error {
	if s.of(d.Algorithm) == nil {
		h, err := digest.New(d.Algorithm)
		if err != nil {
			return err
		}
		if len(d.Sum) != h.Size() {
			return fmt.Errorf("%w: a %s checksum has %d bytes, not %d", errdefs.Invalid, d.Algorithm, h.Size(), len(d.Sum))
		}
		s.hashes = append(s.hashes, named{d.Algorithm, h})
	}
	if !slices.ContainsFunc(s.want, func(e expectation) bool { return e.Equal(d) }) {
		s.want = append(s.want, expectation{d, from})
	}
	return nil
}

// of returns the hash of an algorithm, nil if it is not computed.
func (s *sums) of(algorithm string) hash.Hash {
	for _, n := range s.hashes {
		if n.algorithm == algorithm {
			return n.Hash
		}
	}
	return nil
}

// writers are what has to see the content in order.
func (s *sums) writers() []io.Writer {
	var list []io.Writer
	for _, n := range s.hashes {
		list = append(list, n.Hash)
	}
	if s.pieces != nil {
		list = append(list, s.pieces)
	}
	return list
}

// secure reports whether the user knows a digest that nobody can make other
// content for.
func (s *sums) secure() bool {
	return slices.ContainsFunc(s.want, func(e expectation) bool { return e.Secure() })
}

// proof reports whether what was checked proves the content: all that a user
// gives is taken for that, of what an origin says only what cannot be forged.
func (s *sums) proof() bool {
	return slices.ContainsFunc(s.want, func(e expectation) bool { return e.from == "" || e.Secure() })
}

// verify compares what was hashed.
func (s *sums) verify() error {
	if s.pieces != nil {
		if err := s.pieces.end(); err != nil {
			return err
		}
	}
	for _, e := range s.want {
		got := s.of(e.Algorithm).Sum(nil)
		switch {
		case bytes.Equal(got, e.Sum):
		case e.from == "":
			return fmt.Errorf("%w: the file's %s is %x, not %x as it should be", errdefs.Corrupt, e.Algorithm, got, e.Sum)
		default:
			return fmt.Errorf("%w: the file's %s is %x, not %x as %s says; --no-origin-digest leaves that unchecked", errdefs.Corrupt, e.Algorithm, got, e.Sum, e.from)
		}
	}
	return nil
}

// digest is the SHA-256 for the report; "": it was not computed.
func (s *sums) digest() string {
	h := s.of(digest.SHA256)
	if h == nil {
		return ""
	}
	return digest.Digest{Algorithm: digest.SHA256, Sum: h.Sum(nil)}.String()
}

// list returns what the whole content is hashed by.
func (s *sums) list() (list []hash.Hash) {
	for _, n := range s.hashes {
		list = append(list, n.Hash)
	}
	return list
}

// compute hashes a complete file, of which the hashes have seen so many bytes.
func (s *sums) compute(ctx context.Context, content io.ReaderAt, seen, size int64) error {
	if seen == 0 {
		for _, n := range s.hashes {
			n.Reset()
		}
	}
	if err := hashAll(ctx, content, seen, size, s.list()...); err != nil {
		return err
	}
	return s.verify()
}

// expect takes up what is known of the content before its bytes come: from
// the checksum file, and from the reply's header if it came over an own line.
func (d *download) expect(ctx context.Context, p *probed) error {
	if err := errors.Join(d.expectKnown(p), d.recall()); err != nil {
		return err
	}
	if !d.job.NoOriginDigest && p.reply != nil { // else peers asked, and may say anything
		if claim, ok := p.claim(); ok && !d.sums.secure() { // else it adds nothing
			if err := d.sums.expect(claim.Digest, "the origin's "+claim.Field); err != nil {
				return err
			}
		}
		if err := d.consult(ctx, p); err != nil {
			return err
		}
	}
	if d.job.Stdout != nil && d.job.Pieces != nil {
		d.sums.pieces = &pieceSums{of: d.job.Pieces}
	}
	return nil
}

// expectKnown takes up what the job says, and its checksum file.
func (d *download) expectKnown(p *probed) error {
	if want := d.job.Size; want > 0 && d.gen.Size >= 0 && d.gen.Size != want {
		return fmt.Errorf("%w: the origin has %d bytes, not %d as it should", errdefs.BadReply, d.gen.Size, want)
	}
	if d.job.Pieces != nil && d.gen.Size >= 0 {
		if err := d.job.Pieces.Fits(d.gen.Size); err != nil {
			return err
		}
	}
	if d.req.list != nil {
		known, err := d.req.list.For(p.names(d.req)...)
		if err != nil {
			return fmt.Errorf("%s: %w", shown(d.job.ChecksumURL), err)
		}
		if err := d.sums.expect(known, ""); err != nil {
			return err
		}
	}
	return nil
}

// claim is the strongest digest of the whole that the reply's header names.
func (p *probed) claim() (digest.Claim, bool) {
	partial := !p.reply.Whole && p.reply.Range != byterange.Between(0, p.gen.Size)
	claims := digest.FromHeader(p.reply.Header, partial)
	i := slices.IndexFunc(claims, func(c digest.Claim) bool { return c.Scope == digest.Whole })
	if i < 0 {
		return digest.Claim{}, false
	}
	return claims[i], true
}

// names are all that the resource may be called in a checksum file.
func (p *probed) names(req *request) []string {
	list := []string{p.name}
	add := func(raw string) {
		if u, err := url.Parse(raw); err == nil {
			list = append(list, strings.TrimRight(u.Path, "/"))
		}
	}
	for _, a := range req.asks {
		add(a.url)
	}
	if p.reply != nil {
		add(p.reply.FinalURL)
		list = append(list, filename.FromResponse(p.reply.Disposition, p.reply.FinalURL, req.url()))
	}
	return list
}

// reached is the identity that the checks at the end show.
func (d *download) reached() origin.Level {
	if d.provable() {
		return origin.Digest
	}
	return d.level
}

// proved raises the identity to what the checks at the end showed, and says
// what the origin's own word was worth.
func (d *download) proved() {
	d.level = d.reached()
	for _, e := range d.sums.want {
		switch {
		case e.from == "":
		case e.Secure():
			d.notes = append(d.notes, fmt.Sprintf("the content has the %s that %s names", e.Algorithm, e.from))
		default:
			d.notes = append(d.notes, fmt.Sprintf("the content has the %s that %s names; that finds accidents, not lies", e.Algorithm, e.from))
		}
	}
}

// checksums fetches the job's checksum file. What goes to the job's first URL
// and no other origin goes to the file's URL only if that is of the same one.
func (c *Client) checksums(ctx context.Context, job Job, note func(string)) (digest.List, error) {
	ask := job
	ask.URLs = []string{job.ChecksumURL}
	if job.Home == "" && len(job.URLs) > 0 {
		ask.Home = job.URLs[0]
	}
	doc, err := c.Document(ctx, ask, digest.MaxList, note)
	if err != nil {
		return nil, fmt.Errorf("checksum file: %w", err)
	}
	list, err := digest.ParseList(string(doc.Text))
	if err != nil {
		return nil, fmt.Errorf("checksum file %s: %w", shown(job.ChecksumURL), err)
	}
	return list, nil
}

// ChecksumFrom fetches a checksum file, as a download with the job would, and
// returns what it says of the file that goes by one of the names.
func (c *Client) ChecksumFrom(ctx context.Context, job Job, note func(string), names ...string) (digest.Digest, error) {
	list, err := c.checksums(ctx, job, note)
	if err != nil {
		return digest.Digest{}, err
	}
	d, err := list.For(names...)
	if err != nil {
		return digest.Digest{}, fmt.Errorf("checksum file %s: %w", shown(job.ChecksumURL), err)
	}
	return d, nil
}

// badPieces returns the error of bad pieces in err's chain, or nil.
func badPieces(err error) *badPiecesError {
	e, _ := errors.AsType[*badPiecesError](err)
	return e
}

// badPiecesError says which pieces of a complete file are not what their
// digests say. Its kind is errdefs.Corrupt.
type badPiecesError struct {
	bad   []byterange.Range
	of    int
	says  string // who named the digests; "": the user
	again bool   // somebody else had them the same, or they were fetched again
	peers bool   // some of it came from peers or further mirrors: others may do better
}

// Error counts them.
func (e *badPiecesError) Error() string {
	text := fmt.Sprintf("%v: %d of %s bad", errdefs.Corrupt, len(e.bad), plural(e.of, "piece"))
	if e.says != "" {
		text += ", " + e.says + " says; --no-origin-digest leaves that unchecked"
	}
	return text
}

// Unwrap gives the kind.
func (e *badPiecesError) Unwrap() error { return errdefs.Corrupt }

// checkPieces holds complete content against the digests of its pieces, apart
// from those that were judged as they came.
func (d *download) checkPieces(ctx context.Context, content io.ReaderAt, size int64) error {
	p := d.job.Pieces
	if p == nil {
		return nil
	}
	if err := p.Fits(size); err != nil {
		return err
	}
	e := &badPiecesError{of: len(p.Sums), says: d.piecesFrom}
	buf := make([]byte, min(p.Length, 1<<20))
	for i := range p.Sums {
		if d.judged != nil && d.judged[i] {
			continue
		}
		right, err := p.Weigh(ctx, content, i, size, buf)
		if err != nil {
			return err
		}
		r := p.Range(i, size)
		if !right {
			e.bad = append(e.bad, r)
		}
		d.rep.Progress(progress.Snapshot{Size: size, Bytes: r.End(), ETA: -1, Phase: "checking"})
	}
	if len(e.bad) == 0 {
		return nil
	}
	return e
}

// dropBad forgets bad pieces, so that the next attempt fetches them again, and
// remembers who had a hand in them. A peer that gave a bad piece alone is
// proved to lie.
func (d *download) dropBad(e *badPiecesError) error {
	liars := map[string]bool{}
	extents := slices.Collect(d.file.Extents())
	for _, r := range e.bad {
		givers := map[string]bool{}
		for _, x := range extents {
			if !x.Intersect(r).Empty() {
				givers[x.Giver] = true
			}
		}
		mirrored := d.blameMirrors(givers, r)
		for giver := range givers {
			if mirrored {
				e.peers = true
				break
			}
			id, peer := peerOf(giver)
			e.peers = e.peers || peer
			if peer {
				d.req.suspects[id] = true
			}
			if peer && len(givers) == 1 && !liars[id] && !e.again {
				liars[id] = true
				d.rep.Source(progress.SourceChange{Name: d.roster.name(id), Change: "banned", Reason: fmt.Sprintf("the piece %s that it gave is not what its digest says", r)})
			}
		}
		if _, err := d.file.Drop(r); err != nil {
			return errors.Join(e, err)
		}
	}
	return e
}

// pieceSums judges content that passes in order by its pieces.
type pieceSums struct {
	of   *digest.Pieces
	h    hash.Hash
	next int   // the piece that is being hashed
	left int64 // bytes of it to come
	bad  int
}

// Write implements io.Writer; it never fails.
func (s *pieceSums) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if s.h == nil {
			s.h, _ = digest.New(s.of.Algorithm) // Fits has judged it
			s.left = s.of.Length
		}
		part := p[:min(int64(len(p)), s.left)]
		s.h.Write(part)
		p = p[len(part):]
		if s.left -= int64(len(part)); s.left == 0 {
			s.close()
		}
	}
	return n, nil
}

func (s *pieceSums) close() {
	if s.next >= len(s.of.Sums) || !bytes.Equal(s.h.Sum(nil), s.of.Sums[s.next]) {
		s.bad++
	}
	s.h = nil
	s.next++
}

// end is the verdict.
func (s *pieceSums) end() error {
	if s.h != nil {
		s.close()
	}
	if s.next == 0 && len(s.of.Sums) <= 1 { // some tools list one piece of the empty file
		return nil
	}
	if missing := len(s.of.Sums) - s.next; missing != 0 || s.bad > 0 {
		return fmt.Errorf("%w: %d of %s bad", errdefs.Corrupt, s.bad+max(missing, 0), plural(len(s.of.Sums), "piece"))
	}
	return nil
}
