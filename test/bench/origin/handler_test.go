package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"ddm/test/bench/content"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	for field, want := range map[string]struct {
		off, end int64
		ok       bool
	}{
		"bytes=0-":       {0, 100, true},
		"bytes=0-0":      {0, 1, true},
		"bytes=10-19":    {10, 20, true},
		"bytes=90-1000":  {90, 100, true},
		"bytes=-10":      {90, 100, true},
		"bytes=-1000":    {0, 100, true},
		"bytes=100-":     {},
		"bytes=20-10":    {},
		"bytes=-0":       {},
		"bytes=-":        {},
		"bytes=1-2,5-6":  {},
		"pieces=0-9":     {},
		"bytes=0x1-2":    {},
		"bytes=--1":      {},
		"bytes 0-9":      {},
		"bytes=5-bytes=": {},
	} {
		off, end, ok := parseRange(field, 100)
		if off != want.off || end != want.end || ok != want.ok {
			t.Errorf("%s: %d, %d, %v; want %+v", field, off, end, ok, want)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	all := conducts()
	for _, tc := range []struct {
		kind string
		nth  int64
		want rate.Limit
	}{
		{"plain", 5, rate.Inf},
		{"conn", 5, 2 * mib},
		{"fifth", 4, 2 * mib},
		{"fifth", 5, slow},
		{"fifth", 10, slow},
	} {
		if got := limit(all[tc.kind], tc.nth); got != tc.want {
			t.Errorf("request %d of %s: %v, want %v", tc.nth, tc.kind, got, tc.want)
		}
	}
}

func TestEnter(t *testing.T) {
	t.Parallel()
	f := &file{live: make(map[string]int)}
	leave, ok := f.enter("10.0.0.1:1000", 2)
	_, ok2 := f.enter("10.0.0.1:1001", 2)
	_, ok3 := f.enter("10.0.0.1:1002", 2)
	_, other := f.enter("10.0.0.2:1000", 2)
	if !ok || !ok2 || ok3 || !other {
		t.Errorf("entered %v %v %v, another address %v", ok, ok2, ok3, other)
	}
	leave()
	if _, again := f.enter("10.0.0.1:1003", 2); !again || f.peak != 2 {
		t.Errorf("entered again %v, peak %d", again, f.peak)
	}
}

// TestServe gets a file whole and in part, and what was counted of it.
func TestServe(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(newHandler())
	srv.Config.ConnContext = withPace
	srv.Start()
	defer srv.Close()
	c, err := content.Parse("/plain/3000000/a.bin")
	if err != nil {
		t.Fatal(err)
	}
	want := c.Slice(content.NewBlock(), 1_000_000, 500)
	type reply struct {
		status     int
		span, body string
	}
	get := func(path, field string) reply {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if field != "" {
			req.Header.Set("Range", field)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return reply{resp.StatusCode, resp.Header.Get("Content-Range"), string(body)}
	}
	if r := get(c.Path(), ""); r.status != http.StatusOK || int64(len(r.body)) != c.Size || r.body[1_000_000:1_000_500] != string(want) {
		t.Errorf("whole: %d, %d bytes", r.status, len(r.body))
	}
	part := reply{http.StatusPartialContent, "bytes 1000000-1000499/3000000", string(want)}
	if r := get(c.Path(), "bytes=1000000-1000499"); r != part {
		t.Errorf("part: %d, %d bytes, %q", r.status, len(r.body), r.span)
	}
	if r := get(c.Path(), "bytes=3000000-"); r.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("beyond the end: %d", r.status)
	}
	if r := get("/odd/1/a", ""); r.status != http.StatusNotFound {
		t.Errorf("unknown kind: %d", r.status)
	}
	if r := get("/stats"+c.Path(), ""); r.body != `{"requests":3,"refused":0,"sent":3000500,"peak":1}`+"\n" {
		t.Errorf("counted %s", r.body)
	}
}

// TestFreeze stops one request for good, once, and lets the next one be.
func TestFreeze(t *testing.T) {
	t.Parallel()
	h := newHandler()
	h.conducts["odd"] = conduct{perConn: 1 << 40, at: 0.5, freeze: true}
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnContext = withPace
	srv.Start()
	defer srv.Close()
	client := srv.Client()
	client.Timeout = 500 * time.Millisecond
	for i, whole := range []bool{false, true} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/odd/1000000/a", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if (err == nil) != whole || whole && n != 1_000_000 || !whole && (n < 400_000 || n > 600_000) {
			t.Errorf("request %d: %d bytes, %v", i+1, n, err)
		}
	}
}
