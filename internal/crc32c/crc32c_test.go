package crc32c_test

import (
	"bytes"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"ddm/internal/crc32c"
)

func table() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

func random(n int) []byte {
	p := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(p) //nolint:errcheck // never fails
	return p
}

// TestUpdate compares every length around those where the way of computing
// changes, at every alignment, with the standard library.
func TestUpdate(t *testing.T) {
	t.Parallel()
	t.Logf("folds: %v", crc32c.Foldable())
	p := random(9 << 10)
	for _, around := range []int{0, 512, 1024, 1536, 4096, 8192} {
		for n := max(0, around-20); n <= around+20; n++ {
			for at := range 65 {
				before := uint32(n*at) * 2654435761 //nolint:gosec // any number
				got, want := crc32c.Update(before, p[at:at+n]), crc32.Update(before, table(), p[at:at+n])
				if got != want {
					t.Fatalf("%d bytes at %d: %08x, want %08x", n, at, got, want)
				}
			}
		}
	}
}

// TestPowers computes the constants of the assembly.
func TestPowers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("fold_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^POWERS\(by(\d+), (0x[0-9a-f]+), (0x[0-9a-f]+)\)$`).FindAllSubmatch(text, -1)
	for _, m := range all {
		distance, _ := strconv.Atoi(string(m[1]))
		for i, n := range []int{distance + 32, distance - 32} {
			power := uint64(1) // of x, lowest in the lowest bit
			for range n {
				if power <<= 1; power>>32 != 0 {
					power ^= 1<<32 | uint64(bits.Reverse32(crc32.Castagnoli))
				}
			}
			want := uint64(bits.Reverse32(uint32(power))) << 1 //nolint:gosec // reduced
			if got, _ := strconv.ParseUint(string(m[2+i]), 0, 64); got != want {
				t.Errorf("by%s: %#x, want x^%d, %#x", m[1], got, n, want)
			}
		}
	}
	if len(all) != 6 {
		t.Errorf("%d constants were found, want 6", len(all))
	}
}

func FuzzUpdate(f *testing.F) {
	f.Add(uint32(0), []byte{})
	f.Add(uint32(1), random(3<<10))
	f.Fuzz(func(t *testing.T, before uint32, p []byte) {
		long := slices.Concat(p, bytes.Repeat(p, 2000/(len(p)+1)))
		if got, want := crc32c.Update(before, long), crc32.Update(before, table(), long); got != want {
			t.Fatalf("%d bytes: %08x, want %08x", len(long), got, want)
		}
	})
}

func FuzzJoin(f *testing.F) {
	f.Add([]byte("hello"), []byte("world"))
	f.Add([]byte{}, bytes.Repeat([]byte{7}, 3000))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		got := crc32c.Join(crc32c.Checksum(a), crc32c.Checksum(b), int64(len(b)))
		if want := crc32.Checksum(slices.Concat(a, b), table()); got != want {
			t.Fatalf("%08x, want %08x", got, want)
		}
	})
}

func BenchmarkChecksum(b *testing.B) {
	for _, c := range []struct {
		name       string
		size, over int // bytes at a time, of so many
	}{
		{"16KiB", 16 << 10, 16 << 10},
		{"256KiB", 256 << 10, 256 << 10},
		{"memory", 256 << 10, 256 << 20},
	} {
		p := random(c.over)
		for name, sum := range map[string]func([]byte) uint32{
			"ours":     crc32c.Checksum,
			"standard": func(p []byte) uint32 { return crc32.Checksum(p, table()) },
		} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(c.size))
				for at := 0; b.Loop(); at = (at + c.size) % c.over {
					sum(p[at : at+c.size])
				}
			})
		}
	}
}
