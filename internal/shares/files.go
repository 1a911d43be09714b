package shares

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/digest"
	"ddm/internal/offer"
)

const (
	// MaxFiles is how many files one process offers at most.
	MaxFiles = 10_000

	lookEvery = 3 * time.Second
	settled   = 2 * time.Second // without a change, before a file of a folder is hashed
)

// Config of Files.
type Config struct {
	Paths []string     // files, and folders with all that is in them; hidden names and symbolic links in them are left out
	Shelf *offer.Shelf // where they are offered
	Log   hclog.Logger // nil: discards

	Hashing func(done, total int64) // told how far the hashing of a file is; must not block; nil: not told
}

// Files is what is on offer of some paths.
type Files struct {
	cfg  Config
	poke chan struct{} // a file was found changed

	// Owned by Run.
	known  map[string]*offered // by path
	failed map[string]stamp    // could not be hashed as they were then
	full   bool                // it was said that there are too many

	mu      sync.Mutex // guards what follows
	added   []string   // paths besides those of cfg
	items   []Item
	parts   map[[sha256.Size]byte]*file // of items, by what they hash to
	changed chan struct{}               // closed and replaced when items change
	ready   chan struct{}               // closed when all that was there at first is on offer
}

// offered is a file on the shelf.
type offered struct {
	*file
	withdraw func()
}

// New prepares; nothing is looked at before Run.
func New(cfg Config) *Files {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	return &Files{
		cfg: cfg, poke: make(chan struct{}, 1), known: map[string]*offered{}, failed: map[string]stamp{},
		changed: make(chan struct{}), ready: make(chan struct{}),
	}
}

// Items returns what is on offer, ordered by name.
func (s *Files) Items() []Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.items)
}

// Changed returns a channel that is closed when Items changes after this call.
func (s *Files) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Ready returns a channel that is closed when everything that was there at
// first was looked at and hashed.
func (s *Files) Ready() <-chan struct{} { return s.ready }

// hashed is what became of a file.
type hashed struct {
	path string
	file *file
	err  error
	as   stamp // as it was seen before
}

// Run looks every few seconds, and hashes one file at a time, until ctx ends;
// then nothing is on offer any more.
func (s *Files) Run(ctx context.Context) {
	var work sync.WaitGroup
	results := make(chan hashed, 1)
	defer func() {
		work.Wait()
		select {
		case r := <-results:
			if r.file != nil {
				r.file.close()
			}
		default:
		}
		for path := range s.known {
			s.drop(path)
		}
		s.publish()
	}()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	todo, busy, first := s.look(), false, true
	for {
		if !busy && len(todo) > 0 {
			path, as := todo[0].path, todo[0].as
			todo, busy = todo[1:], true
			work.Go(func() {
				f, err := read(ctx, path, s.nudge, s.cfg.Hashing)
				results <- hashed{path, f, err, as}
			})
		}
		if first && !busy {
			first = false
			close(s.ready)
		}
		select {
		case <-ctx.Done():
			return
		case r := <-results:
			busy = false
			s.enter(r)
		case <-tick.C:
			todo = s.look()
		case <-s.poke:
			todo = s.look()
		}
	}
}

func (s *Files) nudge() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// enter puts a hashed file on the shelf.
func (s *Files) enter(r hashed) {
	switch {
	case errors.Is(r.err, errChanging), errors.Is(r.err, context.Canceled):
		return // later
	case r.err != nil:
		s.failed[r.path] = r.as
		s.cfg.Log.Warn("not offered", "file", r.path, "error", r.err)
		return
	}
	s.drop(r.path)
	withdraw, ok := s.cfg.Shelf.Put(r.file.URL(), r.file.Generation(), r.file)
	if !ok {
		r.file.close()
		return
	}
	s.known[r.path] = &offered{r.file, withdraw}
	s.cfg.Log.Info("offered", "file", r.path, "digest", word(r.file.SHA256))
	s.publish()
}

// drop takes a file off the shelf.
func (s *Files) drop(path string) {
	if o := s.known[path]; o != nil {
		o.withdraw()
		o.close()
		delete(s.known, path)
	}
}

// publish tells what is on offer now, if that changed.
func (s *Files) publish() {
	set, parts := map[Item]bool{}, map[[sha256.Size]byte]*file{}
	for _, o := range s.known {
		set[o.Item] = true
		parts[o.SHA256] = o.file
	}
	items := slices.SortedFunc(maps.Keys(set), compare)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = parts
	if slices.Equal(items, s.items) {
		return
	}
	s.items = items
	close(s.changed)
	s.changed = make(chan struct{})
}

// pieces returns what the pieces of an offered file hash to, and its size. They
// are not to be changed.
func (s *Files) pieces(sum [sha256.Size]byte) (*digest.Pieces, int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.parts[sum]
	if f == nil {
		return nil, 0, false
	}
	return &f.parts, f.Size, true
}

func compare(a, b Item) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.SHA256[:], b.SHA256[:]), cmp.Compare(a.Size, b.Size))
}

// waiting is a file that is to be hashed.
type waiting struct {
	path string
	as   stamp
}

// look finds what is there, takes off the shelf what is not what it was, and
// returns what is to be hashed.
func (s *Files) look() (todo []waiting) {
	found := map[string]fs.FileInfo{}
	for _, path := range s.paths() {
		s.find(path, found)
	}
	for path, o := range s.known {
		if st := found[path]; st == nil || !o.still(st) {
			s.cfg.Log.Info("offered no more: it changed or is gone", "file", path)
			s.drop(path)
		}
	}
	s.publish()
	maps.DeleteFunc(s.failed, func(path string, as stamp) bool { return found[path] == nil || stampOf(found[path]) != as })
	for _, path := range slices.Sorted(maps.Keys(found)) {
		if _, failed := s.failed[path]; s.known[path] == nil && !failed {
			todo = append(todo, waiting{path, stampOf(found[path])})
		}
	}
	return todo
}

// Add offers one file more from the next look on, for as long as it stays what it
// is.
func (s *Files) Add(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.added, path) {
		s.added = append(s.added, path)
	}
}

// paths are all that there is to look at, without those added ones that are gone.
func (s *Files) paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = slices.DeleteFunc(s.added, func(path string) bool {
		_, err := os.Lstat(path)
		return errors.Is(err, fs.ErrNotExist)
	})
	return slices.Concat(s.cfg.Paths, s.added)
}

// find adds the files of a path. One that was named is taken as it is; those of
// a folder only once nobody has written to them for a while.
func (s *Files) find(path string, found map[string]fs.FileInfo) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		s.cfg.Log.Debug("not there", "path", path, "error", err)
	case !st.IsDir():
		s.note(path, st, found)
	default:
		s.walk(path, found)
	}
}

func (s *Files) walk(root string, found map[string]fs.FileInfo) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(entry.Name(), ".") && path != root
		switch {
		case err != nil:
			s.cfg.Log.Debug("cannot look", "path", path, "error", err)
			return nil
		case hidden && entry.IsDir():
			return fs.SkipDir
		case hidden || !entry.Type().IsRegular():
			return nil
		}
		if st, err := entry.Info(); err == nil && time.Since(st.ModTime()) > settled {
			if !s.note(path, st, found) {
				return fs.SkipAll
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.SkipAll) {
		s.cfg.Log.Debug("cannot look", "path", root, "error", err)
	}
}

// note adds a file; false: there are too many.
func (s *Files) note(path string, st fs.FileInfo, found map[string]fs.FileInfo) bool {
	if !st.Mode().IsRegular() || st.Size() == 0 {
		return true
	}
	if len(found) >= MaxFiles && found[path] == nil {
		if !s.full {
			s.full = true
			s.cfg.Log.Warn("more files than can be offered; the others are left out", "most", MaxFiles)
		}
		return false
	}
	found[path] = st
	return true
}
