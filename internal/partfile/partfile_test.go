package partfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/partfile"
	"ddm/internal/partfile/crashfs"
)

func content(n int) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(uint64(n), 3))
	for i := range b {
		b[i] = byte(1 + rng.IntN(255))
	}
	return b
}

func metaOf(size int64) partfile.Meta {
	return partfile.Meta{
		URL:   "https://origin.example/x",
		Gen:   origin.Generation{Size: size, ETag: `"one"`, LastModified: "Mon, 02 Jan 2006 15:04:05 GMT"},
		Level: origin.Strong,
	}
}

func mustOpen(t testing.TB, d *crashfs.Disk, meta partfile.Meta, o partfile.Options) *partfile.File {
	t.Helper()
	f, err := partfile.OpenIn(t.Context(), d.Open(), "x", meta, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func openDir(t testing.TB, dir string, meta partfile.Meta, o partfile.Options) *partfile.File {
	t.Helper()
	f, err := partfile.Open(t.Context(), dir, "x", meta, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func closeFile(t testing.TB, f *partfile.File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func write(t testing.TB, f *partfile.File, b []byte, off int64, giver string) {
	t.Helper()
	if n, err := f.WriteAt([][]byte{b}, off, giver); err != nil || n != int64(len(b)) {
		t.Fatalf("WriteAt(%d bytes at %d) = %d, %v", len(b), off, n, err)
	}
}

func entries(t testing.TB, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func wantEntries(t testing.TB, dir string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := entries(t, dir); !slices.Equal(got, want) {
		t.Errorf("directory holds %q, want %q", got, want)
	}
}

func wantKind(t testing.TB, err error, kind errdefs.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("error is %v, want kind %q", err, kind)
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	truth := content(3<<20 + 77)
	meta := metaOf(int64(len(truth)))
	f := openDir(t, dir, meta, partfile.Options{})
	wantEntries(t, dir, ".x.ddm-part", ".x.ddm-journal")
	if st, err := os.Stat(f.PartPath()); err != nil || st.Mode().Perm() != 0o600 || st.Size() != 0 {
		t.Errorf("part file: %v, %v", st, err)
	}
	write(t, f, truth[1<<20:2<<20+5], 1<<20, "ann")
	closeFile(t, f)
	closeFile(t, f)

	f = openDir(t, dir, meta, partfile.Options{})
	if have := f.Have(); f.Resumed() != 1<<20+5 || have.Bytes() != f.Resumed() {
		t.Errorf("resumed %d bytes", f.Resumed())
	}
	fresh, err := f.WriteAt([][]byte{truth[:100], truth[100:]}, 0, "bob")
	if want := int64(len(truth) - 1<<20 - 5); fresh != want || err != nil {
		t.Fatalf("WriteAt = %d, %v; want %d", fresh, err, want)
	}
	var givers []string
	for e := range f.Extents() {
		givers = append(givers, e.Giver)
	}
	if want := []string{"bob", "ann", "ann", "bob", "bob"}; !slices.Equal(givers, want) {
		t.Errorf("givers are %q, want %q", givers, want)
	}
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	path, err := f.Commit(t.Context(), partfile.CommitOptions{Size: int64(len(truth)), Modified: when})
	if err != nil || path != filepath.Join(dir, "x") {
		t.Fatalf("Commit = %q, %v", path, err)
	}
	wantEntries(t, dir, "x")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, truth) {
		t.Errorf("content differs: %v", err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	ordinary, err := os.Stat(plain)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != ordinary.Mode() || !st.ModTime().Equal(when) {
		t.Errorf("finished file: %v, %v", st, err)
	}
	if _, err := f.WriteAt([][]byte{{1}}, 0, ""); err == nil {
		t.Error("a committed file took a write")
	}
	closeFile(t, f)
}

func TestFirstClaimantWins(t *testing.T) {
	t.Parallel()
	truth := content(4 << 20)
	dir := t.TempDir()
	f := openDir(t, dir, metaOf(int64(len(truth))), partfile.Options{SyncBytes: 1 << 20, SyncEvery: time.Millisecond})
	var total [8]int64
	var wg sync.WaitGroup
	for i := range total {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 0))
			for range 300 {
				off := rng.IntN(len(truth))
				end := min(len(truth), off+rng.IntN(256<<10))
				cut := off + (end-off)/3
				n, err := f.WriteAt([][]byte{truth[off:cut], truth[cut:end]}, int64(off), "g")
				if err != nil {
					t.Error(err)
				}
				total[i] += n
			}
		})
	}
	wg.Wait()
	n, err := f.WriteAt([][]byte{truth}, 0, "last")
	for _, m := range total {
		n += m
	}
	if err != nil || n != int64(len(truth)) {
		t.Errorf("%d fresh bytes of %d, %v", n, len(truth), err)
	}
	path, err := f.Commit(t.Context(), partfile.CommitOptions{Size: int64(len(truth))})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, truth) {
		t.Errorf("content differs: %v", err)
	}
}

func TestCheckpointsByItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		truth := content(1 << 20)
		f := mustOpen(t, crashfs.New(1, -1), metaOf(1<<20), partfile.Options{SyncBytes: 512 << 10})
		defer closeFile(t, f)
		synced := func() (n int64) {
			for e := range f.Extents() {
				if e.Synced {
					n += e.Len
				}
			}
			return n
		}
		write(t, f, truth[:1000], 0, "")
		synctest.Wait()
		if synced() != 0 {
			t.Error("synced at once")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if synced() != 1000 {
			t.Error("not synced after a second")
		}
		write(t, f, truth[1000:600<<10], 1000, "")
		synctest.Wait()
		if synced() != 600<<10 {
			t.Error("not synced after many bytes")
		}
	})
}

func TestUnknownSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	truth := content(100_000)
	f := openDir(t, dir, metaOf(-1), partfile.Options{})
	write(t, f, truth, 0, "ann")
	closeFile(t, f)

	f = openDir(t, dir, metaOf(-1), partfile.Options{})
	if f.Resumed() != 0 || len(f.Kept()) != 1 || f.Kept()[0].Name != ".x.ddm-part.old-1" ||
		!strings.Contains(f.Kept()[0].Reason, "length was not known") {
		t.Errorf("resumed %d, kept %v", f.Resumed(), f.Kept())
	}
	write(t, f, truth, 0, "ann")
	if _, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 90_000}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || !bytes.Equal(got, truth[:90_000]) {
		t.Errorf("content differs: %v", err)
	}
	wantEntries(t, dir, "x", ".x.ddm-part.old-1", ".x.ddm-journal.old-1")
}

// TestOldPartsAreBounded: of what cannot be resumed the newest three are kept.
func TestOldPartsAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range byte(6) {
		f := openDir(t, dir, metaOf(-1), partfile.Options{})
		removed := slices.ContainsFunc(f.Kept(), func(k partfile.Kept) bool { return k.Removed && k.Name == ".x.ddm-part.old-1" })
		if removed != (round > 3) {
			t.Errorf("round %d: kept %v", round, f.Kept())
		}
		write(t, f, bytes.Repeat([]byte{'a' + round}, 1000), 0, "ann")
		closeFile(t, f)
	}
	for i, want := range []byte("cde") {
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf(".x.ddm-part.old-%d", i+1)))
		if err != nil || len(got) != 1000 || got[0] != want {
			t.Errorf("old-%d: %d bytes, %v, want those of round %c", i+1, len(got), err, want)
		}
	}
	wantEntries(t, dir, ".x.ddm-journal", ".x.ddm-part", ".x.ddm-journal.old-1", ".x.ddm-journal.old-2", ".x.ddm-journal.old-3",
		".x.ddm-part.old-1", ".x.ddm-part.old-2", ".x.ddm-part.old-3")
}

func TestCommitIncomplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	truth := content(3000)
	f := openDir(t, dir, metaOf(3000), partfile.Options{})
	write(t, f, truth[:1000], 0, "ann")
	write(t, f, truth[1001:], 1001, "ann")
	_, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 3000})
	wantKind(t, err, errdefs.Internal)
	_, err = f.Commit(t.Context(), partfile.CommitOptions{Size: 1000})
	wantKind(t, err, errdefs.Internal)
	write(t, f, truth[1000:1001], 1000, "ann")
	if _, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 3000}); err != nil {
		t.Error(err)
	}
	wantEntries(t, dir, "x")
}

func TestEmptyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := openDir(t, dir, metaOf(0), partfile.Options{})
	if _, err := f.Commit(t.Context(), partfile.CommitOptions{}); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, dir, "x")
}

func TestNothingWrittenNothingKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	closeFile(t, openDir(t, dir, metaOf(10), partfile.Options{}))
	wantEntries(t, dir)
	f := openDir(t, dir, metaOf(10), partfile.Options{})
	write(t, f, []byte{1}, 0, "")
	if err := f.Discard(); err != nil {
		t.Error(err)
	}
	wantEntries(t, dir)
}

func TestReadAt(t *testing.T) {
	t.Parallel()
	f := mustOpen(t, crashfs.New(1, -1), metaOf(100), partfile.Options{})
	defer closeFile(t, f)
	write(t, f, content(50), 50, "")
	p := make([]byte, 60)
	for _, c := range []struct {
		off  int64
		want int
		kind error
	}{{50, 50, io.EOF}, {100, 0, io.EOF}, {200, 0, io.EOF}, {49, 0, errdefs.BadRange}} {
		if n, err := f.ReadAt(p, c.off); n != c.want || !errors.Is(err, c.kind) {
			t.Errorf("ReadAt(%d) = %d, %v", c.off, n, err)
		}
	}
	if n, err := f.ReadAt(p[:20], 60); n != 20 || err != nil || !bytes.Equal(p[:20], content(50)[10:30]) {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
}

func TestWriteOutside(t *testing.T) {
	t.Parallel()
	f := mustOpen(t, crashfs.New(1, -1), metaOf(100), partfile.Options{})
	defer closeFile(t, f)
	for _, off := range []int64{-1, 91, 1 << 62} {
		_, err := f.WriteAt([][]byte{make([]byte, 10)}, off, "")
		wantKind(t, err, errdefs.Invalid)
	}
	if f.Err() != nil {
		t.Errorf("a bad call ended the file: %v", f.Err())
	}
}

func TestVerifyDropAndGoOn(t *testing.T) {
	t.Parallel()
	truth := content(300_000)
	dir := t.TempDir()
	f := openDir(t, dir, metaOf(300_000), partfile.Options{PieceSize: 64 << 10})
	write(t, f, truth[:200_000], 0, "ann")
	lie := bytes.Clone(truth[200_000:])
	lie[5] ^= 1
	write(t, f, lie, 200_000, "liar")
	o := partfile.CommitOptions{Size: 300_000, Verify: func(_ context.Context, r io.ReaderAt, size int64) error {
		got, err := io.ReadAll(io.NewSectionReader(r, 0, size))
		if err == nil && !bytes.Equal(got, truth) {
			err = errdefs.Corrupt
		}
		return err
	}}
	_, err := f.Commit(t.Context(), o)
	wantKind(t, err, errdefs.Corrupt)
	for e := range f.Extents() {
		if e.Giver == "liar" {
			if n, err := f.Drop(e.Range); n != e.Len || err != nil {
				t.Errorf("Drop = %d, %v", n, err)
			}
		}
	}
	if _, err := f.Commit(t.Context(), o); err == nil {
		t.Error("committed with a hole")
	}
	if have := f.Have(); have.Bytes() != 200_000 || !have.Contains(byterange.Range{Len: 200_000}) {
		t.Errorf("%d bytes left", have.Bytes())
	}
	write(t, f, truth[200_000:], 200_000, "bob")
	if _, err := f.Commit(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	wantEntries(t, dir, "x")
}
