// Package sinkfs is a folder in memory whose part files keep nothing: what is
// written to one is compared with what it is to be, and what is read from it is
// what it was to be. It implements package disk for resources that no disk
// holds.
//
//	WriteVec -> equal to Content? -> counted, dropped
//	ReadAt   <- Content
//	journals and everything else <-> memory
package sinkfs

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"ddm/internal/partfile/disk"
)

// Folder is one folder. Make one with New; it may be used concurrently.
type Folder struct {
	content io.ReaderAt

	mu     sync.Mutex
	nodes  map[string]*node
	serial uint64
	taken  int64
}

var _ disk.Dir = (*Folder)(nil)

// node is a file.
type node struct {
	name   string // of its beginning
	id     uint64
	sink   bool
	kept   []byte // unless it is a sink
	size   int64
	at     time.Time
	locked bool
}

// New makes an empty folder for part files with this content.
func New(content io.ReaderAt) *Folder {
	return &Folder{content: content, nodes: make(map[string]*node)}
}

// Taken is how many bytes part files took.
func (f *Folder) Taken() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken
}

// Kept is what the file with this suffix of its name holds; nil if there is none.
func (f *Folder) Kept(suffix string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, n := range f.nodes {
		if strings.HasSuffix(name, suffix) {
			return bytes.Clone(n.kept)
		}
	}
	return nil
}

// OpenFile implements [disk.Dir].
func (f *Folder) OpenFile(name string, flag int) (disk.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[name]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, missing(name)
	case n != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n == nil:
		f.serial++
		n = &node{name: name, id: f.serial, sink: strings.HasSuffix(name, ".ddm-part"), at: time.Now()}
		f.nodes[name] = n
	case flag&os.O_TRUNC != 0:
		n.kept, n.size = nil, 0
	}
	return &handle{f: f, n: n}, nil
}

func missing(name string) error {
	return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// Stat implements [disk.Dir].
func (f *Folder) Stat(name string) (disk.Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[name]
	if n == nil {
		return disk.Info{}, missing(name)
	}
	return n.info(), nil
}

func (n *node) info() disk.Info {
	return disk.Info{ID: n.id, Size: n.size, Modified: n.at, Regular: true}
}

// Same implements [disk.Dir].
func (f *Folder) Same(name string, file disk.File) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, ok := file.(*handle)
	return ok && f.nodes[name] == h.n, nil
}

// Rename implements [disk.Dir].
func (f *Folder) Rename(from, to string, replace bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[from]
	switch {
	case n == nil:
		return missing(from)
	case f.nodes[to] != nil && !replace:
		return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
	}
	delete(f.nodes, from)
	f.nodes[to] = n
	return nil
}

// Remove implements [disk.Dir].
func (f *Folder) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes[name] == nil {
		return missing(name)
	}
	delete(f.nodes, name)
	return nil
}

// Sync implements [disk.Dir].
func (f *Folder) Sync() error { return nil }

// Room implements [disk.Dir]: there is always enough.
func (f *Folder) Room() (int64, error) { return -1, nil }

// InMemory implements [disk.Dir]: nothing is kept anywhere.
func (f *Folder) InMemory() bool { return false }

// Close implements [disk.Dir]. The folder can be used again.
func (f *Folder) Close() error { return nil }

// handle is an open file.
type handle struct {
	f      *Folder
	n      *node
	locked bool
}

// ReadAt implements [io.ReaderAt].
func (h *handle) ReadAt(p []byte, off int64) (int, error) {
	h.f.mu.Lock()
	size, sink, kept := h.n.size, h.n.sink, h.n.kept
	h.f.mu.Unlock()
	if off >= size {
		return 0, io.EOF
	}
	var short error
	if rest := size - off; int64(len(p)) > rest {
		p, short = p[:rest], io.EOF
	}
	if !sink {
		return copy(p, kept[off:]), short
	}
	n, err := h.f.content.ReadAt(p, off)
	if err == nil {
		err = short
	}
	return n, err
}

// WriteVec implements [disk.File].
func (h *handle) WriteVec(bufs [][]byte, off int64) (int64, error) {
	var done int64
	for _, b := range bufs {
		if err := h.write(b, off+done); err != nil {
			return done, err
		}
		done += int64(len(b))
	}
	return done, nil
}

func (h *handle) write(b []byte, off int64) error {
	if h.n.sink {
		want := make([]byte, len(b))
		if n, err := h.f.content.ReadAt(want, off); n < len(want) {
			return fmt.Errorf("%s: no such content at %d: %w", h.n.name, off, err)
		}
		if !bytes.Equal(b, want) {
			return fmt.Errorf("%s: wrong bytes at %d", h.n.name, off)
		}
	}
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	end := off + int64(len(b))
	h.n.size, h.n.at = max(h.n.size, end), time.Now()
	if h.n.sink {
		h.f.taken += int64(len(b))
		return nil
	}
	if grow := end - int64(len(h.n.kept)); grow > 0 {
		h.n.kept = append(h.n.kept, make([]byte, grow)...)
	}
	copy(h.n.kept[off:], b)
	return nil
}

// Stat implements [disk.File].
func (h *handle) Stat() (disk.Info, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return h.n.info(), nil
}

// Truncate implements [disk.File].
func (h *handle) Truncate(size int64) error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	h.n.size, h.n.at = size, time.Now()
	if !h.n.sink {
		h.n.kept = append(h.n.kept, make([]byte, max(0, size-int64(len(h.n.kept))))...)[:size]
	}
	return nil
}

// Reserve implements [disk.File]; nothing is kept.
func (h *handle) Reserve(int64, int64) error { return nil }

// Kick implements [disk.File].
func (h *handle) Kick() {}

// SyncData implements [disk.File].
func (h *handle) SyncData() error { return nil }

// Sync implements [disk.File].
func (h *handle) Sync() error { return nil }

// Lock implements [disk.File].
func (h *handle) Lock() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.n.locked {
		return disk.ErrLocked
	}
	h.n.locked, h.locked = true, true
	return nil
}

// Publish implements [disk.File].
func (h *handle) Publish(modified time.Time) error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if !modified.IsZero() {
		h.n.at = modified
	}
	return nil
}

// Close implements [io.Closer].
func (h *handle) Close() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.locked {
		h.n.locked, h.locked = false, false
	}
	return nil
}
