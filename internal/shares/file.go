// Package shares keeps local files on offer, by what they hash to: it finds
// them, hashes them, notices when they change, and tells trackers.
//
//	paths --look, every few seconds--> hash --> offer.Shelf --> peer's clients
//	                                     |
//	                                     '--> Announce --> trackers
//
// Files are served from where they are, and never copied. No path leaves this
// package: names that others see are single components, made safe.
package shares

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/crc32c"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/filename"
	"ddm/internal/offer"
	"ddm/internal/origin"
)

// block is what has a CRC32C of its own, in bytes: what is read is compared
// with it before anybody gets it.
const block = 64 << 10

// Item is a file as others see it.
type Item struct {
	SHA256 [sha256.Size]byte
	Size   int64
	Name   string // one component, made safe
}

// URL names the content: "ddm:sha256:HEX".
func (i Item) URL() string { return URL(i.SHA256) }

// URL names what hashes to sum.
func URL(sum [sha256.Size]byte) string { return offer.Scheme + word(sum) }

// Generation is what the content is known by.
func (i Item) Generation() origin.Generation {
	return origin.Generation{Size: i.Size, ETag: `"` + word(i.SHA256) + `"`}
}

func word(sum [sha256.Size]byte) string { return "sha256:" + hex.EncodeToString(sum[:]) }

// stamp is how a file was when it was hashed.
type stamp struct {
	size     int64
	modified time.Time
}

func stampOf(st os.FileInfo) stamp { return stamp{st.Size(), st.ModTime()} }

// file is one that was hashed. It implements offer.Content: all is there, until
// it is found changed; then nothing is, for good.
type file struct {
	Item
	data  *os.File
	info  os.FileInfo
	crcs  []uint32 // of each block
	parts digest.Pieces
	moved func() // told once that it changed

	once sync.Once
	gone chan struct{} // closed: it changed
}

var errChanging = errors.New("it is being changed")

// read opens and hashes a file. moved must not block; told may be nil.
func read(ctx context.Context, path string, moved func(), told func(done, total int64)) (f *file, err error) {
	data, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = data.Close() // nothing was written
		}
	}()
	st, err := data.Stat()
	if err != nil {
		return nil, err
	}
	f = &file{data: data, info: st, moved: moved, gone: make(chan struct{})}
	f.Size, f.Name = st.Size(), filename.Sanitize(filepath.Base(path))
	if !st.Mode().IsRegular() || f.Size == 0 || f.Name == "" {
		return nil, fmt.Errorf("%w: not a regular file with content", errdefs.Invalid)
	}
	if err := f.hash(ctx, told); err != nil {
		return nil, err
	}
	if st, err = data.Stat(); err == nil && stampOf(st) != stampOf(f.info) {
		err = errChanging
	}
	return f, err
}

func (f *file) hash(ctx context.Context, told func(done, total int64)) error {
	sum, parts, buf := sha256.New(), newPieceHash(f.Size), make([]byte, 16*block)
	for off := int64(0); off < f.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), f.Size-off)]
		if n, err := f.data.ReadAt(part, off); n < len(part) {
			if errors.Is(err, io.EOF) {
				err = errChanging
			}
			return err
		}
		_, _ = sum.Write(part) // a hash never fails
		_, _ = parts.Write(part)
		if off += int64(len(part)); told != nil {
			told(off, f.Size)
		}
		for ; len(part) > 0; part = part[min(block, len(part)):] {
			f.crcs = append(f.crcs, crc32c.Checksum(part[:min(block, len(part))]))
		}
	}
	f.SHA256, f.parts = [sha256.Size]byte(sum.Sum(nil)), parts.end()
	return nil
}

// Have returns everything, or nothing once it changed.
func (f *file) Have() (s byterange.Set) {
	if !f.changed() {
		s.Add(byterange.Range{Len: f.Size})
	}
	return s
}

// Changed returns a channel that is closed when the file is found changed.
func (f *file) Changed() <-chan struct{} {
	if f.changed() {
		return nil // it stays so
	}
	return f.gone
}

func (f *file) changed() bool {
	select {
	case <-f.gone:
		return true
	default:
		return false
	}
}

// withdraw ends the offer.
func (f *file) withdraw() {
	f.once.Do(func() {
		close(f.gone)
		f.moved()
	})
}

// ReadAt reads bytes that are still what was hashed.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	r := byterange.Range{Off: off, Len: int64(len(p))}
	all := byterange.Range{Len: f.Size}
	if f.changed() || !all.Contains(r) {
		return 0, fmt.Errorf("%w: %s of a file of %d bytes, or one that changed", errdefs.BadRange, r, f.Size)
	}
	if err := f.checked(p, off); err != nil {
		f.withdraw()
		return 0, fmt.Errorf("%s: %w: %w", f.Name, errdefs.BadRange, err)
	}
	return len(p), nil
}

// checked reads whole blocks, compares them with what they were, and gives p
// its part.
func (f *file) checked(p []byte, off int64) error {
	first, end := off/block*block, min((off+int64(len(p))+block-1)/block*block, f.Size)
	buf := p
	if end-first != int64(len(p)) {
		buf = make([]byte, end-first)
	}
	if n, err := f.data.ReadAt(buf, first); n < len(buf) {
		return fmt.Errorf("it ends at %d: %w", first+int64(n), err)
	}
	for i, rest := first/block, buf; len(rest) > 0; i++ {
		n := min(block, len(rest))
		if crc32c.Checksum(rest[:n]) != f.crcs[i] {
			return fmt.Errorf("%w: at %d it is not what it was", errdefs.Corrupt, i*block)
		}
		rest = rest[n:]
	}
	if st, err := f.data.Stat(); err != nil || stampOf(st) != stampOf(f.info) {
		return fmt.Errorf("its length or time changed: %w", errors.Join(err, errdefs.Corrupt))
	}
	if end-first != int64(len(p)) {
		copy(p, buf[off-first:])
	}
	return nil
}

// still reports whether the file at path is the one that was hashed.
func (f *file) still(st os.FileInfo) bool {
	return !f.changed() && stampOf(st) == stampOf(f.info) && os.SameFile(st, f.info)
}

func (f *file) close() {
	f.withdraw()
	_ = f.data.Close() // nothing was written
}
