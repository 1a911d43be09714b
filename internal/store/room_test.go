//go:build unix

package store_test

import (
	"errors"
	"io"
	"os"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/store"
)

// TestCountsWhatIsUnderWay reads many replies at once and closes none: what
// they write counts against the bound while they run, and all is given back
// when they are void.
func TestCountsWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	const limit = 8 * mib
	for name, end := range map[string]error{"whole": nil, "void": errdefs.BadReply} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, res := open(t, dir, limit), resource(url, 64*mib, `"v1"`)
			get(t, s, &source{}, resource(url+"2", 6*mib, `"v1"`), byterange.Range{Len: 6 * mib})
			var running []io.Closer
			for i := range int64(8) {
				reply, err := s.Opener(&source{end: end}, res).Open(t.Context(), res, byterange.Range{Off: i * 8 * mib, Len: 4 * mib})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, reply.Body); !errors.Is(err, end) {
					t.Fatal(err)
				}
				running = append(running, reply.Body)
				if used := allocated(t, dir); used > limit+mib {
					t.Fatalf("%d bytes are on disk after %d replies", used, i+1)
				}
			}
			for _, r := range running {
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if n := held(s, res); (n > 0) != (end == nil) || s.Size() > limit {
				t.Errorf("holds %d bytes of it, %d in all", n, s.Size())
			}
			// Nothing is left set aside: the whole bound can be filled.
			other := resource(url+"3", limit, `"v1"`)
			get(t, s, &source{}, other, byterange.Range{Len: limit})
			if s.Size() != limit || held(s, other) != limit {
				t.Errorf("holds %d bytes, %d of the newest", s.Size(), held(s, other))
			}
		})
	}
}

// allocated is the room that a directory's files take.
func allocated(t *testing.T, dir string) (n int64) {
	t.Helper()
	for _, file := range glob(t, dir, "*.pieces") {
		st, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		n += blocks(st)
	}
	return n
}

// TestShedsLittle: to take one piece in, a full store does not empty itself.
func TestShedsLittle(t *testing.T) {
	t.Parallel()
	const limit = 64 * mib
	s := open(t, t.TempDir(), limit)
	old := resource(url, limit, `"v1"`)
	get(t, s, &source{}, old, byterange.Range{Off: 32 * mib, Len: 32 * mib})
	get(t, s, &source{}, old, byterange.Range{Len: 32 * mib})
	for i := range int64(20) {
		get(t, s, &source{}, resource(url+"2", 20*mib, `"v1"`), byterange.Range{Off: i * mib, Len: mib})
		if size := s.Size(); size < limit-4*mib || size > limit {
			t.Fatalf("after %d pieces it holds %d MiB", i+1, size/mib)
		}
	}
	// What came first went first.
	for r := range s.Holds(store.IdentityOf(old.URL, old.Gen)) {
		if r.Off > 0 && r.Off < 48*mib || r.Off == 0 && r.Len != 32*mib {
			t.Errorf("%v is left", r)
		}
	}
}

// TestOrderOfComing: a piece that went and came again is as new as it is.
func TestOrderOfComing(t *testing.T) {
	t.Parallel()
	const limit = 8 * mib
	s := open(t, t.TempDir(), limit)
	res := resource(url, 12*mib, `"v1"`)
	fetch := func(n int64) {
		t.Helper()
		get(t, s, &source{}, res, byterange.Range{Off: n * mib, Len: mib})
	}
	for n := range int64(8) {
		fetch(n)
	}
	fetch(8) // 0 goes
	fetch(0) // 1 goes
	for _, n := range []int64{9, 10, 11, 1, 2} {
		fetch(n)
	}
	if got, want := pieces(s, res), []int64{0, 1, 2, 7, 8, 9, 10, 11}; len(got) != len(want) || got[0] != 0 || got[3] != 7 {
		t.Errorf("holds %v, want %v", got, want)
	}
}

func pieces(s *store.Store, res origin.Resource) (list []int64) {
	for r := range s.Holds(store.IdentityOf(res.URL, res.Gen)) {
		for off := r.Off; off < r.End(); off += mib {
			list = append(list, off/mib)
		}
	}
	return list
}

// TestRefusesWhatOthersMayWrite: they could put bytes there that are no
// origin's.
func TestRefusesWhatOthersMayWrite(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o770, 0o702, 0o777} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(store.Config{Dir: dir, Limit: mib}); !errors.Is(err, errdefs.OpenFile) {
			t.Errorf("%v: %v", mode, err)
		}
		if _, err := store.List(dir); !errors.Is(err, errdefs.OpenFile) {
			t.Errorf("list, %v: %v", mode, err)
		}
	}
}
