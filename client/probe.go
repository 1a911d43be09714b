package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"ddm/internal/backoff"
	"ddm/internal/errdefs"
	"ddm/internal/filename"
	"ddm/internal/origin"
)

// probed is what is known of a resource before it is fetched.
type probed struct {
	gen      origin.Generation
	level    origin.Level // that can be reached
	ranges   bool
	name     string // from the origin
	modified time.Time

	// The own line's open reply and what ends it; nil if peers did the probe.
	reply *origin.Reply
	at    time.Time // when it began
	line  *origin.Line
	stop  context.CancelFunc
}

// discard closes the reply if nobody took it.
func (p *probed) discard() {
	if p.reply != nil {
		p.stop()
		_ = p.reply.Body.Close() // nothing of it is wanted
		p.reply = nil
	}
}

// probe asks what the resource is: the own lines first, peers as soon as those
// meet trouble that peers may not have.
func (d *download) probe(ctx context.Context) (*probed, error) {
	if d.job.Shared != nil {
		return d.job.Shared.probed(d.job.Output), nil
	}
	if d.c.own != nil {
		d.c.own.Refresh()
	}
	if len(d.c.open()) > 0 {
		return d.probeOwn(ctx, d.roster != nil)
	}
	why := d.c.closed()
	switch {
	case d.req.private != "" && why == nil:
		return nil, fmt.Errorf("%w: the request stays on own lines because %s, and --no-local forbids those", errdefs.Refused, d.req.private)
	case d.req.private != "":
		return nil, fmt.Errorf("the request stays on own lines because %s: %w", d.req.private, why)
	}
	p, err := d.probeByPeers(ctx)
	if err != nil && why != nil && worthRetrying(err) {
		return nil, why // and peers know nothing better
	}
	return p, err
}

// probeOwn asks over the own lines as often as the options say, within the
// patience for a download without a byte. After the first round peers are
// asked, if they may help.
func (d *download) probeOwn(ctx context.Context, peers bool) (*probed, error) {
	opts := &d.c.opts
	waits := backoff.Policy{Base: opts.RetryWait, Max: 30 * time.Second, Factor: 2}
	end := time.Now().Add(opts.Patience)
	for attempt := 0; ; attempt++ {
		p, err := d.probeRound(ctx, end)
		if err == nil || ctx.Err() != nil {
			return p, err
		}
		if peers && peersMayHelp(err) {
			peers = false
			if p, peerErr := d.probeByPeers(ctx); peerErr == nil {
				return p, nil
			}
		}
		if !worthRetrying(err) || attempt >= opts.Retry {
			return nil, err
		}
		wait := max(waits.Ceiling(attempt), 0)
		wait -= time.Duration(rand.Int64N(int64(wait)/4 + 1))
		if asked, ok := errdefs.RetryAfterOf(err); ok {
			wait = max(wait, asked)
		}
		if time.Now().Add(wait).After(end) {
			return nil, err
		}
		d.rep.Note(fmt.Sprintf("%v; trying again in %s", err, wait.Round(100*time.Millisecond)))
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
	}
}

// probeByPeers asks peers for one mirror after the other.
func (d *download) probeByPeers(ctx context.Context) (*probed, error) {
	var failure error
	for i, a := range d.req.asks {
		p, err := d.probePeers(ctx, a)
		if err == nil {
			d.req.prefer(i)
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		failure = worse(failure, err)
	}
	return nil, failure
}

// worse keeps of two failures the one worth retrying, else the first.
func worse(failure, err error) error {
	if failure == nil || !worthRetrying(failure) && worthRetrying(err) {
		return err
	}
	return failure
}

// probeRound asks the mirrors, each over one own line after the other, until
// one answers; that one is the first from then on. The error is one worth
// retrying, if any was.
func (d *download) probeRound(ctx context.Context, end time.Time) (*probed, error) {
	r := &race{asks: d.req.asks, ask: func(ctx context.Context, a ask) (*probed, error) { return d.probeMirror(ctx, a, end) }}
	won, p, err := r.run(ctx)
	if err != nil {
		return nil, err
	}
	d.req.prefer(won)
	return p, nil
}

// probeMirror asks one URL over one own line after the other.
func (d *download) probeMirror(ctx context.Context, a ask, end time.Time) (*probed, error) {
	var failure error
	for _, line := range d.c.open() {
		p, err := d.probeOnce(ctx, line.Origin, a, end)
		if err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		failure = worse(failure, fmt.Errorf("%s: %w", shown(a.url), err))
	}
	if failure == nil {
		failure = d.c.closed() // since the round before
	}
	return nil, failure
}

func (d *download) probeOnce(ctx context.Context, line *origin.Line, a ask, end time.Time) (*probed, error) {
	ctx, stop := context.WithCancel(ctx)
	late := time.AfterFunc(time.Until(end), stop)
	reply, err := line.Probe(ctx, origin.ProbeRequest{URL: a.url, Header: a.header, Jar: d.req.jar, First: d.firstRange(), Whole: d.wholly, Guarded: a.guarded, Undigested: d.req.undigested})
	if !late.Stop() && (err == nil || errors.Is(err, context.Canceled)) {
		if err == nil {
			_ = reply.Body.Close() // it was stopped: nothing more comes
		}
		reply, err = nil, fmt.Errorf("%w: no answer", errdefs.Timeout)
	}
	if want := d.job.Size; err == nil && want > 0 && reply.Gen.Size >= 0 && reply.Gen.Size != want {
		stop()
		_ = reply.Body.Close() // it is another file
		err = fmt.Errorf("%w: it has %d bytes, not %d as it should", errdefs.BadReply, reply.Gen.Size, want)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return &probed{
		gen: reply.Gen, level: reply.Level, ranges: !reply.Whole, modified: reply.Modified,
		name:  nameSource{d.job.Output}.name(reply.Disposition, reply.FinalURL, a.url),
		reply: reply, at: time.Now(), line: line, stop: stop,
	}, nil
}

const firstRange = 1 << 20 // bytes that the probe asks for; its body is kept

// firstRange returns how many bytes the probe asks for: where others have the
// first ones, or fetch them, they need not come with it.
func (d *download) firstRange() int64 {
	if d.others() || len(d.req.past.story) > 0 { // or most of it is here
		return 1
	}
	return firstRange
}

func worthRetrying(err error) bool {
	switch errdefs.KindOf(err) {
	case errdefs.Unavailable, errdefs.Timeout, errdefs.Busy:
		return true
	}
	return false
}

// sleep waits, or returns why not.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// nameSource chooses the name to save under.
type nameSource struct{ output string }

func (n nameSource) name(disposition, finalURL, originalURL string) string {
	if n.output != "" {
		return n.output
	}
	return filename.FromResponse(disposition, finalURL, originalURL)
}
