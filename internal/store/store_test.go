package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/store"
)

const mib = 1 << 20

// pattern repeats at no piece's distance.
var pattern = func() []byte {
	b := make([]byte, 1_000_003)
	rng := rand.NewChaCha8([32]byte{1})
	_, _ = rng.Read(b)
	return b
}()

// truth is what the resource's bytes are.
func truth(r byterange.Range) []byte {
	b := make([]byte, r.Len)
	for at := int64(0); at < r.Len; {
		at += int64(copy(b[at:], pattern[(r.Off+at)%int64(len(pattern)):]))
	}
	return b
}

// source is an origin that counts what it is asked for.
type source struct {
	header http.Header
	end    error // after the last byte; nil: io.EOF
	asked  []byterange.Range
}

func (s *source) Open(_ context.Context, res origin.Resource, r byterange.Range) (*origin.Reply, error) {
	s.asked = append(s.asked, r)
	end := s.end
	if end == nil {
		end = io.EOF
	}
	return &origin.Reply{
		Gen: res.Gen, Level: origin.Strong, Range: r, Header: s.header,
		Body: io.NopCloser(io.MultiReader(bytes.NewReader(truth(r)), failing{end})),
	}, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func open(t *testing.T, dir string, limit int64) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Dir: dir, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func resource(url string, size int64, etag string) origin.Resource {
	return origin.Resource{URL: url, Gen: origin.Generation{Size: size, ETag: etag}}
}

// get reads a range as a client does, from the store what it has and the rest
// over the line, and checks every byte.
func get(t *testing.T, s *store.Store, line store.Line, res origin.Resource, want byterange.Range) (stored int64) {
	t.Helper()
	var rest byterange.Set
	rest.Add(want)
	for run := range s.Holds(store.IdentityOf(res.URL, res.Gen)) {
		n := read(t, s.Opener(nil, res), res, run.Intersect(want))
		rest.Subtract(byterange.Range{Off: run.Intersect(want).Off, Len: n})
		stored += n
	}
	for _, run := range slices.Collect(rest.All()) {
		if n := read(t, s.Opener(line, res), res, run); n != run.Len {
			t.Fatalf("%d bytes of %v", n, run)
		}
	}
	return stored
}

// read reads what one reply holds of r.
func read(t *testing.T, way *store.Opener, res origin.Resource, r byterange.Range) int64 {
	t.Helper()
	reply, err := way.Open(t.Context(), res, r)
	if errors.Is(err, errdefs.Unavailable) {
		return 0
	}
	if err != nil || reply.Range.Off != r.Off || reply.Range.Len > r.Len {
		t.Fatalf("%+v, %v for %v", reply, err, r)
	}
	b, err := io.ReadAll(reply.Body)
	if err != nil && !errors.Is(err, errdefs.BadReply) {
		t.Fatal(err)
	}
	got := byterange.Range{Off: r.Off, Len: int64(len(b))}
	if !bytes.Equal(b, truth(got)) {
		t.Fatalf("wrong bytes in %v", got)
	}
	if err := reply.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return got.Len
}

const url = "http://origin.test/f?token=secret"

// TestKeeps fetches twice, also after a restart: the second time the origin is
// asked only for what was no whole piece.
func TestKeeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, line := open(t, dir, 100*mib), &source{}
	res := resource(url, 5*mib+77, `"v1"`)
	get(t, s, line, res, byterange.Between(mib/2, 3*mib+5)) // pieces 1 and 2 are whole
	get(t, s, line, res, byterange.Between(4*mib, 5*mib+77))
	if got, want := held(s, res), int64(3*mib+77); got != want || s.Size() != want {
		t.Errorf("holds %d and %d bytes, want %d", got, s.Size(), want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 100*mib)
	line.asked = nil
	if stored := get(t, s, line, res, byterange.Range{Len: 5*mib + 77}); stored != 3*mib+77 {
		t.Errorf("%d bytes came from the store", stored)
	}
	if len(line.asked) != 2 || line.asked[0] != byterange.Between(0, mib) || line.asked[1] != byterange.Between(3*mib, 4*mib) {
		t.Errorf("asked for %v", line.asked)
	}
	line.asked = nil
	if get(t, s, line, res, byterange.Between(123, 5*mib)); len(line.asked) != 0 {
		t.Errorf("asked for %v although all is held", line.asked)
	}
	// Another generation, another URL, another coding: nothing is known of these.
	for _, other := range []origin.Resource{
		resource(url, 5*mib+77, `"v2"`), resource(url, 5*mib+78, `"v1"`), resource(url+"x", 5*mib+77, `"v1"`),
		{URL: url, Gen: origin.Generation{Size: 5*mib + 77, ETag: `"v1"`, Coding: "gzip"}},
	} {
		if stored := get(t, s, line, other, byterange.Between(0, 2*mib)); stored != 0 {
			t.Errorf("%+v got %d bytes of another", other, stored)
		}
	}
	for _, file := range glob(t, dir, "*") {
		if b, err := os.ReadFile(file); err == nil && bytes.Contains(b[:min(len(b), 4096)], []byte("secret")) {
			t.Errorf("%s holds a secret", file)
		}
	}
}

func held(s *store.Store, res origin.Resource) (n int64) {
	for r := range s.Holds(store.IdentityOf(res.URL, res.Gen)) {
		n += r.Len
	}
	return n
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestKeepsNot lists what others must never be given.
func TestKeepsNot(t *testing.T) {
	t.Parallel()
	strong := resource(url, 2*mib, `"v1"`)
	guarded := strong
	guarded.Header = http.Header{"Authorization": {"Basic x"}}
	for name, c := range map[string]struct {
		res  origin.Resource
		line *source
	}{
		"no validator":   {resource(url, 2*mib, ""), &source{}},
		"weak validator": {resource(url, 2*mib, `W/"v1"`), &source{}},
		"no-store":       {strong, &source{header: http.Header{"Cache-Control": {"public, No-Store"}}}},
		"private":        {strong, &source{header: http.Header{"Cache-Control": {"max-age=5", `private="x"`}}}},
		"cookie":         {strong, &source{header: http.Header{"Set-Cookie": {"id=5"}}}},
		"vary *":         {strong, &source{header: http.Header{"Vary": {"*"}}}},
		"vary by cookie": {strong, &source{header: http.Header{"Vary": {"Accept-Encoding, Cookie"}}}},
		"vary by agent":  {strong, &source{header: http.Header{"Vary": {"Origin", "user-agent"}}}},
		"own headers":    {guarded, &source{}},
		"condemned":      {strong, &source{end: errdefs.BadReply}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir(), 100*mib)
			get(t, s, c.line, c.res, byterange.Range{Len: 2 * mib})
			if s.Size() != 0 {
				t.Errorf("%d bytes were kept", s.Size())
			}
		})
	}
}

// TestKeepsAllTheSame lists what does not depend on who asks.
func TestKeepsAllTheSame(t *testing.T) {
	t.Parallel()
	for _, vary := range [][]string{{"Accept-Encoding"}, {"origin , ACCEPT-encoding", "Range"}, {""}} {
		s := open(t, t.TempDir(), 100*mib)
		get(t, s, &source{header: http.Header{"Vary": vary}}, resource(url, 2*mib, `"v1"`), byterange.Range{Len: 2 * mib})
		if s.Size() != 2*mib {
			t.Errorf("%q: %d bytes were kept", vary, s.Size())
		}
	}
}

// TestBitRot flips bits on disk: what is damaged is noticed, dropped, and
// fetched again.
func TestBitRot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, line, res := open(t, dir, 100*mib), &source{}, resource(url, 8*mib, `"v1"`)
	whole := byterange.Range{Len: 8 * mib}
	get(t, s, line, res, whole)
	file := glob(t, dir, "*.pieces")[0]
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		at := rng.Int64N(8 * mib)
		if _, err := f.WriteAt([]byte{truth(byterange.Range{Off: at, Len: 1})[0] ^ 1<<rng.IntN(8)}, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		line.asked = nil
		if i%2 == 0 {
			// What lies behind the damage comes from the line this time.
			if stored := get(t, s, line, res, whole); stored != at/mib*mib || len(line.asked) != 1 {
				t.Fatalf("%d bytes from the store, asked for %v", stored, line.asked)
			}
			if stored := get(t, s, line, res, whole); stored != 8*mib {
				t.Fatalf("%d bytes from the store after it was mended", stored)
			}
			continue
		}
		told := 0
		if good, bad := s.Verify(func(store.Entry, byterange.Range) { told++ }); good != 7 || bad != 1 || told != 1 {
			t.Fatalf("verified: %d good, %d bad, %d told", good, bad, told)
		}
		get(t, s, line, res, whole)
	}
	// A torn index is as good as its head; a file that is not one is dropped.
	index := glob(t, dir, "*.index")[0]
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{len(b) - 5, len(b) / 2, 3, 0} {
		if err := os.WriteFile(index, b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, 100*mib)
		get(t, s, line, res, whole)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBound never holds more than it may, and forgets the oldest first.
func TestBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, line := open(t, dir, 16*mib), &source{}
	res := func(name string, size int64) origin.Resource {
		return resource("http://origin.test/"+name, size, `"v"`)
	}
	get(t, s, line, res("a", 6*mib), byterange.Range{Len: 6 * mib})
	get(t, s, line, res("b", 6*mib), byterange.Range{Len: 6 * mib})
	get(t, s, line, res("a", 6*mib), byterange.Range{Len: 6 * mib}) // used again
	get(t, s, line, res("c", 6*mib), byterange.Range{Len: 6 * mib})
	if a, b, c := held(s, res("a", 6*mib)), held(s, res("b", 6*mib)), held(s, res("c", 6*mib)); a != 6*mib || b > 4*mib || c != 6*mib {
		t.Errorf("holds %d, %d, %d", a, b, c)
	}
	get(t, s, line, res("d", 40*mib), byterange.Range{Len: 40 * mib}) // larger than the store
	if s.Size() > 16*mib || held(s, res("d", 40*mib)) < 8*mib {
		t.Errorf("holds %d bytes, %d of them of the newest", s.Size(), held(s, res("d", 40*mib)))
	}
	list, err := store.List(dir)
	if err != nil || len(list) == 0 || list[0].Held != held(s, res("d", 40*mib)) || list[0].URL != "http://origin.test/d" {
		t.Errorf("lists %+v, %v", list, err)
	}
	if went := s.Prune(5 * mib); s.Size() > 5*mib || went < 3*mib {
		t.Errorf("pruned %d, %d left", went, s.Size())
	}
	if _, err := store.Open(store.Config{Dir: dir, Limit: mib}); !errors.Is(err, errdefs.Locked) {
		t.Errorf("a second one: %v", err)
	}
	if s.Clear(); s.Size() != 0 || len(glob(t, dir, "*.pieces"))+len(glob(t, dir, "*.index")) != 0 {
		t.Errorf("%d bytes are left: %v", s.Size(), glob(t, dir, "*"))
	}
}

// TestKeepsWhatItsClientsFetch keeps what is asked for with the name of a
// program in the request: every client says that.
func TestKeepsWhatItsClientsFetch(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), 100*mib)
	res := resource(url, 2*mib, `"v1"`)
	res.Header = http.Header{"User-Agent": {"ddm/1"}}
	get(t, s, &source{}, res, byterange.Range{Len: 2 * mib})
	if s.Size() != 2*mib {
		t.Errorf("%d bytes are kept, want all", s.Size())
	}
}
