package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/partfile"
	"ddm/internal/progress"
)

// meterAlone measures the own lines for a moment before peers get work, so
// that the summary can say what those brought.
type meterAlone struct {
	own         map[schedule.SourceID]bool
	began       time.Duration
	first, last time.Duration
	bytes       int64            // after the first frame
	due         <-chan time.Time // when they were measured for long enough
	ended       bool
	rate        float64
}

func (m *meterAlone) watch(id schedule.SourceID) {
	if m.own == nil {
		m.own = map[schedule.SourceID]bool{}
	}
	m.own[id] = true
}

// received counts what an own line brings on its first lane: with several,
// part of it waits untold in their frames.
func (m *meterAlone) received(now time.Duration, from schedule.SourceID, lanes int, n int64) {
	switch {
	case m.ended || !m.own[from] || lanes > 1 && m.last-m.first > aloneFor/4:
	case m.first == 0:
		m.first, m.last, m.due = now, now, time.After(aloneFor)
	default:
		m.bytes += n
		m.last = max(m.last, now)
	}
}

// over reports whether peers may be given work.
func (m *meterAlone) over(now time.Duration, t *table) bool {
	if m.ended {
		return true
	}
	working := false
	for id := range m.own {
		st := t.sched.Status(id)
		working = working || st.State == schedule.Running || st.State == schedule.Idle
	}
	m.ended = !working || (m.first > 0 && now-m.first >= aloneFor) || now-m.began >= aloneAtMost
	if m.ended && m.last-m.first > aloneFor/4 {
		m.rate = float64(m.bytes) / (m.last - m.first).Seconds()
	}
	return m.ended
}

// snapshot is how far the download is.
func (l *loop) snapshot() progress.Snapshot {
	s := progress.Snapshot{
		Size: l.d.gen.Size, Bytes: l.sched.Done(), Rate: l.sched.Rate(), ETA: -1,
		Elapsed: l.now(), Sources: l.table.sources(),
	}
	if s.Rate > 0 {
		s.ETA = time.Duration(float64(s.Size-s.Bytes) / s.Rate * float64(time.Second))
	}
	switch {
	case l.sched.Complete():
		s.Phase = "checking"
	case l.now()-l.lastByte > 2*time.Second:
		s.Phase = "waiting"
	}
	return s
}

// finish verifies and commits what the loop brought.
func (d *download) finish(ctx context.Context, l *loop) error {
	if proof := l.spots.proof(); proof != "" {
		d.notes = append(d.notes, proof)
	}
	if proof := l.quorum.proof(d.gen.Size); proof != "" {
		d.notes = append(d.notes, proof)
	}
	done := d.tally(l)
	err := d.commit(ctx, d.gen.Size, done)
	d.remember(done)
	return err
}

// tally sums up what came.
func (d *download) tally(l *loop) progress.Done {
	local, peers, stored := l.table.fetched()
	st := l.sched.Stats()
	sources := l.table.sources()
	for i := range sources {
		sources[i].Rate = 0 // the mean, not what it was at the end
	}
	return progress.Done{
		Sources: sources, Reassigned: st.Reassigned, Duplicate: d.req.past.duplicate + st.Duplicate,
		Origin: d.req.past.origin + local + peers - stored + d.taking.confirmed, LAN: d.req.past.lan + peers, Stored: d.req.past.stored + stored, OwnRate: l.alone.rate, Elapsed: l.now(),
	}
}

// remember leaves what came to the next attempt.
func (d *download) remember(done progress.Done) {
	d.req.past.duplicate = done.Duplicate
	d.req.past.origin, d.req.past.lan, d.req.past.stored, d.req.past.verified = done.Origin, done.LAN+d.borrowed.Load(), done.Stored, d.verified.Load()
}

// commit checks the bytes, gives the file its name and reports.
func (d *download) commit(ctx context.Context, size int64, done progress.Done) error {
	done.Path = "-"
	if want := d.job.Size; want > 0 && size != want {
		return fmt.Errorf("%w: the file has %d bytes, not %d as it should", errdefs.Corrupt, size, want)
	}
	if d.stream != nil {
		if err := d.sums.verify(); err != nil {
			return fmt.Errorf("%w (it was written already)", err)
		}
		if err := d.insist(d.reached()); err != nil {
			return fmt.Errorf("%w (it was written already)", err)
		}
	} else {
		verify := func(ctx context.Context, content io.ReaderAt, size int64) error {
			if err := d.checkPieces(ctx, content, size); err != nil {
				return err
			}
			if len(d.sums.writers()) > 0 {
				d.rep.Progress(progress.Snapshot{Size: size, Bytes: size, ETA: -1, Phase: "checking"})
			}
			d.rolling.stop()
			if err := d.sums.compute(ctx, content, d.rolling.hashed(d.sums.list()), size); err != nil {
				return err
			}
			return d.insist(d.reached())
		}
		path, err := d.file.Commit(ctx, partfile.CommitOptions{Size: size, Verify: verify})
		if bad, ok := errors.AsType[*badPiecesError](err); ok {
			return d.dropBad(bad)
		}
		if errors.Is(err, errdefs.Corrupt) && d.listed() && d.job.Pieces != nil {
			return d.refute(err)
		}
		if errors.Is(err, errdefs.Corrupt) {
			if again, ok := d.seek(err); ok {
				return again
			}
			return d.hunt(ctx, size, err)
		}
		if err != nil {
			return err
		}
		done.Path = path
	}
	d.proved()
	d.dissent()
	done.URL, done.Size, done.Identity, done.Digest, done.Notes = shown(d.req.url()), size, d.identity(), d.sums.digest(), d.notes
	done.Verify = d.verified.Load()
	done.Origin += done.Verify
	done.LAN += d.borrowed.Load()
	done.Elapsed = d.clock()
	d.rep.Done(done)
	return nil
}

// plan says what would be done.
func (d *download) plan(ctx context.Context, p *probed) {
	plan := progress.Plan{
		URL: shown(d.req.url()), Name: p.name, Size: d.gen.Size, Identity: d.identity(), Ranges: p.ranges,
	}
	for _, line := range d.c.open() {
		plan.Helpers = append(plan.Helpers, progress.Source{Name: line.Name, Kind: "local"})
	}
	if d.roster != nil && p.ranges && d.level >= origin.Weak {
		for _, info := range d.roster.wait(ctx, time.Second) {
			plan.Helpers = append(plan.Helpers, progress.Source{Name: info.GetName(), Kind: "peer", Note: info.GetAddress()})
		}
	}
	d.rep.Plan(plan)
}

// whole downloads over one request on an own line: the origin serves no
// ranges, tells no length, or there is nothing to share.
func (d *download) whole(ctx context.Context, p *probed) error {
	if d.gen.Size == 0 {
		return d.commit(ctx, 0, progress.Done{})
	}
	if p.reply == nil {
		return fmt.Errorf("%w: only an own line can fetch this resource", errdefs.Refused)
	}
	if d.file != nil && d.gen.Size > 0 {
		if have := d.file.Have(); have.Bytes() == d.gen.Size {
			return d.commit(ctx, d.gen.Size, progress.Done{})
		}
	}
	d.note("one stream over the own line: the origin serves no ranges, so peers cannot help and a broken download starts from the beginning")
	return d.onePour(ctx, p)
}

// lone reports whether nothing at all would show that a second reply is of the
// version of the first: no digest proves the end, and nobody is there to take
// samples from.
func (d *download) lone() bool {
	return bare(d.gen) && !d.vetting && !d.provable()
}

// bare reports whether a generation has no validator at all.
func bare(gen origin.Generation) bool { return gen.ETag == "" && gen.LastModified == "" }

// atOnce downloads what has no validator: of two replies nobody could tell
// whether they belong together, so that everything has to be one.
func (d *download) atOnce(ctx context.Context, p *probed) error {
	if p.reply == nil {
		return fmt.Errorf("%w: only an own line can fetch what has no validator", errdefs.Refused)
	}
	d.note("one stream over the own line: the origin names no validator by which two replies could be told to be of one version, so peers cannot help and a broken download starts from the beginning")
	d.wholly = true
	if p.reply.Range != byterange.Between(0, d.gen.Size) {
		if err := d.again(ctx, p); err != nil {
			return err
		}
	}
	return d.onePour(ctx, p)
}

// onePour pours one reply, and begins anew as long as that is worth it.
func (d *download) onePour(ctx context.Context, p *probed) error {
	d.rec.begin(d.gen.Size, byterange.Set{})
	for attempt, came := 0, int64(0); ; attempt++ {
		size, err := d.pour(ctx, p)
		came += size
		if err == nil {
			if d.gen.Size < 0 && len(d.sums.want) == 0 {
				d.notes = append(d.notes, "the origin named no length: that nothing is missing at the end would show by a --checksum only")
			}
			src := progress.Source{Name: p.line.Name(), Kind: "local", Bytes: size}
			return d.commit(ctx, size, progress.Done{Sources: []progress.Source{src}, Origin: came})
		}
		if ctx.Err() != nil || attempt >= d.c.opts.Retry || !worthRetrying(err) || d.stream != nil && d.stream.next > 0 {
			return err
		}
		d.note(fmt.Sprintf("starting again: %v", err))
		if err := d.again(ctx, p); err != nil {
			return err
		}
		if d.file != nil {
			d.begin(0)
		}
	}
}

// again empties the target and asks once more. The new reply must be of the
// same generation.
func (d *download) again(ctx context.Context, p *probed) error {
	if d.file != nil {
		have := d.file.Have()
		for r := range have.All() {
			if _, err := d.file.Drop(r); err != nil {
				return err
			}
		}
	}
	p.discard()
	next, err := d.probeOwn(ctx, false)
	if err != nil {
		return err
	}
	if d.wholly && next.gen.Size < 0 {
		next.gen.Size = p.gen.Size // the end will tell
	}
	if next.gen != p.gen {
		next.discard()
		return fmt.Errorf("%w: between two attempts", errdefs.Changed)
	}
	p.reply, p.line, p.stop = next.reply, next.line, next.stop
	return nil
}

// pour writes the open reply to the target and returns the bytes there were.
func (d *download) pour(ctx context.Context, p *probed) (int64, error) {
	in := &intake{giver: "own:" + p.line.Name()}
	buf := make([]byte, 256<<10)
	var off int64
	only := schedule.Assign{ID: 1, Source: 1, Range: byterange.Range{Len: d.gen.Size}, Why: schedule.Fresh}
	d.rec.joined(only.Source, p.line.Name())
	d.rec.assigned(d.clock(), only)
	defer func() { d.rec.left(d.clock(), only.Source) }()
	for shownAt := time.Now(); ; {
		n, err := readSome(p.reply.Body, buf)
		if n > 0 {
			if werr := d.take(ctx, in, off, buf[:n]); werr != nil {
				return off, werr
			}
			d.rec.received(d.clock(), only.ID, byterange.Range{Off: off, Len: int64(n)})
			off += int64(n)
		}
		if errors.Is(err, io.EOF) {
			if d.gen.Size >= 0 && off != d.gen.Size {
				return off, fmt.Errorf("%w: %d of %d bytes came", errdefs.Unavailable, off, d.gen.Size)
			}
			return off, nil
		}
		if err != nil {
			return off, err
		}
		if time.Since(shownAt) > tickEvery*showEvery {
			shownAt = time.Now()
			d.rep.Progress(d.pourSnapshot(off, p.line.Name()))
		}
	}
}

func (d *download) pourSnapshot(off int64, line string) progress.Snapshot {
	rate := float64(off) / max(d.clock().Seconds(), 0.001)
	s := progress.Snapshot{
		Size: d.gen.Size, Bytes: off, Rate: rate, ETA: -1, Elapsed: d.clock(),
		Sources: []progress.Source{{Name: line, Kind: "local", Bytes: off, Rate: rate, State: string(schedule.Running)}},
	}
	if s.Size > 0 && rate > 0 {
		s.ETA = time.Duration(float64(s.Size-off) / rate * float64(time.Second))
	}
	return s
}

func (d *download) take(ctx context.Context, in *intake, off int64, p []byte) error {
	if err := throttle(ctx, d.c.limit, int64(len(p))); err != nil {
		return err
	}
	_, err := d.target.WriteAt([][]byte{p}, off, in.giver)
	return err
}

// readSome fills the buffer as far as the reader gives without an error.
func readSome(r io.Reader, buf []byte) (n int, err error) {
	for n < max(len(buf)/2, 1) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}
