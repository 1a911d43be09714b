package partfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"

	"ddm/internal/byterange"
	"ddm/internal/crc32c"
	"ddm/internal/origin"
	"ddm/internal/partfile/disk"
)

// load makes a File of the locked data file: resumed if its journal says so,
// empty if there is nothing to lose. No file and no error: the old pair was
// kept aside.
func (op *opening) load(ctx context.Context, data disk.File, isNew bool) (*File, error) {
	st, err := data.Stat()
	if err != nil {
		return nil, openError(op.names.part, err)
	}
	if err := gone(op.d.Remove(op.names.fresh)); err != nil {
		return nil, openError(op.names.fresh, err)
	}
	if isNew {
		return op.begin(data)
	}
	j, r, err := readJournal(op.d, op.names)
	switch {
	case err != nil && st.Size == 0: // nothing was ever written
		return op.begin(data)
	case errors.Is(err, fs.ErrNotExist):
		return nil, op.keep("it has no journal")
	case err != nil:
		return nil, op.keep(err.Error())
	}
	if r.live.size == 0 {
		if err := j.f.Close(); err != nil {
			return nil, openError(op.names.journal, err)
		}
		return op.begin(data)
	}
	level := op.evidence(r)
	if why := op.mismatch(r.head, level); why != "" {
		return nil, errors.Join(j.f.Close(), op.keep(why))
	}
	f, err := op.resume(ctx, data, j, r)
	if err != nil {
		return nil, errors.Join(err, j.f.Close())
	}
	if f.resumed > 0 {
		f.Lower(level)
	}
	return f, nil
}

// evidence is the level under which the bytes of a journal came, beside what is
// to be fetched.
func (op *opening) evidence(r replayed) origin.Level {
	level := r.level
	if level == unsaid {
		level = r.head.worst()
	}
	if !SameGeneration(r.head.generation(), op.meta.Gen) {
		level = min(level, origin.Weak)
	}
	return level
}

// mismatch says why a journal is not one of what is to be fetched, or "".
func (op *opening) mismatch(h header, level origin.Level) string {
	gen := h.generation()
	switch {
	case gen.Size < 0:
		return "its length was not known, so that it cannot be resumed"
	case gen.ETag == "" && gen.LastModified == "":
		return "nothing tells whether it is of the same version"
	case !SameGeneration(gen, op.meta.Gen) && !sameAtMirror(h, op.meta):
		return "the resource has changed"
	case !sameResource(h, op.meta):
		return "it is of another URL"
	case level < op.meta.Least:
		return fmt.Sprintf("its bytes came under the identity %s, and %s is asked for", level, op.meta.Least)
	}
	return ""
}

// SameGeneration reports whether bytes of the two may be mixed: one known size
// and coding, and one strong ETag or, unless both have strong ones that
// differ, one Last-Modified.
func SameGeneration(a, b origin.Generation) bool {
	switch {
	case a.Size < 0 || a.Size != b.Size || a.Coding != b.Coding:
		return false
	case a.StrongETag() && b.StrongETag():
		return a.ETag == b.ETag
	}
	return a.LastModified != "" && a.LastModified == b.LastModified
}

// sameAtMirror reports whether a journal is of another mirror's copy of what
// is to be fetched: servers tag one file each in their own way.
func sameAtMirror(h header, m Meta) bool {
	return h.URL != m.URL && slices.Contains(m.Mirrors, h.URL) && h.Size == m.Gen.Size && h.Coding == m.Gen.Coding &&
		h.LastModified != "" && h.LastModified == m.Gen.LastModified
}

// sameResource reports whether a journal's URL is one of meta's, or that of
// another host's file of the same name and date. Validators are made per URL:
// two images of one size, unpacked in one second, have equal ones.
func sameResource(h header, m Meta) bool {
	if h.URL == m.URL || slices.Contains(m.Mirrors, h.URL) {
		return true
	}
	a, errA := url.Parse(h.URL)
	b, errB := url.Parse(m.URL)
	if errA != nil || errB != nil {
		return false
	}
	if a.Host == b.Host {
		return a.Path == b.Path
	}
	name := path.Base(a.Path)
	return name == path.Base(b.Path) && name != "." && name != "/" &&
		h.LastModified != "" && h.LastModified == m.Gen.LastModified
}

// begin starts with an empty data file and a journal of its own.
func (op *opening) begin(data disk.File) (*File, error) {
	// Empty for good before the old journal goes, or a crash in between would
	// leave a part file that looks as if it held something.
	if err := errors.Join(data.Truncate(0), data.SyncData()); err != nil {
		return nil, writeError("truncate "+op.names.part, err)
	}
	if err := gone(op.d.Remove(op.names.journal)); err != nil {
		return nil, createError(op.names.journal, err)
	}
	j, err := newJournal(op.d, op.names, headerOf(op.meta, op.o.PieceSize))
	if err == nil {
		err = op.d.Sync()
	}
	if err != nil {
		return nil, op.abandon(j, createError(op.names.journal, err))
	}
	f := op.file(data, j, newLedger(op.o.PieceSize), giverTable{})
	if err := op.reserve(f); err != nil {
		return nil, op.abandon(j, err)
	}
	return f, nil
}

// abandon takes back a beginning that came to nothing.
func (op *opening) abandon(j *journal, err error) error {
	if j != nil {
		err = errors.Join(err, j.f.Close())
	}
	return errors.Join(err, op.removeSides())
}

// resume checks what the journal claims and takes over what holds.
func (op *opening) resume(ctx context.Context, data disk.File, j *journal, r replayed) (*File, error) {
	st, err := data.Stat()
	if err != nil {
		return nil, openError(op.names.part, err)
	}
	untouched := r.stamp != nil && *r.stamp == stampOf(st)
	bad, err := op.rehash(ctx, data, r, untouched && !op.o.VerifyAll)
	if err != nil {
		return nil, err
	}
	if len(bad) > 0 {
		op.o.Log.Warn("bytes on disk are not what the journal says; fetching them again",
			"file", op.names.part, "extents", len(bad), "first", bad[0].Range)
		e := j.encoder()
		for _, x := range bad {
			e.drop(x.Range, nil)
			r.live.take(x.Range)
		}
		if err := j.append(e); err != nil {
			return nil, writeError("write "+op.names.journal, err)
		}
	}
	op.o.PieceSize = r.head.Piece
	f := op.file(data, j, r.live, r.givers)
	f.resumed = r.live.size
	if err := op.reserve(f); err != nil {
		return nil, err
	}
	// After an end that was not clean the page cache may show records that a
	// failed sync kept from the disk: write them all once more.
	if err := f.compact(r.stamp == nil); err != nil {
		return nil, err
	}
	return f, nil
}

// rehash returns the extents whose bytes are not what they were. If the data
// file is as a clean end left it, the newest extents stand for all of them.
func (op *opening) rehash(ctx context.Context, data disk.File, r replayed, onlyNewest bool) (bad []extent, err error) {
	recent := tail(r.order, newest)
	var todo []extent
	var total, done int64
	for _, e := range r.live.all() {
		if !onlyNewest || recent.Overlap(e.Range) > 0 {
			todo = append(todo, e)
			total += e.Len
		}
	}
	buf := make([]byte, 256<<10)
	for _, e := range todo {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("re-hash %s: %w", op.names.part, err)
		}
		if !intact(data, e, buf) {
			bad = append(bad, e)
		}
		done += e.Len
		if op.o.Progress != nil {
			op.o.Progress(done, total)
		}
	}
	return bad, nil
}

// intact re-reads e; what cannot be read is as good as wrong.
func intact(data disk.File, e extent, buf []byte) bool {
	var crc uint32
	for at := e.Off; at < e.End(); {
		p := buf[:min(int64(len(buf)), e.End()-at)]
		n, err := data.ReadAt(p, at)
		if n < len(p) || err != nil && !errors.Is(err, io.EOF) {
			return false
		}
		crc = crc32c.Update(crc, p)
		at += int64(n)
	}
	return crc == e.crc
}

// tail returns the last of the ranges, n bytes of them at least.
func tail(order []byterange.Range, n int64) (s byterange.Set) {
	for i := len(order) - 1; i >= 0 && n > 0; i-- {
		n -= order[i].Len
		s.Add(order[i])
	}
	return s
}

func (op *opening) file(data disk.File, j *journal, live *ledger, givers giverTable) *File {
	have := live.set()
	f := &File{
		dir: op.d, names: op.names, meta: op.meta, opts: op.o, data: data, kept: op.kept,
		journal: j, claims: have.Clone(), have: have, givers: givers, level: op.meta.Level,
		pending: newLedger(live.piece), synced: live,
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	f.settled.L = &f.mu
	return f
}

// reserve makes sure of the room for the whole file, as far as that can be had
// without writing.
func (op *opening) reserve(f *File) error {
	size := op.meta.Gen.Size
	if size <= 0 {
		return nil
	}
	st, err := f.data.Stat()
	if err != nil {
		return openError(op.names.part, err)
	}
	if err := op.room(max(st.Allocated, f.synced.size)); err != nil {
		return err
	}
	return f.reserve(0, min(size, firstRoom))
}

const firstRoom = 16 << 20 // bytes reserved before Open returns

// reserveRest reserves the room that Open did not wait for, in steps: some file
// systems take as long to reserve as to write, and let nobody write meanwhile.
// In memory that is a third of what the whole download costs: what is there is
// there, as far as Open could see.
func (f *File) reserveRest() {
	if f.dir.InMemory() {
		return
	}
	size := f.meta.Gen.Size
	for off, step := int64(firstRoom), max(firstRoom, size/256); off < size; off += step {
		select {
		case <-f.stop:
			return
		default:
		}
		if err := f.reserve(off, min(step, size-off)); err != nil {
			_ = f.fail(err) // the next WriteAt returns it
			return
		}
	}
}

func (f *File) reserve(off, n int64) error {
	if err := f.data.Reserve(off, n); err != nil {
		return writeError("reserve room for "+f.names.final, err)
	}
	return nil
}

// mostKept is how many pairs are kept aside beside one name. What cannot be
// resumed, such as all that comes without a length, would pile up for ever.
const mostKept = 3

// keep moves the pair aside, journal first: a part file whose journal is gone
// is kept aside in its turn, but a journal without part file is rubbish.
func (op *opening) keep(reason string) error {
	slot, err := op.slot()
	if err != nil {
		return writeError("keep "+op.names.part+" aside", err)
	}
	suffix := oldSuffix(slot)
	if err = gone(op.d.Rename(op.names.journal, op.names.journal+suffix, true)); err == nil {
		err = op.d.Sync()
	}
	if err == nil {
		err = op.d.Rename(op.names.part, op.names.part+suffix, false)
	}
	if err == nil {
		err = op.d.Sync()
	}
	if err != nil {
		return writeError("keep "+op.names.part+" aside", err)
	}
	op.kept = append(op.kept, Kept{Name: op.names.part + suffix, Reason: reason})
	op.o.Log.Warn("an earlier part file does not fit; keeping it aside", "file", op.names.part+suffix, "reason", reason)
	return nil
}

func oldSuffix(slot int) string { return fmt.Sprintf(".old-%d", slot) }

// slot finds a number that no part file kept aside has. If all are taken the
// oldest, which has the lowest, is removed and the others move down.
func (op *opening) slot() (int, error) {
	for i := 1; i <= mostKept; i++ {
		if _, err := op.d.Stat(op.names.part + oldSuffix(i)); err != nil {
			return i, gone(err)
		}
	}
	oldest := op.names.part + oldSuffix(1)
	if err := errors.Join(op.d.Remove(oldest), gone(op.d.Remove(op.names.journal+oldSuffix(1)))); err != nil {
		return 0, err
	}
	op.kept = append(op.kept, Kept{Name: oldest, Reason: fmt.Sprintf("%d newer ones are kept", mostKept), Removed: true})
	op.o.Log.Warn("the oldest part file that was kept aside is removed", "file", oldest, "kept", mostKept)
	for i := 2; i <= mostKept; i++ {
		for _, name := range []string{op.names.journal, op.names.part} {
			if err := gone(op.d.Rename(name+oldSuffix(i), name+oldSuffix(i-1), true)); err != nil {
				return 0, err
			}
		}
	}
	return mostKept, nil
}

func stampOf(st disk.Info) stamp {
	return stamp{id: st.ID, size: st.Size, modified: st.Modified.UnixNano()}
}
