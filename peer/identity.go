package peer

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"ddm/internal/errdefs"
)

const (
	idBytes  = 16
	idFile   = "id"
	maxName  = 64 // bytes; the tracker takes no more
	nameless = "peer"
)

// newID returns 128 random bits in hex.
func newID() string {
	var b [idBytes]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime ends the process instead
	return hex.EncodeToString(b[:])
}

// loadID returns the id kept in dir, making the directory and the id if there
// are none. An empty dir gives an id that lives as long as the process.
func loadID(dir string) (string, error) {
	if dir == "" {
		return newID(), nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("%w: state directory: %w", errdefs.MakeDir, err)
	}
	path := filepath.Join(dir, idFile)
	raw, err := os.ReadFile(path)
	switch {
	case err == nil:
		id := strings.TrimSpace(string(raw))
		if b, err := hex.DecodeString(id); err != nil || len(b) != idBytes {
			return "", fmt.Errorf("%w: %s holds no peer id, remove it to get a new one", errdefs.Invalid, path)
		}
		return id, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	id := newID()
	if err := keepID(dir, path, id); err != nil {
		return "", fmt.Errorf("%w: %w", errdefs.CreateFile, err)
	}
	return id, nil
}

// keepID creates the file whole or not at all.
func keepID(dir, path, id string) (err error) {
	f, err := os.CreateTemp(dir, idFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error says more
		}
	}()
	if _, err = f.WriteString(id + "\n"); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// nameOr returns name, or the host's, cut to what a tracker takes.
func nameOr(name string) string {
	if name == "" {
		name, _ = os.Hostname() // without one the fixed name serves
	}
	if name == "" {
		name = nameless
	}
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "")
}
