package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/sync/errgroup"

	"ddm/internal/byterange"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/partfile"
	"ddm/internal/progress"
)

// Check is what an existing file is held against. At least one of Digests,
// Pieces and Against must be given.
type Check struct {
	Path    string
	Size    int64 // bytes that it must have; -1: not known
	Digests []digest.Digest
	Pieces  *digest.Pieces

	Job     Job  // how to ask; its URLs are what Against and Mend fetch from, the best first
	Against bool // compare with the first URL's content, byte by byte
	Samples int  // pieces that Against compares, chosen at random; 0: all
	Mend    bool // fetch what is bad again, and put it in its place
}

// Verdict is what was found out about a file.
type Verdict struct {
	Size    int64             // bytes of the file when it was first looked at
	Proof   []string          // what it was held against, in words
	Bad     []byterange.Range // what was wrong at first, by pieces; may lie behind the file's end
	Left    []byterange.Range // what is wrong still
	Mended  int64             // bytes written
	Fetched int64             // bytes that came from the origin
}

const (
	mostSites   = 4        // mirrors that mending may turn to
	checkers    = 4        // requests at once
	checkRange  = 16 << 20 // bytes of one request
	mostMending = 64 << 20 // bytes of a piece that is held in memory to be judged before it is written
)

// Verify judges an existing file, and mends it if it is told to: bad pieces
// are fetched again, judged if there is something to judge them by, written in
// place, synced, and the whole is judged again. Only bytes that were found
// wrong are ever written over, so nothing is lost if it is interrupted. The
// error is errdefs.Corrupt if the file is wrong in the end.
func (c *Client) Verify(ctx context.Context, check Check, rep progress.Reporter) (Verdict, error) {
	v, err := c.newVerifier(check, rep)
	if err != nil {
		return Verdict{}, err
	}
	defer v.file.Close() //nolint:errcheck // what was written is synced
	if err := v.pin(ctx); err != nil {
		return v.verdict, err
	}
	found, err := v.judge(ctx)
	if err != nil {
		return v.verdict, err
	}
	v.verdict.Bad, v.verdict.Left = found.ranges(), found.ranges()
	if !found.wrong() || !check.Mend {
		return v.verdict, v.conclusion(found)
	}
	if err := v.mend(ctx, found); err != nil {
		return v.verdict, err
	}
	if found, err = v.judge(ctx); err != nil {
		return v.verdict, err
	}
	v.verdict.Left = found.ranges()
	return v.verdict, v.conclusion(found)
}

// verifier is one file being judged.
type verifier struct {
	c     *Client
	check Check
	rep   progress.Reporter
	file  *os.File
	size  int64   // of the file, now
	want  int64   // that it must have; -1: not known
	sites []*site // that agree with want; nil before the first is needed
	began time.Time

	mu      sync.Mutex // guards what follows
	verdict Verdict
	looked  int64 // bytes judged in this round
	total   int64
	shownAt time.Time
}

// finding is what one round of judging shows.
type finding struct {
	bad    byterange.Set
	excess int64    // bytes behind the end
	whole  []string // what is wrong with the file as a whole
}

func (f *finding) wrong() bool { return f.bad.Len() > 0 || f.excess > 0 || len(f.whole) > 0 }

func (f *finding) ranges() []byterange.Range { return slices.Collect(f.bad.All()) }

func (c *Client) newVerifier(check Check, rep progress.Reporter) (*verifier, error) {
	switch {
	case len(check.Digests) == 0 && check.Pieces == nil && !check.Against:
		return nil, fmt.Errorf("%w: nothing is given to hold the file against", errdefs.Invalid)
	case (check.Mend || check.Against) && len(check.Job.URLs) == 0:
		return nil, fmt.Errorf("%w: no URL is given to fetch from", errdefs.Invalid)
	case check.Mend && check.Pieces == nil && !check.Against:
		return nil, fmt.Errorf("%w: a digest of the whole does not tell which part is bad: give piece digests, or what to compare with", errdefs.Invalid)
	case check.Mend && check.Pieces != nil && check.Pieces.Length > mostMending:
		return nil, fmt.Errorf("%w: pieces of %s are too long to be mended one by one", errdefs.Invalid, humanize.IBytes(uint64(check.Pieces.Length)))
	}
	flag := os.O_RDONLY
	if check.Mend {
		flag = os.O_RDWR
	}
	file, err := os.OpenFile(check.Path, flag, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	st, err := file.Stat()
	if err != nil || !st.Mode().IsRegular() {
		_ = file.Close() // nothing was done with it
		return nil, errors.Join(fmt.Errorf("%w: %s is no ordinary file", errdefs.OpenFile, check.Path), err)
	}
	v := &verifier{c: c, check: check, rep: rep, file: file, size: st.Size(), want: check.Size, began: time.Now()}
	v.verdict.Size = v.size
	return v, nil
}

// pin asks the URLs that are to be fetched from what they have. Those that
// have a file of another length, or do not answer, are left out.
func (v *verifier) pin(ctx context.Context) error {
	if !v.check.Against && !v.check.Mend {
		return nil
	}
	req, err := newRequest(v.check.Job)
	if err != nil {
		return err
	}
	var failure error
	for _, a := range req.asks[:min(len(req.asks), maxMirrors)] {
		if len(v.sites) == mostSites {
			break
		}
		s := &site{c: v.c, ask: a, jar: req.jar, note: v.rep.Note}
		err := s.pin(ctx, len(req.asks) > 1)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && s.gen.Size < 0:
			err = fmt.Errorf("%w: %s does not say how long it is", errdefs.BadReply, shown(a.url))
		case err == nil && v.want >= 0 && s.gen.Size != v.want:
			err = fmt.Errorf("%w: %s has %d bytes, not %d", errdefs.Corrupt, shown(a.url), s.gen.Size, v.want)
		}
		if err != nil {
			if failure == nil {
				failure = err
			}
			if v.check.Against {
				return err // there is only this one to compare with
			}
			v.rep.Note(fmt.Sprintf("%v; going on without it", err))
			continue
		}
		v.want = s.gen.Size
		v.sites = append(v.sites, s)
		if v.check.Against {
			return nil
		}
	}
	if len(v.sites) == 0 {
		return failure
	}
	return nil
}

// judge holds the file against everything there is.
func (v *verifier) judge(ctx context.Context) (*finding, error) {
	f := &finding{}
	v.verdict.Proof = nil
	if v.want < 0 {
		v.want = v.size
	}
	if missing := byterange.Between(v.size, v.want); !missing.Empty() {
		f.bad.Add(missing)
	}
	f.excess = max(v.size-v.want, 0)
	v.looked, v.total = 0, 0
	whole := len(v.check.Digests) > 0
	if v.check.Pieces != nil {
		v.total += v.want
	}
	if v.check.Against {
		v.total += min(v.size, v.want)
	}
	if whole {
		v.total += v.size
	}
	if err := v.judgePieces(ctx, f); err != nil {
		return nil, err
	}
	if v.check.Against {
		if err := v.compare(ctx, v.sites[0], f); err != nil {
			return nil, err
		}
	}
	if whole && !f.wrong() {
		return f, v.judgeWhole(ctx, f)
	}
	return f, nil
}

func (v *verifier) judgePieces(ctx context.Context, f *finding) error {
	p := v.check.Pieces
	if p == nil {
		return nil
	}
	if err := p.Fits(v.want); err != nil && v.check.Size < 0 {
		f.whole = append(f.whole, err.Error()) // it is the file's length that is wrong
		return nil
	}
	before := v.looked
	bad, err := p.Check(ctx, v.file, v.want, func(n int64) { v.passed(before + n - v.looked) })
	if err != nil {
		return err
	}
	for _, i := range bad {
		f.bad.Add(p.Range(i, v.want))
	}
	v.proved(fmt.Sprintf("%s by %s", plural(len(p.Sums), "piece"), p.Algorithm))
	return nil
}

func (v *verifier) judgeWhole(ctx context.Context, f *finding) error {
	hashes := make([]hash.Hash, len(v.check.Digests))
	for i, d := range v.check.Digests {
		var err error
		if hashes[i], err = digest.New(d.Algorithm); err != nil {
			return err
		}
	}
	if err := hashAll(ctx, watched{v.file, v.passed}, 0, v.size, hashes...); err != nil {
		return err
	}
	for i, d := range v.check.Digests {
		if got := hashes[i].Sum(nil); !bytes.Equal(got, d.Sum) {
			f.whole = append(f.whole, fmt.Sprintf("its %s is %x, not %x", d.Algorithm, got, d.Sum))
		}
		v.proved(d.Algorithm)
	}
	return nil
}

// watched tells how much was read.
type watched struct {
	io.ReaderAt
	passed func(int64)
}

// ReadAt implements io.ReaderAt.
func (w watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, off)
	w.passed(int64(n))
	return n, err
}

// compare holds the file against the content of a site.
func (v *verifier) compare(ctx context.Context, s *site, f *finding) error {
	grid := partfile.PieceSize(v.want)
	there := byterange.Between(0, min(v.size, v.want))
	var ranges []byterange.Range
	all, n := int((there.Len+grid-1)/grid), v.check.Samples
	switch {
	case !s.ranges:
		n = 0
		ranges = []byterange.Range{there}
	case n == 0 || n >= all:
		n = 0
		for off := int64(0); off < there.Len; off += checkRange {
			ranges = append(ranges, byterange.Between(off, min(off+checkRange, there.Len)))
		}
	default:
		picked := rand.Perm(all)[:n]
		slices.Sort(picked)
		for _, i := range picked {
			off := int64(i) * grid
			ranges = append(ranges, byterange.Between(off, min(off+grid, there.Len)))
		}
		v.total += int64(n)*grid - there.Len
	}
	take := func(off int64, p []byte) error { return v.hold(off, p, grid, f) }
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(min(checkers, v.c.opts.Connections))
	for _, r := range ranges {
		g.Go(func() error {
			if !s.ranges {
				return s.whole(gctx, take)
			}
			return s.read(gctx, r, take)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if n > 0 {
		v.proved(fmt.Sprintf("%d of its %s, chosen at random, against %s", n, plural(all, "piece"), shown(s.ask.url)))
		return nil
	}
	v.proved("every byte against " + shown(s.ask.url))
	return nil
}

// hold compares bytes of a site with those of the file. What differs is bad,
// to the borders of its piece.
func (v *verifier) hold(off int64, p []byte, grid int64, f *finding) error {
	mine := make([]byte, len(p))
	n, err := v.file.ReadAt(mine, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	v.fetched(len(p))
	v.mu.Lock()
	for at := off; at < off+int64(len(p)); {
		end := min((at/grid+1)*grid, off+int64(len(p)))
		a, b := at-off, end-off
		if b > int64(n) || !bytes.Equal(p[a:b], mine[a:b]) {
			f.bad.Add(byterange.Between(at/grid*grid, min((at/grid+1)*grid, v.want)))
		}
		at = end
	}
	v.mu.Unlock()
	v.passed(int64(len(p)))
	return nil
}

func (v *verifier) proved(what string) { v.verdict.Proof = append(v.verdict.Proof, what) }

func (v *verifier) fetched(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.verdict.Fetched += int64(n)
}

// passed shows how far it is.
func (v *verifier) passed(n int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looked += n
	if time.Since(v.shownAt) < tickEvery*showEvery {
		return
	}
	v.shownAt = time.Now()
	v.rep.Progress(progress.Snapshot{
		Size: v.total, Bytes: v.looked, ETA: -1, Elapsed: time.Since(v.began), Phase: "checking",
		Rate: float64(v.looked) / max(time.Since(v.began).Seconds(), 0.001),
	})
}

// conclusion is the error of a file that is wrong.
func (v *verifier) conclusion(f *finding) error {
	var faults []string
	if n := f.bad.Bytes(); n > 0 {
		length := partfile.PieceSize(v.want)
		if v.check.Pieces != nil {
			length = v.check.Pieces.Length
		}
		pieces := 0
		for r := range f.bad.All() {
			pieces += int((r.End()-1)/length - r.Off/length + 1)
		}
		faults = append(faults, fmt.Sprintf("%s of it bad (%s)", plural(pieces, "piece"), humanize.IBytes(uint64(n))))
	}
	if v.size != v.want {
		faults = append(faults, fmt.Sprintf("it has %d bytes, not %d", v.size, v.want))
	}
	faults = append(faults, f.whole...)
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: %s", errdefs.Corrupt, v.check.Path, strings.Join(faults, "; "))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
