package partfile_test

import (
	"hash/crc32"
	"testing"

	"ddm/internal/partfile"
)

func crcOf(p []byte) uint32 { return crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)) }

// TestWriteSummed writes what is within a piece, over the border of two, and
// over what is there already; everything must stand a check of all of it.
func TestWriteSummed(t *testing.T) {
	t.Parallel()
	const size, piece = 1 << 20, 256 << 10
	truth, dir := content(size), t.TempDir()
	opts := partfile.Options{PieceSize: piece, VerifyAll: true}
	f := openDir(t, dir, metaOf(size), opts)
	for _, r := range []struct{ off, end, fresh int }{
		{0, 1000, 1000},
		{1000, piece, piece - 1000},              // up to the border
		{piece, 2*piece + 17, piece + 17},        // over it
		{2 * piece, 2*piece + 100, 100 - 17},     // the first of it is there
		{2*piece + 50, 2*piece + 60, 0},          // all of it is
		{2*piece + 200, size, 2*piece - 200},     // over a border again
		{2*piece + 90, 2*piece + 300, 200 - 100}, // what is missing in the middle
	} {
		p := truth[r.off:r.end]
		fresh, err := f.WriteSummed([][]byte{p[:len(p)/3], p[len(p)/3:]}, int64(r.off), "ann", crcOf(p))
		if err != nil || fresh != int64(r.fresh) {
			t.Errorf("[%d, %d): %d new bytes, %v; want %d", r.off, r.end, fresh, err, r.fresh)
		}
	}
	closeFile(t, f)
	f = openDir(t, dir, metaOf(size), opts)
	if f.Resumed() != size {
		t.Errorf("%d bytes of %d stood the check", f.Resumed(), size)
	}
	closeFile(t, f)
}

// TestWriteSummedWrong gives a sum that is not the bytes': it is what the
// bytes are checked against.
func TestWriteSummedWrong(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	truth, dir := content(size), t.TempDir()
	f := openDir(t, dir, metaOf(size), partfile.Options{})
	if _, err := f.WriteSummed([][]byte{truth}, 0, "ann", crcOf(truth)+1); err != nil {
		t.Fatal(err)
	}
	closeFile(t, f)
	f = openDir(t, dir, metaOf(size), partfile.Options{VerifyAll: true})
	if f.Resumed() != 0 {
		t.Errorf("%d bytes stood the check", f.Resumed())
	}
	closeFile(t, f)
}
