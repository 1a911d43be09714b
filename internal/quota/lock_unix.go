//go:build unix

package quota

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFile waits for the lock, which belongs to the open file: it ends with
// the process, however that ends.
func lockFile(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var lockErr error
	err = raw.Control(func(fd uintptr) {
		for {
			if lockErr = unix.Flock(int(fd), unix.LOCK_EX); !errors.Is(lockErr, unix.EINTR) {
				return
			}
		}
	})
	return errors.Join(err, lockErr)
}
