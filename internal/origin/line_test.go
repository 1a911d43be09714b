package origin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

const size = 3<<20 + 17

func newLine(t *testing.T, cfg origin.LineConfig) *origin.Line {
	t.Helper()
	if cfg.Policy == nil {
		cfg.Policy = origin.AllowAll()
	}
	l, err := origin.NewLine(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// readAll reads a reply's body, closes it and checks the bytes against the file.
func readAll(t *testing.T, r *origin.Reply, f origintest.File) (int64, error) {
	t.Helper()
	got, err := io.ReadAll(r.Body)
	if err := r.Body.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if !f.Verify(got, r.Range.Off) {
		t.Errorf("%d bytes from %d on are wrong", len(got), r.Range.Off)
	}
	return int64(len(got)), err
}

func pin(f origintest.File) origin.Generation {
	g := origin.Generation{Size: f.Size, ETag: f.ETag}
	if !f.Modified.IsZero() {
		g.LastModified = f.Modified.UTC().Format(http.TimeFormat)
	}
	return g
}

func TestProbe(t *testing.T) {
	good := origintest.NewFile(size, 1)
	bare := good
	bare.ETag, bare.Modified = "", time.Time{}
	dated := good
	dated.ETag = ""
	young := dated
	young.Modified = time.Now()
	empty := origintest.NewFile(0, 1)
	one := origintest.NewFile(1, 1)
	huge := origintest.NewFile(10<<40, 1)
	tests := []struct {
		name  string
		file  origintest.File
		whole bool
		level origin.Level
		size  int64
		n     int64 // bytes of the body
		asked int   // requests
	}{
		{"strong", good, false, origin.Strong, size, 1 << 20, 1},
		{"weak", dated, false, origin.Weak, size, 1 << 20, 1},
		{"young", young, false, origin.Sampled, size, 1 << 20, 1},
		{"bare", bare, false, origin.None, size, 1 << 20, 1},
		{"weak tag", bare.With(origintest.Fault{Set: []string{`Etag: W/"a"`}}), false, origin.Sampled, size, 1 << 20, 1},
		{"ranges denied in words only", good.With(origintest.Fault{Set: []string{"Accept-Ranges:", "Accept-Ranges: none"}}), false, origin.Strong, size, 1 << 20, 1},
		{"short", good.With(origintest.Fault{Short: 5}), false, origin.Strong, size, 5, 1},
		{"chunked", good.With(origintest.Fault{Chunked: true}), false, origin.Strong, size, 1 << 20, 1},
		{"closed", good.With(origintest.Fault{NoLength: true}), false, origin.Strong, size, 1 << 20, 1},
		{"ten terabytes", huge, false, origin.Strong, 10 << 40, 1 << 20, 1},
		{"one byte", one, false, origin.Strong, 1, 1, 1},
		{"no ranges", good.With(origintest.Fault{Status: 200}), true, origin.Strong, size, size, 1},
		{"no ranges, 206 fields", good.With(origintest.Fault{Status: 200, ContentRange: []string{"bytes 0-5/9"}}), true, origin.Strong, size, size, 1},
		{"no ranges, no length", good.With(origintest.Fault{Status: 200, NoLength: true}), true, origin.None, -1, size, 1},
		{"no ranges, chunked", good.With(origintest.Fault{Status: 200, Chunked: true}), true, origin.None, -1, size, 1},
		{"length unknown in 206", good.With(origintest.Fault{ContentRange: []string{"bytes 0-1048575/*"}}), true, origin.Strong, size, size, 2},
		{"empty, 416", empty, false, origin.Strong, 0, 0, 1},
		{"empty, bare 416", empty.With(origintest.Fault{ContentRange: []string{}}), true, origin.Strong, 0, 0, 2},
		{"empty, 200", empty.With(origintest.Fault{Status: 200}), true, origin.Strong, 0, 0, 1},
		{"empty, nonsense", empty.With(origintest.Fault{Count: 1, Become: &one, Short: 1, Excess: -1, ContentRange: []string{"bytes 0--1/0"}}, origintest.Fault{Skip: 1, Status: 200}), true, origin.Strong, 0, 0, 2},
	}
	srv := origintest.New(t, origintest.Options{})
	line := newLine(t, origin.LineConfig{})
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := fmt.Sprintf("/%d/file", i)
			srv.Set(path, tt.file)
			before := srv.Total()
			r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + path + "#part"})
			if err != nil {
				t.Fatal(err)
			}
			if r.Whole != tt.whole || r.Level != tt.level || r.Gen.Size != tt.size || r.FinalURL != srv.URL+path {
				t.Errorf("%+v, want whole %v, level %v, size %d", r, tt.whole, tt.level, tt.size)
			}
			if want := tt.n; r.Range.Len != want && (tt.size >= 0 || r.Range.Len != math.MaxInt64) {
				t.Errorf("range %v, want %d bytes", r.Range, want)
			}
			if n, err := readAll(t, r, tt.file); n != tt.n || err != nil {
				t.Errorf("read %d bytes, %v, want %d", n, err, tt.n)
			}
			if asked := srv.Total() - before; asked != tt.asked {
				t.Errorf("%d requests, want %d", asked, tt.asked)
			}
		})
	}
	for _, e := range srv.Requests() {
		if e.Method != http.MethodGet || e.Header.Get("Accept-Encoding") != "identity" || e.Header.Get("User-Agent") != "ddm" {
			t.Errorf("request %+v", e)
		}
	}
}

// TestProbeUnasked: a 206 to the request that asks for the whole.
func TestProbeUnasked(t *testing.T) {
	f := origintest.NewFile(100, 1).With(
		origintest.Fault{Count: 1, ContentRange: []string{"bytes 0-9/*"}},
		origintest.Fault{Skip: 1, Status: 206, ContentRange: []string{"bytes 0-99/100"}})
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	_, err := newLine(t, origin.LineConfig{}).Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + "/f", First: 10})
	if errdefs.KindOf(err) != errdefs.BadReply || srv.Total() != 2 {
		t.Errorf("%v after %d requests, want %q", err, srv.Total(), errdefs.BadReply)
	}
}

func TestProbeFrom(t *testing.T) {
	f := origintest.NewFile(100, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	line := newLine(t, origin.LineConfig{})
	for from, want := range map[int64]int64{0: 10, 95: 5, 100: 0, 200: 0} {
		r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + "/f", From: from, First: 10})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := readAll(t, r, f); n != want || err != nil || r.Gen.Size != 100 || r.Whole {
			t.Errorf("from %d: %d bytes, %v, %+v", from, n, err, r)
		}
	}
}

// failure is a reply that must not be accepted, with its kind.
type failure struct {
	name  string
	fault origintest.Fault
	probe errdefs.Kind
	open  errdefs.Kind
}

func failures() []failure {
	list := []failure{
		{"ignores range", origintest.Fault{Status: 200}, "", errdefs.NoRanges},
		{"shifted", origintest.Fault{Shift: 1}, errdefs.BadReply, errdefs.BadReply},
		{"no Content-Range", origintest.Fault{ContentRange: []string{}}, errdefs.BadReply, errdefs.BadReply},
		{"wrong Content-Range", origintest.Fault{ContentRange: []string{"bytes 7-8/9"}}, errdefs.BadReply, errdefs.BadReply},
		{"two", origintest.Fault{ContentRange: []string{"bytes 0-9/100", "bytes 0-8/100"}}, errdefs.BadReply, errdefs.BadReply},
		{"overflow", origintest.Fault{ContentRange: []string{"bytes 0-9/9999999999999999999"}}, errdefs.BadReply, errdefs.BadReply},
		{"multipart", origintest.Fault{Multipart: true}, errdefs.BadReply, errdefs.BadReply},
		{"longer than its range", origintest.Fault{Excess: 1}, errdefs.BadReply, errdefs.BadReply},
		{"two tags", origintest.Fault{Set: []string{`Etag: "x"`}}, errdefs.BadReply, errdefs.BadReply},
		{"gzip all the same", origintest.Fault{Set: []string{"Content-Encoding: gzip"}}, "", errdefs.Changed},
		{"416 without length", origintest.Fault{Status: 416}, errdefs.BadReply, errdefs.BadRange},
		{"416 with this length", origintest.Fault{Status: 416, Set: []string{"Content-Range: bytes */100"}}, errdefs.BadReply, errdefs.BadRange},
		{"416 with a length", origintest.Fault{Status: 416, Set: []string{"Content-Range: bytes */7"}}, errdefs.BadReply, errdefs.Changed},
		{"no location", origintest.Fault{Status: 302}, errdefs.BadReply, errdefs.BadReply},
		{"ftp", origintest.Fault{Location: "ftp://127.0.0.1/"}, errdefs.BadReply, errdefs.BadReply},
		{"userinfo", origintest.Fault{Location: "http://a:b@127.0.0.1/"}, errdefs.BadReply, errdefs.BadReply},
		{"itself", origintest.Fault{Location: "?"}, errdefs.Redirects, errdefs.Redirects},
		{"huge header", origintest.Fault{Set: []string{"X-Much: " + strings.Repeat("x", 100<<10)}}, errdefs.BadReply, errdefs.BadReply},
	}
	for status, kind := range map[int]errdefs.Kind{
		401: errdefs.Unauthorized, 403: errdefs.Unauthorized, 407: errdefs.Unauthorized, 404: errdefs.NotFound, 410: errdefs.NotFound,
		408: errdefs.Timeout, 421: errdefs.Unavailable, 425: errdefs.Unavailable, 429: errdefs.Busy, 503: errdefs.Busy,
		500: errdefs.Unavailable, 502: errdefs.Unavailable, 504: errdefs.Unavailable, 522: errdefs.Unavailable, 524: errdefs.Unavailable,
		400: errdefs.BadReply, 451: errdefs.BadReply, 501: errdefs.BadReply, 204: errdefs.BadReply, 300: errdefs.BadReply,
	} {
		list = append(list, failure{fmt.Sprint(status), origintest.Fault{Status: status, RetryAfter: "3"}, kind, kind})
	}
	return list
}

func TestFailures(t *testing.T) {
	f := origintest.NewFile(100, 1)
	srv := origintest.New(t, origintest.Options{})
	line := newLine(t, origin.LineConfig{})
	for i, tt := range failures() {
		t.Run(tt.name, func(t *testing.T) {
			path := fmt.Sprintf("/%d", i)
			srv.Set(path, f.With(tt.fault))
			if r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + path, First: 10}); errdefs.KindOf(err) != tt.probe {
				t.Errorf("probe: %v, want kind %q", err, tt.probe)
			} else if err == nil {
				_ = r.Body.Close()
			}
			_, err := line.Open(t.Context(), origin.Resource{URL: srv.URL + path, Gen: pin(f)}, byterange.Range{Len: 10})
			if errdefs.KindOf(err) != tt.open {
				t.Errorf("open: %v, want kind %q", err, tt.open)
			}
			wait, ok := errdefs.RetryAfterOf(err)
			if ok != (tt.open == errdefs.Busy) || ok && wait != 3*time.Second {
				t.Errorf("wait %v, %v", wait, ok)
			}
		})
	}
}

func TestOpen(t *testing.T) {
	f := origintest.NewFile(size, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	line := newLine(t, origin.LineConfig{Name: "eth0"})
	res := origin.Resource{URL: srv.URL + "/f", Gen: pin(f)}
	for _, r := range []byterange.Range{{Len: 1}, {Off: size - 1, Len: 1}, {Off: 12345, Len: 1 << 20}, {Len: size}} {
		reply, err := line.Open(t.Context(), res, r)
		if err != nil {
			t.Fatal(err)
		}
		if reply.Range != r || reply.Level != origin.Strong || reply.Gen != res.Gen || reply.Whole || !reply.Modified.Equal(f.Modified) {
			t.Errorf("%v: %+v", r, reply)
		}
		if n, err := readAll(t, reply, f); n != r.Len || err != nil {
			t.Errorf("%v: %d bytes, %v", r, n, err)
		}
	}
	conns := map[string]bool{}
	for _, e := range srv.Requests() {
		conns[e.Conn] = true
	}
	if len(conns) != 1 {
		t.Errorf("%d connections for requests one after another, want 1", len(conns))
	}
	for _, r := range []byterange.Range{{}, {Off: -1, Len: 1}, {Off: size, Len: 1}, {Off: math.MaxInt64, Len: 2}} {
		if _, err := line.Open(t.Context(), res, r); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("Open(%v): %v, want Invalid", r, err)
		}
	}
	if line.Name() != "eth0" {
		t.Errorf("name %q", line.Name())
	}
}

func TestChangesMidway(t *testing.T) {
	f := origintest.NewFile(100, 1)
	other := origintest.NewFile(100, 2)
	longer := origintest.NewFile(101, 1)
	tag := `"other"`
	for _, tt := range []struct {
		name  string
		fault origintest.Fault
		kind  errdefs.Kind
		level origin.Level
	}{
		{"content", origintest.Fault{Skip: 1, Become: &other}, errdefs.Changed, 0},
		{"length", origintest.Fault{Skip: 1, Become: &longer}, errdefs.Changed, 0},
		{"tag of another node", origintest.Fault{Skip: 1, ETag: &tag}, "", origin.Weak},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f.With(tt.fault)}})
			line := newLine(t, origin.LineConfig{})
			probe, err := line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + "/f", First: 10})
			if err != nil {
				t.Fatal(err)
			}
			_ = probe.Body.Close()
			r, err := line.Open(t.Context(), origin.Resource{URL: srv.URL + "/f", Gen: probe.Gen}, byterange.Range{Off: 10, Len: 10})
			if errdefs.KindOf(err) != tt.kind {
				t.Fatalf("%v, want kind %q", err, tt.kind)
			}
			if err != nil {
				return
			}
			if n, err := readAll(t, r, f); n != 10 || err != nil || r.Level != tt.level {
				t.Errorf("%d bytes, %v, level %v", n, err, r.Level)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	f := origintest.NewFile(size, 1)
	const ask, cut = 1 << 20, 100_000
	for _, tt := range []struct {
		name  string
		fault origintest.Fault
		kind  errdefs.Kind
		least int64 // bytes that must have come
	}{
		{"truncated", origintest.Fault{End: origintest.Truncate, After: cut}, errdefs.Unavailable, cut},
		{"truncated, chunked", origintest.Fault{End: origintest.Truncate, After: cut, Chunked: true}, errdefs.Unavailable, cut},
		{"truncated, no length", origintest.Fault{End: origintest.Truncate, After: cut, NoLength: true}, errdefs.Unavailable, cut},
		{"reset", origintest.Fault{End: origintest.Reset, After: cut}, errdefs.Unavailable, 0},
		{"all sent, end missing", origintest.Fault{End: origintest.Truncate, After: ask, Chunked: true}, "", ask},
		{"excess, chunked", origintest.Fault{Excess: 1, Chunked: true}, errdefs.BadReply, ask},
		{"excess, no length", origintest.Fault{Excess: 70_000, NoLength: true}, errdefs.BadReply, ask},
		{"right digest", origintest.Fault{ContentDigest: origintest.RightDigest}, "", ask},
		{"right digest, chunked", origintest.Fault{ContentDigest: origintest.RightDigest, Chunked: true}, "", ask},
		{"wrong digest", origintest.Fault{ContentDigest: origintest.WrongDigest}, errdefs.BadReply, ask},
		{"wrong digest, chunked", origintest.Fault{ContentDigest: origintest.WrongDigest, Chunked: true}, errdefs.BadReply, ask},
		{"wrong digest, no length", origintest.Fault{ContentDigest: origintest.WrongDigest, NoLength: true}, errdefs.BadReply, ask},
		{"digest of a short reply", origintest.Fault{ContentDigest: origintest.RightDigest, Short: cut}, "", cut},
		{"digests nobody knows", origintest.Fault{Set: []string{"Content-Digest: unixsum=:AAAA:, sha-256=:AAAA:"}}, "", ask},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f.With(tt.fault)}})
			line := newLine(t, origin.LineConfig{})
			r, err := line.Open(t.Context(), origin.Resource{URL: srv.URL + "/f", Gen: pin(f)}, byterange.Range{Off: 3, Len: ask})
			if err != nil {
				t.Fatal(err)
			}
			n, err := readAll(t, r, f)
			if errdefs.KindOf(err) != tt.kind || n < tt.least || n > ask {
				t.Errorf("%d bytes, %v, want kind %q and at least %d", n, err, tt.kind, tt.least)
			}
			short := tt.fault.End == origintest.Truncate && tt.kind != ""
			if short != errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v: unexpected EOF is %v", err, short)
			}
			if again, err2 := r.Body.Read(make([]byte, 1)); again != 0 || err2 == nil {
				t.Errorf("a Read after the end gave %d, %v", again, err2)
			}
		})
	}
}

func TestCloseKeepsCheapConnections(t *testing.T) {
	f := origintest.NewFile(64<<20, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	line := newLine(t, origin.LineConfig{})
	res := origin.Resource{URL: srv.URL + "/f", Gen: pin(f)}
	use := func(n int64, read int) {
		r, err := line.Open(t.Context(), res, byterange.Range{Len: n})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r.Body, make([]byte, read)); err != nil {
			t.Fatal(err)
		}
		if err := r.Body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	use(100<<10, 60<<10) // 40 KiB are read off
	use(64<<20, 1)       // too much is left: this connection goes
	use(10, 10)
	e := srv.Requests()
	if e[0].Conn != e[1].Conn || e[1].Conn == e[2].Conn {
		t.Errorf("connections %s, %s, %s: want the first one kept, the second not", e[0].Conn, e[1].Conn, e[2].Conn)
	}
}

func TestGetsEndWithTheirContext(t *testing.T) {
	f := origintest.NewFile(1<<30, 1).With(origintest.Fault{End: origintest.Stall, After: 1000})
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	line := newLine(t, origin.LineConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := line.Open(ctx, origin.Resource{URL: srv.URL + "/f", Gen: pin(f)}, byterange.Range{Len: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(10*time.Millisecond, cancel)
	defer stop.Stop()
	if _, err := io.ReadAll(r.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	_ = r.Body.Close()
	waitIdle(t, srv)
	if _, err := line.Open(ctx, origin.Resource{URL: srv.URL + "/f", Gen: pin(f)}, byterange.Range{Len: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with an ended context: %v", err)
	}
}

// waitIdle waits until the origin serves nobody.
func waitIdle(t *testing.T, srv *origintest.Server) {
	t.Helper()
	for srv.Live("") > 0 {
		select {
		case <-t.Context().Done():
			t.Fatal("requests are still running")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestUnreachable(t *testing.T) {
	var lc net.ListenConfig
	lis, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := lis.Addr().String()
	_ = lis.Close()
	srv := origintest.New(t, origintest.Options{TLS: true})
	plain := origintest.New(t, origintest.Options{})
	for _, tt := range []struct {
		name, url string
		cfg       origin.LineConfig
		kind      errdefs.Kind
	}{
		{"nobody listens", "http://" + closed + "/?secret=1", origin.LineConfig{}, errdefs.Unavailable},
		{"no such name", "http://nowhere.invalid/?secret=1", origin.LineConfig{Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "nowhere.invalid", IsNotFound: true}
		}}, errdefs.Unresolved},
		{"unknown authority", srv.URL + "/bytes/10?secret=1", origin.LineConfig{}, errdefs.Refused},
		{"known authority", srv.URL + "/bytes/10", origin.LineConfig{RootCAs: srv.Roots()}, ""},
		{"private address", plain.URL + "/bytes/10?secret=1", origin.LineConfig{Policy: origin.PublicOnly(nil, nil)}, errdefs.Refused},
		{"private name", "http://localhost" + plain.URL[len("http://127.0.0.1"):] + "/bytes/10", origin.LineConfig{Policy: origin.PublicOnly(nil, nil)}, errdefs.Refused},
		{"no HTTP", "http" + srv.URL[len("https"):] + "/", origin.LineConfig{}, errdefs.BadReply},
		{"other scheme", "ftp://127.0.0.1/?secret=1", origin.LineConfig{}, errdefs.Invalid},
		{"no host", "http:///x?secret=1", origin.LineConfig{}, errdefs.Invalid},
		{"userinfo", "http://user:secret@127.0.0.1/", origin.LineConfig{}, errdefs.Invalid},
		{"malformed", "http://127.0.0.1/%zz?secret=1", origin.LineConfig{}, errdefs.Invalid},
		{"too long", "http://127.0.0.1/" + strings.Repeat("x", 9000), origin.LineConfig{}, errdefs.Invalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := newLine(t, tt.cfg).Probe(t.Context(), origin.ProbeRequest{URL: tt.url})
			if errdefs.KindOf(err) != tt.kind {
				t.Errorf("%v, want kind %q", err, tt.kind)
			}
			if err == nil {
				_ = r.Body.Close()
			} else if strings.Contains(err.Error(), "secret") {
				t.Errorf("the text tells a secret: %v", err)
			}
			if tt.kind == errdefs.Refused && strings.Contains(tt.name, "private") && strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the text tells the address: %v", err)
			}
		})
	}
}

func TestBind(t *testing.T) {
	f := origintest.NewFile(10, 1)
	srv := origintest.New(t, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	from := func(bind string) string {
		r, err := newLine(t, origin.LineConfig{Bind: bind}).Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + "/f"})
		if err != nil {
			t.Fatalf("%s: %v", bind, err)
		}
		_, _ = readAll(t, r, f)
		all := srv.Requests()
		return all[len(all)-1].Client
	}
	if got := from("127.0.0.1"); got != "127.0.0.1" {
		t.Errorf("came from %s", got)
	}
	ifaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range ifaces {
		if i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 {
			if got := from(i.Name); got != "127.0.0.1" {
				t.Errorf("through %s came from %s", i.Name, got)
			}
		}
	}
	for _, bad := range []string{"203.0.113.99", "no-such-if0", "2001:db8::99"} {
		if _, err := origin.NewLine(origin.LineConfig{Bind: bad}); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("Bind %q: %v, want Invalid", bad, err)
		}
	}
}

func TestWireGeneration(t *testing.T) {
	for _, g := range []origin.Generation{{}, {Size: -1}, {Size: 1 << 42, ETag: `W/"x"`, LastModified: oldLM, Coding: "gzip"}} {
		if got := origin.GenerationFromProto(origin.GenerationToProto(g)); got != g {
			t.Errorf("%+v came back as %+v", g, got)
		}
	}
	if g := origin.GenerationFromProto(nil); g != (origin.Generation{Size: -1}) {
		t.Errorf("absent: %+v", g)
	}
}

// BenchmarkBody reads 64 MiB over loopback in reads of 256 KiB.
func BenchmarkBody(b *testing.B) {
	f := origintest.NewFile(64<<20, 1)
	srv := origintest.New(b, origintest.Options{Files: map[string]origintest.File{"/f": f}})
	line, err := origin.NewLine(origin.LineConfig{Policy: origin.AllowAll()})
	if err != nil {
		b.Fatal(err)
	}
	defer line.Close()
	buf := make([]byte, 256<<10)
	b.SetBytes(f.Size)
	b.ReportAllocs()
	for b.Loop() {
		r, err := line.Open(b.Context(), origin.Resource{URL: srv.URL + "/f", Gen: pin(f)}, byterange.Range{Len: f.Size})
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Body.Read(buf)
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
		if err := r.Body.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
