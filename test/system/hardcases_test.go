package system_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

// What comes of a fault that one source alone meets.
const (
	nothing = iota // what it brings does not count
	brings         // it counts all the same
	some           // as far as the end of a reply does not condemn it
)

// single are faults that one source alone meets. Some of them look like a new
// version: where the own line sees that, it is followed.
var single = []struct {
	name  string
	fault origintest.Fault
	peer  int
	newer bool
}{
	{name: "ranges ignored", fault: origintest.Fault{Status: 200}},
	{name: "206 for another range", fault: origintest.Fault{Shift: 4096}},
	{name: "206 without Content-Range", fault: origintest.Fault{ContentRange: []string{}}},
	{name: "two Content-Range", fault: origintest.Fault{ContentRange: []string{"bytes 0-9/100", "bytes 0-8/100"}}},
	{name: "Content-Range of another length", fault: origintest.Fault{ContentRange: []string{"bytes 0-9/100"}}},
	{name: "short replies", fault: origintest.Fault{Short: 100_000}, peer: brings},
	{name: "multipart", fault: origintest.Fault{Multipart: true}},
	{name: "chunked", fault: origintest.Fault{Chunked: true}, peer: brings},
	{name: "ended by the connection", fault: origintest.Fault{NoLength: true}, peer: brings},
	{name: "truncated", fault: origintest.Fault{End: origintest.Truncate, After: 300_000}, peer: brings},
	{name: "reset", fault: origintest.Fault{End: origintest.Reset, After: 300_000}, peer: brings},
	{name: "stalled", fault: origintest.Fault{End: origintest.Stall, After: 300_000}, peer: brings},
	{name: "longer than promised", fault: origintest.Fault{Excess: 5, Chunked: true}, peer: some},
	{name: "wrong Content-Digest", fault: origintest.Fault{ContentDigest: origintest.WrongDigest}, peer: some},
	{name: "right Content-Digest", fault: origintest.Fault{ContentDigest: origintest.RightDigest}, peer: brings},
	{name: "another tag and date", fault: origintest.Fault{Set: []string{"Etag:", `Etag: "x"`, "Last-Modified:", "Last-Modified: Sat, 01 Jan 2011 00:00:00 GMT"}}, newer: true},
	{name: "another tag, one date", fault: origintest.Fault{Set: []string{"Etag:", `Etag: "x"`}}, peer: brings},
	{name: "a weak tag, one date", fault: origintest.Fault{Set: []string{"Etag:", `Etag: W/"x"`}}, peer: brings},
	{name: "no validator", fault: origintest.Fault{Set: []string{"Etag:", "Last-Modified:"}}},
	{name: "gzip", fault: origintest.Fault{Set: []string{"Content-Encoding: gzip"}}, newer: true},
	{name: "transformed", fault: origintest.Fault{Status: 203}},
	{name: "redirected to a login", fault: origintest.Fault{Location: "http://93.184.216.98/login"}},
	{name: "redirected in a circle", fault: origintest.Fault{Location: "/f.bin"}},
	{name: "a file URL", fault: origintest.Fault{Location: "file:///etc/passwd"}},
	{name: "busy for a while", fault: origintest.Fault{Status: 429, RetryAfter: "4"}},
	{name: "416", fault: origintest.Fault{Status: 416}, newer: true},
	{name: "401", fault: origintest.Fault{Status: 401}},
	{name: "403", fault: origintest.Fault{Status: 403}},
	{name: "404", fault: origintest.Fault{Status: 404}},
	{name: "407", fault: origintest.Fault{Status: 407}},
	{name: "408", fault: origintest.Fault{Status: 408}},
	{name: "410", fault: origintest.Fault{Status: 410}},
	{name: "421", fault: origintest.Fault{Status: 421}},
	{name: "425", fault: origintest.Fault{Status: 425}},
	{name: "451", fault: origintest.Fault{Status: 451}},
	{name: "500", fault: origintest.Fault{Status: 500}},
	{name: "501", fault: origintest.Fault{Status: 501}},
	{name: "502", fault: origintest.Fault{Status: 502}},
	{name: "503", fault: origintest.Fault{Status: 503}},
	{name: "504", fault: origintest.Fault{Status: 504}},
	{name: "505", fault: origintest.Fault{Status: 505}},
	{name: "511", fault: origintest.Fault{Status: 511}},
	{name: "522", fault: origintest.Fault{Status: 522}},
	{name: "a header of a megabyte", fault: origintest.Fault{Set: []string{"X-Much: " + strings.Repeat("x", 1<<20)}}},
}

// TestOneSourceMeets: what a single source meets costs its own bytes at most:
// the others bring the file, and it is right.
func TestOneSourceMeets(t *testing.T) {
	f := origintest.NewFile(5*mib, 330)
	for _, tc := range single {
		for _, who := range []string{"peer", "own line"} {
			t.Run(tc.name+", "+who, func(t *testing.T) {
				bubble(t, nil, func(w *world) {
					bad := tc.fault
					if who == "own line" {
						bad.Skip = 1 // the probe tells what is to be fetched
						if bad.Status == http.StatusRequestedRangeNotSatisfiable {
							bad.Count = 1 // the second probe tells that nothing is new
						}
					}
					good, other := w.mirror(secondHost, f, 0), w.mirror(thirdHost, f.With(bad), 0)
					w.tracker()
					met := w.peer("a", mib)
					w.peer("b", mib)
					u := w.user(mib, nil)
					if who == "peer" {
						met.detours.Store(secondHost+":80", thirdHost+":80")
					} else {
						u.detours.Store(secondHost+":80", thirdHost+":80")
					}
					a, began := &account{retracted: true}, time.Now()
					if err := u.do(mirrors(secondHost), a); err != nil {
						w.t.Fatal(err, a.moves, a.notes)
					}
					w.contains("f.bin", f)
					if follows := who == "own line" && tc.newer; follows != a.noted("starting again") {
						w.t.Errorf("notes %q", a.notes)
					}
					w.t.Log(a, a.moves)
					limit := 12 * time.Second // 5 MiB at 2 MiB/s, and a stall or two
					if bad.RetryAfter != "" && who == "own line" {
						limit = 24 * time.Second // what it is asked binds everybody, each time
					}
					if took := time.Since(began); took > limit {
						w.t.Errorf("took %v", took)
					}
					if other.Total() == 0 || good.Total() == 0 {
						w.t.Error("not both servers were asked")
					}
					if n := a.brought("a"); who == "peer" && tc.peer != some && (n > 0) != (tc.peer == brings) {
						w.t.Errorf("the peer brought %d bytes", n)
					}
				})
			})
		}
	}
}

// TestSizes: around the borders of pieces.
func TestSizes(t *testing.T) {
	for _, size := range []int64{0, 1, mib - 1, mib, mib + 1, 2*mib - 1, 2 * mib, 2*mib + 1, 64<<10 - 1, 64 << 10, 64<<10 + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			f := origintest.NewFile(size, 331)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				w.peer("a", 0)
				if err := w.user(mib, nil).get("/f.bin", &account{}); err != nil {
					w.t.Fatal(err)
				}
				w.holds("f.bin", f)
			})
		})
	}
}

// TestSourcesAskAlike: a server must have no reason to answer one source other
// than another; and what is never asked for.
func TestSourcesAskAlike(t *testing.T) {
	f := origintest.NewFile(8*mib, 332)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		u := w.user(mib, nil)
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Header: http.Header{"User-Agent": {"mine"}, "Accept-Language": {"de"}}}
		if err := u.do(job, &account{}); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		for _, r := range w.origin.Requests() {
			if r.Method != http.MethodGet || strings.Count(r.Range, "-") != 1 || strings.Contains(r.Range, ",") {
				w.t.Errorf("%s for %q", r.Method, r.Range)
			}
			for name, want := range map[string]string{
				"User-Agent": "mine", "Accept": "*/*", "Accept-Language": "de", "Accept-Encoding": "identity", "Cache-Control": "no-transform",
				"If-Range": "", "Referer": "", "Cookie": "", "Authorization": "",
			} {
				if got := r.Header.Get(name); got != want {
					w.t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
	})
}

// TestRestartsTwice: a resource that changes is followed twice, each older part
// is kept aside, and then the download ends with the words for that.
func TestRestartsTwice(t *testing.T) {
	for changes, kind := range map[int]errdefs.Kind{1: "", 2: "", 3: errdefs.Changed} {
		t.Run(fmt.Sprint(changes), func(t *testing.T) {
			now := origintest.NewFile(8*mib, 340)
			bubble(t, map[string]origintest.File{"/f.bin": now}, func(w *world) {
				a, gen := &account{}, uint64(340)
				a.at = func(s progressSnapshot) { // once in each attempt
					if done := int(gen - 340); done < changes && done < a.starts() && s.Bytes > 2*mib {
						gen++
						now = origintest.NewFile(8*mib, gen)
						w.origin.Set("/f.bin", now)
					}
				}
				err := w.user(mib, func(o *client.Options) { o.LocalOnly = true }).get("/f.bin", a)
				if errdefs.KindOf(err) != kind {
					w.t.Fatalf("error %v, want kind %q", err, kind)
				}
				restarts := 0
				for _, n := range a.notes {
					if strings.Contains(n, "starting again with the new one") {
						restarts++
					}
				}
				if restarts != min(changes, 2) {
					w.t.Errorf("%d restarts after %d changes", restarts, changes)
				}
				if kind == "" {
					w.contains("f.bin", now)
				} else {
					w.vacant()
				}
				for i := range restarts {
					if _, err := os.Stat(fmt.Sprintf("%s/.f.bin.ddm-part.old-%d", w.dir, i+1)); err != nil {
						w.t.Error(err)
					}
				}
			})
		})
	}
}

// TestNoLength: what ends with its connection may be cut short unseen, which
// the summary says.
func TestNoLength(t *testing.T) {
	f := origintest.NewFile(3*mib, 333)
	fault := origintest.Fault{Status: 200, NoLength: true}
	bubble(t, map[string]origintest.File{"/f.bin": f.With(fault)}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		a := &account{}
		if err := w.user(mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if len(a.done.Sources) != 1 || !strings.Contains(strings.Join(a.done.Notes, " "), "named no length") {
			w.t.Errorf("sources %v, notes %q", a.done.Sources, a.done.Notes)
		}
	})
}

// TestFewConnectionsBesidePeers: what peers brought is looked at over the own
// line, whose connections are few: a look takes the place of one of them, and it
// is not refused.
func TestFewConnectionsBesidePeers(t *testing.T) {
	f := origintest.NewFile(128*mib, 335)
	bubble(t, nil, func(w *world) {
		srv := origintest.Serve(w.t, w.net.listen(originHost+":80"), origintest.Options{
			Files: map[string]origintest.File{"/f.bin": f}, MaxLive: 3, Throttle: origintest.Throttle{PerConn: mib},
		})
		w.book(trackerAddr).join(w.village(f, nil)...)
		a := &account{}
		if err := w.user(16*mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		refused := 0
		for _, r := range srv.Requests() {
			if r.Status == http.StatusServiceUnavailable {
				refused++
			}
		}
		w.t.Log(a, a.done.Elapsed, a.done.Verify, refused, "refused of", srv.Total())
		if refused == 0 || refused > 3 {
			w.t.Errorf("%d of %d requests were refused", refused, srv.Total())
		}
		if a.done.Verify < f.Size/200 {
			w.t.Errorf("only %d bytes were looked at", a.done.Verify)
		}
	})
}

// TestFewConnections: an origin that takes three connections of an address and
// refuses the others is asked over three, not again and again over more.
func TestFewConnections(t *testing.T) {
	f := origintest.NewFile(32*mib, 334)
	bubble(t, nil, func(w *world) {
		srv := origintest.Serve(w.t, w.net.listen(secondHost+":80"), origintest.Options{
			Files: map[string]origintest.File{"/f.bin": f}, MaxLive: 3, Throttle: origintest.Throttle{PerConn: mib},
		})
		a := &account{}
		if err := w.user(16*mib, func(o *client.Options) { o.LocalOnly = true }).do(mirrors(secondHost), a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		refused := 0
		for _, r := range srv.Requests() {
			if r.Status == http.StatusServiceUnavailable {
				refused++
			}
		}
		w.t.Log(a, refused, "refused of", srv.Total())
		if refused == 0 || refused > 10 || a.done.Elapsed > 20*time.Second { // 10.7 s at best, 32 s over one
			w.t.Errorf("%d of %d requests were refused, %v", refused, srv.Total(), a.done.Elapsed)
		}
	})
}
