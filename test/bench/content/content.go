// Package content is what the bench downloads: files that need no disk, cost
// their origin nothing but the sending, and can be checked at memory speed.
//
//	/KIND/SIZE/NAME -> Content -> Slice (the origin sends it)
//	                          \-> Check (the bench compares a saved file)
//
// All files are windows into one endless repetition of one random block. Its
// period is prime, so that a piece written at a wrong place is found.
package content

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
)

// period of the bytes; the largest prime below 8 MiB.
const period = 8388593

// Block holds the bytes that all contents are made of. It is never written to
// after [NewBlock].
type Block []byte

// NewBlock computes the block, the same one everywhere.
func NewBlock() Block {
	b := make(Block, period)
	rand.NewChaCha8([32]byte{}).Read(b) //nolint:errcheck // never fails
	return b
}

// Content is a file of the bench.
type Content struct {
	Kind string // how the origin serves it
	Size int64  // bytes
	Name string // the last element of its path
	from int64  // where in the block it begins
}

// Parse finds the content that a URL path names: /KIND/SIZE/NAME.
func Parse(path string) (Content, error) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if len(parts) != 3 || parts[2] == "" {
		return Content{}, fmt.Errorf("no content at %q: want /KIND/SIZE/NAME", path)
	}
	size, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || size < 0 {
		return Content{}, fmt.Errorf("no content at %q: %q is no size in bytes", path, parts[1])
	}
	h := fnv.New64a()
	h.Write([]byte(parts[2])) // never fails
	return Content{Kind: parts[0], Size: size, Name: parts[2], from: int64(h.Sum64() % period)}, nil
}

// Path is the URL path of the content.
func (c Content) Path() string { return fmt.Sprintf("/%s/%d/%s", c.Kind, c.Size, c.Name) }

// ETag is the content's strong validator.
func (c Content) ETag() string { return fmt.Sprintf("\"%x-%x\"", c.from, c.Size) }

// Slice gives at most n bytes of the content from an offset on, at least one
// if there is one. They belong to the block.
func (c Content) Slice(b Block, off, n int64) []byte {
	at := (c.from + off) % period
	return b[at:min(period, at+n, at+max(0, c.Size-off))]
}

// Check compares a file with the content, byte for byte.
func (c Content) Check(b Block, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	for off := int64(0); ; {
		n, err := io.ReadFull(f, buf)
		for got := buf[:n]; len(got) > 0; {
			want := c.Slice(b, off, int64(len(got)))
			if len(want) == 0 || !bytes.Equal(got[:len(want)], want) {
				return fmt.Errorf("%s: wrong bytes at or soon after %d", file, off)
			}
			got, off = got[len(want):], off+int64(len(want))
		}
		switch {
		case err == nil:
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return err
		case off != c.Size:
			return fmt.Errorf("%s: ends after %d bytes of %d", file, off, c.Size)
		default:
			return nil
		}
	}
}
