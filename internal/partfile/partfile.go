// Package partfile keeps the bytes of one incomplete download: a sparse file
// and an append-only journal of what in it can be trusted, both beside the
// place where the finished file will be. Nothing else is ever touched.
//
//	sources --WriteAt--> claim --pwritev--> pending ---checkpoint---> have for good
//	                     (first claimant     |  1 fdatasync(part file)
//	                      wins)              |  2 append extents to the journal
//	                                         |  3 fdatasync(journal)
//	Open  : journal --replay--> extents --re-hash--> Have
//	Commit: all there, verified --sync--> rename without replacing --> NAME
//
// The journal never speaks of bytes that were not synced before it spoke, so a
// crash at any instant loses at most what came after the last checkpoint. Its
// CRC32Cs guard against accidents, not against liars: who gave which bytes is
// recorded, whether they are the right ones is for the caller to verify.
package partfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/partfile/disk"
)

// Meta says what is being downloaded. It goes into the journal, in clear.
type Meta struct {
	URL      string            // without secrets: no user, no query
	Mirrors  []string          // further URLs of the same resource, without secrets; a journal that names one is resumed
	Gen      origin.Generation // Size -1: unknown, grows, is never resumed
	Modified time.Time         // for the finished file, unless Commit is told another; zero: none

	Level origin.Level // of the evidence under which bytes come, until Lower says less
	Least origin.Level // of the evidence under which an earlier run's bytes came, or they are kept aside
}

// Options of a File. The zero value of a field means its default.
type Options struct {
	Overwrite bool // Commit may replace an existing file
	VerifyAll bool // re-hash everything at a resume, not only what is newest

	PieceSize    int64         // extents never cross a multiple of it; 0: PieceSize of the resource; a journal keeps its own
	SyncEvery    time.Duration // longest wait for a checkpoint; 0: 1 s
	SyncBytes    int64         // most bytes that a crash costs, but for those being written: a checkpoint begins at half of them, and writers wait for it; 0: 64 MiB
	JournalLimit int64         // length above which a journal full of history is written anew; 0: 1 MiB

	Progress func(done, total int64) // bytes re-hashed while Open runs; nil: not told
	Log      hclog.Logger            // nil: discards
}

const (
	defaultSyncEvery    = time.Second
	defaultSyncBytes    = 64 << 20
	defaultJournalLimit = 1 << 20
	kickEvery           = 16 << 20 // bytes between two write-back kicks
	newest              = 64 << 20 // bytes always re-hashed at a resume
)

func (o Options) withDefaults(size int64) Options {
	o.PieceSize = cmp.Or(o.PieceSize, PieceSize(size))
	o.SyncEvery = cmp.Or(o.SyncEvery, defaultSyncEvery)
	o.SyncBytes = cmp.Or(o.SyncBytes, defaultSyncBytes)
	o.JournalLimit = cmp.Or(o.JournalLimit, defaultJournalLimit)
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return o
}

// PieceSize returns the grid of a resource of size bytes: 1 MiB, doubled until
// there are at most 262,144 pieces.
func PieceSize(size int64) int64 {
	const most = 262_144
	piece := int64(1 << 20)
	for size/piece >= most && piece < 1<<40 {
		piece *= 2
	}
	return piece
}

// Extent is a run of bytes that is there. It lies within one piece.
type Extent struct {
	byterange.Range
	CRC    uint32 // CRC32C of its bytes
	Giver  string // as told to WriteAt
	Synced bool   // survives a crash
}

// Kept is a file that was in the way of a fresh start and is kept aside, or one
// of an earlier start that had to go for it.
type Kept struct {
	Name    string // in the destination's directory
	Reason  string
	Removed bool
}

// File is an incomplete download on disk. Its methods may be called
// concurrently; Commit, Close and Discard end it.
type File struct {
	dir     disk.Dir
	names   names
	path    string // of the finished file
	meta    Meta
	opts    Options
	data    disk.File
	kept    []Kept
	resumed int64

	// checkpointing serialises what writes the journal. It is taken before mu.
	checkpointing sync.Mutex
	journal       *journal // guarded by checkpointing

	writing sync.Mutex // one pwritev at a time: cheaper than the inode's own lock

	mu        sync.Mutex
	claims    byterange.Set // written or being written
	have      byterange.Set // written
	pending   *ledger       // written since the last checkpoint began
	flight    *ledger       // what the running checkpoint will make durable; nil: none runs
	synced    *ledger
	givers    giverTable
	level     origin.Level
	unsynced  int64 // bytes in pending
	sinceKick int64
	err       error         // first failure; every later call returns it
	lost      bool          // a sync failed: what is not in synced is forgotten
	done      bool          // committed, closed or discarded
	committed bool          // the file has its name
	finished  stamp         // how it was left then
	drops     int           // how often bytes were taken back
	moved     chan struct{} // closed when have, or the state of a Reading, changes; nil: nobody waits

	settled sync.Cond // of mu: less is at stake or being written than before, or the File has ended

	wake  chan struct{} // something pending; capacity 1
	stop  chan struct{}
	quit  sync.Once
	loops sync.WaitGroup
}

var errClosed = fmt.Errorf("part file: %w", fs.ErrClosed)

// Path returns where the finished file will be.
func (f *File) Path() string { return f.path }

// PartPath returns where the incomplete file is.
func (f *File) PartPath() string { return filepath.Join(filepath.Dir(f.path), f.names.part) }

// PieceSize returns the grid in use, in bytes: the journal's at a resume.
func (f *File) PieceSize() int64 { return f.opts.PieceSize }

// Resumed returns how many bytes were taken over from an earlier run.
func (f *File) Resumed() int64 { return f.resumed }

// Level returns the least evidence under which bytes that are there came. Where
// what was taken over is of a mirror that tags the file in another way, that the
// two are one rests on the date alone: origin.Weak.
func (f *File) Level() origin.Level {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.level
}

// Lower says that what is written from here on comes under no more evidence
// than that. The journal says so before it claims any of it.
func (f *File) Lower(level origin.Level) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.level = min(f.level, level)
}

// Kept returns what Open moved aside instead of destroying it.
func (f *File) Kept() []Kept { return f.kept }

// Have returns what is there: what Open could trust, and what was written
// since. After a failed sync it is what survived.
func (f *File) Have() byterange.Set {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.have.Clone()
}

// Reach returns where the bytes end that are there from off on without a gap, and
// how often bytes were taken back so far: what was read before the last time may
// have been others.
func (f *File) Reach(off int64) (end int64, drops int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := f.have.Next(off); ok && r.Off <= off {
		return r.End(), f.drops
	}
	return off, f.drops
}

// Err returns the failure that ended the File, if there was one.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Extents yields a snapshot of what is there in ascending order. Neighbours
// from one giver are one extent, up to the piece's border and the state of sync.
func (f *File) Extents() iter.Seq[Extent] {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := collect(f.synced, true, f.givers)
	all = append(all, collect(f.flight, false, f.givers)...)
	all = append(all, collect(f.pending, false, f.givers)...)
	return sorted(all)
}

// ReadAt reads bytes that were written. A range with a hole is
// errdefs.BadRange; a range behind a known end is cut there, with io.EOF.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	var eof error
	if size := f.meta.Gen.Size; size >= 0 && off+int64(len(p)) > size {
		p, eof = p[:max(size-off, 0)], io.EOF
	}
	want := byterange.Range{Off: off, Len: int64(len(p))}
	f.mu.Lock()
	err, there := f.usable(), f.have.Contains(want)
	f.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case !there:
		return 0, fmt.Errorf("%s of %s: not there yet: %w", want, f.names.part, errdefs.BadRange)
	case want.Empty():
		return 0, eof
	}
	n, err := f.data.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fmt.Errorf("read %s: %w: %w", f.names.part, errdefs.OpenFile, err)
	}
	if err != nil || n < len(p) {
		return n, fmt.Errorf("read %s: shorter than it was: %w", f.names.part, errdefs.Corrupt)
	}
	return n, eof
}

// usable returns why nothing more can be done, or nil. Callers hold mu.
func (f *File) usable() error {
	if f.done {
		return errClosed
	}
	return f.err
}

// fail makes err what every later call returns, and returns what they will.
func (f *File) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.settled.Broadcast()
	return f.err
}

// end lets nobody do anything more. Callers hold mu.
func (f *File) end() {
	f.done = true
	f.settled.Broadcast()
	f.tell()
}

// writeError gives err its kind.
func writeError(what string, err error) error {
	switch {
	case disk.IsFull(err):
		return fmt.Errorf("%s: %w: make room and run it again: %w", what, errdefs.NoSpace, err)
	case disk.IsTooLarge(err):
		return fmt.Errorf("%s: %w: too long a file for this file system; save it elsewhere: %w", what, errdefs.WriteFile, err)
	}
	return fmt.Errorf("%s: %w: %w", what, errdefs.WriteFile, err)
}
