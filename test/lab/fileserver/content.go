package fileserver

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
)

// Content is a file that needs no disk: its bytes follow from its name, so a
// test can say what byte i must be without having fetched it. Safe for
// concurrent use.
type Content struct {
	Name  string // the last element of its path
	Size  int64  // bytes
	Plain bool   // served without ranges
	seed  uint64
}

// Parse finds the content that a URL path names, /ranges/SIZE/NAME or
// /plain/SIZE/NAME.
func Parse(path string) (Content, error) {
	kind, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	size, name, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 || name == "" || (kind != "ranges" && kind != "plain") {
		return Content{}, fmt.Errorf("no content at %q: want /ranges/SIZE/NAME or /plain/SIZE/NAME", path)
	}
	h := fnv.New64a()
	h.Write([]byte(name)) // never fails
	return Content{Name: name, Size: n, Plain: kind == "plain", seed: h.Sum64()}, nil
}

// ETag is the content's strong validator.
func (c Content) ETag() string { return fmt.Sprintf("\"%016x-%x\"", c.seed, c.Size) }

// ReadAt implements [io.ReaderAt].
func (c Content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	if off >= c.Size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.Size-off))
	c.fill(p[:n], off)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Reader reads the content from its start.
func (c Content) Reader() *io.SectionReader { return io.NewSectionReader(c, 0, c.Size) }

func (c Content) fill(p []byte, off int64) {
	var word [8]byte
	for len(p) > 0 {
		v := mix(c.seed + uint64(off>>3)*0x9e3779b97f4a7c15)
		if off&7 == 0 && len(p) >= 8 {
			binary.LittleEndian.PutUint64(p, v)
			p, off = p[8:], off+8
			continue
		}
		binary.LittleEndian.PutUint64(word[:], v)
		n := copy(p, word[off&7:])
		p, off = p[n:], off+int64(n)
	}
}

// mix is the finalizer of splitmix64: neighbouring words share no pattern.
func mix(v uint64) uint64 {
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
