package system_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
	ddmv1 "ddm/proto/ddm/v1"
)

// TestGivesUp: sources that all fail give the right kind of error, within the
// patience of 60 s, and nothing under the final name.
func TestGivesUp(t *testing.T) {
	const size = 8 * mib
	from := func(skip int, f origintest.Fault) origintest.File {
		f.Skip = skip
		return origintest.NewFile(size, 40).With(f)
	}
	for _, tc := range []struct {
		name  string
		file  origintest.File
		hole  bool // nobody can reach the origin
		opts  func(*client.Options)
		peers int
		kind  errdefs.Kind
		min   time.Duration
		max   time.Duration
	}{
		{name: "no answer at all", hole: true, kind: errdefs.Timeout, min: 55 * time.Second, max: 61 * time.Second},
		{name: "no answer, peers neither", hole: true, peers: 2, kind: errdefs.Timeout, min: 55 * time.Second, max: 75 * time.Second},
		{name: "no header", file: from(0, origintest.Fault{HeaderDelay: time.Hour}), kind: errdefs.Timeout, min: 55 * time.Second, max: 61 * time.Second},
		{name: "no header after the probe", file: from(1, origintest.Fault{HeaderDelay: time.Hour}), peers: 1, kind: errdefs.Timeout, min: 59 * time.Second, max: 70 * time.Second},
		{name: "silence after the probe", file: from(1, origintest.Fault{End: origintest.Stall}), peers: 1, kind: errdefs.Unavailable, min: 59 * time.Second, max: 70 * time.Second},
		{name: "reset after the probe", file: from(1, origintest.Fault{End: origintest.Reset}), peers: 1, kind: errdefs.Unavailable, min: 55 * time.Second, max: 70 * time.Second},
		{name: "resets", file: from(0, origintest.Fault{End: origintest.Reset}), kind: errdefs.Unavailable, min: 55 * time.Second, max: 70 * time.Second},
		{name: "429 to the end", file: from(1, origintest.Fault{Status: 429}), peers: 1, kind: errdefs.Busy, min: 55 * time.Second, max: 70 * time.Second},
		{name: "503 and a wait to the end", file: from(1, origintest.Fault{Status: 503, RetryAfter: "7"}), peers: 2, kind: errdefs.Busy, min: 50 * time.Second, max: 70 * time.Second},
		{name: "503 and a wait of years", file: from(1, origintest.Fault{Status: 503, RetryAfter: "99999999"}), peers: 1, kind: errdefs.Busy, min: 55 * time.Second, max: 70 * time.Second},
		{name: "503 and a long wait at once", file: from(0, origintest.Fault{Status: 503, RetryAfter: "3600"}), kind: errdefs.Busy, max: 2 * time.Second},
		{name: "404 after the probe", file: from(1, origintest.Fault{Status: 404}), peers: 1, kind: errdefs.NotFound, max: 10 * time.Second},
		{name: "403 after the probe", file: from(1, origintest.Fault{Status: 403}), peers: 1, kind: errdefs.Unauthorized, max: 10 * time.Second},
		{name: "500 after the probe", file: from(1, origintest.Fault{Status: 500}), peers: 1, kind: errdefs.Unavailable, min: 55 * time.Second, max: 70 * time.Second},
		{name: "418 after the probe", file: from(1, origintest.Fault{Status: 418}), peers: 1, kind: errdefs.BadReply, max: 30 * time.Second},
		{name: "no ranges after the probe", file: from(1, origintest.Fault{Status: 200}), peers: 1, kind: errdefs.NoRanges, max: 10 * time.Second},
		{name: "wrong ranges after the probe", file: from(1, origintest.Fault{Shift: 1}), peers: 1, kind: errdefs.BadReply, max: 30 * time.Second},
		{name: "no validator after the probe", file: from(1, origintest.Fault{Set: []string{"Etag:", "Last-Modified:"}}), peers: 1, kind: errdefs.BadReply, max: 30 * time.Second},
		{name: "changes for ever", file: from(0, origintest.Fault{}), kind: errdefs.Changed, max: time.Minute},
		{
			name: "peers only, none there", file: from(0, origintest.Fault{}), kind: errdefs.Unavailable, max: 61 * time.Second,
			opts: func(o *client.Options) { o.NoLocal = true },
		},
		{
			name: "peers only, 404", file: from(1, origintest.Fault{Status: 404}), peers: 2, kind: errdefs.NotFound, max: 10 * time.Second,
			opts: func(o *client.Options) { o.NoLocal = true },
		},
		{
			name: "peers only, silence", file: from(1, origintest.Fault{End: origintest.Stall}), peers: 2, kind: errdefs.Unavailable, min: 55 * time.Second, max: 70 * time.Second,
			opts: func(o *client.Options) { o.NoLocal = true },
		},
		{
			name: "less patience", file: from(1, origintest.Fault{End: origintest.Stall}), kind: errdefs.Unavailable, min: 19 * time.Second, max: 25 * time.Second,
			opts: func(o *client.Options) { o.Patience = 20 * time.Second },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": tc.file}, func(w *world) {
				w.tracker()
				for i := range tc.peers {
					w.peer(string(rune('a'+i)), 4*mib)
				}
				if tc.hole {
					w.net.swallow(originHost + ":80")
				}
				a := &account{}
				if tc.name == "changes for ever" {
					gen := uint64(50)
					a.at = func(s progressSnapshot) {
						if s.Bytes > size/4 {
							gen++
							w.origin.Set("/f.bin", origintest.NewFile(size, gen))
						}
					}
				}
				began := time.Now()
				err := w.user(4*mib, tc.opts).get("/f.bin", a)
				took := time.Since(began)
				w.t.Log(took, err, a.notes)
				if errdefs.KindOf(err) != tc.kind {
					w.t.Errorf("error %v of kind %q, want %q", err, errdefs.KindOf(err), tc.kind)
				}
				if took < tc.min || took > tc.max {
					w.t.Errorf("gave up after %v, want %v to %v", took, tc.min, tc.max)
				}
				w.vacant()
			})
		})
	}
}

// TestHelpAfterTrouble: where somebody is left who can, the download goes on.
func TestHelpAfterTrouble(t *testing.T) {
	const size = 8 * mib
	good := origintest.NewFile(size, 41)
	for _, tc := range []struct {
		name  string
		file  origintest.File
		peers int
		opts  func(*client.Options)
		early func(w *world, u *user)
		at    func(w *world, u *user, peers []*helper)
		max   time.Duration
	}{
		{name: "the own line dies", peers: 2, max: 16 * time.Second, at: func(w *world, u *user, _ []*helper) { u.wan.freeze() }},
		{name: "the own line is cut", peers: 2, max: 14 * time.Second, at: func(w *world, u *user, _ []*helper) { u.wan.setDead(true); u.wan.cut() }},
		{name: "the own line never worked", peers: 2, max: 14 * time.Second, early: func(_ *world, u *user) { u.wan.setDead(true) }},
		{name: "the own line swallows", peers: 2, max: 30 * time.Second, early: func(_ *world, u *user) { u.wan.freeze() }},
		{name: "all peers freeze", peers: 2, max: 18 * time.Second, at: func(_ *world, _ *user, p []*helper) { p[0].wan.freeze(); p[1].wan.freeze() }},
		{name: "all peers are cut off", peers: 2, max: 18 * time.Second, at: func(w *world, _ *user, p []*helper) { p[0].kill(w); p[1].kill(w) }},
		{name: "both, one after the other", peers: 1, max: 25 * time.Second, at: func(w *world, u *user, p []*helper) {
			u.wan.freeze()
			time.AfterFunc(3*time.Second, func() { u.wan.thaw(); p[0].wan.freeze() })
		}},
		{name: "everything freezes for 30 s", peers: 1, max: 60 * time.Second, at: func(w *world, u *user, p []*helper) {
			u.wan.freeze()
			p[0].wan.freeze()
			time.AfterFunc(30*time.Second, func() { u.wan.thaw(); p[0].wan.thaw() })
		}},
		{name: "peers only, one is back after 20 s", peers: 1, max: 60 * time.Second, opts: func(o *client.Options) { o.NoLocal = true }, at: func(w *world, _ *user, p []*helper) {
			p[0].kill(w)
			time.AfterFunc(20*time.Second, func() { w.peer("late", mib) })
		}},
		{name: "an origin that thinks for 6 s", peers: 1, max: 3 * time.Minute, file: good.With(origintest.Fault{HeaderDelay: 6 * time.Second})},
		{name: "busy now and then", peers: 1, max: 30 * time.Second, file: good.With(
			origintest.Fault{Skip: 2, Count: 2, Status: 503, RetryAfter: "2"}, origintest.Fault{Skip: 7, Count: 1, Status: 429})},
		{name: "every fourth reply is of another node", peers: 1, max: 30 * time.Second, file: good.With(
			origintest.Fault{Skip: 3, Count: 1, Set: []string{"Etag:", "Last-Modified:"}}, origintest.Fault{Skip: 7, Count: 1, Set: []string{"Etag:", "Last-Modified:"}})},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := tc.file
			if file.Size == 0 {
				file = good
			}
			bubble(t, map[string]origintest.File{"/f.bin": file}, func(w *world) {
				w.tracker()
				var peers []*helper
				for i := range tc.peers {
					peers = append(peers, w.peer(string(rune('a'+i)), mib))
				}
				u := w.user(mib, tc.opts)
				if tc.early != nil {
					tc.early(w, u)
				}
				a := &account{}
				if tc.at != nil {
					a.once(0.3, func() { tc.at(w, u, peers) })
				}
				began := time.Now()
				if err := u.get("/f.bin", a); err != nil {
					w.t.Fatal(err, a.moves, a.notes)
				}
				w.holds("f.bin", good)
				w.t.Log(a, a.moves)
				if took := time.Since(began); took > tc.max {
					w.t.Errorf("took %v, want at most %v", took, tc.max)
				}
			})
		})
	}
}

// TestPolicyOfPeers: what peers refuse is fetched without them, at once.
func TestPolicyOfPeers(t *testing.T) {
	f := origintest.NewFile(4*mib, 42)
	bubble(t, nil, func(w *world) {
		origintest.Serve(w.t, w.net.listen("192.168.7.7:80"), origintest.Options{Files: map[string]origintest.File{"/f.bin": f}})
		w.tracker()
		w.peer("a", mib)
		w.peer("b", mib)
		a := &account{}
		err := w.user(mib, nil).do(client.Job{URLs: []string{"http://192.168.7.7/f.bin"}}, a)
		if err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.moves)
		if a.done.LAN != 0 || a.done.Elapsed > 4200*time.Millisecond || !a.moved("a", "failed") || !a.moved("b", "failed") {
			w.t.Errorf("alone it is 4 s: %v, %v", a, a.moves)
		}
		if _, addrs := w.net.dials(""); addrs > 4 {
			w.t.Errorf("%d addresses were dialled", addrs)
		}
	})
}

// TestRedirects: the own line follows from public to public, from private to
// anywhere, and never from public to private.
func TestRedirects(t *testing.T) {
	f := origintest.NewFile(2*mib, 43)
	to := func(url string) origintest.File { return origintest.File{Faults: []origintest.Fault{{Location: url}}} }
	for _, tc := range []struct {
		name, url string
		kind      errdefs.Kind
	}{
		{"public to public", "http://93.184.216.34/public", ""},
		{"private to private", "http://192.168.7.7/private", ""},
		{"private to public", "http://192.168.7.7/public", ""},
		{"public to private", "http://93.184.216.34/private", errdefs.Refused},
		{"public to public to private", "http://93.184.216.34/detour", errdefs.Refused},
		{"to loopback", "http://93.184.216.34/loopback", errdefs.Refused},
		{"to a file", "http://93.184.216.34/file", errdefs.BadReply},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]origintest.File{
				"/f.bin": f, "/public": to("http://93.184.216.99/f.bin"), "/private": to("http://192.168.7.8/f.bin"),
				"/detour": to("http://93.184.216.99/private"), "/loopback": to("http://127.0.0.1/f.bin"), "/file": to("file:///etc/passwd"),
			}
			bubble(t, files, func(w *world) {
				for _, host := range []string{"93.184.216.99", "192.168.7.7", "192.168.7.8", "127.0.0.1"} {
					origintest.Serve(w.t, w.net.listen(host+":80"), origintest.Options{Files: files})
				}
				w.tracker()
				w.peer("a", mib)
				a := &account{}
				err := w.user(mib, nil).do(client.Job{URLs: []string{tc.url}, Output: "f.bin"}, a)
				if errdefs.KindOf(err) != tc.kind {
					w.t.Fatalf("error %v, want kind %q", err, tc.kind)
				}
				if tc.kind == "" {
					w.holds("f.bin", f)
				}
				if n, _ := w.net.dials("127.0.0.1:80"); n > 0 {
					w.t.Error("loopback was dialled")
				}
			})
		})
	}
}

// TestWrongBytesAndAChecksum: right CRCs over wrong bytes are found by a
// checksum, and the own line makes up for the only peer.
func TestWrongBytesAndAChecksum(t *testing.T) {
	f, other := origintest.NewFile(6*mib, 44), origintest.NewFile(6*mib, 45)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		l := &liar{file: other, rate: mib}
		l.order = twist(func(s *lies, a *ddmv1.Assign) error {
			if err := errors.Join(s.started(a, f), s.bytes(a, a.GetLength())); err != nil {
				return err
			}
			return s.done(a)
		})
		w.book(trackerAddr).join(w.liar("liar", l))
		sum := f.SHA256(f.Size)
		a := &account{}
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Checksums: []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}}}
		if err := w.user(mib, nil).do(job, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if !a.moved("liar", "banned") {
			w.t.Error("it was not banned")
		}
	})
}

// TestResumeWithoutRanges: an origin that has stopped to serve ranges sends
// everything again, and nothing is said to be resumed.
func TestResumeWithoutRanges(t *testing.T) {
	f := origintest.NewFile(4*mib, 46)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		u := w.user(mib, func(o *client.Options) { o.LocalOnly = true })
		ctx, cancel := context.WithCancel(w.t.Context())
		first := &account{}
		first.once(0.5, cancel)
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir}
		if err := u.c.Download(ctx, job, first); !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
		w.origin.Set("/f.bin", f.With(origintest.Fault{Status: 200}))
		a := &account{}
		if err := u.do(job, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if a.start.Resumed != 0 || a.done.Origin != f.Size {
			w.t.Errorf("%d bytes resumed, %d came", a.start.Resumed, a.done.Origin)
		}
	})
}
