package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/crc32c"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

// witness fetches bytes once more, to hold what others brought against them.
type witness struct {
	giver string // as bytes of it would be recorded
	own   bool   // this machine's own line, asking the first mirror
	read  func(ctx context.Context, r byterange.Range, take func(off int64, p []byte) error) error
}

// ownWitness is the own lines; false: there is none to use.
func (d *download) ownWitness() (witness, bool) {
	open := d.c.open()
	if len(open) == 0 {
		return witness{}, false
	}
	s := &site{c: d.c, ask: d.req.asks[0], jar: d.req.jar, gen: d.gen, least: d.showing(), ranges: true, note: d.rep.Note}
	return witness{giver: "own:" + open[0].Origin.Name(), own: true, read: s.read}, true
}

// showing is what a reply must show to speak of the pinned version.
func (d *download) showing() origin.Level {
	switch {
	case d.gen.StrongETag():
		return origin.Strong
	case d.first >= origin.Weak:
		return origin.Weak
	}
	return origin.None // a digest judges what comes of it
}

// peerWitnesses are the peers that may be asked about what one of them gave.
func (d *download) peerWitnesses(about string) (list []witness) {
	if d.roster == nil {
		return nil
	}
	suspect, _ := peerOf(about)
	for _, info := range d.roster.all() {
		if id := info.GetId(); id != suspect && !d.req.suspects[id] && !d.outcasts.holds("peer:"+id) {
			list = append(list, d.peerWitness(info))
		}
	}
	return list
}

func (d *download) peerWitness(info *ddmv1.PeerInfo) witness {
	return witness{giver: "peer:" + info.GetId(), read: func(ctx context.Context, r byterange.Range, take func(int64, []byte) error) error {
		return d.borrow(ctx, info, r, take)
	}}
}

// witnesses are all that may be asked, the own line first, else in an order
// that nobody can foretell.
func (d *download) witnesses(about string) []witness {
	list := d.peerWitnesses(about)
	for i := range list {
		j := i + int(secret(int64(len(list)-i)))
		list[i], list[j] = list[j], list[i]
	}
	if own, ok := d.ownWitness(); ok {
		list = slices.Insert(list, 0, own)
	}
	return list
}

// silent is how long a witness may bring nothing.
const silent = 15 * time.Second

// borrow fetches one range from a peer, over a stream of its own.
func (d *download) borrow(ctx context.Context, info *ddmv1.PeerInfo, r byterange.Range, take func(off int64, p []byte) error) (err error) {
	conn, err := d.c.dial(info.GetAddress(), true)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var ours error // of take
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		switch {
		case ours != nil:
			err = ours
		case err != nil:
			err = fmt.Errorf("peer %s: %w", info.GetName(), hearsay(err))
		}
	}()
	src := &remoteSource{d: d, info: info, end: end}
	if err := src.begin(ctx, conn); err != nil {
		return err
	}
	line, err := d.lineOf(src.opened)
	if err != nil {
		return err
	}
	order := &ddmv1.Assign{AssignmentId: 1, LineId: line, Offset: r.Off, Length: r.Len}
	if err := src.stream.Send(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Assign{Assign: order}}); err != nil {
		return err
	}
	late := time.AfterFunc(silent, func() { end(fmt.Errorf("%w: nothing came for %s", errdefs.Timeout, silent)) })
	defer late.Stop()
	for next, idle := r.Off, 0; next < r.End(); {
		var ev rpc.Event
		if err := src.stream.RecvMsg(&ev); err != nil {
			return err
		}
		if ev.Frame == nil {
			if err := d.heard(ev.Message); err != nil {
				return err
			}
			if idle++; idle > chatterBurst {
				return fmt.Errorf("%w: it sends messages and no bytes", errdefs.Unavailable)
			}
			continue
		}
		n, err := d.hold(ev.Frame, next, r.End(), func(off int64, p []byte) error {
			if ours = throttle(ctx, d.c.limit, int64(len(p))); ours == nil {
				ours = take(off, p)
			}
			return ours
		})
		ev.Frame.Payload.Free()
		if err != nil {
			return err
		}
		d.borrowed.Add(n)
		late.Reset(silent)
		next += n
	}
	return nil
}

// lineOf returns what a witness is asked for: what it has, where there is no
// origin; else never, since it may have it from whoever is suspected.
func (d *download) lineOf(opened *ddmv1.Opened) (uint32, error) {
	if d.job.Shared != nil {
		return storeLine, nil
	}
	i := slices.IndexFunc(opened.GetLines(), func(l *ddmv1.Line) bool { return !l.GetClosed() })
	if i < 0 {
		return 0, fmt.Errorf("%w: all its lines are closed", errdefs.Unavailable)
	}
	return opened.GetLines()[i].GetId(), nil
}

// heard judges what a witness says beside its bytes.
func (d *download) heard(m *ddmv1.FetchResponse) error {
	switch ev := m.GetEvent().(type) {
	case *ddmv1.FetchResponse_Started:
		if !d.fits(d.agree(d.gen, origin.GenerationFromProto(ev.Started.GetGeneration())), origin.Digest, true) {
			return fmt.Errorf("%w: nothing shows that it sees the same resource", errdefs.BadReply)
		}
	case *ddmv1.FetchResponse_Done:
		return fmt.Errorf("%w: it ended too soon", errdefs.BadReply)
	case *ddmv1.FetchResponse_Failed:
		return errdefs.FromFailure(ev.Failed.GetFailure())
	}
	return nil
}

// hold takes one frame of a witness that begins at next.
func (d *download) hold(f *rpc.Frame, next, end int64, take func(int64, []byte) error) (int64, error) {
	n := int64(f.Payload.Len())
	if f.Offset != next || n == 0 || n > min(end-next, maxPayload) {
		return 0, fmt.Errorf("%w: it sends bytes that were not asked for", errdefs.BadReply)
	}
	p := f.Payload.Materialize()
	if crc32c.Checksum(p) != f.CRC32C {
		return 0, fmt.Errorf("%w: bytes arrived damaged (CRC32C)", errdefs.BadReply)
	}
	return n, take(next, p)
}
