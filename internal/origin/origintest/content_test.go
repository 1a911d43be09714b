package origintest_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"testing"

	"ddm/internal/origin/origintest"
)

func TestContent(t *testing.T) {
	c := origintest.Content{Seed: 7, Gen: 1}
	whole := c.Bytes(0, 10_000)
	for off := range 40 {
		for _, n := range []int{0, 1, 7, 8, 9, 500, 9000} {
			if !bytes.Equal(c.Bytes(int64(off), n), whole[off:off+n]) {
				t.Fatalf("%d bytes from %d on depend on where one starts", n, off)
			}
			if !c.Verify(whole[off:off+n], int64(off)) || n > 0 && c.Verify(whole[off:off+n], int64(off+1)) && n > 8 {
				t.Fatalf("Verify is wrong for %d bytes from %d on", n, off)
			}
		}
	}
	if n := 10 << 40; bytes.Equal(c.Bytes(int64(n), 64), c.Bytes(0, 64)) {
		t.Error("the content repeats")
	}
	other := origintest.Content{Seed: 7, Gen: 2}
	if bytes.Equal(other.Bytes(0, 64), whole[:64]) {
		t.Error("generations do not differ")
	}
	read, err := io.ReadAll(c.Reader(10_000))
	if err != nil || !bytes.Equal(read, whole) {
		t.Errorf("Reader gives other bytes, %v", err)
	}
	if c.SHA256(10_000) != sha256.Sum256(whole) {
		t.Error("SHA256 is of other bytes")
	}
}

func BenchmarkFill(b *testing.B) {
	p := make([]byte, 256<<10)
	b.SetBytes(int64(len(p)))
	for i := 0; b.Loop(); i++ {
		origintest.Content{}.Fill(p, int64(i)*int64(len(p)))
	}
}
