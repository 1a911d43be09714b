package partfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

// CommitOptions say how a download ends.
type CommitOptions struct {
	// Size is the real length in bytes. It must be that of the generation
	// unless that was unknown.
	Size int64
	// Verify judges the content before anything is renamed; nil: no judge. Its
	// error is returned as it is, and the File can go on: Drop what is bad.
	Verify func(ctx context.Context, content io.ReaderAt, size int64) error
	// Modified is the modification time of the finished file; zero: that of
	// Meta, or else none.
	Modified time.Time
}

// Commit gives the complete, verified file its name, durably, and removes the
// journal. On success the File is closed. If the name is taken meanwhile
// (errdefs.Exists), nothing is replaced and both side files stay.
func (f *File) Commit(ctx context.Context, o CommitOptions) (path string, err error) {
	if err := f.complete(o.Size); err != nil {
		return "", err
	}
	if err := f.Checkpoint(); err != nil {
		return "", err
	}
	if o.Verify != nil {
		if err := o.Verify(ctx, f.content(o.Size), o.Size); err != nil {
			return "", err
		}
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	f.halt()
	f.checkpointing.Lock()
	defer f.checkpointing.Unlock()
	if err := f.complete(o.Size); err != nil { // Verify may have led to a Drop
		return "", err
	}
	if err := f.publish(o); err != nil {
		return "", err
	}
	st, err := f.data.Stat()
	if err != nil {
		f.opts.Log.Debug("cannot tell how the finished file was left", "file", f.names.final, "error", err)
	}
	f.mu.Lock()
	f.committed, f.finished = err == nil, stampOf(st)
	f.end()
	f.mu.Unlock()
	f.tidy()
	return f.path, nil
}

// complete reports whether all of [0, size) is there.
func (f *File) complete(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.usable(); err != nil {
		return err
	}
	if want := f.meta.Gen.Size; size < 0 || want >= 0 && size != want {
		return fmt.Errorf("commit %d bytes of %d: %w", size, want, errdefs.Internal)
	}
	for gap := range f.have.Missing(byterange.Between(0, size)) {
		return fmt.Errorf("commit: %s is missing: %w", gap, errdefs.Internal)
	}
	return nil
}

// publish takes the part file to its final name. Each step may be the last
// before a crash: until the rename the pair can be resumed, after it the file
// is complete and only its journal is too many.
func (f *File) publish(o CommitOptions) error {
	if err := vacant(f.dir, f.names.final, f.opts.Overwrite); err != nil {
		return err
	}
	if err := f.data.Truncate(o.Size); err != nil {
		return f.fail(writeError("truncate "+f.names.part, err))
	}
	modified := o.Modified
	if modified.IsZero() {
		modified = f.meta.Modified
	}
	if err := f.data.Publish(modified); err != nil {
		f.opts.Log.Warn("cannot set mode or time of the finished file", "file", f.names.final, "error", err)
	}
	if err := f.data.Sync(); err != nil {
		return f.forget(writeError("sync "+f.names.part, err))
	}
	err := f.dir.Rename(f.names.part, f.names.final, f.opts.Overwrite)
	if errors.Is(err, fs.ErrExist) {
		return taken(f.names.final)
	}
	if err != nil {
		return f.fail(writeError("rename to "+f.names.final, err))
	}
	if err := f.dir.Sync(); err != nil {
		return f.fail(writeError("sync the directory of "+f.names.final, err))
	}
	return nil
}

// tidy removes the journal of a finished file and lets go of everything. What
// fails here, the next Open makes up for.
func (f *File) tidy() {
	if err := gone(f.dir.Remove(f.names.journal)); err != nil {
		f.opts.Log.Warn("cannot remove the journal of the finished file", "file", f.names.journal, "error", err)
	}
	if err := f.dir.Sync(); err != nil {
		f.opts.Log.Warn("cannot sync the directory", "file", f.names.final, "error", err)
	}
	if err := f.release(); err != nil {
		f.opts.Log.Warn("cannot close", "file", f.names.final, "error", err)
	}
}

// Close checkpoints what was written and keeps both side files for a resume,
// unless nothing was ever written: then there is nothing to keep. It returns
// the failure of the File, if there was one. Closing again does nothing.
func (f *File) Close() error {
	f.halt()
	f.checkpointing.Lock()
	defer f.checkpointing.Unlock()
	if f.ended() {
		return nil
	}
	err := f.checkpoint()
	f.mu.Lock()
	f.end()
	empty, lost := f.have.Len() == 0, f.lost
	err = errors.Join(err, f.err)
	f.mu.Unlock()
	switch {
	case lost: // say nothing of it: everything is re-hashed at the next Open
	case empty:
		err = errors.Join(err, f.remove())
	default:
		if stampErr := f.seal(); stampErr != nil {
			f.opts.Log.Warn("cannot seal the journal; the next run re-hashes everything", "file", f.names.journal, "error", stampErr)
		}
	}
	return errors.Join(err, f.release())
}

// seal records how the data file is left, so that the next Open can tell
// whether anybody touched it.
func (f *File) seal() error {
	if err := f.data.Sync(); err != nil {
		return err
	}
	st, err := f.data.Stat()
	if err != nil {
		return err
	}
	e := f.journal.encoder()
	e.stamp(stampOf(st))
	return f.journal.append(e)
}

// Discard removes both side files: the download is given up.
func (f *File) Discard() error {
	f.halt()
	f.checkpointing.Lock()
	defer f.checkpointing.Unlock()
	if f.ended() {
		return nil
	}
	f.mu.Lock()
	f.end()
	f.mu.Unlock()
	return errors.Join(f.remove(), f.release())
}

// remove takes both names away: the journal first, because a part file without
// one is never trusted.
func (f *File) remove() error {
	err := errors.Join(
		gone(f.dir.Remove(f.names.journal)),
		gone(f.dir.Remove(f.names.part)),
		f.dir.Sync(),
	)
	if err != nil {
		return writeError("remove "+f.names.part, err)
	}
	return nil
}

func (f *File) ended() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

// release closes the files, and the lock with them.
func (f *File) release() error {
	return errors.Join(f.journal.f.Close(), f.data.Close(), f.dir.Close())
}
