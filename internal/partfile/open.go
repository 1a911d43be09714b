package partfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ddm/internal/errdefs"
	"ddm/internal/partfile/disk"
)

// Open begins or resumes the download of name in dir, which is made if it is
// missing. Only one process can have a download open. meta must name the
// generation to be fetched now: a part file of another one is kept aside.
//
// Kinds: Exists (the name is taken; nothing was touched), Locked, MakeDir,
// OpenFile, CreateFile, NoSpace (before any byte), WriteFile.
func Open(ctx context.Context, dir, name string, meta Meta, o Options) (*File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	d, err := disk.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w: %w", errdefs.OpenFile, err)
	}
	f, err := OpenIn(ctx, d, name, meta, o)
	if err != nil {
		return nil, err
	}
	f.path = filepath.Join(dir, name)
	return f, nil
}

// OpenIn is Open in a directory that is open already, or simulated. The File
// closes it, also when OpenIn fails.
func OpenIn(ctx context.Context, d disk.Dir, name string, meta Meta, o Options) (*File, error) {
	op := &opening{d: d, names: namesOf(name), meta: meta, o: o.withDefaults(meta.Gen.Size)}
	err := checkName(name)
	var f *File
	if err == nil {
		f, err = op.open(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	f.path = name
	f.loops.Go(f.run)
	f.loops.Go(f.reserveRest)
	return f, nil
}

// checkName wants one component; package filename makes such names.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") ||
		!filepath.IsLocal(name) || filepath.Base(name) != name {
		return fmt.Errorf("%q is not a file name: %w", name, errdefs.Invalid)
	}
	return nil
}

// makeDir makes dir, and its name durable if it is new.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("%w: %w", errdefs.MakeDir, err)
	}
	parent, err := disk.Open(filepath.Dir(filepath.Clean(dir)))
	if err != nil {
		return nil //nolint:nilerr // not ours to open: then not ours to sync
	}
	if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
		return fmt.Errorf("sync the parent of %s: %w: %w", dir, errdefs.MakeDir, err)
	}
	return nil
}

// opening is one call of Open.
type opening struct {
	d     disk.Dir
	names names
	meta  Meta
	o     Options
	kept  []Kept
}

// open takes the part file for this process and finds out what it is worth.
func (op *opening) open(ctx context.Context) (*File, error) {
	const attempts = 16 // others may begin, finish and give up meanwhile
	for range attempts {
		data, isNew, err := op.acquire()
		if err != nil {
			return nil, err
		}
		if data == nil {
			continue
		}
		f, err := op.load(ctx, data, isNew)
		if err != nil {
			return nil, errors.Join(err, data.Close())
		}
		if f != nil {
			return f, nil
		}
		if err := data.Close(); err != nil { // kept aside; begin afresh
			return nil, fmt.Errorf("close %s: %w: %w", op.names.part, errdefs.OpenFile, err)
		}
	}
	return nil, fmt.Errorf("%s comes and goes: %w", op.names.part, errdefs.Locked)
}

// acquire opens and locks the part file. No file and no error: look again.
func (op *opening) acquire() (data disk.File, isNew bool, err error) {
	st, err := op.d.Stat(op.names.part)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, false, openError(op.names.part, err)
	}
	if err := vacant(op.d, op.names.final, op.o.Overwrite); err != nil {
		op.sweep(missing)
		return nil, false, err
	}
	if !missing && !st.Regular {
		return nil, false, op.keep("it is not a regular file")
	}
	flag := 0
	if missing {
		if err := op.room(0); err != nil {
			return nil, false, err
		}
		flag = os.O_CREATE | os.O_EXCL
	}
	data, err = op.d.OpenFile(op.names.part, flag)
	switch {
	case missing && errors.Is(err, fs.ErrExist), !missing && errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case err != nil && missing:
		return nil, false, createError(op.names.part, err)
	case err != nil:
		return nil, false, openError(op.names.part, err)
	}
	ok, err := op.own(data)
	if err != nil || !ok {
		return nil, false, errors.Join(err, data.Close())
	}
	return data, missing, nil
}

// own locks data and makes sure that it still is the part file, and only that.
func (op *opening) own(data disk.File) (bool, error) {
	err := data.Lock()
	switch {
	case errors.Is(err, disk.ErrLocked):
		return false, fmt.Errorf("another process is downloading to %s: %w", op.names.final, errdefs.Locked)
	case err != nil && disk.NoLocks(err):
		op.o.Log.Warn("no locks on this file system: do not download to one name twice", "file", op.names.part)
	case err != nil:
		return false, openError("lock "+op.names.part, err)
	}
	if same, err := op.d.Same(op.names.part, data); err != nil || !same {
		return false, err
	}
	finished, err := op.d.Same(op.names.final, data)
	if err != nil || !finished {
		return err == nil, err
	}
	// A commit by link and unlink was cut short between the two. The file has
	// its name; writing here would write into it.
	return false, op.removeSides()
}

func (op *opening) removeSides() error {
	err := errors.Join(gone(op.d.Remove(op.names.journal)), gone(op.d.Remove(op.names.part)), op.d.Sync())
	if err != nil {
		return writeError("remove "+op.names.part, err)
	}
	return nil
}

// sweep removes what a commit that was cut short left beside a finished file:
// a journal without a part file, or a second name of the finished file. It is
// done under the lock that a downloader would need, and may fail in peace.
func (op *opening) sweep(partMissing bool) {
	flag := 0
	if partMissing {
		if _, err := op.d.Stat(op.names.journal); err != nil {
			return
		}
		flag = os.O_CREATE | os.O_EXCL
	}
	data, err := op.d.OpenFile(op.names.part, flag)
	if err != nil {
		return
	}
	ok, err := op.own(data) // removes a second name by itself
	if ok && partMissing {
		err = op.removeSides()
	}
	if err := errors.Join(err, data.Close()); err != nil {
		op.o.Log.Debug("could not tidy up beside a finished file", "file", op.names.final, "error", err)
	}
}

// vacant reports whether the final name may be taken. What is no regular file
// is not replaced even if the caller may overwrite: it may be a device.
func vacant(d disk.Dir, name string, overwrite bool) error {
	st, err := d.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return openError(name, err)
	case !overwrite:
		return taken(name)
	case !st.Regular:
		return fmt.Errorf("%s is not a regular file; choose another name: %w", name, errdefs.Exists)
	}
	return nil
}

func taken(name string) error {
	return fmt.Errorf("%s: %w: choose another name or allow overwriting", name, errdefs.Exists)
}

// room compares what the file system has with what the rest of the file needs.
func (op *opening) room(allocated int64) error {
	need := op.meta.Gen.Size - allocated
	room, err := op.d.Room()
	if err != nil {
		op.o.Log.Debug("cannot tell how much room there is", "error", err)
		return nil
	}
	if room >= 0 && need > room {
		return fmt.Errorf("%s needs %d bytes, the file system has %d: %w", op.names.final, need, room, errdefs.NoSpace)
	}
	return nil
}

func openError(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, errdefs.OpenFile, err)
}

func createError(what string, err error) error {
	if disk.IsFull(err) {
		return writeError(what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, errdefs.CreateFile, err)
}
