package client

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	maxflow "ddm/client/flow"
	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/internal/origin"
	"ddm/internal/progress"
	ddmv1 "ddm/proto/ddm/v1"
)

// Outlook is what a download would be like: who would bring what, in which
// time, and what it cannot be faster for. Rates are bytes per second; times
// are 0 where no rate is known.
type Outlook struct {
	URL      string
	Name     string
	Size     int64
	Identity string
	Sources  []Prospect
	Notes    []string

	Expected   time.Duration
	Bottleneck Bottleneck
	Bounds     Bounds
}

// Prospect is what one source would do.
type Prospect struct {
	Name  string
	Kind  string // local, peer
	Rate  float64
	Basis string // where the rate is from: measured, limit, assumed, unknown
	Bytes int64
	Time  time.Duration // until its last byte
}

// Bottleneck is the minimum cut of the plan: these sources have to bring so
// many bytes, and need so long for it. It is this machine's own limit if
// Receiver is set.
type Bottleneck struct {
	Sources  []string
	Bytes    int64
	Needs    time.Duration
	Receiver bool
}

// Bounds are times that nothing can beat.
type Bounds struct {
	ClientServer time.Duration // over the best own line alone
	PeerToPeer   time.Duration // all that others bring, and what this machine takes
	OneCopy      time.Duration // over all lines together
}

const (
	measuring   = 2 * time.Second // the longest look at a line
	planned     = 8192            // the most pieces in an outlook
	basisLimit  = "limit"
	basisSeen   = "measured"
	basisGuess  = "assumed"
	basisUnsure = "unknown"
)

// Outlook says what downloading the job would be like. It fetches the first
// piece over each own line, to measure it, and keeps nothing.
func (c *Client) Outlook(ctx context.Context, job Job) (Outlook, error) {
	req, err := newRequest(job)
	if err != nil {
		return Outlook{}, err
	}
	life, cancel := context.WithCancel(ctx)
	heard := &hearing{}
	d := &download{
		cancel: cancel, c: c, job: job, req: req, rep: heard, began: time.Now(),
		events: make(chan event), over: make(chan struct{}),
	}
	close(d.over) // there is no loop that would want to hear of peers
	defer d.work.Wait()
	defer cancel()
	d.gather(life)
	p, err := d.probe(life)
	if err != nil {
		return Outlook{}, err
	}
	defer p.discard()
	d.gen, d.level = p.gen, p.level
	o := Outlook{URL: shown(req.url()), Name: p.name, Size: p.gen.Size, Identity: d.identity()}
	if o.Size < 0 {
		return o, fmt.Errorf("%w: the origin does not say how long the resource is: there is nothing to plan", errdefs.BadReply)
	}
	o.Sources = d.measure(life, p)
	alone := best(o.Sources)
	if p.ranges && d.level >= origin.Weak {
		o.Sources = d.neighbours(ctx, o.Sources)
	} else {
		o.Sources = o.Sources[:min(len(o.Sources), 1)]
		d.note("one own line only: without ranges and something to compare versions by, sources cannot be mixed")
	}
	o.divide(c.opts.LimitRate)
	o.Bounds.ClientServer = maxflow.OneCopy(o.Size, alone)
	o.Notes = heard.notes
	return o, ctx.Err()
}

// hearing is a Reporter that keeps notes; nothing else is reported before a
// download begins.
type hearing struct {
	progress.Reporter
	notes []string
}

// Note implements progress.Reporter.
func (h *hearing) Note(text string) { h.notes = append(h.notes, text) }

// measure looks how fast each own line brings the first piece. The line that
// answered the probe comes first.
func (d *download) measure(ctx context.Context, p *probed) []Prospect {
	var list []Prospect
	for _, line := range d.c.open() {
		if line.Spec.Metered > 0 {
			d.note(line.Name + " is metered and left out")
			continue
		}
		s := Prospect{Name: line.Name, Kind: "local", Basis: basisUnsure}
		rate, err := d.look(ctx, line, p)
		if err != nil {
			d.note(fmt.Sprintf("%s brings nothing: %v", line.Name, err))
			continue
		}
		if rate > 0 {
			s.Rate, s.Basis = rate, basisSeen
		}
		if limit := float64(line.Spec.LimitRate); limit > 0 && (s.Rate == 0 || s.Rate > limit) {
			s.Rate, s.Basis = limit, basisLimit
		}
		if line.Origin == p.line {
			list = slices.Insert(list, 0, s)
			continue
		}
		list = append(list, s)
	}
	return list
}

// look reads the first piece over a line: of the probe's reply where that is
// open, else of another one.
func (d *download) look(ctx context.Context, line lines.Line, p *probed) (rate float64, err error) {
	from := p
	if line.Origin != p.line || p.reply == nil {
		if from, err = d.probeOnce(ctx, line.Origin, d.req.asks[0], time.Now().Add(d.c.opts.Timeout)); err != nil {
			return 0, err
		}
	}
	defer from.discard()
	late := time.AfterFunc(measuring, from.stop)
	defer late.Stop()
	began := time.Now()
	n, err := io.Copy(io.Discard, io.LimitReader(from.reply.Body, firstRange))
	took := time.Since(began).Seconds()
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case n == 0 && err != nil:
		return 0, err
	case took <= 0:
		return 0, nil
	}
	return float64(n) / took, nil
}

// neighbours adds the lines of the peers that are here, as far as a plan can
// have them.
func (d *download) neighbours(ctx context.Context, list []Prospect) []Prospect {
	if d.roster == nil {
		return list
	}
	guess := best(list)
	for _, info := range d.roster.wait(ctx, time.Second) {
		for _, line := range info.GetLines() {
			switch {
			case line.GetClosed():
				continue
			case line.GetMetered():
				d.note(fmt.Sprintf("%s of %s is metered and left out", line.GetName(), info.GetName()))
				continue
			case len(list) == maxflow.MaxSources:
				d.note(fmt.Sprintf("only %d lines are considered", maxflow.MaxSources))
				return list
			}
			list = append(list, prospect(info, line, guess))
		}
	}
	return list
}

// prospect is what is known of a peer's line: the limit that its owner set, or
// else the rate that an own line has.
func prospect(info *ddmv1.PeerInfo, line *ddmv1.Line, guess float64) Prospect {
	s := Prospect{Name: info.GetName(), Kind: "peer", Basis: basisUnsure}
	if len(info.GetLines()) > 1 {
		s.Name += "/" + line.GetName()
	}
	switch limit := float64(line.GetLimitBytesPerSecond()); {
	case limit > 0:
		s.Rate, s.Basis = limit, basisLimit
	case guess > 0:
		s.Rate, s.Basis = guess, basisGuess
	}
	return s
}

// divide plans who brings what, and enters it. All bytes leave the origin, over
// one line or another.
func (o *Outlook) divide(limit int64) {
	const grid = 1 << 20
	p := maxflow.Problem{Size: grid, Receive: float64(limit)}
	for o.Size/p.Size >= planned {
		p.Size *= 2
	}
	sum := 0.0
	for i, s := range o.Sources {
		p.Sources = append(p.Sources, maxflow.Source{ID: uint64(i), Rate: s.Rate, Origin: true})
		sum += s.Rate
	}
	for off := int64(0); off < o.Size; off += p.Size {
		p.Pieces = append(p.Pieces, maxflow.Piece{Number: len(p.Pieces)})
	}
	plan := new(maxflow.Planner).Plan(p)
	for i, s := range plan.From {
		if s == maxflow.Nobody {
			continue
		}
		src := &o.Sources[s]
		src.Bytes += min(p.Size, o.Size-int64(i)*p.Size)
		src.Time = maxflow.OneCopy(src.Bytes, src.Rate)
		o.Expected = max(o.Expected, src.Time)
	}
	o.Bounds.OneCopy = maxflow.OneCopy(o.Size, sum)
	if plan.Missing > 0 || len(p.Pieces) == 0 {
		return
	}
	o.Bounds.PeerToPeer = maxflow.PeerToPeer(o.Size, sum, float64(limit), []float64{0})
	o.Expected = max(o.Expected, maxflow.OneCopy(o.Size, float64(limit)))
	o.Bottleneck = Bottleneck{Bytes: min(int64(plan.Bottleneck.Pieces)*p.Size, o.Size), Receiver: plan.Bottleneck.Receiver}
	together := 0.0
	for _, s := range plan.Bottleneck.Sources.All() {
		o.Bottleneck.Sources = append(o.Bottleneck.Sources, o.Sources[s].Name)
		together += o.Sources[s].Rate
	}
	o.Bottleneck.Needs = maxflow.OneCopy(o.Bottleneck.Bytes, together)
	if o.Bottleneck.Receiver {
		o.Bottleneck.Needs = maxflow.OneCopy(o.Bottleneck.Bytes, float64(limit))
	}
}

// best is the rate of the fastest.
func best(list []Prospect) float64 {
	top := 0.0
	for _, s := range list {
		top = max(top, s.Rate)
	}
	return top
}
