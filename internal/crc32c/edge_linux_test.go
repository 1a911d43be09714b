package crc32c_test

import (
	"hash/crc32"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"ddm/internal/crc32c"
)

// TestReadsNothingBehind has buffers that end where memory does.
func TestReadsNothingBehind(t *testing.T) {
	t.Parallel()
	page := os.Getpagesize()
	m, err := unix.Mmap(-1, 0, 3*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m) //nolint:errcheck // the test is over
	copy(m, random(2*page))
	if err := unix.Mprotect(m[2*page:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	for n := range 2*page + 1 {
		p := m[2*page-n : 2*page]
		if got, want := crc32c.Checksum(p), crc32.Checksum(p, table()); got != want {
			t.Fatalf("the last %d bytes: %08x, want %08x", n, got, want)
		}
	}
}
