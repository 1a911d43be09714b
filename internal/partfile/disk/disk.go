// Package disk is the seam between a part file and the operating system: one
// directory, the few files in it, and exactly the calls that the write
// protocol of package partfile is built from.
//
//	partfile --> Dir, File --> OS directory (this package, through os.Root)
//	                       \-> a simulated one that loses power on request
//
// Names are single components of the directory; nothing outside it can be
// reached, by no name and by no symbolic link.
package disk

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// ErrLocked says that another open file holds the lock.
var ErrLocked = errors.New("locked by another process")

// Info is what a part file needs to know of a file.
type Info struct {
	ID        uint64 // inode number; 0 where there is none
	Size      int64
	Allocated int64 // bytes that the file takes on the medium; 0 if unknown
	Modified  time.Time
	Regular   bool
	Folder    bool
}

// Dir is one directory.
type Dir interface {
	// OpenFile opens a file for reading and writing, never through a symbolic
	// link, and makes it with mode 0600 if flag (of package os) says so.
	OpenFile(name string, flag int) (File, error)
	// Stat describes name itself, not what a symbolic link points to.
	Stat(name string) (Info, error)
	// Same reports whether name is the file that f has open.
	Same(name string, f File) (bool, error)
	// Rename gives the file another name. Without replace it fails with
	// fs.ErrExist if there is such a name already.
	Rename(from, to string, replace bool) error
	// Remove takes a name away.
	Remove(name string) error
	// Sync makes the names in the directory durable.
	Sync() error
	// Room returns how many bytes this user may still write; -1 if unknown.
	Room() (int64, error)
	// InMemory reports whether the files are memory: to reserve room there takes
	// as long as to write to it.
	InMemory() bool
	// Close lets go of the directory; files opened from it stay open.
	Close() error
}

// File is one open file. Its methods may be called concurrently.
type File interface {
	io.ReaderAt
	io.Closer
	// WriteVec writes the buffers one behind the other at off, and returns how
	// many bytes were written; fewer than all only with an error.
	WriteVec(bufs [][]byte, off int64) (int64, error)
	Stat() (Info, error)
	Truncate(size int64) error
	// Reserve asks for room for n bytes at off without changing the file's
	// length. A file system that cannot do it is no error.
	Reserve(off, n int64) error
	// Kick begins to write back what is dirty, and does not wait for it.
	Kick()
	// SyncData makes the content, and the length, durable.
	SyncData() error
	// Sync makes the content and everything else of the file durable.
	Sync() error
	// Lock takes the file for this process, or fails at once with ErrLocked.
	// Closing the file gives the lock back.
	Lock() error
	// Publish sets the modification time, unless it is zero, and the mode that
	// a new file of this user gets.
	Publish(modified time.Time) error
}

// info translates what package os says.
func info(fi fs.FileInfo) Info {
	i := Info{
		Size: fi.Size(), Modified: fi.ModTime(),
		Regular: fi.Mode().IsRegular(), Folder: fi.IsDir(),
	}
	i.ID, i.Allocated = identity(fi)
	return i
}
