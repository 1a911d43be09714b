//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const noFollow = unix.O_NOFOLLOW

func identity(fi fs.FileInfo) (id uint64, allocated int64) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	const block = 512 // the unit of st_blocks, whatever the file system's own
	return st.Ino, st.Blocks * block
}

// lock uses flock: it belongs to the open file, so it ends with the process
// however the process ends.
func lock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) {
		for {
			lockErr = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB)
			if !errors.Is(lockErr, unix.EINTR) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	if errors.Is(lockErr, unix.EWOULDBLOCK) {
		return ErrLocked
	}
	return lockErr
}

// syncDir accepts that some file systems have nothing to sync in a directory.
func syncDir(dir *os.File) error {
	err := dir.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

func setModified(f *os.File, modified time.Time) error {
	if modified.IsZero() {
		return nil
	}
	tv := unix.NsecToTimeval(modified.UnixNano())
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var timeErr error
	err = raw.Control(func(fd uintptr) {
		timeErr = unix.Futimes(int(fd), []unix.Timeval{tv, tv})
	})
	return errors.Join(err, timeErr)
}

func setPublicMode(f *os.File) error { return f.Chmod(0o666 &^ umask()) }

// IsFull reports whether err means that the disk or the quota is full.
func IsFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// IsTooLarge reports whether err means that the file system holds no file of
// that length.
func IsTooLarge(err error) bool { return errors.Is(err, unix.EFBIG) }

// NoLocks reports whether err means that the file system knows no locks.
func NoLocks(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.ENOLCK)
}
