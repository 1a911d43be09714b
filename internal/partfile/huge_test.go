package partfile_test

import (
	"context"
	"hash/crc32"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/origin"
	"ddm/internal/partfile"
	"ddm/internal/partfile/sinkfs"
)

const (
	huge     = 10_000_000_000_000 // bytes
	hugeDone = 3_000_000_000_000  // of them that are there
	tape     = 1 << 20            // bytes that are repeated
)

// repeated is content whose byte i is a function of i modulo tape: runs that
// begin and end with it have one CRC.
type repeated [2 * tape]byte

func (r *repeated) ReadAt(p []byte, off int64) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], r[(off+int64(n))%tape:][:tape])
	}
	return len(p), nil
}

func newRepeated() *repeated {
	r := new(repeated)
	for i := range r {
		r[i] = byte(i % tape * 7 >> 3)
	}
	return r
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func piecesOf(piece, from, to int64, crc uint32) (list []partfile.Extent) {
	for off := from; off < to; off += piece {
		list = append(list, partfile.Extent{Range: byterange.Between(off, off+piece), CRC: crc, Giver: "earlier"})
	}
	return list
}

// TestHuge resumes ten terabytes of which three are there, goes on at both
// ends, and resumes again. It runs alone: it looks at the process's memory.
func TestHuge(t *testing.T) { //nolint:paralleltest // see above
	content := newRepeated()
	folder := sinkfs.New(content)
	meta := partfile.Meta{URL: "http://a/f", Gen: origin.Generation{Size: huge, ETag: `"e"`}}
	piece := partfile.PieceSize(huge)
	if pieces := (huge + piece - 1) / piece; pieces > 262_144 || piece > 1<<26 {
		t.Fatalf("%d pieces of %d bytes", pieces, piece)
	}
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for range piece / tape {
		crc.Write(content[:tape])
	}
	done := hugeDone / piece * piece
	begin(t, folder, meta, piecesOf(piece, 0, done, crc.Sum32()), done)

	before := heap()
	f := openHuge(t, folder, meta)
	if f.Resumed() != done || f.PieceSize() != piece {
		t.Errorf("%d bytes resumed, want %d; pieces of %d", f.Resumed(), done, f.PieceSize())
	}
	buf := make([]byte, 3*tape)
	for _, off := range []int64{done, huge - 3*tape, huge/2 - tape} {
		if _, err := content.ReadAt(buf, off); err != nil {
			t.Fatal(err)
		}
		if fresh, err := f.WriteAt([][]byte{buf}, off, "now"); err != nil || fresh != 3*tape {
			t.Errorf("at %d: %d bytes were new: %v", off, fresh, err)
		}
	}
	if _, err := f.WriteAt([][]byte{buf}, huge-1, "now"); err == nil {
		t.Error("bytes behind the end were taken")
	}
	have := f.Have()
	if n := len(slices.Collect(have.All())); have.Bytes() != done+9*tape || n != 3 {
		t.Errorf("%d bytes in %d runs", have.Bytes(), n)
	}
	if more := heap() - before; more > 32<<20 {
		t.Errorf("%d bytes of memory", more)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(folder.Kept(".ddm-journal")); n > 2<<20 {
		t.Errorf("a journal of %d bytes", n)
	}

	f = openHuge(t, folder, meta)
	if f.Resumed() != done+9*tape {
		t.Errorf("%d bytes resumed the second time, want %d", f.Resumed(), done+9*tape)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// TestHugeJournal: all but one piece of ten terabytes, in extents that cannot
// be joined, is the longest journal and the most memory there is.
func TestHugeJournal(t *testing.T) { //nolint:paralleltest // it looks at the process's memory
	content := newRepeated()
	folder := sinkfs.New(content)
	meta := partfile.Meta{URL: "http://a/f", Gen: origin.Generation{Size: huge, ETag: `"e"`}}
	piece := partfile.PieceSize(huge)
	list := piecesOf(piece, 0, huge/piece*piece, 1)
	last := &list[len(list)-1] // the only one that is looked at
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	for range last.Len / tape {
		crc.Write(content[:tape])
	}
	last.CRC = crc.Sum32()
	begin(t, folder, meta, list, last.End())

	before := heap()
	f := openHuge(t, folder, meta)
	more := heap() - before
	if f.Resumed() != huge/piece*piece {
		t.Errorf("%d bytes resumed", f.Resumed())
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	n := len(folder.Kept(".ddm-journal"))
	t.Logf("a journal of %d bytes, %d in memory", n, more)
	if n > 8<<20 || more > 48<<20 {
		t.Errorf("a journal of %d bytes, %d bytes of memory", n, more)
	}
}

// begin leaves a part file of a length and its journal.
func begin(t *testing.T, folder *sinkfs.Folder, meta partfile.Meta, list []partfile.Extent, length int64) {
	t.Helper()
	part, err := folder.OpenFile(".f.ddm-part", os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := part.Truncate(length); err != nil {
		t.Fatal(err)
	}
	st, err := part.Stat()
	if err != nil {
		t.Fatal(err)
	}
	text, err := partfile.Journal(meta, partfile.PieceSize(huge), list, st)
	if err != nil {
		t.Fatal(err)
	}
	journal, err := folder.OpenFile(".f.ddm-journal", os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.WriteVec([][]byte{text}, 0); err != nil {
		t.Fatal(err)
	}
	if err := part.Close(); err != nil {
		t.Fatal(err)
	}
}

func openHuge(t *testing.T, folder *sinkfs.Folder, meta partfile.Meta) *partfile.File {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	f, err := partfile.OpenIn(ctx, folder, "f", meta, partfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}
