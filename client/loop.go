package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// event is what the loop is told by those that run beside it.
type event interface{ handle(*loop) error }

type (
	started struct {
		id    schedule.AssignmentID
		level origin.Level
	}
	received struct {
		id schedule.AssignmentID
		r  byterange.Range
		at time.Duration // when the newest of it was written
	}
	ended struct {
		id    schedule.AssignmentID
		err   error
		local bool

		in      *intake         // that its bytes went through; nil: it brought none
		brought byterange.Range // by this assignment
		from    schedule.SourceID
	}
	broken struct{ err error } // the target takes no more
)

// aloneFor is how long the own lines are measured before peers get work;
// aloneAtMost bounds the wait for their first byte.
const (
	aloneFor    = 200 * time.Millisecond
	aloneAtMost = time.Second
	tickEvery   = 100 * time.Millisecond
	showEvery   = 2 // ticks
	window      = 32 << 20
)

// loop owns the scheduler and the sources of one download.
type loop struct {
	d     *download
	ctx   context.Context //nolint:containedctx // the loop's own lifetime: it ends with run
	sched *schedule.Scheduler
	table *table

	mixed    bool // several sources may work side by side
	begun    bool // the own lines of the beginning have joined
	settled  bool // and those that waited for their measurement
	streams  streams
	pool     pool
	alone    meterAlone
	spots    spots
	member   member
	pieces   pieces
	lists    lists
	quorum   quorum
	resumed  byterange.Set // of an earlier run
	doubts   []doubt
	vouching int
	lastByte time.Duration
	lookedAt time.Duration // when it was asked last who is blocked
	lastErr  error         // of the newest failure of any source
	ownErr   error         // of the newest failure of an own line
	timeouts bool          // every failure so far was a time-out
	failures int
	ticks    int
}

// run downloads by ranges until every byte is there.
func (d *download) run(ctx context.Context, p *probed) (*loop, error) {
	l := &loop{d: d, ctx: ctx, streams: newStreams(), timeouts: true}
	cfg := schedule.Config{Size: d.gen.Size, MaxLanes: d.c.opts.Connections, Seed: rand.Uint64()}
	var have byterange.Set
	if d.file != nil {
		have = d.file.Have()
	} else {
		cfg.Window = window
	}
	mixed := d.level >= origin.Weak
	l.mixed, d.mixed = mixed, mixed
	if !mixed { // nothing would show that two replies belong together
		cfg.MaxLanes = 1
	}
	l.sched = schedule.New(cfg, have)
	l.table = newTable(l.sched)
	l.spots = newSpots(d)
	l.pieces = newPieces(d, have)
	if d.listed() { // of what was heard before
		l.judgeBy(d.req.lists.Choose())
	}
	l.quorum = newQuorum(d)
	l.resumed = have.Clone()
	l.pool = newPool(d, mixed)
	d.rec.begin(d.gen.Size, have)
	defer func() { // everybody stops before the file is touched again
		d.cancel()
		d.hush()
		d.taking.others = l.table.remembered()
		l.table.closeAll()
		d.work.Wait()
		d.judged = l.pieces.right()
		d.outcasts.remember(d.req)
		d.rec.stop(d.clock(), l.sched.Stats())
	}()
	if l.sched.Complete() && l.quorum.of == nil && !l.lists.judged && !d.req.sought {
		p.discard()
		return l, nil
	}
	l.joinSwarm(p, have)
	if err := l.joinOwn(p, have); err != nil {
		return l, err
	}
	if d.vetting {
		d.note("the origin names no validator: peers bring bytes once blocks of them, chosen in secret, were the same as over the own line")
	} else if !mixed && d.roster != nil {
		d.note("one source only: the origin names no validator by which the bytes of several could be told to belong together")
		d.roster = nil
	}
	return l, l.turn()
}

// joinOwn makes the own lines sources. The probe's body is the first one's
// first assignment.
func (l *loop) joinOwn(p *probed, have byterange.Set) error {
	for _, line := range l.d.c.open() {
		if line.Origin != p.line {
			continue
		}
		first := p
		if p.reply == nil || have.Overlap(p.reply.Range) > 0 {
			first = nil
		}
		if _, err := l.addOwn(line, l.pool.first(), first); err != nil {
			return err
		}
	}
	p.discard()
	if len(l.d.c.open()) == 0 {
		l.ownErr = l.d.c.closed()
	}
	err := l.syncOwn()
	l.begun = true
	return err
}

func (l *loop) now() time.Duration { return l.d.clock() }

// turn handles events until the download is complete or hopeless.
func (l *loop) turn() error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	l.lastByte = l.now()
	l.alone.began = l.lastByte
	for l.unfinished() {
		select {
		case ev := <-l.d.events:
			if err := l.take(ev); err != nil {
				return err
			}
		case <-tick.C:
			if err := l.tick(); err != nil {
				return err
			}
		case <-l.alone.due:
			l.alone.due = nil
			if err := l.catchUp(); err != nil {
				return err
			}
			if err := l.startOthers(); err != nil {
				return err
			}
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		}
		l.obey()
	}
	return nil
}

// take handles an event. What the scheduler may move the ends of ranges for is
// handled with all that waits.
func (l *loop) take(ev event) error {
	if e, ok := ev.(received); ok {
		return e.handle(l)
	}
	return l.catchUp(ev)
}

// catchUp handles events, and those that wait behind them. First comes all that
// was brought, told or not: where a range is to be cut, the scheduler must know
// how far it came.
func (l *loop) catchUp(list ...event) error {
	for range len(l.d.events) {
		ev := <-l.d.events
		if e, ok := ev.(received); !ok {
			list = append(list, ev)
		} else if err := e.handle(l); err != nil {
			return err
		}
	}
	if err := l.hear(l.now()); err != nil {
		return err
	}
	for _, ev := range list {
		if err := ev.handle(l); err != nil {
			return err
		}
	}
	return nil
}

// unfinished reports whether bytes are to come, or to be looked at.
func (l *loop) unfinished() bool {
	if !l.sched.Complete() || l.missing(byterange.Range{Len: l.d.gen.Size}) || l.looking() || l.listing() || l.weighing() || l.seconding() || l.doubtful() {
		return true
	}
	some, err := l.sweep()
	if err != nil {
		l.d.c.log.Error("what a liar gave could not be taken back", "error", err) // the file is broken: it is never committed
	}
	return some
}

func (l *loop) tick() error {
	now := l.now()
	if ids := l.blocked(now); len(ids) > 0 {
		l.sched.Blocked(now, ids...)
		l.lastByte = now
	}
	if err := l.catchUp(); err != nil {
		return err
	}
	l.sched.Tick(now)
	l.takePart(now)
	if err := l.startOthers(); err != nil {
		return err
	}
	l.meetMore()
	if err := l.lookAtOwn(); err != nil {
		return err
	}
	l.look()
	l.believe()
	l.weigh()
	l.second()
	l.vouch()
	l.table.notice(l.d.rep)
	if l.ticks++; l.ticks%showEvery == 0 {
		l.d.rep.Progress(l.snapshot())
	}
	return l.hopeless(now)
}

// hear takes in what came and was not told yet.
func (l *loop) hear(now time.Duration) error {
	for _, in := range l.table.intakes() {
		for _, news := range in.news(now) {
			if err := news.handle(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// startOthers gives work to those who waited until the own lines were measured.
func (l *loop) startOthers() error {
	if !l.alone.over(l.now(), l.table) {
		return nil
	}
	l.joinReady()
	return l.joinMirrors()
}

// asleepAfter without a tick, this process did not run: it was stopped, or its
// machine slept.
const asleepAfter = 10 * tickEvery

// blocked returns the sources that we hold up ourselves: by a slow disk or
// reader, by a limit, or because we were asleep.
func (l *loop) blocked(now time.Duration) (ids []schedule.SourceID) {
	since := now - l.lookedAt
	l.lookedAt = now
	asleep := since > asleepAfter
	busy := make(map[*intake]bool) // a peer's lines share one, which is to be asked once
	for _, r := range l.table.order {
		if !r.here {
			continue
		}
		in := r.intake()
		ours, asked := busy[in]
		if !asked {
			ours = in.writing(now) > since*9/10 || asleep
			busy[in] = ours
		}
		if ours {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// hopeless returns why going on makes no sense, or nil.
func (l *loop) hopeless(now time.Duration) error {
	if err := errors.Join(l.solo(now), l.unlifted(), l.starved(now)); err != nil {
		return err
	}
	if l.sched.Complete() { // what came is being judged
		l.lastByte = now
		return nil
	}
	if !l.table.anyUsable() && !l.peersMayCome() && !l.pool.hopeful() {
		return l.reason("no source is left")
	}
	if now-l.lastByte > l.d.c.opts.Patience {
		return l.reason(fmt.Sprintf("no byte from anywhere for %s", l.d.c.opts.Patience))
	}
	return nil
}

// reason makes the error of a download that is given up. What the own lines
// met counts most: what peers say is hearsay.
func (l *loop) reason(what string) error {
	cause := l.ownErr
	if cause == nil && len(l.d.c.open()) == 0 {
		cause = hearsay(l.lastErr)
	}
	if cause == nil {
		cause = errdefs.Unavailable
	}
	if l.failures > 0 && l.timeouts && !errors.Is(cause, errdefs.Timeout) {
		return fmt.Errorf("%w: %s: %w", errdefs.Timeout, what, cause)
	}
	return fmt.Errorf("%s: %w", what, cause)
}

// hearsay is an error that came from a peer, without what only this machine
// can know of itself.
func hearsay(err error) error {
	switch errdefs.KindOf(err) {
	case errdefs.NoSpace, errdefs.Exists, errdefs.Locked, errdefs.OpenFile, errdefs.CreateFile, errdefs.WriteFile,
		errdefs.MakeDir, errdefs.LeaseExpired, errdefs.Invalid, errdefs.Corrupt, errdefs.Internal:
		return fmt.Errorf("%w: a peer said: %s", errdefs.Unavailable, err.Error())
	}
	return err
}

// obey carries out what the scheduler decided.
func (l *loop) obey() {
	for _, a := range l.sched.Actions() {
		switch a := a.(type) { // a source may have left since: then its orders are void
		case schedule.Assign:
			if row := l.table.row(a.Source); row != nil {
				l.d.rec.assigned(l.now(), a)
				row.assign(a)
			}
		case schedule.Shrink:
			if row := l.table.row(a.Source); row != nil {
				l.d.rec.shrunk(a.ID, a.End)
				row.shrink(a.ID, a.End)
			}
		case schedule.Cancel:
			if row := l.table.row(a.Source); row != nil {
				row.cancel(a.ID)
			}
		}
	}
}

func (e started) handle(l *loop) error {
	l.d.rec.started(l.now(), e.id)
	l.sched.Started(l.now(), e.id)
	l.d.level = min(l.d.level, e.level)
	if row := l.table.row(l.table.owner(e.id)); row != nil && row.peer != nil {
		l.d.c.captives.cleared(row.peer.info.GetId())
	}
	return nil
}

func (e received) handle(l *loop) error {
	l.lastByte = l.now()
	l.d.rec.received(l.lastByte, e.id, e.r)
	if l.worthless(l.table.owner(e.id)) {
		return nil // it is taken back, or will be
	}
	had := l.sched.Done()
	lanes := l.sched.Status(l.table.owner(e.id)).Lanes
	l.sched.ReceivedAt(l.lastByte, e.at, e.id, e.r)
	l.table.late(e.id, l.sched.Done()-had)
	l.gave(l.table.owner(e.id), e.r)
	l.pieces.wrote(e.r)
	l.arrivedOnce(e.r)
	l.alone.received(e.at, l.table.owner(e.id), lanes, e.r.Len)
	return nil
}

func (e ended) handle(l *loop) error {
	e.from = l.table.owner(e.id)
	row, wanted := l.table.take(e.id)
	l.d.rec.ended(l.now(), e.id)
	if e.err != nil && wanted && !errors.Is(e.err, context.Canceled) {
		l.failed(e.err, e.local)
		if row != nil {
			row.why = text(e.err)
		}
		if row != nil && row.peer != nil {
			l.suspect(row, e.err)
		}
		if kind := errdefs.KindOf(e.err); e.local && (kind == errdefs.Changed || kind == errdefs.BadRange) {
			if row == nil || !l.mayServe(row.mirror) {
				return changed(e.err)
			}
			l.dropMirror(row.mirror, changed(e.err))
		}
	}
	wait, _ := errdefs.RetryAfterOf(e.err)
	l.sched.Ended(l.now(), e.id, outcome(e.err, row), min(wait, longestWait))
	if err := l.takeBack(e); err != nil {
		return err
	}
	if e.local && row != nil && spent(e.err) {
		l.d.c.own.Refresh()
		return l.syncOwn()
	}
	return nil
}

// changed makes an own line's error one of a changed resource: a range that
// is not there any more says the same.
func changed(err error) error {
	if errors.Is(err, errdefs.Changed) {
		return err
	}
	return fmt.Errorf("%w: %w", errdefs.Changed, err)
}

func (e broken) handle(*loop) error { return e.err }

// failed remembers a failure for the day when there is nobody left.
func (l *loop) failed(err error, local bool) {
	if err == nil {
		return
	}
	l.failures++
	l.timeouts = l.timeouts && errors.Is(err, errdefs.Timeout)
	l.lastErr = err
	if local {
		l.ownErr = err
	}
}

// outcome classifies an assignment's end for the scheduler.
func outcome(err error, row *row) schedule.Outcome {
	if err == nil {
		if row != nil {
			row.strikes = 0
		}
		return schedule.OK
	}
	switch errdefs.KindOf(err) {
	case errdefs.Busy:
		return schedule.Busy
	case errdefs.NotFound, errdefs.Unauthorized, errdefs.Refused, errdefs.Changed, errdefs.NoRanges,
		errdefs.Invalid, errdefs.BadRange, errdefs.Redirects:
		return schedule.Never
	case errdefs.BadReply, errdefs.Corrupt:
		if row == nil {
			return schedule.Failed
		}
		if row.strikes++; row.strikes >= badReplies {
			return schedule.Never
		}
	}
	return schedule.Failed
}

const (
	badReplies  = 3                // in a row that fail the accept test: such a source is out
	longestWait = 10 * time.Minute // that a source may ask for
)

// text is an error's sentence for people.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
