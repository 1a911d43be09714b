package partfile_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ddm/internal/errdefs"
	"ddm/internal/partfile"
)

// TestRealDiskFull fills a real, small file system.
func TestRealDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: mounting a small file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=4m"); err != nil {
		t.Skipf("skipped: cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	_, err := partfile.Open(t.Context(), dir, "x", metaOf(5<<20), partfile.Options{})
	wantKind(t, err, errdefs.NoSpace)
	wantEntries(t, dir)

	// Room is reserved, so that a neighbour cannot take it away.
	truth := content(3 << 20)
	f := openDir(t, dir, metaOf(3<<20), partfile.Options{})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err == nil {
		t.Error("the file system had more room than it should")
	}
	write(t, f, truth, 0, "ann")
	closeFile(t, f)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f = openDir(t, dir, metaOf(3<<20), partfile.Options{})
	if f.Resumed() != 3<<20 {
		t.Errorf("resumed %d bytes", f.Resumed())
	}
	if _, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 3 << 20}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "x")); err != nil || !bytes.Equal(got, truth) {
		t.Errorf("content differs: %v", err)
	}

	// A file of unknown size finds out too late.
	f, err = partfile.Open(t.Context(), dir, "y", metaOf(-1), partfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([][]byte{truth}, 0, "ann")
	wantKind(t, err, errdefs.NoSpace)
	wantKind(t, f.Close(), errdefs.NoSpace)
}
