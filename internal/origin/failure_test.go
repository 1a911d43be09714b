package origin_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

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
