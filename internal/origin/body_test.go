package origin_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

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
