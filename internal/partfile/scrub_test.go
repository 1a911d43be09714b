package partfile_test

import (
	"os"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/origin"
	"ddm/internal/partfile"
)

// TestScrub: what the disk changed is dropped, and nothing beside it.
func TestScrub(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := partfile.Open(t.Context(), dir, "f", partfile.Meta{URL: "http://a/f", Gen: origin.Generation{Size: 3000, ETag: `"x"`}}, partfile.Options{PieceSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Discard() //nolint:errcheck // nothing is kept
	if _, err := f.WriteAt([][]byte{make([]byte, 3000)}, 0, "a"); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Scrub(byterange.Range{Len: 3000}); n != 0 || err != nil {
		t.Fatalf("%d bytes of an intact file, %v", n, err)
	}
	raw, err := os.OpenFile(f.PartPath(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.WriteAt([]byte{1}, 1500); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Scrub(byterange.Range{Len: 900}); n != 0 || err != nil {
		t.Errorf("%d bytes beside the damage, %v", n, err)
	}
	if n, err := f.Scrub(byterange.Range{Off: 900, Len: 700}); n != 1000 || err != nil {
		t.Errorf("%d bytes dropped, %v", n, err)
	}
	if have := f.Have(); have.Bytes() != 2000 || have.Overlap(byterange.Between(1000, 2000)) != 0 {
		t.Errorf("left: %v", have)
	}
}
