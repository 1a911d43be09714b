package origintest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
)

// Content is an endless run of bytes: byte i is a function of seed,
// generation and i, so that any range of any size can be made and checked
// without keeping it.
type Content struct {
	Seed, Gen uint64
}

const (
	golden   = 0x9e3779b97f4a7c15
	pageSize = 256 << 10
)

// mix is the finishing step of splitmix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Fill writes the bytes from off on into p. The race detector looks at every
// store; these are the bulk of all there are in the tests of whole systems.
//
//go:norace
func (c Content) Fill(p []byte, off int64) {
	at := mix(mix(c.Seed+golden)+c.Gen) + uint64(off/8)*golden
	if skip := int(off % 8); skip != 0 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], mix(at))
		p = p[copy(p, word[skip:]):]
		at += golden
	}
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, mix(at))
		p = p[8:]
		at += golden
	}
	if len(p) > 0 {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], mix(at))
		copy(p, word[:])
	}
}

// Bytes returns n bytes from off on.
func (c Content) Bytes(off int64, n int) []byte {
	p := make([]byte, n)
	c.Fill(p, off)
	return p
}

// Verify reports whether p holds the bytes from off on.
func (c Content) Verify(p []byte, off int64) bool {
	var page [4096]byte
	for len(p) > 0 {
		n := min(len(p), len(page))
		c.Fill(page[:n], off)
		if !bytes.Equal(page[:n], p[:n]) {
			return false
		}
		p, off = p[n:], off+int64(n)
	}
	return true
}

// Reader reads the first size bytes.
func (c Content) Reader(size int64) io.Reader {
	return io.NewSectionReader(c, 0, size)
}

// ReadAt is io.ReaderAt without an end.
func (c Content) ReadAt(p []byte, off int64) (int, error) {
	c.Fill(p, off)
	return len(p), nil
}

// SHA256 gives the digest of the first size bytes.
func (c Content) SHA256(size int64) [sha256.Size]byte {
	h := sha256.New()
	page := make([]byte, pageSize)
	for off := int64(0); off < size; off += int64(len(page)) {
		page = page[:min(int64(len(page)), size-off)]
		c.Fill(page, off)
		h.Write(page)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
