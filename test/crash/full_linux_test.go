package crash_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"ddm/internal/origin/origintest"
)

// smallDisk mounts a file system of a few bytes over the worker's folder, and
// returns what makes it larger.
func (w *worker) smallDisk(t *testing.T, size string) (grow func(size string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("skipped: mounting a small file system needs root")
	}
	dir := w.dir
	mount := func(flags uintptr, size string) error {
		return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|flags, "size="+size)
	}
	if err := mount(0, size); err != nil {
		t.Skipf("skipped: cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return func(size string) {
		t.Helper()
		if err := mount(unix.MS_REMOUNT, size); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskFull: exit 9, and the same command completes once there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	t.Run("known size", func(t *testing.T) {
		t.Parallel()
		j := newJob(t, shape{size: 8 * mib, rate: 16 * mib})
		grow := j.smallDisk(t, "4m")
		p := j.begin(t, 0)
		j.ends(t, p, 9)
		if sent := j.origin.Sent(); sent > 2*probe {
			t.Errorf("%d bytes were fetched although there is no room for the file", sent)
		}
		alone(t, j.dir, "")
		grow("16m")
		p = j.begin(t, 0)
		j.ends(t, p, 0)
		j.finished(t)
	})
	// What others write meanwhile cannot take the room away.
	t.Run("neighbour", func(t *testing.T) {
		t.Parallel()
		j := newJob(t, shape{size: 8 * mib, rate: 8 * mib})
		j.smallDisk(t, "12m")
		p := j.begin(t, 0.3)
		ballast := filepath.Join(j.dir, "ballast")
		if err := os.WriteFile(ballast, make([]byte, 8*mib), 0o600); err == nil {
			t.Error("there was more room than there should be")
		}
		if status := p.Wait(t); status == 9 { // the journal has no room of its own
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			p = j.begin(t, 0)
			j.ends(t, p, 0)
		} else if status != 0 {
			t.Fatalf("exit %d", status)
		}
		_ = os.Remove(ballast)
		j.finished(t)
	})
	// Without a size nothing can be reserved.
	t.Run("unknown size", func(t *testing.T) {
		t.Parallel()
		j := newJob(t, shape{size: 8 * mib, sized: -1, rate: 16 * mib})
		j.origin.Set("/a.bin", j.file.With(origintest.Fault{Status: 200, Chunked: true}))
		grow := j.smallDisk(t, "4m")
		p := j.begin(t, 0)
		j.ends(t, p, 9)
		if exists(filepath.Join(j.dir, "a.bin")) {
			t.Error("a part has the final name")
		}
		grow("16m")
		p = j.begin(t, 0)
		j.ends(t, p, 0)
		j.finished(t)
	})
}
