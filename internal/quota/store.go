package quota

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"ddm/internal/errdefs"
)

// maxAccount bounds an account's file: far above any that was written here.
const maxAccount = 4 << 10

// store is the file of one line's account. Processes take turns by a lock on a
// file of its own, which stays: the account's file is replaced with each
// change, and a lock on it would go with it.
type store struct {
	line string
	path string
}

func openStore(dir, line string) (store, error) {
	dir = filepath.Join(dir, "quota")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return store{}, fmt.Errorf("%w: folder for quotas: %w", errdefs.MakeDir, err)
	}
	return store{line: line, path: filepath.Join(dir, url.QueryEscape(line)+".json")}, nil
}

// change replaces the account by what f makes of it, and returns that. Nothing
// is written if it is the same.
func (s store) change(f func(account) account) (_ account, err error) {
	lock, err := os.OpenFile(s.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return account{}, fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }() // and the lock ends
	if err := lockFile(lock); err != nil {
		return account{}, fmt.Errorf("%w: lock of %s: %w", errdefs.OpenFile, s.path, err)
	}
	old, err := s.read()
	if err != nil {
		return account{}, err
	}
	a := f(old)
	a.Line = s.line
	if a == old {
		return a, nil
	}
	if err := s.write(a); err != nil {
		return account{}, fmt.Errorf("%w: %w", errdefs.WriteFile, err)
	}
	return a, nil
}

func (s store) read() (a account, err error) {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return account{}, nil
	}
	if err != nil {
		return account{}, fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(io.LimitReader(f, maxAccount))
	if err == nil {
		err = json.Unmarshal(data, &a)
	}
	if err == nil && (a.DayBytes < 0 || a.MonthBytes < 0) {
		err = errors.New("negative bytes")
	}
	if err != nil {
		return account{}, fmt.Errorf("%w: %s holds no account, remove it to count from 0: %w", errdefs.OpenFile, s.path, err)
	}
	return a, nil
}

// write replaces the file whole or not at all, power cuts included.
func (s store) write(a account) (err error) {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // the lock makes it ours
	if err != nil {
		return err
	}
	if _, err = f.Write(append(data, '\n')); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(s.path+".new", s.path)
}
