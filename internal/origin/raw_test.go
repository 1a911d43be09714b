package origin_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

// raw is an origin that answers every request with the same bytes, which
// net/http would never send.
func raw(t *testing.T, answer string) (url string) {
	t.Helper()
	var lc net.ListenConfig
	lis, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.WriteString(conn, answer)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = lis.Close()
		serving.Wait()
	})
	return "http://" + lis.Addr().String() + "/f"
}

// TestFraming: heads that contradict themselves.
func TestFraming(t *testing.T) {
	const partial = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/10\r\nEtag: \"a\"\r\n"
	const chunks = "Transfer-Encoding: chunked\r\n"
	for _, tt := range []struct {
		name, answer string
		kind         errdefs.Kind
		body         string
	}{
		{"as it should be", partial + "Content-Length: 5\r\n\r\nhello", "", "hello"},
		{"two lengths", partial + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", errdefs.BadReply, ""},
		{"one length twice", partial + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "", "hello"},
		{"list of lengths", partial + "Content-Length: 5, 5\r\n\r\nhello", errdefs.BadReply, ""},
		{"signed length", partial + "Content-Length: +5\r\n\r\nhello", errdefs.BadReply, ""},
		{"overflowing length", partial + "Content-Length: 99999999999999999999\r\n\r\nhello", errdefs.BadReply, ""},
		{"chunks beside a length", partial + chunks + "Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "", "hello"},
		{"chunks that say more", partial + chunks + "Content-Length: 5\r\n\r\n6\r\nhello!\r\n0\r\n\r\n", errdefs.BadReply, "hello"},
		{"chunks without their last", partial + chunks + "\r\n4\r\nhell\r\n", errdefs.Unavailable, "hell"},
		{"range that overflows", strings.Replace(partial, "0-4/10", "0-4/99999999999999999999", 1) + "Content-Length: 5\r\n\r\nhello", errdefs.BadReply, ""},
		{"a thousand interim replies", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <"+strings.Repeat("x", 4000)+">\r\n\r\n", 1000) + partial + "Content-Length: 5\r\n\r\nhello", errdefs.BadReply, ""},
		{"no HTTP", "SSH-2.0-OpenSSH_9.2\r\n", errdefs.BadReply, ""},
		{"nothing", "", errdefs.Unavailable, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := origin.Resource{URL: raw(t, tt.answer), Gen: origin.Generation{Size: 10, ETag: `"a"`}}
			r, err := newLine(t, origin.LineConfig{}).Open(t.Context(), res, byterange.Range{Len: 5})
			body := ""
			if err == nil {
				var b []byte
				b, err = io.ReadAll(r.Body)
				body = string(b)
				_ = r.Body.Close()
			}
			if errdefs.KindOf(err) != tt.kind || body != tt.body {
				t.Errorf("%q, %v, want %q and kind %q", body, err, tt.body, tt.kind)
			}
		})
	}
}

// TestHTTP1Only: a lane is a connection, also where the origin would rather
// put everything into one.
func TestHTTP1Only(t *testing.T) {
	var mu sync.Mutex
	protos, conns := map[string]bool{}, map[string]bool{}
	gate := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		protos[r.Proto], conns[r.RemoteAddr] = true, true
		full := len(conns) == 8 || r.ProtoMajor != 1
		mu.Unlock()
		if full {
			close(gate)
		}
		<-gate
		w.Header().Set("Content-Range", "bytes 0-0/8")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte("x"))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	roots := origintest.New(t, origintest.Options{TLS: true}).Roots() // httptest has one certificate
	line := newLine(t, origin.LineConfig{RootCAs: roots})
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			r, err := line.Probe(t.Context(), origin.ProbeRequest{URL: srv.URL + "/f", First: 1})
			if err != nil {
				t.Error(err)
				return
			}
			_ = r.Body.Close()
		})
	}
	asking.Wait()
	if len(conns) != 8 || len(protos) != 1 || !protos["HTTP/1.1"] {
		t.Errorf("8 requests over %d connections by %v", len(conns), protos)
	}
}

// TestOneFamilyDead: a name with an address that nobody answers at is reached
// by its other one.
func TestOneFamilyDead(t *testing.T) {
	srv := origintest.New(t, origintest.Options{}) // on 127.0.0.1, not on ::1
	url := fmt.Sprintf("http://localhost%s/bytes/10", srv.URL[len("http://127.0.0.1"):])
	r, err := newLine(t, origin.LineConfig{}).Probe(t.Context(), origin.ProbeRequest{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
}
