package system_test

import (
	"context"
	"errors"
	"testing"

	"ddm/client"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/partfile"
	"ddm/internal/partfile/sinkfs"
	"ddm/internal/progress"
)

const (
	huge = 10_000_000_000_000 // bytes
	done = 3_000_000_000_000  // of them that an earlier run was through with
)

// TestHugeResource: ten terabytes begin, are interrupted, and go on behind
// forty thousand pieces of which something is there. Nothing is kept: every
// byte is compared as it is written.
func TestHugeResource(t *testing.T) {
	f := origintest.NewFile(huge, 99)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		folder := sinkfs.New(f.Content)
		w.disk = folder
		w.tracker()
		w.peer("a", 64*mib)
		w.peer("b", 64*mib)

		first := w.part(48 * mib)
		if first.start.Size != huge || first.start.Resumed != 0 {
			w.t.Errorf("it began with %+v", first.start)
		}
		filled := w.scatter(folder, f)

		second := w.part(48 * mib)
		if got := second.start.Resumed; got < filled || got > filled+64*mib {
			w.t.Errorf("%d bytes were resumed, %d were there and a little more", got, filled)
		}
		if n := len(folder.Kept(".ddm-journal")); n > 4*mib {
			w.t.Errorf("a journal of %d bytes", n)
		}
		if taken, sent := folder.Taken(), w.origin.Sent(); taken < filled+48*mib || sent > 256*mib {
			w.t.Errorf("%d bytes were written, %d sent", taken, sent)
		}
	})
}

// part downloads until so many bytes came, and interrupts it.
func (w *world) part(bytes int64) *account {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	defer stop()
	a := &account{}
	a.at = func(s progress.Snapshot) {
		if s.Phase == "" && s.Bytes-a.start.Resumed >= bytes {
			stop()
		}
	}
	job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir}
	if err := w.user(64*mib, nil).c.Download(ctx, job, a); !errors.Is(err, context.Canceled) {
		w.t.Fatal(err)
	}
	return a
}

// scatter writes a little of each of the first pieces, as a run would have
// that lost its way, and returns how many bytes are there then.
func (w *world) scatter(folder *sinkfs.Folder, f origintest.File) int64 {
	w.t.Helper()
	file, err := partfile.OpenIn(w.t.Context(), folder, "f.bin", partfile.Meta{
		URL: "http://" + originHost + "/f.bin",
		Gen: origin.Generation{Size: f.Size, ETag: f.ETag},
	}, partfile.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if pieces := f.Size / file.PieceSize(); pieces > 262_144 {
		w.t.Errorf("%d pieces", pieces)
	}
	buf := make([]byte, 4<<10)
	for off := file.PieceSize(); off < done; off += file.PieceSize() {
		f.Fill(buf, off+file.PieceSize()/2)
		if _, err := file.WriteAt([][]byte{buf}, off+file.PieceSize()/2, "earlier"); err != nil {
			w.t.Fatal(err)
		}
	}
	have := file.Have()
	if err := file.Close(); err != nil {
		w.t.Fatal(err)
	}
	return have.Bytes()
}
