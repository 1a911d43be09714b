package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

const privateMode fs.FileMode = 0o600

// osDir is a directory of the operating system.
type osDir struct {
	root *os.Root
	self *os.File // the directory itself, for the calls that want one
}

// osFile is a file of the operating system.
type osFile struct{ f *os.File }

// Open opens an existing directory. The caller closes it.
func Open(path string) (Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &osDir{root: root, self: self}, nil
}

func (d *osDir) OpenFile(name string, flag int) (File, error) {
	f, err := d.root.OpenFile(name, flag|os.O_RDWR|noFollow|LargeFile, privateMode)
	if err != nil {
		return nil, err
	}
	return &osFile{f: f}, nil
}

func (d *osDir) Stat(name string) (Info, error) {
	fi, err := d.root.Lstat(name)
	if err != nil {
		return Info{}, err
	}
	return info(fi), nil
}

func (d *osDir) Same(name string, f File) (bool, error) {
	file, ok := f.(*osFile)
	if !ok {
		return false, fmt.Errorf("%s: not a file of this directory", name)
	}
	named, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	open, err := file.f.Stat()
	if err != nil {
		return false, err
	}
	return os.SameFile(named, open), nil
}

func (d *osDir) Rename(from, to string, replace bool) error {
	if replace {
		return d.root.Rename(from, to)
	}
	done, err := renameNoReplace(d.self, from, to)
	if done {
		return err
	}
	// The two names exist side by side for a moment; partfile.Open knows that
	// picture and finishes it.
	err = d.root.Link(from, to)
	switch {
	case err == nil:
		return d.root.Remove(from)
	case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrNotExist):
		return err
	}
	// No links here (FAT): look first, then rename. Who comes in between loses.
	if _, err := d.root.Lstat(to); err == nil {
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	return d.root.Rename(from, to)
}

func (d *osDir) Remove(name string) error { return d.root.Remove(name) }

func (d *osDir) Sync() error { return syncDir(d.self) }

func (d *osDir) Room() (int64, error) { return room(d.self) }

func (d *osDir) InMemory() bool { return inMemory(d.self) }

func (d *osDir) Close() error { return errors.Join(d.self.Close(), d.root.Close()) }

func (o *osFile) ReadAt(p []byte, off int64) (int, error) { return o.f.ReadAt(p, off) }

func (o *osFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	return writeVec(o.f, bufs, off)
}

func (o *osFile) Stat() (Info, error) {
	fi, err := o.f.Stat()
	if err != nil {
		return Info{}, err
	}
	return info(fi), nil
}

func (o *osFile) Truncate(size int64) error { return o.f.Truncate(size) }

func (o *osFile) Reserve(off, n int64) error { return reserve(o.f, off, n) }

func (o *osFile) Kick() { kick(o.f) }

func (o *osFile) SyncData() error { return syncData(o.f) }

func (o *osFile) Sync() error { return o.f.Sync() }

func (o *osFile) Lock() error { return lock(o.f) }

func (o *osFile) Publish(modified time.Time) error {
	return errors.Join(setModified(o.f, modified), setPublicMode(o.f))
}

func (o *osFile) Close() error { return o.f.Close() }
