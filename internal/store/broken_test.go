package store_test

import (
	"os"
	"testing"

	"ddm/internal/byterange"
)

// TestPassesWhatItCannotKeep takes the folder away, which stands for a disk
// that takes no more: every byte passes all the same, and nothing is held.
func TestPassesWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/store"
	s, res := open(t, dir, 100*mib), resource(url, 4*mib, `"v1"`)
	line := &source{}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if stored := get(t, s, line, res, byterange.Range{Len: 4 * mib}); stored != 0 {
			t.Errorf("%d bytes came from a store that keeps none", stored)
		}
	}
	if s.Size() != 0 {
		t.Errorf("counts %d bytes", s.Size())
	}
}
