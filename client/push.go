package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"ddm/internal/errdefs"
	"ddm/internal/progress"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	showPushes = 200 * time.Millisecond
	pushSilent = 15 * time.Second // without a word a peer counts as gone
	pushRate   = 0.3              // weight of the newest look at how fast a copy grows
)

// Pushed is what became of one peer's copy.
type Pushed struct {
	Name    string // of the peer
	Bytes   int64  // of the copy that are there
	Already bool   // it had it before
	Elapsed time.Duration
	Err     error // nil: it has a verified copy
}

// Push asks peers to keep copies of a file that this machine offers, all at
// once, and returns what became of each, in the order in which they were given,
// once all of them have it or failed. They fetch it like every other shared
// file. If ctx ends they stop; what they have is kept for the next Push. A peer
// whose owner takes no files is errdefs.Refused.
func (c *Client) Push(ctx context.Context, file Shared, peers []*ddmv1.PeerInfo, rep progress.Reporter) []Pushed {
	p := &pushing{c: c, file: file, rep: rep, began: time.Now()}
	for _, info := range peers {
		p.rows = append(p.rows, &pushRow{info: info, state: "asked"})
	}
	shown, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(shown)
		p.show(stop)
	}()
	var work sync.WaitGroup
	for _, row := range p.rows {
		work.Go(func() { p.one(ctx, row) })
	}
	work.Wait()
	close(stop)
	<-shown
	out := make([]Pushed, len(p.rows))
	for i, row := range p.rows {
		out[i] = Pushed{Name: row.name(), Bytes: row.bytes, Already: row.already, Elapsed: row.took, Err: row.err}
	}
	return out
}

// pushing is one Push.
type pushing struct {
	c     *Client
	file  Shared
	rep   progress.Reporter
	began time.Time

	mu   sync.Mutex // guards what the rows say
	rows []*pushRow
}

// pushRow is one peer's copy.
type pushRow struct {
	info    *ddmv1.PeerInfo
	state   string // asked, waiting, running, complete, refused, failed
	why     string
	bytes   int64
	shown   int64 // of bytes, at the last look
	rate    float64
	already bool
	took    time.Duration
	err     error
}

func (r *pushRow) name() string { return cmp.Or(r.info.GetName(), r.info.GetId()) }

// set changes what a row says.
func (p *pushing) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// show reports how far all are until stop, and at last once more.
func (p *pushing) show(stop <-chan struct{}) {
	tick := time.NewTicker(showPushes)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.rep.Progress(p.snapshot())
		case <-stop:
			p.rep.Progress(p.snapshot())
			return
		}
	}
}

// snapshot is how far all copies are together; those of peers that want none do
// not count.
func (p *pushing) snapshot() progress.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := progress.Snapshot{ETA: -1, Elapsed: time.Since(p.began)}
	slowest := time.Duration(0)
	for _, r := range p.rows {
		rate := max(0, float64(r.bytes-r.shown)/showPushes.Seconds())
		r.rate += pushRate * (rate - r.rate)
		r.shown = r.bytes
		running := r.state == "running"
		if !running {
			r.rate = 0
		}
		s.Sources = append(s.Sources, progress.Source{
			Name: r.name(), Kind: "peer", Size: p.file.Size, Bytes: r.bytes, Rate: r.rate, State: r.state, Note: r.why,
		})
		if r.state == "refused" || r.state == "failed" {
			continue
		}
		s.Size += p.file.Size
		s.Bytes += r.bytes
		s.Rate += r.rate
		if running && r.rate > 0 {
			slowest = max(slowest, time.Duration(float64(p.file.Size-r.bytes)/r.rate*float64(time.Second)))
		}
	}
	if slowest > 0 {
		s.ETA = slowest
	}
	return s
}

// one sees one peer's copy through. A peer that is busy is asked again, as long
// as one has patience.
func (p *pushing) one(ctx context.Context, row *pushRow) {
	for {
		err := p.ask(ctx, row)
		wait, _ := errdefs.RetryAfterOf(err)
		if !errors.Is(err, errdefs.Busy) || time.Since(p.began) > p.c.opts.Patience {
			p.end(row, err)
			return
		}
		p.set(func() { row.state, row.why = "waiting", text(err) })
		if sleep(ctx, max(wait, time.Second)) != nil {
			p.end(row, ctx.Err())
			return
		}
	}
}

// end enters how it ended.
func (p *pushing) end(row *pushRow, err error) {
	change := progress.SourceChange{Name: row.name(), Change: "left", Reason: "it has a copy"}
	p.set(func() {
		row.took, row.err = time.Since(p.began), err
		switch {
		case err == nil && row.already:
			row.state, row.why = "complete", "it had it already"
		case err == nil:
			row.state, row.why = "complete", ""
		case errors.Is(err, errdefs.Refused):
			row.state, row.why = "refused", text(err)
		default:
			row.state, row.why = "failed", text(err)
		}
		if err != nil {
			change.Change, change.Reason = "failed", row.why
		}
	})
	p.rep.Source(change)
}

// ask is one call to its end.
func (p *pushing) ask(ctx context.Context, row *pushRow) error {
	conn, err := p.c.dial(row.info.GetAddress(), false)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the call is over by then
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	patience := p.c.opts.ConnectTimeout + p.c.opts.Timeout
	silence := time.AfterFunc(patience, func() { end(fmt.Errorf("%w: it says nothing for %s", errdefs.Timeout, patience)) })
	defer silence.Stop()
	stream, err := ddmv1.NewPushServiceClient(conn).Push(ctx, &ddmv1.PushRequest{
		Hello: p.c.hello(), File: &ddmv1.SharedFile{Sha256: p.file.SHA256[:], Size: p.file.Size, Name: p.file.Name},
	}, grpc.WaitForReady(false))
	for accepted := false; err == nil; {
		var msg *ddmv1.PushResponse
		if msg, err = stream.Recv(); err != nil {
			break
		}
		patience = pushSilent
		silence.Reset(patience)
		switch ev := msg.GetEvent().(type) {
		case *ddmv1.PushResponse_Accepted_:
			if !accepted {
				p.rep.Source(progress.SourceChange{Name: row.name(), Change: "joined"})
			}
			accepted = true
			p.set(func() { row.state, row.why = "running", "" })
		case *ddmv1.PushResponse_Progress_:
			p.set(func() { row.bytes = min(max(ev.Progress.GetBytes(), 0), p.file.Size) })
		case *ddmv1.PushResponse_Kept_:
			p.set(func() { row.bytes, row.already = p.file.Size, ev.Kept.GetAlready() })
			return nil
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return pushError(err)
}

// pushError is why a call ended without a copy.
func pushError(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ended the call", errdefs.Unavailable)
	case errors.Is(err, errdefs.Invalid) && strings.Contains(err.Error(), "unknown service"):
		return fmt.Errorf("%w: its peerd is too old to take files", errdefs.Refused)
	}
	return err
}

// Receivers are the registered peers that are to get a copy: those that were
// named, by name or id, else all. Errors: errdefs.NotFound for a name that
// nobody has, errdefs.Unavailable if there is nobody.
func (c *Client) Receivers(ctx context.Context, names []string) ([]*ddmv1.PeerInfo, error) {
	all, err := c.Peers(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: no peer is registered: nobody could get a copy", errdefs.Unavailable)
	}
	if len(names) == 0 {
		return all, nil
	}
	var missing []string
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p *ddmv1.PeerInfo) bool { return p.GetName() == name || p.GetId() == name }) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%w: no peer is called %s; ddm-client peers lists those that are", errdefs.NotFound, strings.Join(missing, ", "))
	}
	return slices.DeleteFunc(all, func(p *ddmv1.PeerInfo) bool {
		return !slices.Contains(names, p.GetName()) && !slices.Contains(names, p.GetId())
	}), nil
}
