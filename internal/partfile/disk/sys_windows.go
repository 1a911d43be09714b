package disk

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// LargeFile is what Linux needs for files of 2 GiB and more on processors of 32
// bits, and nobody else.
const LargeFile = 0

const noFollow = 0

func identity(fs.FileInfo) (id uint64, allocated int64) { return 0, 0 }

func renameNoReplace(*os.File, string, string) (done bool, err error) { return false, nil }

func writeVec(f *os.File, bufs [][]byte, off int64) (int64, error) { return writeEach(f, bufs, off) }

func reserve(*os.File, int64, int64) error { return nil }

func kick(*os.File) {}

func syncData(f *os.File) error { return f.Sync() }

// syncDir has nothing to do: directory entries are journalled, and a
// directory cannot be flushed by an ordinary user.
func syncDir(*os.File) error { return nil }

func inMemory(*os.File) bool { return false }

func room(dir *os.File) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir.Name())
	if err != nil {
		return -1, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return -1, err
	}
	return int64(min(free, 1<<63-1)), nil
}

// lock takes one byte far behind any content, because locks bind readers here.
func lock(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1 << 30}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

func setModified(f *os.File, modified time.Time) error {
	if modified.IsZero() {
		return nil
	}
	ft := windows.NsecToFiletime(modified.UnixNano())
	return windows.SetFileTime(windows.Handle(f.Fd()), nil, nil, &ft)
}

func setPublicMode(*os.File) error { return nil }

// IsFull reports whether err means that the disk or the quota is full.
func IsFull(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// IsTooLarge reports whether err means that the file system holds no file of
// that length.
func IsTooLarge(err error) bool { return errors.Is(err, windows.ERROR_FILE_TOO_LARGE) }

// NoLocks reports whether err means that the file system knows no locks.
func NoLocks(err error) bool { return errors.Is(err, windows.ERROR_NOT_SUPPORTED) }
