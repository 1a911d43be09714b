package receive_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ddm/cmd/peerd/receive"
	"ddm/internal/shares"
)

// TestListAfterARestart is about what is offered again: files that were
// received and are there, and nothing else of the folder or the machine.
func TestListAfterARestart(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "state")
	put := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := func(folder string) *receive.List {
		l, err := receive.OpenList(state, folder)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	stays, goes := put("stays", "one"), put("goes", "two")
	put("the owner's own", "three")
	f := &receive.Folder{Dir: dir, List: open(dir)}
	for _, path := range []string{stays, goes, stays} { // each is there already
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		item := shares.Item{Name: filepath.Base(path), Size: int64(len(content)), SHA256: sha256.Sum256(content)}
		got, err := f.Receive(t.Context(), item, func(int64) {})
		if err != nil || !got.Already {
			t.Fatalf("%s: %+v, %v", path, got, err)
		}
	}
	if got := open(dir).Paths(); !slices.Equal(got, []string{stays, goes}) {
		t.Errorf("after a restart %q", got)
	}
	if err := os.Remove(goes); err != nil {
		t.Fatal(err)
	}
	if got := open(dir).Paths(); !slices.Equal(got, []string{stays}) {
		t.Errorf("without the one that went %q", got)
	}
	if err := os.Remove(stays); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", stays); err != nil {
		t.Fatal(err)
	}
	if got := open(dir).Paths(); len(got) > 0 {
		t.Errorf("a link in place of what was received: %q", got)
	}
	if got := open(t.TempDir()).Paths(); len(got) > 0 {
		t.Errorf("of another folder: %q", got)
	}
}
