package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ddm/internal/origin"
	"ddm/internal/partfile"
	"ddm/internal/progress"
	ddmv1 "ddm/proto/ddm/v1"
)

// download is one attempt at a job with one generation.
type download struct {
	c       *Client
	job     Job
	req     *request
	rep     progress.Reporter
	gen     origin.Generation
	level   origin.Level   // of the evidence so far; owned by the loop once it runs
	mixed   bool           // several sources may work side by side
	vetting bool           // those whose samples are equal, and no others
	lifted  bool           // there was one
	least   origin.Level   // of the replies that may be used, if more is asked for than mixing takes
	roster  *roster        // nil: no peers
	swarm   *swarm         // nil: none, or not any more
	hint    *ddmv1.Entered // what the swarm's tracker said before the probe; nil: nothing
	taking  taking
	wholly  bool         // a probe asks for everything in one reply
	first   origin.Level // of the evidence at the beginning

	target     target
	file       *partfile.File // nil with standard output
	stream     *ordered       // nil with a file
	sums       *sums
	rolling    *rolling // nil: the commit hashes everything
	piecesFrom string   // who named the job's pieces; "": the user

	outcasts outcasts
	judged   []bool // pieces that the loop found right; nil: it did not look

	verified atomic.Int64 // bytes that were fetched to compare them
	borrowed atomic.Int64 // those of them that peers brought

	began  time.Time
	events chan event
	over   chan struct{} // closed by hush: nobody listens any more
	hush   func()
	cancel context.CancelFunc // ends everything that sends events
	work   sync.WaitGroup     // everything that sends events
	rec    *recorder          // nil: no picture is wanted; owned by who owns the loop
	notes  []string           // for the summary; what was told already is not repeated there
}

// clock is the scheduler's time.
func (d *download) clock() time.Duration { return time.Since(d.began) }

// once downloads one generation of the job's resource. It has begun when the
// resource is known.
func (c *Client) once(ctx context.Context, job Job, req *request, rep progress.Reporter) (begun bool, err error) {
	life, cancel := context.WithCancel(ctx)
	d := &download{
		cancel: cancel,
		c:      c, job: job, req: req, rep: rep, began: time.Now(),
		events: make(chan event, 256), over: make(chan struct{}),
		notes: slices.Clone(req.past.story),
	}
	d.verified.Store(req.past.verified)
	d.hush = sync.OnceFunc(func() { close(d.over) })
	defer d.work.Wait()
	defer d.hush()
	defer cancel()
	if d.rec, err = newRecorder(job); err != nil {
		return false, err
	}
	defer func() {
		if drawErr := d.rec.write(err); drawErr != nil {
			c.log.Warn("the picture of the download could not be written", "error", drawErr)
		}
	}()
	if d.sums, err = newSums(job); err != nil {
		return false, err
	}
	d.gather(life)
	d.enter(ctx)
	defer func() { d.depart(err) }()
	p, err := d.probe(life)
	if err != nil {
		return false, err
	}
	defer p.discard()
	d.gen, d.level, d.first = p.gen, p.level, p.level
	if d.isMetalink(p) {
		return false, ErrMetalink
	}
	if err := d.expect(ctx, p); err != nil {
		return true, err
	}
	d.vetting = d.mayVet(p)
	if err := errors.Join(d.demand(), d.duet(p.ranges)); err != nil {
		return true, err
	}
	if job.DryRun {
		d.plan(ctx, p)
		return true, nil
	}
	if err := d.open(ctx, p); err != nil {
		return true, err
	}
	d.roll(life)
	err = d.fetch(ctx, life, p)
	d.rolling.stop()
	if d.file == nil || err == nil {
		return true, err
	}
	if closeErr := d.file.Close(); closeErr != nil && !errors.Is(err, closeErr) && d.file.Err() == nil {
		err = errors.Join(err, closeErr)
	}
	return true, err
}

// gather starts to look for peers, if they may help.
func (d *download) gather(ctx context.Context) {
	switch {
	case d.c.opts.LocalOnly || len(d.c.opts.Trackers) == 0:
		return
	case d.req.private != "":
		d.note("own lines only: the request is not shared with peers because " + d.req.private)
		return
	}
	d.roster = newRoster(d.c.log, func(infos []*ddmv1.PeerInfo) { d.work.Go(func() { d.send(listed{infos}) }) })
	d.roster.without = d.req.suspects
	for _, tracker := range d.c.opts.Trackers {
		if d.job.Shared != nil {
			d.work.Go(func() { d.holders(ctx, tracker) })
			continue
		}
		d.work.Go(func() { d.roster.watch(ctx, d.c, tracker) })
	}
}

func (d *download) note(text string) { d.rep.Note(text) }

// open makes the place where the bytes go.
func (d *download) open(ctx context.Context, p *probed) error {
	if d.job.Stdout != nil {
		d.stream = newOrdered(d.job.Stdout, d.sums.writers()...)
		d.target = d.stream
		d.rep.Start(progress.Start{URL: shown(d.req.url()), Path: "-", Size: d.gen.Size, Identity: d.identity()})
		return nil
	}
	dir, name := d.job.Dir, p.name
	if d.job.Output != "" {
		dir, name = filepath.Split(filepath.Join(d.job.Dir, d.job.Output))
		if filepath.IsAbs(d.job.Output) {
			dir, name = filepath.Split(d.job.Output)
		}
	}
	if dir == "" {
		dir = "."
	}
	file, err := d.c.partFile(ctx, dir, name, partfile.Meta{URL: stored(d.req.url()), Mirrors: d.req.mirrors(), Gen: d.gen, Modified: p.modified, Level: d.level, Least: d.atLeast()}, partfile.Options{
		Overwrite: d.job.Overwrite, Log: d.c.log.Named("partfile"),
		Progress: func(done, total int64) {
			d.rep.Progress(progress.Snapshot{Size: total, Bytes: done, ETA: -1, Phase: "checking"})
		},
	})
	if err != nil {
		return err
	}
	d.file, d.target = file, file
	d.level = min(d.level, file.Level())
	for _, kept := range file.Kept() {
		what := "an older part file is kept as %s: %s"
		if kept.Removed {
			what = "the oldest part file that was kept, %s, is removed: %s"
		}
		d.note(fmt.Sprintf(what, kept.Name, kept.Reason))
	}
	resumed := file.Resumed()
	if !p.ranges && resumed != d.gen.Size {
		resumed = 0 // it all comes again, see whole
	}
	d.begin(resumed)
	return nil
}

// begin reports that the file is fetched, but for what was there.
func (d *download) begin(resumed int64) {
	d.rep.Start(progress.Start{URL: shown(d.req.url()), Path: d.file.Path(), Size: d.gen.Size, Identity: d.identity(), Resumed: resumed})
}

// partFile is partfile.Open, on a disk that a test may have replaced.
func (c *Client) partFile(ctx context.Context, dir, name string, meta partfile.Meta, o partfile.Options) (*partfile.File, error) {
	if c.dir == nil {
		return partfile.Open(ctx, dir, name, meta, o)
	}
	d, err := c.dir(dir)
	if err != nil {
		return nil, err
	}
	return partfile.OpenIn(ctx, d, name, meta, o)
}

// identity is the contract's word for the evidence so far.
func (d *download) identity() string {
	return d.worth(d.level).String()
}

// fetch brings the bytes, for which everybody lives, and finishes the file.
func (d *download) fetch(ctx, life context.Context, p *probed) error {
	if d.lone() && p.ranges && d.gen.Size > 0 {
		return d.atOnce(ctx, p)
	}
	if !p.ranges || d.gen.Size <= 0 {
		return d.whole(ctx, p)
	}
	res, err := d.run(life, p)
	if bad := badPieces(err); bad != nil {
		d.remember(d.tally(res))
		return d.dropBad(bad)
	}
	if err != nil {
		return err
	}
	return d.finish(ctx, res)
}

// send hands an event to the loop; it returns false if the loop is over.
func (d *download) send(ev event) bool {
	select {
	case d.events <- ev:
		return true
	case <-d.over:
		return false
	}
}
