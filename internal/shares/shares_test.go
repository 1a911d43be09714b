package shares_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/internal/origin"
	"ddm/internal/shares"
)

func content(n int, seed uint64) []byte {
	b := make([]byte, n)
	rng := rand.New(rand.NewPCG(seed, 7))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// put writes a file that nobody has touched for long.
func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	age(t, path, time.Hour)
}

func age(t *testing.T, path string, by time.Duration) {
	t.Helper()
	at := time.Now().Add(-by)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// world is some shared paths on fake time.
type world struct {
	t     *testing.T
	dir   string
	shelf *offer.Shelf
	files *shares.Files
}

func inBubble(t *testing.T, prepare func(dir string) []string, do func(w *world)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, dir: dir, shelf: offer.NewShelf()}
		w.files = shares.New(shares.Config{Paths: prepare(dir), Shelf: w.shelf})
		var running sync.WaitGroup
		running.Go(func() { w.files.Run(t.Context()) })
		t.Cleanup(func() {
			running.Wait()
			if len(w.files.Items()) > 0 || !w.shelf.Empty() {
				t.Error("something is on offer after the end")
			}
		})
		<-w.files.Ready()
		do(w)
	})
}

func (w *world) names() (names []string) {
	for _, i := range w.files.Items() {
		names = append(names, i.Name)
	}
	return names
}

func (w *world) want(names ...string) {
	w.t.Helper()
	if got := w.names(); fmt.Sprint(got) != fmt.Sprint(names) {
		w.t.Errorf("on offer are %q, want %q", got, names)
	}
}

func resource(b []byte) origin.Resource {
	i := shares.Item{SHA256: sha256.Sum256(b), Size: int64(len(b))}
	return origin.Resource{URL: i.URL(), Gen: i.Generation()}
}

// read takes a range off the shelf.
func (w *world) read(b []byte, r byterange.Range) ([]byte, error) {
	reply, err := w.shelf.Open(w.t.Context(), resource(b), r)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(reply.Body)
}

func TestFilesAreServedByDigest(t *testing.T) {
	const size = 3<<20 + 77
	a, b := content(size, 1), content(100, 2)
	inBubble(t, func(dir string) []string {
		put(t, filepath.Join(dir, "folder", "a.iso"), a)
		put(t, filepath.Join(dir, "folder", "deep", "b"), b)
		put(t, filepath.Join(dir, "folder", ".hidden"), b)
		put(t, filepath.Join(dir, "folder", ".git", "c"), b)
		put(t, filepath.Join(dir, "folder", "empty"), nil)
		put(t, filepath.Join(dir, "alone"), b)
		if err := os.Symlink(filepath.Join(dir, "alone"), filepath.Join(dir, "folder", "link")); err != nil {
			t.Fatal(err)
		}
		return []string{filepath.Join(dir, "folder"), filepath.Join(dir, "alone"), filepath.Join(dir, "none")}
	}, func(w *world) {
		w.want("a.iso", "alone", "b")
		for _, r := range []byterange.Range{{Len: size}, {Off: 1, Len: 5}, {Off: 65_535, Len: 2}, {Off: size - 77, Len: 77}, {Off: 65_536, Len: 131_072}} {
			if got, err := w.read(a, r); err != nil || !bytes.Equal(got, a[r.Off:r.End()]) {
				t.Errorf("%v: %d bytes, %v, or others", r, len(got), err)
			}
		}
		if _, err := w.read(content(size, 3), byterange.Range{Len: 1}); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("what nobody has: %v", err)
		}
	})
}

// TestChangesAreNoticed: at the next look, or at the next read if that is
// earlier, and even when length and time are as they were.
func TestChangesAreNoticed(t *testing.T) {
	old, next := content(200_000, 1), content(200_000, 2)
	all := byterange.Range{Len: 200_000}
	for name, c := range map[string]struct {
		change func(t *testing.T, path string)
		after  []string // on offer a while later
		reads  bool     // the change shows at a read only
	}{
		"written to": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, next, 0o600); err != nil {
				t.Fatal(err)
			}
		}, []string{"f"}, false},
		"replaced": {func(t *testing.T, path string) {
			put(t, path+".new", next)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}, []string{"f"}, false},
		"removed": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, nil, false},
		"a byte flipped, its time put back": {func(t *testing.T, path string) {
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			b := bytes.Clone(old)
			b[150_000] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, st.ModTime(), st.ModTime()); err != nil {
				t.Fatal(err)
			}
		}, []string{"f"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(dir string) []string {
				put(t, filepath.Join(dir, "f"), old)
				return []string{filepath.Join(dir, "f")}
			}, func(w *world) {
				w.want("f")
				before := w.files.Items()[0]
				changed := w.shelf.Changed(resource(old))
				c.change(t, filepath.Join(w.dir, "f"))
				if c.reads {
					if _, err := w.read(old, all); !errors.Is(err, errdefs.Unavailable) {
						t.Errorf("read: %v", err)
					}
				}
				<-changed
				if held := w.shelf.Holds(resource(old)); held.Bytes() != 0 {
					t.Errorf("%d bytes of the old one are held", held.Bytes())
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				w.want(c.after...)
				for _, i := range w.files.Items() {
					if i == before {
						t.Error("it is listed as what it was")
					}
				}
			})
		})
	}
}

func TestAFolderIsWatched(t *testing.T) {
	b := content(1000, 1)
	inBubble(t, func(dir string) []string { return []string{dir} }, func(w *world) {
		w.want()
		changed := w.files.Changed()
		put(t, filepath.Join(w.dir, "later"), b)
		put(t, filepath.Join(w.dir, "busy"), b)
		age(t, filepath.Join(w.dir, "busy"), -time.Hour) // still being written
		<-changed
		w.want("later")
		changed = w.files.Changed()
		if err := os.Remove(filepath.Join(w.dir, "later")); err != nil {
			t.Fatal(err)
		}
		<-changed
		w.want()
	})
}

// TestAddedFile is on offer soon, beside its folder's others, which are not,
// until it changes or goes.
func TestAddedFile(t *testing.T) {
	a, b := content(100_000, 21), content(50_000, 22)
	inBubble(t, func(dir string) []string {
		put(t, filepath.Join(dir, "in", "other"), b)
		put(t, filepath.Join(dir, "shared"), b)
		return []string{filepath.Join(dir, "shared")}
	}, func(w *world) {
		path := filepath.Join(w.dir, "in", "got")
		if err := os.WriteFile(path, a, 0o600); err != nil {
			w.t.Fatal(err)
		}
		w.files.Add(path)
		w.files.Add(path)
		time.Sleep(4 * time.Second)
		w.want("got", "shared")
		if got, err := w.read(a, byterange.Range{Len: 100_000}); err != nil || !bytes.Equal(got, a) {
			w.t.Errorf("%d bytes, %v", len(got), err)
		}
		if err := os.Remove(path); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		w.want("shared")
	})
}
