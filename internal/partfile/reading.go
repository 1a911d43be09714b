package partfile

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/partfile/disk"
)

// Reading gives others the bytes of a File that are there, while the rest still
// arrives, and goes on when the File is committed. When the File ends in any
// other way nothing is left of it. It implements offer.Content, is safe for
// concurrent use, and must be closed.
type Reading struct {
	f      *File
	data   disk.File // a descriptor of its own: the File closes its own at the commit
	closed atomic.Bool
}

// Reading returns a new one. Errors: errdefs.OpenFile, or what ended the File.
func (f *File) Reading() (*Reading, error) {
	f.mu.Lock()
	err := f.usable()
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	data, err := f.dir.OpenFile(f.names.part, 0)
	if err != nil {
		return nil, openError(f.names.part, err)
	}
	mine, err := f.dir.Same(f.names.part, f.data)
	if err == nil && !mine {
		err = fmt.Errorf("somebody moved it: %w", errdefs.Corrupt)
	}
	if err != nil {
		_ = data.Close() // nothing was written
		return nil, openError(f.names.part, err)
	}
	return &Reading{f: f, data: data}, nil
}

// Have returns what may be read now: what was written, on disk already or not.
func (r *Reading) Have() byterange.Set {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if !r.readable() {
		return byterange.Set{}
	}
	return r.f.have.Clone()
}

// Changed returns a channel that is closed at the next change of Have.
func (r *Reading) Changed() <-chan struct{} {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if r.f.moved == nil {
		r.f.moved = make(chan struct{})
	}
	return r.f.moved
}

// ReadAt reads bytes of Have. What is not there, and what was taken back while
// it was read, is errdefs.BadRange. Once the File is committed, a change of its
// length or time by anybody ends the Reading.
func (r *Reading) ReadAt(p []byte, off int64) (int, error) {
	want := byterange.Range{Off: off, Len: int64(len(p))}
	drops, _, ok := r.there(want)
	if !ok {
		return 0, fmt.Errorf("%s of %s: not there: %w", want, r.f.names.final, errdefs.BadRange)
	}
	if n, err := r.data.ReadAt(p, off); n < len(p) {
		if err == nil || errors.Is(err, io.EOF) {
			err = errdefs.Corrupt
		}
		if !r.closed.Load() {
			r.f.opts.Log.Warn("cannot read what others want", "file", r.f.names.final, "range", want, "error", err)
		}
		return 0, fmt.Errorf("read %s: %w: %w", r.f.names.part, errdefs.OpenFile, err)
	}
	after, committed, ok := r.there(want)
	if !ok || after != drops {
		return 0, fmt.Errorf("%s of %s: taken back: %w", want, r.f.names.final, errdefs.BadRange)
	}
	if !committed {
		return len(p), nil
	}
	if st, err := r.data.Stat(); err != nil || stampOf(st) != r.f.finished {
		r.f.opts.Log.Info("offering it no more: the file was changed", "file", r.f.names.final, "error", err)
		r.retire()
		return 0, fmt.Errorf("%s was changed: %w", r.f.names.final, errdefs.BadRange)
	}
	return len(p), nil
}

// there reports whether bytes may be read, how often bytes were taken back so
// far, and whether the file has its name.
func (r *Reading) there(want byterange.Range) (drops int, committed, ok bool) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	return r.f.drops, r.f.committed, r.readable() && r.f.have.Contains(want)
}

// readable reports whether anything may be read. Callers hold the File's mutex.
func (r *Reading) readable() bool { return !r.closed.Load() && (!r.f.done || r.f.committed) }

// retire makes Have empty for good, and tells those who wait.
func (r *Reading) retire() {
	r.closed.Store(true)
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	r.f.tell()
}

// Close ends the Reading; reads that run fail. The File does not notice.
func (r *Reading) Close() error {
	r.retire()
	return r.data.Close()
}

// tell wakes those who wait for a change of what is there. Callers hold mu.
func (f *File) tell() {
	if f.moved != nil {
		close(f.moved)
		f.moved = nil
	}
}
