package partfile_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"ddm/internal/partfile"
)

// BenchmarkWriteAt writes 1 GiB in 256 KiB frames from four sources, as a
// download does, checkpoints running beside.
func BenchmarkWriteAt(b *testing.B) {
	const frame, size, sources = 256 << 10, 1 << 30, 4
	buf := content(frame)
	bufs := [][]byte{buf[:frame/2], buf[frame/2:]}
	dir := b.TempDir()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		f := openDir(b, dir, metaOf(size), partfile.Options{})
		var next atomic.Int64
		var wg sync.WaitGroup
		for range sources {
			wg.Go(func() {
				for at := next.Add(frame) - frame; at < size; at = next.Add(frame) - frame {
					if n, err := f.WriteAt(bufs, at, "ann"); n != frame || err != nil {
						b.Error(n, err)
						return
					}
				}
			})
		}
		wg.Wait()
		if err := f.Discard(); err != nil {
			b.Fatal(err)
		}
	}
}
