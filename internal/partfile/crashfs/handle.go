package crashfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"ddm/internal/partfile/disk"
)

// dir is the directory as one process has it open.
type dir struct {
	d    *Disk
	boot int
}

// File is a file that one process has open.
type File struct {
	d    *Disk
	boot int
	name string
	n    *inode
}

func (r *dir) OpenFile(name string, flag int) (disk.File, error) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	n, there := r.d.now[name]
	if flag&os.O_CREATE == 0 {
		if err := r.d.alive(r.boot); err != nil {
			return nil, err
		}
		if !there {
			return nil, pathError("open", name, fs.ErrNotExist)
		}
		return &File{d: r.d, boot: r.boot, name: name, n: n}, nil
	}
	if err := r.d.step(r.boot); err != nil {
		return nil, err
	}
	switch {
	case there && flag&os.O_EXCL != 0:
		return nil, pathError("open", name, fs.ErrExist)
	case there && flag&os.O_TRUNC != 0:
		n.resize(0)
	case !there:
		r.d.inodes++
		n = &inode{id: r.d.inodes, modified: r.d.clock, versions: make(map[int64][][]byte)}
		r.change(dirOp{to: name, node: n})
	}
	return &File{d: r.d, boot: r.boot, name: name, n: n}, nil
}

func (r *dir) change(op dirOp) {
	op.apply(r.d.now)
	r.d.ops = append(r.d.ops, op)
}

func (r *dir) Stat(name string) (disk.Info, error) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if err := r.d.alive(r.boot); err != nil {
		return disk.Info{}, err
	}
	n, ok := r.d.now[name]
	if !ok {
		return disk.Info{}, pathError("stat", name, fs.ErrNotExist)
	}
	return n.info(), nil
}

func (r *dir) Same(name string, f disk.File) (bool, error) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	file, ok := f.(*File)
	if !ok {
		return false, fmt.Errorf("crashfs: %T is not a file of this disk", f)
	}
	return r.d.now[name] == file.n, r.d.alive(r.boot)
}

func (r *dir) Rename(from, to string, replace bool) error {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if err := r.d.step(r.boot); err != nil {
		return err
	}
	n, ok := r.d.now[from]
	if !ok {
		return pathError("rename", from, fs.ErrNotExist)
	}
	if _, taken := r.d.now[to]; taken && !replace {
		return pathError("rename", to, fs.ErrExist)
	}
	r.change(dirOp{from: from, to: to, node: n})
	return nil
}

func (r *dir) Remove(name string) error {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if err := r.d.step(r.boot); err != nil {
		return err
	}
	n, ok := r.d.now[name]
	if !ok {
		return pathError("remove", name, fs.ErrNotExist)
	}
	r.change(dirOp{from: name, node: n})
	return nil
}

func (r *dir) Sync() error {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if err := r.d.step(r.boot); err != nil {
		return err
	}
	for _, op := range r.d.ops {
		op.apply(r.d.durable)
	}
	r.d.ops = nil
	return nil
}

func (r *dir) InMemory() bool { return false }

func (r *dir) Room() (int64, error) {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if r.d.room < 0 {
		return -1, r.d.alive(r.boot)
	}
	free := r.d.room
	for _, n := range r.d.now {
		free -= int64(len(n.now))
	}
	return max(free, 0), r.d.alive(r.boot)
}

func (r *dir) Close() error { return nil }

// ReadAt reads what was written, durable or not.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.alive(f.boot); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteVec writes the buffers one behind the other; when the power goes, some
// of them were written.
func (f *File) WriteVec(bufs [][]byte, off int64) (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	powerErr := f.d.step(f.boot)
	if powerErr != nil && f.boot != f.d.boot {
		return 0, powerErr
	}
	var done int64
	for _, b := range bufs {
		if powerErr != nil && f.d.rng.IntN(2) == 0 {
			break
		}
		if err := f.d.grow(off + done + int64(len(b)) - int64(len(f.n.now))); err != nil {
			return done, pathError("write", f.name, err)
		}
		f.n.write(b, off+done)
		done += int64(len(b))
	}
	f.n.modified = f.d.clock
	return done, powerErr
}

// Stat describes the file.
func (f *File) Stat() (disk.Info, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return f.n.info(), f.d.alive(f.boot)
}

// Truncate sets the length.
func (f *File) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(f.boot); err != nil {
		return err
	}
	f.n.resize(size)
	f.n.modified = f.d.clock
	return nil
}

// Reserve succeeds if there is room; nothing changes.
func (f *File) Reserve(off, n int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.grow(off + n - int64(len(f.n.now))); err != nil {
		return pathError("allocate", f.name, err)
	}
	return nil
}

// Kick does nothing: what survives is luck anyway.
func (f *File) Kick() {}

// SyncData makes the content durable.
func (f *File) SyncData() error { return f.Sync() }

// Sync makes the file durable, not its name.
func (f *File) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(f.boot); err != nil {
		return err
	}
	if f.d.syncs > 0 {
		if f.d.syncs--; f.d.syncs == 0 {
			f.n.failSync(f.d.rng)
			return pathError("sync", f.name, syscall.EIO)
		}
	}
	f.n.sync()
	return nil
}

// Lock takes the file for this handle.
func (f *File) Lock() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.alive(f.boot); err != nil {
		return err
	}
	if f.n.locked != nil && f.n.locked != f {
		return disk.ErrLocked
	}
	f.n.locked = f
	return nil
}

// Publish sets the time.
func (f *File) Publish(modified time.Time) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step(f.boot); err != nil {
		return err
	}
	if !modified.IsZero() {
		f.n.modified = modified.UnixNano()
	}
	return nil
}

// Close gives the lock back.
func (f *File) Close() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.n.locked == f {
		f.n.locked = nil
	}
	return nil
}
