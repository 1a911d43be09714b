//go:build unix && !linux

package disk

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// LargeFile is what Linux needs for files of 2 GiB and more on processors of 32
// bits, and nobody else.
const LargeFile = 0

func renameNoReplace(*os.File, string, string) (done bool, err error) { return false, nil }

func writeVec(f *os.File, bufs [][]byte, off int64) (int64, error) { return writeEach(f, bufs, off) }

func reserve(*os.File, int64, int64) error { return nil }

func kick(*os.File) {}

func syncData(f *os.File) error { return f.Sync() }

func room(*os.File) (int64, error) { return -1, nil }

func inMemory(*os.File) bool { return false }

// umask can only be read by setting it; for that instant it is stricter, never
// laxer, than the user's.
func umask() fs.FileMode {
	mask := unix.Umask(0o077)
	unix.Umask(mask)
	return fs.FileMode(mask) & fs.ModePerm
}
