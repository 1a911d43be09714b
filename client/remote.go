package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"ddm/client/schedule"
	"ddm/internal/backoff"
	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/crc32c"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	openTimeout = 5 * time.Second // from dialling a peer to its Opened
	ordersAhead = 1024            // orders that wait for a peer to read them
	maxLines    = 64              // of one peer
	maxPayload  = 1 << 20         // bytes of one frame
	tableClosed = "this peer breaks the protocol"
)

// Messages that bring nothing: so many per second, and so many at once, are
// let pass before a peer counts as broken.
const (
	chatterRate  = 10
	chatterBurst = 200
	tidingsRate  = 40
	mostHeldRuns = 64 << 10 // that one peer may make us remember
)

// remoteSource is one Fetch stream to a peer.
type remoteSource struct {
	d      *download
	info   *ddmv1.PeerInfo
	stream grpc.BidiStreamingClient[ddmv1.FetchRequest, ddmv1.FetchResponse]
	end    context.CancelCauseFunc
	orders chan *ddmv1.FetchRequest
	opened *ddmv1.Opened

	memory intake        // what comes from its store
	held   byterange.Set // what that holds; the loop owns it once the stream is open

	chatter *rate.Limiter // messages that bring nothing
	tidings *rate.Limiter // changes of what it holds; more count as chatter

	mu      sync.Mutex
	mirrors []*mirror                           // by their index in Assign; changed by the loop alone
	ins     []*intake                           // what comes from each
	open    map[schedule.AssignmentID]*expected // accepted, not ended
}

// expected is what an assignment may still bring.
type expected struct {
	mirror         *mirror
	in             *intake
	off, next, end int64
	started        bool
	unfit          bool // its reply is not of our generation: bytes are dropped, its end was reported
}

// serve keeps a stream to a peer as long as the roster lists it, and, while
// others wait for their turn, as long as it works. It returns the last
// attempt's error.
func (d *download) serve(ctx context.Context, info *ddmv1.PeerInfo, crowded *atomic.Bool) error {
	waits := backoff.Policy{Base: time.Second, Max: 15 * time.Second, Factor: 2}
	for attempt, vetted := 0, false; ; attempt++ {
		if err := d.released(ctx, info, crowded); err != nil {
			return err
		}
		began := time.Now()
		err := d.vet(ctx, info, &vetted)
		if err == nil {
			err = d.session(ctx, info)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.c.log.Debug("stream to peer ended", "peer", info.GetName(), "error", err)
		if final(err) || !d.roster.lists(info) {
			return err
		}
		if time.Since(began) > time.Minute {
			attempt = 0
		}
		wait := waits.Ceiling(attempt)/2 + time.Duration(rand.Int64N(int64(time.Second)))
		if sleep(ctx, wait) != nil || crowded.Load() || !d.roster.lists(info) {
			return err
		}
	}
}

// final reports whether asking this peer again makes no sense.
func final(err error) bool {
	switch errdefs.KindOf(err) {
	case errdefs.Refused, errdefs.Invalid, errdefs.Corrupt:
		return true
	}
	return false
}

// session runs one stream to its end.
func (d *download) session(ctx context.Context, info *ddmv1.PeerInfo) error {
	conn, err := d.c.dial(info.GetAddress(), true)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // the stream is over by then
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &remoteSource{
		d: d, info: info, end: end,
		orders: make(chan *ddmv1.FetchRequest, ordersAhead), open: map[schedule.AssignmentID]*expected{},
		chatter: rate.NewLimiter(chatterRate, chatterBurst), tidings: rate.NewLimiter(tidingsRate, chatterBurst),
	}
	if err := r.begin(ctx, conn); err != nil {
		return err
	}
	if !d.send(arrived{r}) {
		return ctx.Err()
	}
	var sending sync.WaitGroup
	sending.Go(func() { r.send(ctx) })
	err = r.read(ctx)
	end(err)
	sending.Wait()
	for _, in := range r.intakes() {
		for _, news := range in.news(d.clock()) { // nobody asks for these again
			d.send(news)
		}
	}
	d.send(gone{r, err})
	return err
}

// begin opens the stream and waits for the peer's grant.
func (r *remoteSource) begin(ctx context.Context, conn *grpc.ClientConn) (err error) {
	late := time.AfterFunc(openTimeout, func() {
		r.end(fmt.Errorf("%w: no answer within %s", errdefs.Timeout, openTimeout))
	})
	defer late.Stop()
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
	}()
	if r.stream, err = ddmv1.NewPeerServiceClient(conn).Fetch(ctx); err != nil {
		return err
	}
	open := &ddmv1.Open{Hello: r.d.c.hello(), Resource: r.d.req.asks[0].wire(origin.GenerationToProto(r.d.gen))}
	if err := r.stream.Send(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Open{Open: open}}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var ev rpc.Event
	if err := r.stream.RecvMsg(&ev); err != nil {
		return err
	}
	if r.opened = ev.Message.GetOpened(); r.opened == nil {
		free(&ev)
		return fmt.Errorf("%w: %s: no grant as its first message", errdefs.Corrupt, tableClosed)
	}
	r.memory.giver = "peer:" + r.info.GetId()
	var badHeld error
	if r.held, badHeld = r.holdings(r.opened.GetHeld()); badHeld != nil {
		return badHeld
	}
	if len(r.opened.GetLines()) == 0 && r.tellsHoldings() {
		return nil
	}
	return checkLines(r.opened.GetLines())
}

func free(ev *rpc.Event) {
	if ev.Frame != nil {
		ev.Frame.Payload.Free()
	}
}

// send passes the loop's orders on.
func (r *remoteSource) send(ctx context.Context) {
	for {
		select {
		case order := <-r.orders:
			if err := r.stream.Send(order); err != nil {
				return // read learns why
			}
		case <-ctx.Done():
			return
		}
	}
}

// order never blocks: a peer that does not read its orders is as good as gone.
func (r *remoteSource) order(o *ddmv1.FetchRequest) {
	select {
	case r.orders <- o:
	default:
		r.end(fmt.Errorf("%w: does not take orders", errdefs.Unavailable))
	}
}

func (r *remoteSource) assign(line uint32, m *mirror, a schedule.Assign) {
	r.mu.Lock()
	n, in := slices.Index(r.mirrors, m), &r.memory
	if line != storeLine {
		in = r.ins[n]
	}
	r.open[a.ID] = &expected{mirror: m, in: in, off: a.Range.Off, next: a.Range.Off, end: a.Range.End()}
	r.mu.Unlock()
	r.order(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Assign{Assign: &ddmv1.Assign{
		AssignmentId: uint64(a.ID), LineId: line, Lane: uint32(a.Lane), Offset: a.Range.Off, Length: a.Range.Len, Mirror: uint32(n),
	}}})
}

func (r *remoteSource) shrink(id schedule.AssignmentID, end int64) {
	r.order(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Shrink{Shrink: &ddmv1.Shrink{AssignmentId: uint64(id), End: end}}})
}

func (r *remoteSource) cancel(id schedule.AssignmentID) {
	r.order(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Cancel{Cancel: &ddmv1.Cancel{AssignmentId: uint64(id)}}})
}

// read takes what the peer sends until the stream ends. The error says why.
func (r *remoteSource) read(ctx context.Context) error {
	for {
		var ev rpc.Event
		if err := r.stream.RecvMsg(&ev); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
			if errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: the peer ended the stream", errdefs.Unavailable)
			}
			return err
		}
		var err error
		if ev.Frame != nil {
			err = r.frame(ctx, ev.Frame)
			ev.Frame.Payload.Free()
		} else {
			err = r.message(ev.Message)
		}
		if err != nil {
			return err
		}
	}
}

// frame checks and stores one frame.
func (r *remoteSource) frame(ctx context.Context, f *rpc.Frame) error {
	id := schedule.AssignmentID(f.Assignment)
	rng := byterange.Range{Off: f.Offset, Len: int64(f.Payload.Len())}
	r.mu.Lock()
	e := r.open[id]
	fits := e != nil && (e.started || e.unfit) && rng.Off == e.next && rng.Len > 0 && rng.Len <= min(e.end-rng.Off, maxPayload)
	unfit := fits && e.unfit
	if fits {
		e.next = rng.End()
	}
	r.mu.Unlock()
	switch {
	case unfit:
		return nil
	case !fits:
		return fmt.Errorf("%w: %s: bytes %v of assignment %d were not asked for", errdefs.Corrupt, tableClosed, rng, id)
	}
	bufs := make([][]byte, len(f.Payload))
	crc := uint32(0)
	for i, b := range f.Payload {
		bufs[i] = b.ReadOnlyData()
		crc = crc32c.Update(crc, bufs[i])
	}
	if crc != f.CRC32C {
		return fmt.Errorf("%w: bytes %v arrived damaged (CRC32C)", errdefs.Corrupt, rng)
	}
	return r.d.receive(ctx, e.in, id, rng, bufs, &crc)
}

// message handles what is not bytes.
func (r *remoteSource) message(m *ddmv1.FetchResponse) error {
	news := false
	switch ev := m.GetEvent().(type) {
	case *ddmv1.FetchResponse_Started:
		id := schedule.AssignmentID(ev.Started.GetAssignmentId())
		level, fits := r.grade(id, origin.GenerationFromProto(ev.Started.GetGeneration()))
		switch news = r.start(id, fits); {
		case news && fits:
			r.d.send(started{id: id, level: level})
		case news:
			r.cancel(id)
			r.d.send(ended{id: id, err: fmt.Errorf("%w: nothing shows that this peer sees the same resource", errdefs.BadReply)})
		}
	case *ddmv1.FetchResponse_Done:
		news = r.finish(ev.Done.GetAssignmentId(), nil)
	case *ddmv1.FetchResponse_Failed:
		news = r.finish(ev.Failed.GetAssignmentId(), errdefs.FromFailure(ev.Failed.GetFailure()))
	case *ddmv1.FetchResponse_LinesChanged:
		list := ev.LinesChanged.GetLines()
		if err := checkLines(list); err != nil {
			return err
		}
		r.d.send(linesChanged{r, list})
	case *ddmv1.FetchResponse_HeldChanged:
		came, err := r.holdings(ev.HeldChanged.GetCame())
		gone, err2 := r.holdings(ev.HeldChanged.GetGone())
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		news = came.Len()+gone.Len() > 0 && r.tidings.Allow()
		r.d.send(heldChanged{r, came, gone})
	case *ddmv1.FetchResponse_Draining:
		r.d.send(draining{r, ev.Draining.GetGrace().AsDuration()})
	}
	if !news && !r.chatter.Allow() {
		return fmt.Errorf("%w: %s: it sends one empty message after the other", errdefs.Corrupt, tableClosed)
	}
	return nil
}

// start opens the way for an assignment's bytes, or shuts it if its reply does
// not fit; false: it is none that waits.
func (r *remoteSource) start(id schedule.AssignmentID, fits bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.open[id]
	if e == nil || e.started || e.unfit {
		return false
	}
	e.started, e.unfit = fits, !fits
	return true
}

// finish ends an assignment; false: there is no such one.
func (r *remoteSource) finish(raw uint64, err error) bool {
	id := schedule.AssignmentID(raw)
	r.mu.Lock()
	e := r.open[id]
	delete(r.open, id)
	r.mu.Unlock()
	if e != nil && !e.unfit {
		r.d.ended(e.in, ended{id: id, err: err, brought: byterange.Between(e.off, e.next)})
	}
	return e != nil
}

// grade compares what the peer saw with what is pinned of the mirror that it
// was sent to.
func (r *remoteSource) grade(id schedule.AssignmentID, seen origin.Generation) (level origin.Level, fits bool) {
	r.mu.Lock()
	e := r.open[id]
	r.mu.Unlock()
	if e == nil {
		return origin.None, false
	}
	level = r.d.agree(e.mirror.gen, seen)
	if level == origin.Weak {
		r.d.tagged(e.mirror, seen)
	}
	if fits = r.d.fits(level, e.mirror.level, true); fits {
		r.d.lower(min(level, e.mirror.level))
	}
	return min(level, e.mirror.level), fits
}

// intake returns what the peer brings from a mirror, or from its store.
func (r *remoteSource) intake(line uint32, m *mirror) *intake {
	if line == storeLine {
		return &r.memory
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ins[slices.Index(r.mirrors, m)]
}

func (r *remoteSource) intakes() []*intake {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(slices.Clone(r.ins), &r.memory)
}

// received returns the bytes that the peer brought, duplicates included.
func (r *remoteSource) received() (n int64) {
	for _, in := range r.intakes() {
		n += in.bytes.Load()
	}
	return n
}

func (c *Client) hello() *ddmv1.Hello {
	return &ddmv1.Hello{Version: c.opts.Version, Capabilities: []string{holdings}}
}

// holdings is the capability to tell, and to be told, what a peer holds while
// that changes.
const holdings = "holdings"

func (r *remoteSource) tellsHoldings() bool {
	return slices.Contains(r.opened.GetHello().GetCapabilities(), holdings)
}

// holdings judges what a peer says that it holds.
func (r *remoteSource) holdings(runs []*ddmv1.Run) (byterange.Set, error) {
	set, err := catalogue.Set(runs, r.d.gen.Size, catalogue.MaxRuns)
	if err != nil {
		err = fmt.Errorf("%w: %s: what it holds: %w", errdefs.Corrupt, tableClosed, err)
	}
	return set, err
}
