package partfile_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/origin"
	"ddm/internal/partfile"
	"ddm/internal/partfile/crashfs"
)

// sample writes a download of three givers, with a drop, and returns the disk
// after a clean end.
func sample(t testing.TB) (*crashfs.Disk, []byte) {
	t.Helper()
	d := crashfs.New(1, -1)
	truth := content(40 << 10)
	meta := metaOf(int64(len(truth)))
	f := mustOpen(t, d, meta, partfile.Options{PieceSize: 8 << 10})
	for i, giver := range []string{"ann", "bob", "", "ann", "bob"} {
		off := int64(i) * 6000
		write(t, f, truth[off:off+6000], off, giver)
		if err := f.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := f.Drop(byterange.Range{Off: 9000, Len: 5000}); n != 5000 || err != nil {
		t.Fatalf("Drop = %d, %v", n, err)
	}
	f.Lower(origin.Weak)
	write(t, f, truth[10000:11000], 10000, "cy")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return d, truth
}

func TestReplaySurvivesEveryBitFlipAndCut(t *testing.T) {
	t.Parallel()
	d, truth := sample(t)
	journal := d.Content(".x.ddm-journal")
	whole, valid, _, _, err := partfile.Replay(journal)
	if err != nil || valid != int64(len(journal)) || len(whole) == 0 {
		t.Fatalf("intact journal: %d of %d bytes valid, %v", valid, len(journal), err)
	}
	for i := range journal {
		flipped := bytes.Clone(journal)
		flipped[i] ^= 1 << (i % 8)
		for name, damaged := range map[string][]byte{"flipped": flipped, "cut": journal[:i]} {
			claims, valid, _, _, err := partfile.Replay(damaged)
			if err != nil {
				continue // said plainly
			}
			if valid > int64(i) {
				t.Fatalf("%s at %d: %d bytes valid", name, i, valid)
			}
			for _, e := range claims {
				// An older state of the journal is true of bytes dropped later too.
				sum := crc32.Checksum(truth[e.Off:e.End()], crc32.MakeTable(crc32.Castagnoli))
				if sum != e.CRC {
					t.Fatalf("%s at %d: wrong claim %v", name, i, e)
				}
			}
		}
	}
}

// TestRecordsAreValidInPlaceOnly takes each record out, so that those behind it
// stand where they were not written.
func TestRecordsAreValidInPlaceOnly(t *testing.T) {
	t.Parallel()
	d, _ := sample(t)
	journal := d.Content(".x.ddm-journal")
	at := bytes.IndexByte(journal, '\n') + 1
	for at < len(journal) {
		end := at + 9 + int(binary.LittleEndian.Uint32(journal[at+1:]))
		_, valid, _, _, err := partfile.Replay(slices.Concat(journal[:at], journal[end:]))
		if err == nil && valid != int64(at) {
			t.Errorf("record at %d taken out: %d bytes are valid", at, valid)
		}
		at = end
	}
}

func FuzzReplay(f *testing.F) {
	d, _ := sample(f)
	journal := d.Content(".x.ddm-journal")
	f.Add(journal, uint16(0), byte(0))
	f.Add(journal[:len(journal)/2], uint16(70), byte(1))
	f.Add([]byte("ddm journal 2\n"), uint16(0), byte(0))
	f.Add([]byte{}, uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint16, flip byte) {
		b = bytes.Clone(b)
		if int(at) < len(b) {
			b[at] ^= flip
		}
		claims, valid, size, piece, err := partfile.Replay(b)
		if err != nil {
			return
		}
		var covered byterange.Set
		for _, e := range claims {
			switch {
			case e.Off < 0 || e.Len <= 0 || e.End() < e.Off || size >= 0 && e.End() > size:
				t.Fatalf("%v outside of %d bytes", e, size)
			case e.Off/piece != (e.End()-1)/piece:
				t.Fatalf("%v crosses a piece of %d", e, piece)
			case covered.Add(e.Range) != e.Len:
				t.Fatalf("%v overlaps another", e)
			}
		}
		again, validAgain, _, _, err := partfile.Replay(b[:valid])
		if err != nil || validAgain != valid || !slices.Equal(again, claims) {
			t.Fatalf("the valid prefix alone says something else: %v", err)
		}
	})
}

func TestJournalIsWrittenAnew(t *testing.T) {
	t.Parallel()
	d := crashfs.New(1, -1)
	truth := content(64 << 10)
	meta := metaOf(int64(len(truth)))
	f := mustOpen(t, d, meta, partfile.Options{JournalLimit: 4 << 10})
	for off := int64(0); off < 60<<10; off += 64 {
		write(t, f, truth[off:off+64], off, "slow")
		if err := f.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(d.Content(".x.ddm-journal")); n > 5<<10 {
		t.Errorf("journal grew to %d bytes", n)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = mustOpen(t, d, meta, partfile.Options{})
	defer closeFile(t, f)
	if f.Resumed() != 60<<10 {
		t.Errorf("resumed %d bytes", f.Resumed())
	}
}
