package client

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc/mem"

	"ddm/client/schedule"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/rpc"
	"ddm/internal/transfer"
)

// localSource is an own line at work on a download. It is the Sink of its
// Runner.
type localSource struct {
	d      *download
	name   string
	mirror *mirror
	line   *origin.Line
	runner *transfer.Runner
	in     intake
	mixed  bool // others bring bytes too: each reply must show that it belongs with theirs

	mu       sync.Mutex
	doubtful map[uint64]error           // assignments whose reply shows nothing
	brought  map[uint64]byterange.Range // by those that have not ended

	ctx context.Context //nolint:containedctx // the download's, for the calls of the Runner, which have none
}

// frame is the size of what a fast lane writes at a time: each write and each
// wait for the origin has a price, and above a megabyte the cache has its own.
const frame = 1 << 20

func newLocalSource(ctx context.Context, d *download, line *origin.Line, m *mirror, lanes int, mixed bool) *localSource {
	l := &localSource{ctx: ctx, d: d, name: m.at(line.Name()), mirror: m, line: line, mixed: mixed, doubtful: map[uint64]error{}, brought: map[uint64]byterange.Range{}}
	l.in.giver = m.giver("own:" + line.Name())
	l.runner = transfer.New(transfer.Config{
		Line: line, Lanes: lanes, Frame: frame, Pool: rpc.Pool(),
		Resource: m.resource(d.req), Further: func() { d.untagged(m) },
	}, l)
	return l
}

func (l *localSource) assign(a schedule.Assign) {
	if err := l.runner.Assign(uint64(a.ID), a.Lane, a.Range); err != nil {
		// From a goroutine: the loop, which calls, is who receives it.
		l.d.work.Go(func() { l.d.send(ended{id: a.ID, err: err, local: true}) })
	}
}

func (l *localSource) adopt(id schedule.AssignmentID, reply *origin.Reply, stop context.CancelFunc) error {
	return l.runner.Adopt(uint64(id), 0, reply, stop)
}

func (l *localSource) shrink(id schedule.AssignmentID, end int64) { l.runner.Shrink(uint64(id), end) }
func (l *localSource) cancel(id schedule.AssignmentID)            { l.runner.Cancel(uint64(id)) }
func (l *localSource) close()                                     { l.runner.Close() }

// Started implements transfer.Sink.
func (l *localSource) Started(id uint64, seen *origin.Reply) {
	if err := l.judge(seen); err != nil {
		l.mu.Lock()
		l.doubtful[id] = err
		l.mu.Unlock()
		return
	}
	l.d.tagged(l.mirror, seen.Gen)
	l.d.untagged(l.mirror)
	level := min(seen.Level, l.mirror.level)
	l.d.lower(level)
	l.d.send(started{id: schedule.AssignmentID(id), level: level})
}

// judge says why a reply may not be used, nil if it may. One that names a
// validator where there was none is as good as a new version: what begins anew
// by it has more evidence.
func (l *localSource) judge(seen *origin.Reply) error {
	pinned := l.mirror.gen
	switch {
	case l.d.provable() && l.d.fits(seen.Level, l.mirror.level, l.mixed):
		return nil
	case bare(pinned) && !bare(seen.Gen):
		return &origin.ChangedError{Seen: seen.Gen, Why: "that it has a validator"}
	case !l.d.fits(seen.Level, l.mirror.level, l.mixed), !l.mixed && !alike(pinned, seen.Gen):
		return fmt.Errorf("%w: nothing shows that it is of the same resource", errdefs.BadReply)
	}
	return nil
}

// Data implements transfer.Sink.
func (l *localSource) Data(id uint64, off int64, buf mem.Buffer) error {
	defer buf.Free()
	l.mu.Lock()
	doubtful := l.doubtful[id]
	p := buf.ReadOnlyData()
	if doubtful == nil {
		l.brought[id] = after(l.brought[id], byterange.Range{Off: off, Len: int64(len(p))})
	}
	l.mu.Unlock()
	if doubtful != nil {
		return doubtful
	}
	return l.d.receive(l.ctx, &l.in, schedule.AssignmentID(id), byterange.Range{Off: off, Len: int64(len(p))}, [][]byte{p}, nil)
}

// Ended implements transfer.Sink.
func (l *localSource) Ended(id uint64, err error) {
	l.mu.Lock()
	delete(l.doubtful, id)
	brought := l.brought[id]
	delete(l.brought, id)
	l.mu.Unlock()
	l.d.ended(&l.in, ended{id: schedule.AssignmentID(id), err: err, local: true, brought: brought})
}

// after appends the range that follows.
func after(r, next byterange.Range) byterange.Range {
	if r.Empty() {
		return next
	}
	return byterange.Between(r.Off, next.End())
}
