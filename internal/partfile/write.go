package partfile

import (
	"fmt"
	"io"
	"math"

	"ddm/internal/byterange"
	"ddm/internal/crc32c"
	"ddm/internal/errdefs"
)

// WriteAt writes the buffers, one behind the other, at off, and returns how
// many of their bytes were new. Bytes that another call wrote, or is writing,
// are dropped: the first claimant wins, and is waited for. The buffers are the
// caller's again on return. giver is remembered with the bytes.
//
// What is written is not durable before the next checkpoint; while too much is
// not (Options.SyncBytes), WriteAt waits for the disk. A failed write
// (errdefs.NoSpace, errdefs.WriteFile) ends the File: Close it to keep what
// came before.
func (f *File) WriteAt(bufs [][]byte, off int64, giver string) (fresh int64, err error) {
	return f.write(bufs, off, giver, nil)
}

// WriteSummed is WriteAt with buffers whose CRC32C, of all of them as one run,
// the caller has computed already.
func (f *File) WriteSummed(bufs [][]byte, off int64, giver string, crc uint32) (fresh int64, err error) {
	return f.write(bufs, off, giver, &crc)
}

func (f *File) write(bufs [][]byte, off int64, giver string, crc *uint32) (fresh int64, err error) {
	want := byterange.Range{Off: off}
	for _, b := range bufs {
		want.Len += int64(len(b))
	}
	if err := f.inside(want); err != nil {
		return 0, err
	}
	runs, number, err := f.claim(want, giver)
	if err != nil {
		return 0, err
	}
	for i, run := range runs {
		part := slice(bufs, run.Off-off, run.Len)
		var extents []extent
		if crc != nil && run == want && run.Off/f.opts.PieceSize == (run.End()-1)/f.opts.PieceSize {
			extents = []extent{{Range: run, crc: *crc, giver: number}}
		} else {
			extents = f.sum(part, run, number)
		}
		if err := f.put(part, run.Off); err != nil {
			f.unclaim(runs[i:])
			return fresh, f.fail(writeError("write "+f.names.part, err))
		}
		if err := f.record(run, extents); err != nil {
			f.unclaim(runs[i+1:])
			return fresh, err
		}
		fresh += run.Len
	}
	if fresh < want.Len {
		return fresh, f.await(want)
	}
	return fresh, nil
}

// await waits for those who are writing some of r.
func (f *File) await(r byterange.Range) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.usable() == nil && f.underway(r) {
		f.settled.Wait()
	}
	return f.usable()
}

// underway reports whether some of r is being written. Callers hold mu.
func (f *File) underway(r byterange.Range) bool {
	for part := range f.have.Missing(r) {
		if f.claims.Overlap(part) > 0 {
			return true
		}
	}
	return false
}

func (f *File) inside(r byterange.Range) error {
	end := f.meta.Gen.Size
	if end < 0 {
		end = math.MaxInt64
	}
	if r.Off < 0 || r.Off > end || r.Len > end-r.Off {
		return fmt.Errorf("write %d bytes at %d of a file of %d: %w", r.Len, r.Off, end, errdefs.Invalid)
	}
	return nil
}

// claim takes what nobody has of r.
func (f *File) claim(r byterange.Range, giver string) (runs []byterange.Range, number uint32, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.usable() == nil && f.atStake() >= f.opts.SyncBytes {
		f.settled.Wait()
	}
	if err := f.usable(); err != nil {
		return nil, 0, err
	}
	for run := range f.claims.Missing(r) {
		runs = append(runs, run)
	}
	for _, run := range runs {
		f.claims.Add(run)
	}
	return runs, f.givers.intern(giver), nil
}

// atStake returns how many bytes a crash would cost. Callers hold mu.
func (f *File) atStake() int64 {
	n := f.pending.size
	if f.flight != nil {
		n += f.flight.size
	}
	return n
}

func (f *File) unclaim(runs []byterange.Range) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, run := range runs {
		f.claims.Subtract(run)
	}
	f.settled.Broadcast()
}

func (f *File) put(bufs [][]byte, off int64) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	_, err := f.data.WriteVec(bufs, off)
	return err
}

// record makes a written run pending.
func (f *File) record(run byterange.Range, extents []extent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost || f.done { // a sync failed while this was being written
		f.claims.Subtract(run)
		return f.usable()
	}
	before, kicked := f.unsynced, f.sinceKick
	for _, e := range extents {
		f.pending.add(e)
	}
	f.have.Add(run)
	f.tell()
	f.settled.Broadcast()
	f.unsynced += run.Len
	f.sinceKick += run.Len
	if before == 0 || kicked < kickEvery && f.sinceKick >= kickEvery ||
		before < f.opts.SyncBytes/2 && f.unsynced >= f.opts.SyncBytes/2 {
		f.nudge()
	}
	return nil
}

// sum cuts a run at the borders of pieces and hashes each part.
func (f *File) sum(bufs [][]byte, run byterange.Range, giver uint32) (out []extent) {
	piece := f.opts.PieceSize
	at := run.Off
	e := extent{giver: giver}
	for _, b := range bufs {
		for len(b) > 0 {
			if e.Len == 0 {
				e.Off = at
			}
			n := min(int64(len(b)), (e.Off/piece+1)*piece-at)
			e.crc = crc32c.Update(e.crc, b[:n])
			e.Len += n
			at += n
			b = b[n:]
			if at%piece == 0 {
				out = append(out, e)
				e = extent{giver: giver}
			}
		}
	}
	if e.Len > 0 {
		out = append(out, e)
	}
	return out
}

// slice returns bytes [off, off+n) of the buffers taken as one run.
func slice(bufs [][]byte, off, n int64) [][]byte {
	var total int64
	for _, b := range bufs {
		total += int64(len(b))
	}
	if off == 0 && n == total {
		return bufs
	}
	var out [][]byte
	for _, b := range bufs {
		skip := min(off, int64(len(b)))
		b, off = b[skip:], off-skip
		b = b[:min(n, int64(len(b)))]
		n -= int64(len(b))
		if len(b) > 0 {
			out = append(out, b)
		}
	}
	return out
}

// Drop forgets bytes that were found bad, so that they can be written again.
// It returns how many bytes were forgotten: all that were there in r, and more
// if what is left of a cut extent no longer has its CRC32C. What it forgot is
// forgotten for good when it returns.
func (f *File) Drop(r byterange.Range) (int64, error) {
	f.checkpointing.Lock()
	defer f.checkpointing.Unlock()
	r = r.Intersect(byterange.Between(0, math.MaxInt64))
	f.mu.Lock()
	if err := f.usable(); err != nil || r.Empty() {
		f.mu.Unlock()
		return 0, err
	}
	pending, synced := f.pending.take(r), f.synced.take(r)
	f.mu.Unlock()

	// Their bytes stay claimed meanwhile, so nobody writes where this reads.
	pendingLeft, syncedLeft := f.trim(pending, r), f.trim(synced, r)
	if len(synced) > 0 {
		if err := f.journal.forget(r, syncedLeft); err != nil {
			return 0, f.forget(writeError("write "+f.names.journal, err))
		}
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	gone := byterange.Set{}
	for _, e := range append(pending, synced...) {
		gone.Add(e.Range)
	}
	for _, e := range pendingLeft {
		f.pending.add(e)
		gone.Subtract(e.Range)
	}
	for _, e := range syncedLeft {
		f.synced.add(e)
		gone.Subtract(e.Range)
	}
	for run := range gone.All() {
		f.have.Subtract(run)
		f.claims.Subtract(run)
	}
	f.unsynced = f.pending.size
	f.drops++
	f.tell()
	f.settled.Broadcast()
	return gone.Bytes(), nil
}

// trim returns what stays of the extents when r is cut out. An extent whose
// bytes are not what they were leaves nothing.
func (f *File) trim(list []extent, r byterange.Range) (left []extent) {
	for _, e := range list {
		if r.Contains(e.Range) {
			continue
		}
		b := make([]byte, e.Len)
		if n, err := f.data.ReadAt(b, e.Off); int64(n) < e.Len {
			f.opts.Log.Warn("cannot read what is beside dropped bytes; dropping it too", "range", e.Range, "error", err)
			continue
		}
		if crc32c.Checksum(b) != e.crc {
			f.opts.Log.Warn("bytes on disk changed; dropping them", "range", e.Range)
			continue
		}
		for _, keep := range []byterange.Range{
			byterange.Between(e.Off, min(e.End(), r.Off)),
			byterange.Between(max(e.Off, r.End()), e.End()),
		} {
			if !keep.Empty() {
				crc := crc32c.Checksum(b[keep.Off-e.Off : keep.End()-e.Off])
				left = append(left, extent{Range: keep, crc: crc, giver: e.giver})
			}
		}
	}
	return left
}

// content reads the part file as the finished one of size bytes.
func (f *File) content(size int64) io.ReaderAt { return io.NewSectionReader(f.data, 0, size) }
