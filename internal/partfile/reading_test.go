package partfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/internal/partfile"
	"ddm/internal/partfile/crashfs"
	"ddm/internal/partfile/sinkfs"
)

var _ offer.Content = (*partfile.Reading)(nil)

func mustRead(t testing.TB, f *partfile.File) *partfile.Reading {
	t.Helper()
	r, err := f.Reading()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func wantGiven(t testing.TB, r *partfile.Reading, truth []byte, run byterange.Range) {
	t.Helper()
	p := make([]byte, run.Len)
	if n, err := r.ReadAt(p, run.Off); err != nil || !bytes.Equal(p[:n], truth[run.Off:run.End()]) {
		t.Errorf("%v: %d bytes, %v, or others than those that were written", run, n, err)
	}
}

func wantHad(t testing.TB, r *partfile.Reading, want ...byterange.Range) {
	t.Helper()
	have, i := r.Have(), 0
	for run := range have.All() {
		if i >= len(want) || run != want[i] {
			t.Errorf("has %v, want %v", run, want)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("has %d runs, want %v", i, want)
	}
}

func commit(t testing.TB, f *partfile.File, size int) {
	t.Helper()
	if _, err := f.Commit(t.Context(), partfile.CommitOptions{Size: int64(size)}); err != nil {
		t.Fatal(err)
	}
}

func TestReadingGoesOnBehindTheCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	truth := content(1<<20 + 500)
	f := openDir(t, dir, metaOf(int64(len(truth))), partfile.Options{})
	r := mustRead(t, f)
	wantHad(t, r)
	write(t, f, truth[1000:5000], 1000, "a")
	wantHad(t, r, byterange.Between(1000, 5000))
	wantGiven(t, r, truth, byterange.Between(1200, 4800))
	if _, err := r.ReadAt(make([]byte, 10), 995); !errors.Is(err, errdefs.BadRange) {
		t.Errorf("read of a hole: %v", err)
	}
	write(t, f, truth[:1000], 0, "a")
	write(t, f, truth[5000:], 5000, "b")
	commit(t, f, len(truth))
	all := byterange.Range{Len: int64(len(truth))}
	wantHad(t, r, all)
	wantGiven(t, r, truth, all)
	if err := os.Remove(filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	wantGiven(t, r, truth, all)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	wantHad(t, r)
	if _, err := r.ReadAt(make([]byte, 10), 0); !errors.Is(err, errdefs.BadRange) {
		t.Errorf("read after Close: %v", err)
	}
}

func TestReadingEndsWhenTheFinishedFileIsChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	truth := content(4000)
	f := openDir(t, dir, metaOf(int64(len(truth))), partfile.Options{})
	r := mustRead(t, f)
	write(t, f, truth, 0, "a")
	commit(t, f, len(truth))
	changed := r.Changed()
	if err := os.WriteFile(filepath.Join(dir, "x"), truth[:3000], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 10), 0); !errors.Is(err, errdefs.BadRange) {
		t.Errorf("read of a changed file: %v", err)
	}
	wantHad(t, r)
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
}

func TestReadingLosesWhatIsDropped(t *testing.T) {
	t.Parallel()
	truth := content(3 << 20)
	d := crashfs.New(1, -1)
	f := mustOpen(t, d, metaOf(int64(len(truth))), partfile.Options{})
	r := mustRead(t, f)
	write(t, f, truth[:1<<20], 0, "honest")
	write(t, f, truth[1<<20:2<<20], 1<<20, "liar")
	changed := r.Changed()
	if _, err := f.Drop(byterange.Range{Off: 1 << 20, Len: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told")
	}
	wantHad(t, r, byterange.Range{Len: 1 << 20})
	if _, err := r.ReadAt(make([]byte, 10), 1<<20); !errors.Is(err, errdefs.BadRange) {
		t.Errorf("read of what was taken back: %v", err)
	}
	d.FailSync(1)
	changed = r.Changed()
	if err := f.Checkpoint(); err == nil {
		t.Fatal("the sync did not fail")
	}
	<-changed
	wantHad(t, r) // nobody knows what is there
	f.Close()
}

func TestReadingEndsWithTheFile(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*partfile.File) error{"close": (*partfile.File).Close, "discard": (*partfile.File).Discard} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			truth := content(4000)
			f := mustOpen(t, crashfs.New(1, -1), metaOf(4000), partfile.Options{})
			r := mustRead(t, f)
			write(t, f, truth[:2000], 0, "a")
			changed := r.Changed()
			if err := end(f); err != nil {
				t.Fatal(err)
			}
			<-changed
			wantHad(t, r)
			if _, err := r.ReadAt(make([]byte, 10), 0); !errors.Is(err, errdefs.BadRange) {
				t.Errorf("read after the end: %v", err)
			}
			if _, err := f.Reading(); err == nil {
				t.Error("a File that has ended is read anew")
			}
		})
	}
}

// The folders that stand in for disks know the names as a real one does.
func TestReadingOnOtherDisks(t *testing.T) {
	t.Parallel()
	truth := content(1 << 20)
	folder := sinkfs.New(bytes.NewReader(truth))
	f, err := partfile.OpenIn(t.Context(), folder, "x", metaOf(int64(len(truth))), partfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := mustRead(t, f)
	write(t, f, truth, 0, "a")
	commit(t, f, len(truth))
	wantGiven(t, r, truth, byterange.Range{Len: int64(len(truth))})
}

// Whoever reads while others write, and take back, gets what was written or
// nothing.
func TestReadingWhileItArrives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const piece, pieces = 64 << 10, 64
		truth := content(piece * pieces)
		f := mustOpen(t, crashfs.New(1, -1), metaOf(int64(len(truth))), partfile.Options{})
		r := mustRead(t, f)
		var all sync.WaitGroup
		for part := range 4 {
			all.Go(func() {
				for i := part; i < pieces; i += 4 {
					off := int64(i * piece)
					write(t, f, truth[off:off+piece], off, "a")
					if i%8 == part {
						if _, err := f.Drop(byterange.Range{Off: off, Len: piece}); err != nil {
							t.Error(err)
						}
						write(t, f, truth[off:off+piece], off, "b")
					}
				}
			})
		}
		all.Go(func() {
			buf := make([]byte, piece)
			for {
				changed := r.Changed()
				have := r.Have()
				for run := range have.All() {
					n, err := r.ReadAt(buf[:min(run.Len, piece)], run.Off)
					if err == nil && !bytes.Equal(buf[:n], truth[run.Off:][:n]) || err != nil && !errors.Is(err, errdefs.BadRange) {
						t.Errorf("%v: %v, or other bytes", run, err)
					}
				}
				if have.Bytes() == int64(len(truth)) {
					return
				}
				<-changed
			}
		})
		all.Wait()
		commit(t, f, len(truth))
		wantGiven(t, r, truth, byterange.Range{Len: int64(len(truth))})
	})
}
