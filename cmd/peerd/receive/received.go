package receive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"ddm/internal/errdefs"
	"ddm/internal/shares"
)

// listFile is where it is written in a state folder what was received: a path a
// line.
const listFile = "received"

// List is what was received and is to be offered again after a restart. It is
// safe for concurrent use. The nil List remembers nothing.
type List struct {
	path  string
	mu    sync.Mutex
	paths []string
}

// OpenList reads the list in a state folder, which is made if it is missing.
// Files that are gone are forgotten, and so are those of other folders than
// folder, which their owner does not receive into any more.
func OpenList(state, folder string) (*List, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("%w: state directory: %w", errdefs.MakeDir, err)
	}
	l := &List{path: filepath.Join(state, listFile)}
	raw, err := os.ReadFile(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	for path := range strings.Lines(string(raw)) {
		path = strings.TrimSuffix(path, "\n")
		if filepath.Dir(path) != filepath.Clean(folder) || slices.Contains(l.paths, path) {
			continue
		}
		if st, err := os.Lstat(path); err == nil && st.Mode().IsRegular() {
			l.paths = append(l.paths, path)
		}
	}
	return l, nil
}

// Paths returns what is on the list.
func (l *List) Paths() []string {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.paths)
}

// add puts a file on the list. The old list stays until the new one is whole.
func (l *List) add(path string) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.Contains(l.paths, path) || len(l.paths) >= shares.MaxFiles { // more are not offered anyway
		return nil
	}
	l.paths = append(l.paths, path)
	whole := l.path + ".new"
	if err := os.WriteFile(whole, []byte(strings.Join(l.paths, "\n")+"\n"), 0o600); err != nil {
		return fmt.Errorf("%w: %w", errdefs.WriteFile, err)
	}
	if err := os.Rename(whole, l.path); err != nil {
		return fmt.Errorf("%w: %w", errdefs.WriteFile, err)
	}
	return nil
}
