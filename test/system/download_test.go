package system_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

func TestFourLines(t *testing.T) {
	f := origintest.NewFile(32*mib, 1)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		for _, name := range []string{"a", "b", "c"} {
			w.peer(name, 2*mib)
		}
		a := &account{}
		if err := w.user(2*mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		w.t.Log(a)
		for _, name := range []string{"own line", "a", "b", "c"} {
			if n := a.brought(name); n < 6*mib || n > 10*mib {
				w.t.Errorf("%s brought %d bytes of %d: not its share", name, n, f.Size)
			}
		}
		if a.done.Identity != "strong" || a.done.LAN == 0 || a.done.Origin < f.Size || a.done.Duplicate > f.Size/50 {
			w.t.Errorf("account: %+v", a.done)
		}
		if math.Abs(a.done.OwnRate/(2*mib)-1) > 0.1 {
			w.t.Errorf("the own line alone is said to bring %.0f bytes/s", a.done.OwnRate)
		}
	})
}

// TestTrouble is everything that may happen half way: the file is right all
// the same.
func TestTrouble(t *testing.T) {
	for name, trouble := range map[string]func(w *world, peers []*helper, stopTracker func()){
		"one peer killed":    func(w *world, p []*helper, _ func()) { p[0].kill(w) },
		"all peers killed":   func(w *world, p []*helper, _ func()) { p[0].kill(w); p[1].kill(w); p[2].kill(w) },
		"one peer frozen":    func(_ *world, p []*helper, _ func()) { p[0].wan.freeze() },
		"one peer ends":      func(_ *world, p []*helper, _ func()) { go p[0].stop() },
		"one line crawls":    func(_ *world, p []*helper, _ func()) { p[0].wan.setRate(2 << 10) },
		"a line's cut":       func(_ *world, p []*helper, _ func()) { p[0].wan.cut() },
		"a peer joins":       func(w *world, _ []*helper, _ func()) { w.peer("late", 4*mib) },
		"the tracker's gone": func(_ *world, _ []*helper, stop func()) { go stop() },
	} {
		t.Run(name, func(t *testing.T) {
			f := origintest.NewFile(12*mib, 2)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				stop := w.tracker()
				peers := []*helper{w.peer("a", mib), w.peer("b", mib), w.peer("c", mib)}
				a := &account{}
				a.once(0.4, func() { trouble(w, peers, stop) })
				if err := w.user(mib, nil).get("/f.bin", a); err != nil {
					w.t.Fatal(err, a.moves)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.moves)
				if name == "a peer joins" && a.brought("late") == 0 {
					w.t.Error("the late peer brought nothing")
				}
			})
		})
	}
}

// TestOrigins is every kind of answer: the right file, or the right kind of
// error.
func TestOrigins(t *testing.T) {
	file := func(size int64, faults ...origintest.Fault) origintest.File {
		return origintest.NewFile(size, 3).With(faults...)
	}
	bare := origintest.File{Content: origintest.Content{Seed: 9}, Size: 3 * mib}
	weak := origintest.NewFile(8*mib, 4)
	weak.ETag = ""
	for _, tc := range []struct {
		name     string
		file     origintest.File
		kind     errdefs.Kind // "": success
		identity string
	}{
		{"empty", file(0), "", ""},
		{"one byte", file(1), "", "strong"},
		{"three bytes", file(3), "", "strong"},
		{"a piece", file(mib), "", "strong"},
		{"a piece and a byte", file(mib + 1), "", "strong"},
		{"weak identity", weak, "", "weak"},
		{"no validator", bare, "", "none"},
		{"ranges ignored", file(2*mib, origintest.Fault{Status: 200}), "", ""},
		{"ranges ignored, no length", file(2*mib, origintest.Fault{Status: 200, Chunked: true}), "", ""},
		{"not found", file(9, origintest.Fault{Status: 404}), errdefs.NotFound, ""},
		{"gone", file(9, origintest.Fault{Status: 410}), errdefs.NotFound, ""},
		{"forbidden", file(9, origintest.Fault{Status: 403}), errdefs.Unauthorized, ""},
		{"teapot", file(9, origintest.Fault{Status: 418}), errdefs.BadReply, ""},
		{"busy to the end", file(9, origintest.Fault{Status: 503}), errdefs.Busy, ""},
		{"busy at first", file(9, origintest.Fault{Status: 503, Count: 2}), "", "strong"},
		{"redirect loop", file(9, origintest.Fault{Status: 302, Location: "/f.bin"}), errdefs.Redirects, ""},
		{"every third reply cut", file(12*mib, origintest.Fault{Skip: 2, Count: 1, After: 100, End: origintest.Reset}, origintest.Fault{Skip: 5, Count: 2, After: 5000, End: origintest.Truncate}), "", "strong"},
		{"wrong ranges", file(12*mib, origintest.Fault{Skip: 2, Count: 2, Shift: 7}), "", "strong"},
		{"short replies", file(12*mib, origintest.Fault{Skip: 1, Short: 300_000}), "", "strong"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": tc.file}, func(w *world) {
				w.tracker()
				w.peer("a", mib)
				w.peer("b", mib)
				a := &account{}
				err := w.user(mib, nil).get("/f.bin", a)
				if tc.kind != "" {
					if !errors.Is(err, tc.kind) || a.done != nil {
						w.t.Errorf("error %v, want kind %q", err, tc.kind)
					}
					w.clean()
					return
				}
				if err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", tc.file)
				if tc.identity != "" && a.done.Identity != tc.identity {
					w.t.Errorf("identity %s, want %s", a.done.Identity, tc.identity)
				}
			})
		})
	}
}

func TestNobodyHelps(t *testing.T) {
	f := origintest.NewFile(4*mib, 5)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		a := &account{} // no tracker at all
		if err := w.user(mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
	})
}

func TestOriginOutOfReach(t *testing.T) {
	bubble(t, nil, func(w *world) {
		u := w.user(mib, func(o *client.Options) { o.Retry = 1 })
		err := u.c.Download(w.t.Context(), client.Job{URLs: []string{"http://93.184.216.99/f"}, Dir: w.dir}, &account{})
		if !errors.Is(err, errdefs.Unavailable) {
			w.t.Errorf("error %v, want kind %q", err, errdefs.Unavailable)
		}
		w.clean()
	})
}

func TestOwnLineWithoutInternet(t *testing.T) {
	f := origintest.NewFile(8*mib, 6)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		w.peer("b", mib)
		u := w.user(mib, func(o *client.Options) { o.NoLocal = true })
		a := &account{}
		if err := u.get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if a.done.LAN != a.done.Origin {
			w.t.Errorf("own line used: %v", a)
		}
	})
}

func TestTwoClientsTwoFiles(t *testing.T) {
	files := map[string]origintest.File{"/one.bin": origintest.NewFile(12*mib, 7), "/two.bin": origintest.NewFile(9*mib, 8)}
	bubble(t, files, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		w.peer("b", mib)
		var both sync.WaitGroup
		for _, path := range []string{"/one.bin", "/two.bin"} {
			u := w.user(mib, nil)
			both.Go(func() {
				if err := u.get(path, &account{}); err != nil {
					w.t.Error(path, err)
				}
			})
		}
		both.Wait()
		w.holds("one.bin", files["/one.bin"])
		w.holds("two.bin", files["/two.bin"])
	})
}

func TestRequesterGone(t *testing.T) {
	f := origintest.NewFile(32*mib, 9)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		w.peer("b", mib)
		ctx, cancel := context.WithCancel(w.t.Context())
		a := &account{}
		a.once(0.1, cancel)
		err := w.user(mib, nil).c.Download(ctx, client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir}, a)
		if !errors.Is(err, context.Canceled) {
			w.t.Errorf("error %v, want canceled", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, r := range w.origin.Requests() {
			if r.Live {
				w.t.Errorf("a request of %s still runs a second after its requester went", r.Range)
			}
		}
		if _, err := os.Stat(filepath.Join(w.dir, ".f.bin.ddm-part")); err != nil {
			w.t.Error("the part file is not kept:", err)
		}
		a2 := &account{} // and the same command goes on
		if err := w.user(mib, nil).get("/f.bin", a2); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if a2.start.Resumed < f.Size/20 {
			w.t.Errorf("resumed %d bytes of %d", a2.start.Resumed, f.Size)
		}
	})
}

func TestCredentialsStayHome(t *testing.T) {
	f := origintest.NewFile(4*mib, 10)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		u := w.user(mib, nil)
		a := &account{}
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir, User: url.UserPassword("me", "secret")}
		if err := u.c.Download(w.t.Context(), job, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if a.done.LAN != 0 || a.brought("a") != 0 {
			w.t.Errorf("a request with credentials left the machine: %v", a)
		}
		for _, r := range w.origin.Requests() {
			if r.Header.Get("Authorization") == "" {
				w.t.Error("a request came without the credentials: it was a peer's")
			}
		}
	})
}

func TestChecksumAndStdout(t *testing.T) {
	f := origintest.NewFile(5*mib, 11)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		u := w.user(mib, nil)
		right := f.SHA256(f.Size)
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir, Checksums: []digest.Digest{{Algorithm: digest.SHA256, Sum: right[:]}}}
		a := &account{}
		if err := u.c.Download(w.t.Context(), job, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if a.done.Identity != "digest" || a.done.Digest != fmt.Sprintf("sha256:%x", right) {
			w.t.Errorf("identity %s, digest %s", a.done.Identity, a.done.Digest)
		}
		if err := u.c.Download(w.t.Context(), job, &account{}); !errors.Is(err, errdefs.Exists) {
			w.t.Errorf("second time: %v, want kind %q", err, errdefs.Exists)
		}
		wrong := sha256.Sum256(nil)
		job.Checksums[0].Sum, job.Output = wrong[:], "g.bin"
		if err := u.c.Download(w.t.Context(), job, &account{}); !errors.Is(err, errdefs.Corrupt) {
			w.t.Errorf("wrong checksum: %v, want kind %q", err, errdefs.Corrupt)
		}
		if _, err := os.Stat(filepath.Join(w.dir, "g.bin")); err == nil {
			w.t.Error("a file with a wrong checksum has its final name")
		}
		w.clean()
		var out bytes.Buffer
		job.Checksums[0].Sum, job.Stdout = right[:], &out
		if err := u.c.Download(w.t.Context(), job, &account{}); err != nil {
			w.t.Fatal(err)
		}
		if !f.Verify(out.Bytes(), 0) || int64(out.Len()) != f.Size {
			w.t.Errorf("standard output: %d bytes, wrong", out.Len())
		}
	})
}

func TestResourceChanges(t *testing.T) {
	before, after := origintest.NewFile(8*mib, 12), origintest.NewFile(8*mib, 13)
	bubble(t, map[string]origintest.File{"/f.bin": before}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		a := &account{}
		a.once(0.4, func() { w.origin.Set("/f.bin", after) })
		if err := w.user(mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		got, err := os.ReadFile(filepath.Join(w.dir, "f.bin"))
		if err != nil || !after.Verify(got, 0) || int64(len(got)) != after.Size {
			w.t.Errorf("%d bytes, not those of the new generation (%v)", len(got), err)
		}
	})
}
