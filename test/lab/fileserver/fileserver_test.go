package fileserver_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"ddm/test/lab/fileserver"
)

func TestContentIsTheSameFromEveryOffset(t *testing.T) {
	t.Parallel()
	c, err := fileserver.Parse("/ranges/1003/a.bin")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := io.ReadAll(c.Reader())
	if err != nil || len(whole) != 1003 {
		t.Fatalf("read %d bytes, %v", len(whole), err)
	}
	for off := range whole {
		part := make([]byte, min(17, len(whole)-off))
		if _, err := c.ReadAt(part, int64(off)); err != nil {
			t.Fatalf("at %d: %v", off, err)
		}
		if !bytes.Equal(part, whole[off:off+len(part)]) {
			t.Fatalf("at %d: other bytes than in the whole", off)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/", "/ranges", "/ranges/x/a", "/ranges/-1/a", "/ranges/1/", "/other/1/a"} {
		if c, err := fileserver.Parse(path); err == nil {
			t.Errorf("%q: got %+v", path, c)
		}
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		path, ask    string
		status, size int
		ranges       string
	}{
		"whole":           {"/ranges/1000/a", "", 200, 1000, "bytes"},
		"range":           {"/ranges/1000/a", "bytes=10-19", 206, 10, "bytes"},
		"range, plain":    {"/plain/1000/a", "bytes=10-19", 200, 1000, ""},
		"nothing there":   {"/missing", "", 404, -1, ""},
		"empty":           {"/ranges/0/a", "bytes=0-9", 200, 0, "bytes"},
		"throttled range": {"/ranges/100000/a", "bytes=1-99998", 206, 99998, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			srv := fileserver.New(100<<20, &log)
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tc.path, http.NoBody)
			if tc.ask != "" {
				req.Header.Set("Range", tc.ask)
			}
			rec := httptest.NewRecorder()
			srv.ServeHTTP(rec, req)
			if rec.Code != tc.status || (tc.size >= 0 && rec.Body.Len() != tc.size) {
				t.Errorf("status %d with %d bytes, want %d with %d", rec.Code, rec.Body.Len(), tc.status, tc.size)
			}
			if got := rec.Header().Get("Accept-Ranges"); tc.size >= 0 && got != tc.ranges {
				t.Errorf("Accept-Ranges %q, want %q", got, tc.ranges)
			}
			checkLog(t, &log, tc.status, int64(rec.Body.Len()))
			for _, sent := range srv.Served() {
				if sent != int64(rec.Body.Len()) {
					t.Errorf("counted %d bytes, sent %d", sent, rec.Body.Len())
				}
			}
		})
	}
}

func checkLog(t *testing.T, log io.Reader, status int, size int64) {
	t.Helper()
	dec := json.NewDecoder(log)
	var start, end fileserver.Entry
	if err := dec.Decode(&start); err != nil {
		t.Fatal(err)
	}
	if err := dec.Decode(&end); err != nil {
		t.Fatal(err)
	}
	if start.Event != "start" || end.Event != "end" || start.ID != end.ID || end.Status != status || end.Bytes != size {
		t.Errorf("log says %+v then %+v, want status %d and %d bytes", start, end, status, size)
	}
}
