package partfile_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/partfile"
	"ddm/internal/partfile/crashfs"
	"ddm/internal/partfile/disk"
)

// slowDisk is a directory whose part file takes its time.
type slowDisk struct {
	disk.Dir
	sync  func() error  // in place of SyncData
	write time.Duration // that a write takes
}

func (d slowDisk) OpenFile(name string, flag int) (disk.File, error) {
	f, err := d.Dir.OpenFile(name, flag)
	if err != nil || name != ".x.ddm-part" {
		return f, err
	}
	return slowFile{f, d.sync, d.write}, nil
}

func (d slowDisk) Same(name string, f disk.File) (bool, error) {
	if slow, ok := f.(slowFile); ok {
		f = slow.File
	}
	return d.Dir.Same(name, f)
}

type slowFile struct {
	disk.File
	sync  func() error
	write time.Duration // that a write takes
}

func (f slowFile) SyncData() error { return f.sync() }

func (f slowFile) WriteVec(bufs [][]byte, off int64) (int64, error) {
	time.Sleep(f.write)
	return f.File.WriteVec(bufs, off)
}

// openSlow opens a file that calls sync whenever it syncs its data.
func openSlow(t *testing.T, size, limit int64, sync func() error) *partfile.File {
	t.Helper()
	return openSlower(t, size, limit, 0, sync)
}

// openSlower is openSlow where a write takes its time too.
func openSlower(t *testing.T, size, limit int64, write time.Duration, sync func() error) *partfile.File {
	t.Helper()
	var open atomic.Bool
	slow := slowDisk{crashfs.New(1, -1).Open(), func() error {
		if !open.Load() {
			return nil
		}
		return sync()
	}, write}
	f, err := partfile.OpenIn(t.Context(), slow, "x", metaOf(size), partfile.Options{SyncBytes: limit})
	if err != nil {
		t.Fatal(err)
	}
	open.Store(true)
	return f
}

// TestSlowDisk: a crash loses no more than Options.SyncBytes, however long the
// disk takes for a sync. Writers wait for it.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]error{"it comes": nil, "it fails": disk.ErrLocked} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const size, limit, frame = 1 << 20, 128 << 10, 4 << 10
				truth := content(size)
				turn := make(chan struct{})
				f := openSlow(t, size, limit, func() error { <-turn; return after })
				var written, failed atomic.Int64
				var writers sync.WaitGroup
				for i := range 4 {
					writers.Go(func() {
						for off := i * frame; off < size; off += 4 * frame {
							if _, err := f.WriteAt([][]byte{truth[off : off+frame]}, int64(off), "ann"); err != nil {
								failed.Add(1)
								return
							}
							written.Add(frame)
						}
					})
				}
				time.Sleep(time.Minute)
				if n := written.Load(); n < limit/2 || n > limit+4*frame {
					t.Errorf("%d bytes were written and not synced, %d may", n, limit)
				}
				close(turn)
				writers.Wait()
				if after != nil {
					if failed.Load() != 4 {
						t.Errorf("%d writers of 4 heard of the failure", failed.Load())
					}
					wantKind(t, f.Close(), errdefs.WriteFile)
					return
				}
				if _, err := f.Commit(t.Context(), partfile.CommitOptions{Size: size}); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSecondCopy: who brings what somebody else is just writing hears that it is
// there when it is, not before.
func TestSecondCopy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size = 64 << 10
		f := openSlower(t, size, size, time.Second, func() error { return nil })
		var writers sync.WaitGroup
		var fresh atomic.Int64
		for range 3 {
			writers.Go(func() {
				n, err := f.WriteAt([][]byte{content(size)}, 0, "ann")
				if have := f.Have(); err != nil || have.Bytes() != size {
					t.Errorf("error %v, and %d bytes are there", err, have.Bytes())
				}
				fresh.Add(n)
			})
		}
		writers.Wait()
		if fresh.Load() != size {
			t.Errorf("%d bytes were fresh", fresh.Load())
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestClosedWhileWaiting closes a File whose writers wait for a slow disk.
func TestClosedWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const size, limit = 1 << 20, 64 << 10
		f := openSlow(t, size, limit, func() error { time.Sleep(time.Minute); return nil })
		var writer sync.WaitGroup
		writer.Go(func() {
			for off := int64(0); off < size; off += 4 << 10 {
				if _, err := f.WriteAt([][]byte{content(4 << 10)}, off, "ann"); err != nil {
					return
				}
			}
			t.Error("it wrote everything")
		})
		time.Sleep(30 * time.Second)
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		writer.Wait()
	})
}
