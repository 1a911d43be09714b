package origin_test

import (
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

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
