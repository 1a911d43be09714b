package client

import (
	"context"
	"hash"
	"io"
	"sync"
	"time"

	"ddm/internal/partfile"
)

// rolling hashes a file from its first byte on while the rest still arrives, out
// of the page cache, so that only the tail is left to the commit.
//
//	partfile --Reach--> follow --ReadAt--> the hashes of sums, up to upTo
//	commit   --stop---> compute goes on from upTo; from 0 if bytes were taken back
//
// It reads what others write, one buffer at a time, and holds nobody up.
type rolling struct {
	file   *partfile.File
	hashes []hash.Hash
	end    context.CancelFunc
	run    sync.WaitGroup

	upTo  int64 // bytes that were hashed; whoever waited for run may read it
	drops int   // how often bytes had been taken back when the first of them was
}

const (
	rollEvery  = 50 * time.Millisecond // looks for what came
	rollBuffer = 1 << 20
	rollAnew   = 3 // times, at most: then the commit hashes everything
)

// roll begins to hash what arrives, if the content is to have a digest.
func (d *download) roll(ctx context.Context) {
	hashes := d.sums.list()
	if d.file == nil || d.gen.Size <= 0 || len(hashes) == 0 {
		return
	}
	r := &rolling{file: d.file, hashes: hashes}
	ctx, r.end = context.WithCancel(ctx)
	d.rolling = r
	r.run.Go(func() { r.follow(ctx) })
}

// stop ends it and waits for it. Stopping again, or what never began, is fine.
func (r *rolling) stop() {
	if r != nil {
		r.end()
		r.run.Wait()
	}
}

// hashed returns how many bytes of the file the hashes have seen, after stop. It
// is 0 if some of them were taken back since, or if others are asked for.
func (r *rolling) hashed(hashes []hash.Hash) int64 {
	if r == nil || len(hashes) != len(r.hashes) {
		return 0
	}
	if _, drops := r.file.Reach(0); drops != r.drops {
		return 0
	}
	return r.upTo
}

// follow hashes until ctx ends, or makes no sense any more.
func (r *rolling) follow(ctx context.Context) {
	buf := make([]byte, rollBuffer)
	w := writers(r.hashes)
	for anew := 0; anew < rollAnew; {
		end, drops := r.file.Reach(r.upTo)
		switch {
		case r.upTo > 0 && drops != r.drops:
			anew++
			r.upTo = 0
			for _, h := range r.hashes {
				h.Reset()
			}
		case end == r.upTo:
			if sleep(ctx, rollEvery) != nil {
				return
			}
		default:
			r.drops = drops
			if r.pass(w, buf[:min(end-r.upTo, rollBuffer)]) != nil || ctx.Err() != nil {
				return
			}
		}
	}
}

// pass hashes the next bytes, unless some were taken back meanwhile.
func (r *rolling) pass(w io.Writer, buf []byte) error {
	n, err := r.file.ReadAt(buf, r.upTo)
	if err != nil && err != io.EOF { //nolint:errorlint // as io.ReaderAt has it
		if _, drops := r.file.Reach(0); drops != r.drops {
			return nil // they are not there any more: all begins anew
		}
		return err // the commit will tell
	}
	if _, drops := r.file.Reach(0); drops == r.drops {
		_, _ = w.Write(buf[:n]) // a hash never fails
		r.upTo += int64(n)
	}
	return nil
}
