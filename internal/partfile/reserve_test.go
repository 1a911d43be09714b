package partfile_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"ddm/internal/partfile"
	"ddm/internal/partfile/disk"
	"ddm/internal/partfile/sinkfs"
)

// reserving is a directory that counts what room its files reserve.
type reserving struct {
	disk.Dir
	memory   bool
	reserved atomic.Int64
}

func (d *reserving) InMemory() bool { return d.memory }

func (d *reserving) OpenFile(name string, flag int) (disk.File, error) {
	f, err := d.Dir.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return &reservingFile{f, d}, nil
}

func (d *reserving) Same(name string, f disk.File) (bool, error) {
	if r, ok := f.(*reservingFile); ok {
		f = r.File
	}
	return d.Dir.Same(name, f)
}

type reservingFile struct {
	disk.File
	dir *reserving
}

func (f *reservingFile) Reserve(off, n int64) error {
	f.dir.reserved.Add(n)
	return f.File.Reserve(off, n)
}

func TestRoomIsReservedBesideUnlessThatIsWriting(t *testing.T) {
	t.Parallel()
	const size, first = 100<<20 + 1, 16 << 20
	for memory, want := range map[bool]int64{false: size, true: first} {
		synctest.Test(t, func(t *testing.T) {
			dir := &reserving{Dir: sinkfs.New(nil), memory: memory}
			f, err := partfile.OpenIn(t.Context(), dir, "x", metaOf(size), partfile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := dir.reserved.Load(); got != want {
				t.Errorf("in memory %t: %d bytes reserved, want %d", memory, got, want)
			}
			closeFile(t, f)
		})
	}
}
