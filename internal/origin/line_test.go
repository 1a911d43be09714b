package origin_test

import (
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"testing"

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
