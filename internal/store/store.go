// Package store is a peer's memory: the whole pieces of the generations that
// it fetched, bounded, and checked each time they are read.
//
//	Opener --store--> body of held pieces --------------------> client
//	   `-line-------> origin.Line --body--> tee --whole pieces--> client
//	                                         `--> HEX.pieces, HEX.index
//
// One generation is two files: HEX.pieces, sparse, with each piece at its own
// offset, and HEX.index, an append-only list of which pieces are there and
// their CRC32C. HEX is a hash of the canonical URL and the validator, so that
// no name from outside becomes a name on disk, and a changed resource is
// another generation. Nothing is synced: what a crash tore no longer has its
// CRC32C, is noticed when it is read, and is fetched again.
//
// What is used least recently goes first, generation by generation, and within
// one the piece that came first. Only bytes of the store count against its
// size, whatever else fills the disk. A store that cannot write lends the
// line all the same: nothing here fails a stream.
package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/partfile/disk"
)

// Piece is the grid on which things are kept, in bytes.
const Piece = 1 << 20

const (
	lockName  = "lock"
	indexEnd  = ".index"
	piecesEnd = ".pieces"

	defaultShare = 10       // of the free disk: a tenth
	defaultMost  = 50 << 30 // bytes
	maxEntries   = 65_536   // generations
)

// Config of a Store.
type Config struct {
	Dir   string       // made if it is not there
	Limit int64        // bytes of pieces; negative: a tenth of the free disk, at most 50 GiB
	Log   hclog.Logger // nil: discards
}

// Store is open for one process at a time. Its methods may be called
// concurrently.
type Store struct {
	cfg  Config
	root *os.Root
	dir  disk.Dir  // the same directory: for its room and the lock
	lock disk.File // nil: not taken

	mu      sync.Mutex
	entries map[Key]*entry
	size    int64         // bytes of all pieces
	changes uint64        // of what is held
	coming  int64         // bytes set aside for pieces that are being written
	born    chan struct{} // closed and replaced when an entry is new
}

// Open takes the store in a directory. Errors: errdefs.MakeDir, OpenFile, and
// Locked if another process has it.
func Open(cfg Config) (_ *Store, err error) {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	s, err := look(cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = s.dir.OpenFile(lockName, os.O_CREATE); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", cfg.Dir, errdefs.OpenFile, err)
	}
	if err := s.lock.Lock(); errors.Is(err, disk.ErrLocked) {
		return nil, fmt.Errorf("%s: %w: a peerd is using this store; end it first", cfg.Dir, errdefs.Locked)
	}
	if s.cfg.Limit < 0 {
		s.cfg.Limit = s.Share()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidyLocked()
	s.makeRoomLocked(0)
	return s, nil
}

// tidyLocked gives back the room of what a crash left behind.
func (s *Store) tidyLocked() {
	for _, e := range s.entries {
		if err := s.punch(e, e.missing(byterange.Range{Len: e.id.Size})); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			s.removeLocked(e)
		}
	}
	list, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return // Open has just read it
	}
	for _, file := range list {
		name, isPieces := strings.CutSuffix(file.Name(), piecesEnd)
		if key, ok := parseKey(name); ok && isPieces && s.entries[key] == nil {
			if err := s.root.Remove(file.Name()); err != nil {
				s.cfg.Log.Warn("cannot remove from the store", "file", file.Name(), "error", err)
			}
		}
	}
}

// look reads what is in a directory, without taking it.
func look(cfg Config) (*Store, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", errdefs.MakeDir, err)
	}
	if err := ours(cfg.Dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", cfg.Dir, errdefs.OpenFile, err)
	}
	s := &Store{cfg: cfg, root: root, entries: map[Key]*entry{}, born: make(chan struct{})}
	list, err := os.ReadDir(cfg.Dir)
	if err == nil {
		s.dir, err = disk.Open(cfg.Dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %w", cfg.Dir, errdefs.OpenFile, err), root.Close())
	}
	for _, file := range list {
		name, isIndex := strings.CutSuffix(file.Name(), indexEnd)
		key, ok := parseKey(name)
		if !isIndex || !ok {
			continue
		}
		e, err := s.load(key)
		if err != nil {
			cfg.Log.Warn("dropping what cannot be read of the store", "file", file.Name(), "error", err)
			continue
		}
		s.entries[key] = e
		s.size += e.size
	}
	return s, nil
}

// ours refuses a directory that others may write to: what they put there would
// be served as an origin's.
func ours(dir string) error {
	st, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", dir, errdefs.OpenFile, err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: %w: others may write to it, and what they put there would be given to clients; chmod go-w it, or remove it if you did not make it", dir, errdefs.OpenFile)
	}
	return nil
}

// Share returns the limit in bytes for those who set none.
func (s *Store) Share() int64 {
	room, err := s.dir.Room()
	if err != nil || room < 0 {
		return 0
	}
	return min((room+s.size)/defaultShare, defaultMost)
}

// Limit returns the most bytes that the store keeps.
func (s *Store) Limit() int64 { return s.cfg.Limit }

// Size returns the bytes that it holds.
func (s *Store) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Close lets go of the directory, and remembers there what was used when.
func (s *Store) Close() error {
	var err error
	if s.lock != nil {
		s.mu.Lock()
		for _, e := range s.entries {
			_ = s.root.Chtimes(e.key.String()+indexEnd, e.used, e.used) // it only orders
		}
		s.mu.Unlock()
		err = s.lock.Close()
	}
	return errors.Join(err, s.dir.Close(), s.root.Close())
}

// Holds yields which bytes of a generation are held, in ascending order, as
// they were when it was called.
func (s *Store) Holds(id Identity) iter.Seq[byterange.Range] {
	key, ok := id.Key()
	var held byterange.Set
	s.mu.Lock()
	e := s.entries[key]
	var numbers []uint32
	if ok && e != nil {
		numbers = slices.AppendSeq(make([]uint32, 0, len(e.pieces)), maps.Keys(e.pieces))
	}
	s.mu.Unlock()
	slices.Sort(numbers) // without the mutex: there may be many
	for _, n := range numbers {
		held.Add(e.rangeOf(n))
	}
	return held.All()
}

// Changed returns a channel that is closed when what is held of a generation
// changes after this call. It may be closed for other reasons, too.
func (s *Store) Changed(id Identity) <-chan struct{} {
	key, ok := id.Key()
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[key]
	if !ok || e == nil {
		return s.born
	}
	if e.changed == nil {
		e.changed = make(chan struct{})
	}
	return e.changed
}

// makeRoomLocked forgets what was used least recently until n more bytes fit.
// It reports whether they do.
func (s *Store) makeRoomLocked(n int64) bool {
	if n > s.cfg.Limit {
		return false
	}
	for s.size+s.coming+n > s.cfg.Limit {
		victim := s.oldestLocked()
		if victim == nil {
			return false
		}
		s.shedLocked(victim, s.size+s.coming+n-s.cfg.Limit)
	}
	return true
}

func (s *Store) oldestLocked() (victim *entry) {
	for _, e := range s.entries {
		if len(e.pieces) > 0 && (victim == nil || e.used.Before(victim.used)) {
			victim = e
		}
	}
	return victim
}

// shedLocked drops about n bytes of a generation, or all of it.
func (s *Store) shedLocked(e *entry, n int64) {
	n = max(n, min(e.size/8, 4*Piece)) // not one by one: each look for who is oldest has its price
	var drop []uint32
	for ; n > 0; n -= e.rangeOf(drop[len(drop)-1]).Len {
		number, ok := e.oldest()
		if !ok {
			break
		}
		drop = append(drop, number)
	}
	s.dropLocked(e, drop)
}

// oldest takes the piece that came first off the queue of those to go. To sort
// once for many is what makes single ones cheap.
func (e *entry) oldest() (uint32, bool) {
	for {
		if len(e.queue) == 0 {
			if len(e.pieces) == 0 || e.sorted == e.stamp {
				return 0, false // every one is taken
			}
			from := e.sorted
			e.sorted = e.stamp
			for number, p := range e.pieces {
				if p.stamp > from {
					e.queue = append(e.queue, number)
				}
			}
			slices.SortFunc(e.queue, func(a, b uint32) int { return cmp.Compare(e.pieces[a].stamp, e.pieces[b].stamp) })
		}
		number := e.queue[0]
		e.queue = e.queue[1:]
		if p, ok := e.pieces[number]; ok && p.stamp <= e.sorted { // else it went, and came again
			return number, true
		}
	}
}

// dropLocked forgets pieces and gives their room back; where single ones
// cannot be given back, the generation goes.
func (s *Store) dropLocked(e *entry, numbers []uint32) {
	var index []byte
	var holes []byterange.Range
	for _, n := range numbers {
		if _, had := e.pieces[n]; had {
			r := record{piece: n, gone: true}
			s.size -= e.rangeOf(n).Len
			e.apply(r)
			index = append(index, r.bytes()...)
			holes = append(holes, e.rangeOf(n))
		}
	}
	s.tellLocked(e)
	if len(e.pieces) == 0 {
		s.removeLocked(e)
		return
	}
	if err := errors.Join(s.write(e, 0, index), s.punch(e, holes)); err != nil {
		s.cfg.Log.Warn("cannot give back the room of single pieces; dropping all of them", "file", e.key.String(), "error", err)
		s.removeLocked(e)
	}
}

// pieces opens the file of a generation's pieces, whatever its size.
func (s *Store) pieces(key Key, flag int) (*os.File, error) {
	return s.root.OpenFile(key.String()+piecesEnd, flag|disk.LargeFile, 0o600)
}

func (s *Store) punch(e *entry, holes []byterange.Range) error {
	f, err := s.pieces(e.key, os.O_WRONLY)
	if err != nil {
		return err
	}
	for _, r := range holes {
		err = errors.Join(err, punch(f, r))
	}
	return errors.Join(err, f.Close())
}

// removeLocked takes a generation off the disk.
func (s *Store) removeLocked(e *entry) {
	delete(s.entries, e.key)
	s.tellLocked(e)
	s.size -= e.size
	err := errors.Join(gone(s.root.Remove(e.key.String()+indexEnd)), gone(s.root.Remove(e.key.String()+piecesEnd)))
	if err != nil {
		s.cfg.Log.Warn("cannot remove from the store", "file", e.key.String(), "error", err)
	}
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Prune makes the store smaller, if it is larger than limit bytes, and returns
// how many bytes went.
func (s *Store) Prune(limit int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, was := s.size, s.cfg.Limit
	s.cfg.Limit = limit
	s.makeRoomLocked(0)
	s.cfg.Limit = was
	return before - s.size
}

// Clear forgets everything and returns how many bytes went.
func (s *Store) Clear() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.size
	for _, e := range s.entries {
		s.removeLocked(e)
	}
	return before
}

// Entry is one generation in the store, for people.
type Entry struct {
	Identity
	Held int64     // bytes
	Used time.Time // last
	Name string    // of its files, without ending
}

// List returns what a store holds, what was used last first, without taking
// the store: a peerd may be at work on it.
func List(dir string) ([]Entry, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	s, err := look(Config{Dir: dir, Log: hclog.NewNullLogger()})
	if err != nil {
		return nil, err
	}
	var list []Entry
	for _, e := range s.entries {
		list = append(list, Entry{Identity: e.id, Held: e.size, Used: e.used, Name: e.key.String()})
	}
	slices.SortFunc(list, func(a, b Entry) int { return b.Used.Compare(a.Used) })
	return list, s.Close()
}

// Verify reads every piece and drops those that are damaged. It returns how
// many are whole and how many were not; each is told of every bad one.
func (s *Store) Verify(each func(Entry, byterange.Range)) (good, bad int) {
	s.mu.Lock()
	all := make([]*entry, 0, len(s.entries))
	for _, e := range s.entries {
		all = append(all, e)
	}
	s.mu.Unlock()
	for _, e := range all {
		for _, n := range s.numbers(e) {
			if s.check(e, n) {
				good++
				continue
			}
			bad++
			each(Entry{Identity: e.id, Name: e.key.String()}, e.rangeOf(n))
		}
	}
	return good, bad
}

func (s *Store) numbers(e *entry) []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(e.pieces))
}

// Path returns where a peer with that state directory keeps its store.
func Path(stateDir string) string { return filepath.Join(stateDir, "store") }
