package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// LargeFile is for files of 2 GiB and more on processors of 32 bits: os.OpenFile
// adds it, os.Root does not.
const LargeFile = unix.O_LARGEFILE

// maxVec is the kernel's limit of buffers in one call (IOV_MAX).
const maxVec = 1024

// renameNoReplace reports done if the kernel and the file system know the call.
func renameNoReplace(dir *os.File, from, to string) (done bool, err error) {
	err = control(dir, func(fd int) error {
		return unix.Renameat2(fd, from, fd, to, unix.RENAME_NOREPLACE)
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	if err != nil {
		return true, &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return true, nil
}

func writeVec(f *os.File, bufs [][]byte, off int64) (int64, error) {
	var done int64
	rest := bufs
	for len(rest) > 0 {
		n := 0
		err := control(f, func(fd int) (err error) {
			n, err = unix.Pwritev(fd, rest[:min(len(rest), maxVec)], off+done)
			return err
		})
		if err != nil {
			return done, &fs.PathError{Op: "write", Path: f.Name(), Err: err}
		}
		if n == 0 && size(rest) > 0 {
			return done, &fs.PathError{Op: "write", Path: f.Name(), Err: io.ErrShortWrite}
		}
		done += int64(n)
		rest = skip(rest, n)
	}
	return done, nil
}

// skip returns what is left of bufs behind their first n bytes, and leaves the
// caller's slice of slices as it was.
func skip(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n == 0 {
		return bufs
	}
	rest := append([][]byte(nil), bufs...)
	rest[0] = rest[0][n:]
	return rest
}

func size(bufs [][]byte) (n int) {
	for _, b := range bufs {
		n += len(b)
	}
	return n
}

// reserve allocates without changing the length, so that the length goes on
// saying how far the file was ever written.
func reserve(f *os.File, off, n int64) error {
	if n <= 0 {
		return nil
	}
	err := control(f, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	for _, real := range []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EIO, unix.EROFS} {
		if errors.Is(err, real) {
			return &fs.PathError{Op: "allocate", Path: f.Name(), Err: err}
		}
	}
	return nil // sparse then
}

func kick(f *os.File) {
	// Best effort by nature: what it misses, the next fdatasync writes.
	_ = control(f, func(fd int) error {
		return unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
	})
}

func syncData(f *os.File) error {
	if err := control(f, unix.Fdatasync); err != nil {
		return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func room(dir *os.File) (int64, error) {
	var st unix.Statfs_t
	if err := control(dir, func(fd int) error { return unix.Fstatfs(fd, &st) }); err != nil {
		return -1, &fs.PathError{Op: "statfs", Path: dir.Name(), Err: err}
	}
	if st.Blocks == 0 { // some network and user-space file systems do not say
		return -1, nil
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // 32 bits on other processors
}

func inMemory(dir *os.File) bool {
	var st unix.Statfs_t
	err := control(dir, func(fd int) error { return unix.Fstatfs(fd, &st) })
	kind := uint32(st.Type) //nolint:gosec // magic numbers have 32 bits; so has Type, signed, on some processors
	return err == nil && (kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC)
}

// umask asks without changing it; the system call can only do both at once.
func umask() fs.FileMode {
	const unknown = 0o077
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return unknown
	}
	_, after, ok := bytes.Cut(status, []byte("\nUmask:"))
	if !ok {
		return unknown
	}
	line, _, _ := bytes.Cut(after, []byte("\n"))
	mask, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 8, 12)
	if err != nil {
		return unknown
	}
	return fs.FileMode(mask) & fs.ModePerm
}

// control runs a system call on f's descriptor, again when a signal cut it short.
func control(f *os.File, call func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("descriptor of %s: %w", f.Name(), err)
	}
	var callErr error
	err = raw.Control(func(fd uintptr) {
		for {
			if callErr = call(int(fd)); !errors.Is(callErr, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, callErr)
}
