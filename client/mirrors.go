package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"slices"
	"time"

	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

// Mirrors are pooled: each is an origin of its own, with a source per line.
//
//	probe --the first that answers--> mirror 0: it pins the generation
//	others --meet: probe, compare, samples--> pool, or left out and named
//	pool x open lines (own ones, peers') --> table, scheduler
//
// A mirror is held to what it said itself when it was met, and joins only if
// that agrees with what the first one said, or samples of the two are equal.

const (
	poolSize    = 4                // mirrors that are fetched from at once
	mostSources = 64               // lines times mirrors; each line has the first mirror all the same
	meetAgain   = 30 * time.Second // after trouble that may pass
	mostMeets   = 3                // of one mirror
	sampleSize  = 64 << 10
	mostSamples = 10
	sampleEvery = 32 << 20 // bytes of the resource per further sample
)

// mirror is one URL of the resource that is fetched from.
type mirror struct {
	ask   ask
	gen   origin.Generation // its replies are held to this
	level origin.Level      // of the evidence that this is what the first one has
	host  string            // for people; "": there is only one
	n     int               // from 0, the first
	wait  time.Duration     // for the first byte of its reply
	tags  tags

	joined bool // it is offered to all lines
	out    bool // it is left alone for good
}

// resource is what an own line asks it for.
func (m *mirror) resource(req *request) origin.Resource {
	return origin.Resource{URL: m.ask.url, Header: m.ask.header, Jar: req.jar, Gen: m.gen, Guarded: m.ask.guarded, Undigested: req.undigested}
}

// at returns the name of a source that fetches from this mirror.
func (m *mirror) at(source string) string {
	if m.host == "" {
		return source
	}
	return source + "@" + m.host
}

// pool is which mirrors are used. The loop owns it.
type pool struct {
	mirrors []*mirror // met and found right, the first in front
	waiting []waiting // not met yet
	meeting int
}

// waiting is a mirror that will be met.
type waiting struct {
	ask   ask
	after time.Duration // by the download's clock
	tries int
}

// met is what came of it.
type met struct {
	waiting
	m   *mirror
	err error
}

// newPool begins with the mirror that answered the probe. Without mixed it
// stays alone: nothing would show that another one has the same.
func newPool(d *download, mixed bool) pool {
	first := &mirror{ask: d.req.asks[0], gen: d.gen, level: origin.Digest, joined: true}
	p := pool{mirrors: []*mirror{first}}
	if !mixed || len(d.req.asks) == 1 {
		return p
	}
	first.host = hostOf(first.ask.url)
	for _, a := range d.req.asks[1:] {
		p.waiting = append(p.waiting, waiting{ask: a})
	}
	return p
}

// hostOf names the origin of a URL for people.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(URL)"
	}
	return u.Host
}

// first is the one whose generation is pinned.
func (p *pool) first() *mirror { return p.mirrors[0] }

// used returns the mirrors that lines may fetch from.
func (p *pool) used() []*mirror {
	return slices.DeleteFunc(slices.Clone(p.mirrors), func(m *mirror) bool { return !m.joined || m.out })
}

// mayServe reports whether another mirror can go on without this one.
func (l *loop) mayServe(without *mirror) bool {
	for _, r := range l.table.rows {
		if r.mirror != without && l.sched.Status(r.id).State != schedule.Out {
			return true
		}
	}
	return l.pool.meeting > 0
}

// hopeful reports whether a mirror may yet become a source.
func (p *pool) hopeful() bool {
	return p.meeting > 0 || slices.ContainsFunc(p.mirrors, func(m *mirror) bool { return !m.joined })
}

// meetMore meets as many mirrors as there is room for beside those that work.
func (l *loop) meetMore() {
	p := &l.pool
	busy := p.meeting
	for _, m := range p.mirrors {
		if !m.joined || l.works(m) {
			busy++
		}
	}
	for i := 0; i < len(p.waiting) && busy < poolSize; {
		w := p.waiting[i]
		if w.after > l.now() {
			i++
			continue
		}
		p.waiting = slices.Delete(p.waiting, i, i+1)
		p.meeting++
		busy++
		w.tries++
		l.d.work.Go(func() {
			m, err := l.d.meet(l.ctx, w.ask)
			l.d.send(met{w, m, err})
		})
	}
}

// works reports whether any line is getting on with a mirror.
func (l *loop) works(m *mirror) bool {
	return !m.out && slices.ContainsFunc(l.table.order, func(r *row) bool {
		if !r.here || r.mirror != m {
			return false
		}
		state := l.sched.Status(r.id).State
		return state == schedule.Idle || state == schedule.Running || state == schedule.Spare
	})
}

func (e met) handle(l *loop) error {
	p := &l.pool
	p.meeting--
	if e.err != nil {
		if worthRetrying(e.err) && e.tries < mostMeets {
			wait, _ := errdefs.RetryAfterOf(e.err)
			e.after = l.now() + max(meetAgain, min(wait, longestWait))
			p.waiting = append(p.waiting, e.waiting)
		}
		l.d.note(fmt.Sprintf("the mirror %s is left out: %v", hostOf(e.ask.url), e.err))
		return nil
	}
	e.m.n = len(p.mirrors)
	e.m.host = hostOf(e.ask.url)
	if slices.ContainsFunc(p.mirrors, func(o *mirror) bool { return o.host == e.m.host }) {
		e.m.host += fmt.Sprintf("#%d", e.m.n+1)
	}
	p.mirrors = append(p.mirrors, e.m)
	return nil
}

// joinMirrors offers the mirrors that were met to all lines.
func (l *loop) joinMirrors() error {
	fresh := false
	for _, m := range l.pool.mirrors {
		fresh = fresh || !m.joined
		m.joined = true
	}
	if !fresh {
		return nil
	}
	if err := l.syncOwn(); err != nil {
		return err
	}
	for _, peer := range l.table.streams() {
		l.join(peer)
	}
	return nil
}

// dropMirror ends every source that fetches from a mirror.
func (l *loop) dropMirror(m *mirror, err error) {
	m.out = true
	l.d.note(fmt.Sprintf("the mirror %s is left out: %v", m.host, err))
	for _, r := range slices.Clone(l.table.order) {
		if !r.here || r.mirror != m {
			continue
		}
		if r.local != nil {
			l.d.work.Go(r.local.close) // its ends are events: the loop must not wait for them
		} else {
			l.cancelAll(r)
		}
		l.removeRow(r, text(err))
	}
	l.meetMore()
}

// cancelAll stops what a source has.
func (l *loop) cancelAll(r *row) {
	for id, o := range l.table.owners {
		if o.id == r.id {
			r.cancel(id)
		}
	}
}

// offered returns the mirrors that a peer can be given assignments for, and
// tells it of those that it does not know.
func (l *loop) offered(peer *remoteSource) []*mirror {
	if !peer.offer(l.pool.first()) { // the one that Open named
		return nil
	}
	list := l.pool.used()
	if !slices.Contains(peer.opened.GetHello().GetCapabilities(), "mirrors") {
		list = slices.DeleteFunc(list, func(m *mirror) bool { return m != l.pool.first() })
	}
	return slices.DeleteFunc(list, func(m *mirror) bool {
		return m != l.pool.first() && len(l.table.rows) >= mostSources || !peer.offer(m)
	})
}

// maxOffered is how many mirrors a peer takes besides the first.
const maxOffered = 15

// offer makes a mirror known to the peer; false: it takes no more.
func (r *remoteSource) offer(m *mirror) bool {
	if slices.Contains(r.mirrors, m) {
		return true
	}
	if len(r.mirrors) > maxOffered {
		return false
	}
	r.mu.Lock()
	r.mirrors = append(r.mirrors, m)
	r.ins = append(r.ins, &intake{giver: m.giver("peer:" + r.info.GetId())})
	n := len(r.mirrors) - 1
	r.mu.Unlock()
	if n > 0 { // Open named the first
		r.order(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Mirror{Mirror: &ddmv1.Mirror{
			Index: uint32(n), Resource: m.ask.wire(origin.GenerationToProto(m.gen)),
		}}})
	}
	return true
}

// meet finds out whether a mirror has what is fetched.
func (d *download) meet(ctx context.Context, a ask) (*mirror, error) {
	s := &site{c: d.c, ask: a, jar: d.req.jar}
	own := len(d.c.open()) > 0
	if own {
		if err := s.pin(ctx, true); err != nil {
			return nil, err
		}
	} else {
		p, err := d.probePeers(ctx, a)
		if err != nil {
			return nil, err
		}
		s.gen, s.ranges, s.level = p.gen, p.ranges, p.level
	}
	switch {
	case !s.ranges:
		return nil, fmt.Errorf("%w: it serves no ranges", errdefs.NoRanges)
	case s.gen.Size != d.gen.Size:
		return nil, fmt.Errorf("%w: it has %d bytes, not %d", errdefs.Changed, s.gen.Size, d.gen.Size)
	case s.gen.Coding != d.gen.Coding:
		return nil, fmt.Errorf("%w: it has another content coding", errdefs.Changed)
	case s.level < origin.Weak:
		return nil, fmt.Errorf("%w: nothing would show that its replies belong together", errdefs.BadReply)
	}
	m := &mirror{ask: a, gen: s.gen, level: agree(d.gen, s.gen), wait: s.wait}
	if m.level >= origin.Weak && m.level >= d.least {
		return m, nil
	}
	if origin.Sampled < d.least {
		return nil, fmt.Errorf("%w: it agrees with the first one to the identity %s at best, and --require-identity asks for more", errdefs.Refused, max(m.level, origin.Sampled))
	}
	if !own {
		return nil, fmt.Errorf("%w: nothing shows that it has the same version, and only an own line could take samples", errdefs.Changed)
	}
	m.level = origin.Sampled
	return m, d.sample(ctx, s)
}

// sample compares blocks of a mirror with those of the first one.
func (d *download) sample(ctx context.Context, s *site) error {
	first := &site{c: d.c, ask: d.req.asks[0], jar: d.req.jar, gen: d.gen, ranges: true}
	for _, r := range samples(d.gen.Size, rand.Int64N) {
		var blocks [2]bytes.Buffer
		for i, from := range []*site{first, s} {
			d.verified.Add(r.Len)
			if err := from.read(ctx, r, func(_ int64, p []byte) error { return d.keep(&blocks[i], p) }); err != nil {
				return err
			}
		}
		if !bytes.Equal(blocks[0].Bytes(), blocks[1].Bytes()) {
			return fmt.Errorf("%w: its bytes %v differ", errdefs.Changed, r)
		}
	}
	return nil
}

func (*download) keep(to io.Writer, p []byte) error {
	_, err := to.Write(p)
	return err
}

// samples chooses blocks to compare: the first, the last, and by chance some
// between them. random returns a number below n.
func samples(size int64, random func(n int64) int64) []byterange.Range {
	whole := byterange.Range{Len: size}
	if size <= 2*sampleSize {
		return []byterange.Range{whole}
	}
	list := []byterange.Range{{Len: sampleSize}, {Off: size - sampleSize, Len: sampleSize}}
	for range min(size/sampleEvery, mostSamples-2) {
		list = append(list, byterange.Range{Off: random(size - sampleSize), Len: sampleSize})
	}
	return list
}

// agree grades what a source saw against what is pinned.
func agree(pinned, seen origin.Generation) origin.Level {
	switch {
	case seen.Size != pinned.Size || seen.Coding != pinned.Coding:
		return origin.None
	case pinned.StrongETag() && seen.ETag == pinned.ETag:
		return origin.Strong
	case pinned.LastModified != "" && seen.LastModified == pinned.LastModified:
		return origin.Weak
	}
	return origin.None
}

// ownSources makes a source of a line for each mirror that it does not fetch
// from yet.
func (l *loop) ownSources(line lines.Line) error {
	for _, m := range l.pool.used() {
		if l.table.own(line.ID, m) || m != l.pool.first() && len(l.table.rows) >= mostSources {
			continue
		}
		r, err := l.addOwn(line, m, nil)
		if err != nil {
			return err
		}
		if l.begun {
			l.table.change(l.d.rep, r, "joined", "")
		}
	}
	return nil
}
