package partfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ddm/internal/errdefs"
	"ddm/internal/partfile"
	"ddm/internal/partfile/crashfs"
	"ddm/internal/partfile/disk"
)

func touch(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSecondProcessIsLockedOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := openDir(t, dir, metaOf(10), partfile.Options{})
	defer closeFile(t, f)
	write(t, f, []byte("hello"), 0, "ann")
	_, err := partfile.Open(t.Context(), dir, "x", metaOf(11), partfile.Options{Overwrite: true})
	wantKind(t, err, errdefs.Locked)
	wantEntries(t, dir, ".x.ddm-part", ".x.ddm-journal")
	other, err := partfile.Open(t.Context(), dir, "y", metaOf(10), partfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	closeFile(t, other)
}

func TestNameTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		take      func(t *testing.T, dir string)
		overwrite bool
		refused   bool
	}{
		{"file", func(t *testing.T, dir string) { t.Helper(); touch(t, filepath.Join(dir, "x"), "old") }, false, true},
		{"file, overwrite", func(t *testing.T, dir string) { t.Helper(); touch(t, filepath.Join(dir, "x"), "old") }, true, false},
		{"folder, overwrite", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Mkdir(filepath.Join(dir, "x"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, true, true},
		{"dangling link", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Symlink("nowhere", filepath.Join(dir, "x")); err != nil {
				t.Fatal(err)
			}
		}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			t.Run("at the beginning", func(t *testing.T) {
				dir := t.TempDir()
				c.take(t, dir)
				f, err := partfile.Open(t.Context(), dir, "x", metaOf(3), partfile.Options{Overwrite: c.overwrite})
				if c.refused {
					wantKind(t, err, errdefs.Exists)
					wantEntries(t, dir, "x")
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				finish(t, f, dir)
			})
			t.Run("meanwhile", func(t *testing.T) {
				dir := t.TempDir()
				f := openDir(t, dir, metaOf(3), partfile.Options{Overwrite: c.overwrite})
				c.take(t, dir)
				if !c.refused {
					finish(t, f, dir)
					return
				}
				write(t, f, []byte("new"), 0, "")
				_, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 3})
				wantKind(t, err, errdefs.Exists)
				closeFile(t, f)
				wantEntries(t, dir, "x", ".x.ddm-part", ".x.ddm-journal")
				if err := os.Remove(filepath.Join(dir, "x")); err != nil {
					t.Fatal(err)
				}
				f = openDir(t, dir, metaOf(3), partfile.Options{})
				if f.Resumed() != 3 {
					t.Errorf("resumed %d bytes", f.Resumed())
				}
				finish(t, f, dir)
			})
		})
	}
}

func finish(t *testing.T, f *partfile.File, dir string) {
	t.Helper()
	if _, err := f.WriteAt([][]byte{[]byte("new")}, 0, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 3}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || string(b) != "new" {
		t.Errorf("finished file holds %q, %v", b, err)
	}
	wantEntries(t, dir, "x")
}

// TestCommitCutShort begins with what a crash between the last steps leaves.
func TestCommitCutShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		link bool
	}{{"journal left", false}, {"linked, not yet unlinked", true}} {
		for _, overwrite := range []bool{false, true} {
			dir := t.TempDir()
			f := openDir(t, dir, metaOf(3), partfile.Options{})
			write(t, f, []byte("old"), 0, "")
			closeFile(t, f)
			part, final := filepath.Join(dir, ".x.ddm-part"), filepath.Join(dir, "x")
			step := os.Rename
			if c.link {
				step = os.Link
			}
			if err := step(part, final); err != nil {
				t.Fatal(err)
			}
			f, err := partfile.Open(t.Context(), dir, "x", metaOf(3), partfile.Options{Overwrite: overwrite})
			if !overwrite {
				wantKind(t, err, errdefs.Exists)
				wantEntries(t, dir, "x")
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.Resumed() != 0 {
				t.Errorf("%s: resumed %d bytes of a finished file", c.name, f.Resumed())
			}
			write(t, f, []byte("n"), 0, "")
			if b, err := os.ReadFile(final); err != nil || string(b) != "old" {
				t.Errorf("%s: finished file now holds %q, %v", c.name, b, err)
			}
			finish(t, f, dir)
		}
	}
}

func TestBadNamesAndFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"", ".", "..", "a/b", "../x", "/x", "a\x00b"} {
		_, err := partfile.Open(t.Context(), dir, name, metaOf(3), partfile.Options{})
		wantKind(t, err, errdefs.Invalid)
	}
	_, err := partfile.Open(t.Context(), dir, strings.Repeat("n", 250), metaOf(3), partfile.Options{})
	if err == nil {
		t.Error("a name too long for its side files was taken")
	}
	wantEntries(t, dir)
	touch(t, filepath.Join(dir, "file"), "")
	_, err = partfile.Open(t.Context(), filepath.Join(dir, "file", "sub"), "x", metaOf(3), partfile.Options{})
	wantKind(t, err, errdefs.MakeDir)
	_, err = partfile.Open(t.Context(), filepath.Join(dir, "file"), "x", metaOf(3), partfile.Options{})
	wantKind(t, err, errdefs.OpenFile)
	wantEntries(t, dir, "file")
}

func TestMoreThanTheDiskHolds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := partfile.Open(t.Context(), dir, "x", metaOf(1<<60), partfile.Options{})
	if !strings.Contains(err.Error(), "1152921504606846976 bytes") {
		t.Errorf("no figures in: %v", err)
	}
	wantKind(t, err, errdefs.NoSpace)
	wantEntries(t, dir)
}

// TestOneOwnerAtATime lets several processes begin, give up and finish the
// same name all the time.
func TestOneOwnerAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var owned atomic.Bool
	var owners atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 60 {
				f, err := partfile.Open(t.Context(), dir, "x", metaOf(3), partfile.Options{Overwrite: true})
				if errors.Is(err, errdefs.Locked) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if !owned.CompareAndSwap(false, true) {
					t.Error("two owners")
				}
				owners.Add(1)
				_, err = f.WriteAt([][]byte{[]byte("new")}, 0, "")
				err = errors.Join(err, f.Checkpoint())
				owned.Store(false)
				end := f.Close
				switch (i + n) % 3 {
				case 0:
					end = f.Discard
				case 1:
					end = func() error {
						_, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 3})
						return err
					}
				}
				if err := errors.Join(err, end()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if owners.Load() == 0 {
		t.Error("nobody ever got it")
	}
}

// goneDir is a directory in which another process removes the part file just
// after it was opened here.
type goneDir struct {
	disk.Dir
	once sync.Once
}

func (d *goneDir) OpenFile(name string, flag int) (disk.File, error) {
	f, err := d.Dir.OpenFile(name, flag)
	d.once.Do(func() { err = errors.Join(err, d.Remove(name)) })
	return f, err
}

func TestPartFileGoesWhileItIsOpened(t *testing.T) {
	t.Parallel()
	d := crashfs.New(1, -1)
	f := mustOpen(t, d, metaOf(3), partfile.Options{})
	write(t, f, []byte("ne"), 0, "")
	closeFile(t, f)
	f, err := partfile.OpenIn(t.Context(), &goneDir{Dir: d.Open()}, "x", metaOf(3), partfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, f, []byte("new"), 0, "")
	if _, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 3}); err != nil {
		t.Fatal(err)
	}
	if got := string(d.Content("x")); got != "new" {
		t.Errorf("finished file holds %q", got)
	}
}
