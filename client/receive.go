package client

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ddm/client/schedule"
	"ddm/internal/byterange"
)

// intake is what one source brings, on its way to the loop. The loop is told
// of an assignment's first bytes at once and of later ones every newsEvery:
// waking it for each frame costs more than writing the frame.
type intake struct {
	giver string
	bytes atomic.Int64 // received, duplicates included

	mu    sync.Mutex
	flows map[schedule.AssignmentID]*flow
	at    int           // writes that are under way
	since time.Duration // when at rose from 0, or writing was asked last
	busy  time.Duration // during which at was above 0, until since
}

// flow is one assignment's bytes.
type flow struct {
	told time.Duration   // when the loop was told last
	news byterange.Range // written, and the loop does not know
	at   time.Duration   // when the newest of it was written
}

const newsEvery = 50 * time.Millisecond

func (in *intake) begin(now time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.at++; in.at == 1 {
		in.since = now
	}
}

func (in *intake) end(now time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.at--; in.at == 0 {
		in.busy += now - in.since
	}
}

// wrote enters what was written and returns what the loop should be told now.
func (in *intake) wrote(id schedule.AssignmentID, r byterange.Range, now time.Duration) (received, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f := in.flows[id]
	if f == nil {
		if in.flows == nil {
			in.flows = map[schedule.AssignmentID]*flow{}
		}
		f = &flow{told: -newsEvery}
		in.flows[id] = f
	}
	if f.news.Empty() {
		f.news.Off = r.Off
	}
	f.news, f.at = byterange.Between(f.news.Off, r.End()), now
	if now-f.told < newsEvery {
		return received{}, false
	}
	return f.take(id, now), true
}

func (f *flow) take(id schedule.AssignmentID, now time.Duration) received {
	news := received{id, f.news, f.at}
	f.news, f.told = byterange.Range{}, now
	return news
}

// over forgets an assignment and returns what the loop does not know of it.
func (in *intake) over(id schedule.AssignmentID) (received, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f := in.flows[id]
	delete(in.flows, id)
	if f == nil || f.news.Empty() {
		return received{}, false
	}
	return f.take(id, f.at), true
}

// news returns what the loop does not know yet, of all assignments.
func (in *intake) news(now time.Duration) []received {
	in.mu.Lock()
	defer in.mu.Unlock()
	var list []received
	for id, f := range in.flows {
		if !f.news.Empty() {
			list = append(list, f.take(id, now))
		}
	}
	return list
}

// writing returns for how much of the time since it was asked last bytes were
// being written: all of it means that the source would bring more if we took
// more.
func (in *intake) writing(now time.Duration) time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.at > 0 {
		in.busy += now - in.since
		in.since = now
	}
	busy := in.busy
	in.busy = 0
	return busy
}

// receive writes bytes that passed every check and tells the loop. Under a
// limit they pass in small parts, so that they keep moving. crc is the CRC32C of
// all of them; nil: nobody computed it.
func (d *download) receive(ctx context.Context, in *intake, id schedule.AssignmentID, r byterange.Range, bufs [][]byte, crc *uint32) error {
	in.begin(d.clock())
	defer func() { in.end(d.clock()) }()
	in.bytes.Add(r.Len)
	for !r.Empty() {
		part := r
		if limit := d.c.limit; limit != nil {
			part.Len = min(r.Len, int64(limit.Burst()))
			if err := limit.WaitN(ctx, int(part.Len)); err != nil {
				return err
			}
		}
		var head [][]byte
		head, bufs = split(bufs, part.Len)
		if part != r {
			crc = nil // of more than this part
		}
		if err := d.write(head, part.Off, in.giver, crc); err != nil {
			d.send(broken{err})
			return err
		}
		if news, due := in.wrote(id, part, d.clock()); due && !d.send(news) {
			return context.Canceled
		}
		r = byterange.Between(part.End(), r.End())
	}
	return nil
}

func (d *download) write(bufs [][]byte, off int64, giver string, crc *uint32) (err error) {
	if crc != nil {
		_, err = d.target.WriteSummed(bufs, off, giver, *crc)
	} else {
		_, err = d.target.WriteAt(bufs, off, giver)
	}
	return err
}

// split returns the first n bytes of the buffers, and the others.
func split(bufs [][]byte, n int64) (head, rest [][]byte) {
	for i, b := range bufs {
		switch size := int64(len(b)); {
		case n == size:
			return bufs[:i+1], bufs[i+1:]
		case n < size:
			return slices.Concat(bufs[:i], [][]byte{b[:n]}), slices.Concat([][]byte{b[n:]}, bufs[i+1:])
		default:
			n -= size
		}
	}
	return bufs, nil
}

// ended tells the loop that an assignment is over, and what it does not know
// of it yet.
func (d *download) ended(in *intake, e ended) {
	e.in = in
	if news, some := in.over(e.id); some {
		d.send(news)
	}
	d.send(e)
}

// newLimit makes the limit that all sources share; nil: none. Its burst, a
// quarter of a second, is what a download gets for nothing.
func newLimit(perSecond int64) *rate.Limiter {
	if perSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(min(max(perSecond/4, 1), math.MaxInt32)))
}

// throttle waits until n bytes may pass; a nil limit lets them.
func throttle(ctx context.Context, limit *rate.Limiter, n int64) error {
	if limit == nil {
		return nil
	}
	for n > 0 {
		part := min(n, int64(limit.Burst()))
		if err := limit.WaitN(ctx, int(part)); err != nil {
			return err
		}
		n -= part
	}
	return nil
}
