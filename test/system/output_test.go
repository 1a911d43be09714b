package system_test

import (
	"context"
	"crypto/md5"  //nolint:gosec // as the product offers it
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

// TestPlaces is where a file ends up, and what is in its way.
func TestPlaces(t *testing.T) {
	f := origintest.NewFile(mib+5, 80)
	named := f
	named.Header = map[string][]string{"Content-Disposition": {`attachment; filename="../../e vil.iso"`}}
	files := map[string]origintest.File{"/f.bin": f, "/named": named, "/": f, "/a/b/": f}
	outside := t.TempDir()
	for _, tc := range []struct {
		name   string
		path   string
		job    client.Job
		before func(dir string) error
		want   string // path of the file; absolute, or in the folder
		kind   errdefs.Kind
		sent   int64 // most bytes the origin may have sent if it fails
	}{
		{name: "the path's name", path: "/f.bin", want: "f.bin"},
		{name: "the name in the header", path: "/named", want: "e vil.iso"},
		{name: "no name at all", path: "/", want: "download"},
		{name: "an escaped slash", path: "/a%2Fb/", want: "b"},
		{name: "a name", path: "/f.bin", job: client.Job{Output: "x"}, want: "x"},
		{name: "a name with a folder", path: "/f.bin", job: client.Job{Output: "sub/deep/x"}, want: "sub/deep/x"},
		{name: "an absolute name", path: "/f.bin", job: client.Job{Output: filepath.Join(outside, "abs")}, want: filepath.Join(outside, "abs")},
		{name: "a folder that is not there", path: "/f.bin", job: client.Job{Dir: "new/er"}, want: "new/er/f.bin"},
		{name: "above", path: "/f.bin", job: client.Job{Output: ".."}, kind: errdefs.Exists},
		{name: "a name that is taken", path: "/f.bin", job: client.Job{Output: "x"}, before: touch("x"), kind: errdefs.Exists},
		{name: "the path's name is taken", path: "/f.bin", before: touch("f.bin"), kind: errdefs.Exists, sent: mib},
		{name: "replaced", path: "/f.bin", job: client.Job{Overwrite: true}, before: touch("f.bin"), want: "f.bin"},
		{name: "a folder in the way", path: "/f.bin", job: client.Job{Overwrite: true}, before: mkdir("f.bin", 0o755), kind: errdefs.Exists, sent: mib},
		{name: "a link in the way", path: "/f.bin", before: func(dir string) error { return os.Symlink("/etc/passwd", filepath.Join(dir, "f.bin")) }, kind: errdefs.Exists, sent: mib},
		{name: "a file where a folder should be", path: "/f.bin", job: client.Job{Dir: "x/y"}, before: touch("x"), kind: errdefs.MakeDir, sent: mib},
		{name: "the part file is a folder", path: "/f.bin", before: mkdir(".f.bin.ddm-part", 0o755), want: "f.bin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, files, func(w *world) {
				w.tracker()
				w.peer("a", mib)
				if tc.before != nil {
					if err := tc.before(w.dir); err != nil {
						w.t.Fatal(err)
					}
				}
				tc.job.URLs = []string{"http://" + originHost + tc.path}
				tc.job.Dir = filepath.Join(w.dir, tc.job.Dir)
				a := &account{}
				err := w.user(mib, nil).do(tc.job, a)
				if errdefs.KindOf(err) != tc.kind {
					w.t.Fatalf("error %v, want kind %q", err, tc.kind)
				}
				if tc.kind != "" {
					if sent := w.origin.Sent(); sent > tc.sent {
						w.t.Errorf("%d bytes were fetched for nothing", sent)
					}
					return
				}
				path := tc.want
				if !filepath.IsAbs(path) {
					path = filepath.Join(w.dir, path)
				}
				got, err := os.ReadFile(path)
				if err != nil || int64(len(got)) != f.Size || !f.Verify(got, 0) || a.done.Path != path {
					w.t.Errorf("%s (reported %s): %d bytes, wrong or not %d: %v", path, a.done.Path, len(got), f.Size, err)
				}
				if st, err := os.Stat(path); err == nil && !st.ModTime().Equal(f.Modified) {
					w.t.Errorf("its time is %v, not the origin's %v", st.ModTime(), f.Modified)
				}
			})
		})
	}
}

func touch(name string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600) }
}

func mkdir(name string, mode os.FileMode) func(string) error {
	return func(dir string) error { return os.Mkdir(filepath.Join(dir, name), mode) }
}

// TestChecksums: every algorithm, on disk and on standard output, right and
// wrong.
func TestChecksums(t *testing.T) {
	f := origintest.NewFile(2*mib+1, 81)
	for algo, h := range map[string]hash.Hash{
		"md5": md5.New(), "sha1": sha1.New(), "sha256": sha256.New(), "sha512": sha512.New(), //nolint:gosec // as above
	} {
		if _, err := io.Copy(h, f.Reader(f.Size)); err != nil {
			t.Fatal(err)
		}
		sum := h.Sum(nil)
		for _, wrong := range []bool{false, true} {
			for _, stdout := range []bool{false, true} {
				name := algo + map[bool]string{true: " wrong"}[wrong] + map[bool]string{true: " stdout"}[stdout]
				t.Run(name, func(t *testing.T) {
					bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
						w.tracker()
						w.peer("a", mib)
						check := digest.Digest{Algorithm: algo, Sum: append([]byte(nil), sum...)}
						if wrong {
							check.Sum[0] ^= 1
						}
						job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Checksums: []digest.Digest{check}}
						if stdout {
							job.Stdout = io.Discard
						}
						a := &account{}
						err := w.user(mib, nil).do(job, a)
						switch {
						case wrong && !errors.Is(err, errdefs.Corrupt):
							w.t.Errorf("error %v, want kind %q", err, errdefs.Corrupt)
						case wrong:
							w.vacant()
						case err != nil:
							w.t.Error(err)
						case a.done.Identity != "digest" || (algo == "sha256") != (a.done.Digest != ""):
							w.t.Errorf("identity %s, digest %q", a.done.Identity, a.done.Digest)
						case !stdout:
							w.contains("f.bin", f)
						}
						w.clean()
					})
				})
			}
		}
	}
}

func TestChecksumsThatAreNone(t *testing.T) {
	bubble(t, nil, func(w *world) {
		for _, bad := range []digest.Digest{{Algorithm: "crc32", Sum: make([]byte, 4)}, {Algorithm: "sha256", Sum: make([]byte, 5)}, {}} {
			err := w.user(mib, nil).do(client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Checksums: []digest.Digest{bad}}, &account{})
			if errdefs.KindOf(err) != errdefs.Invalid || w.origin.Total() > 0 {
				w.t.Errorf("checksum %v: error %v after %d requests", bad, err, w.origin.Total())
			}
		}
	})
}

// TestResume: what arrived is not fetched again; what is not of this resource
// is kept aside, and a note says so.
func TestResume(t *testing.T) {
	f, newer := origintest.NewFile(10*mib, 82), origintest.NewFile(10*mib, 83)
	bare := origintest.File{Content: f.Content, Size: f.Size}
	for _, tc := range []struct {
		name    string
		file    origintest.File
		then    func(w *world)
		path    string // of the second run; "": the same
		want    origintest.File
		resumed bool
		aside   bool
	}{
		{name: "the same", file: f, want: f, resumed: true},
		{name: "another generation", file: f, then: func(w *world) { w.origin.Set("/f.bin", newer) }, want: newer, aside: true},
		{name: "another resource", file: f, path: "/other/f.bin", want: f, aside: true},
		{name: "no validator", file: bare, want: bare, aside: true},
		{name: "the journal is gone", file: f, want: f, aside: true, then: func(w *world) {
			_ = os.Remove(filepath.Join(w.dir, ".f.bin.ddm-journal"))
		}},
		{name: "bytes were changed", file: f, want: f, resumed: true, then: func(w *world) {
			part, err := os.OpenFile(filepath.Join(w.dir, ".f.bin.ddm-part"), os.O_WRONLY, 0)
			if err == nil {
				_, err = part.WriteAt([]byte("overwritten by somebody"), 1000)
				err = errors.Join(err, part.Close())
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": tc.file, "/other/f.bin": tc.file}, func(w *world) {
				w.tracker()
				w.peer("a", mib)
				u := w.user(mib, nil)
				ctx, cancel := context.WithCancel(w.t.Context())
				first := &account{}
				first.once(0.6, cancel)
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir}
				if err := u.c.Download(ctx, job, first); !errors.Is(err, context.Canceled) {
					w.t.Fatalf("error %v, want canceled", err)
				}
				if tc.then != nil {
					tc.then(w)
				}
				before := w.origin.Sent()
				if tc.path != "" {
					job.URLs = []string{"http://" + originHost + tc.path}
				}
				a := &account{}
				if err := u.do(job, a); err != nil {
					w.t.Fatal(err)
				}
				w.contains("f.bin", tc.want)
				w.t.Log(a, a.notes, a.start.Resumed>>20, "MiB resumed")
				if (a.start.Resumed > f.Size/2) != tc.resumed {
					w.t.Errorf("%d of %d bytes were resumed", a.start.Resumed, f.Size)
				}
				again := w.origin.Sent() - before - (f.Size - a.start.Resumed)
				if tc.resumed && again > 2*mib { // the probe, and what was under way
					w.t.Errorf("%d bytes were fetched again", again)
				}
				if a.noted("kept as .f.bin.ddm-part.old-1") != tc.aside {
					w.t.Errorf("notes: %q", a.notes)
				}
			})
		})
	}
}

// TestDryRun asks once and writes nothing.
func TestDryRun(t *testing.T) {
	f := origintest.NewFile(64*mib, 84)
	for name, noLocal := range map[string]bool{"own line": false, "peers only": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				w.peer("a", mib)
				w.peer("b", mib)
				a := &account{}
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, DryRun: true}
				if err := w.user(mib, func(o *client.Options) { o.NoLocal = noLocal }).do(job, a); err != nil {
					w.t.Fatal(err)
				}
				var helpers []string
				for _, h := range a.plan.Helpers {
					helpers = append(helpers, h.Name)
				}
				want := map[bool]string{false: "own line a b", true: "a b"}[noLocal]
				if p := a.plan; p.Size != f.Size || p.Identity != "strong" || p.Name != "f.bin" || !p.Ranges || strings.Join(helpers, " ") != want {
					w.t.Errorf("plan %+v", *p)
				}
				if n := w.origin.Total(); n > 2 || w.origin.Sent() > 2*mib {
					w.t.Errorf("%d requests, %d bytes", n, w.origin.Sent())
				}
				entries, err := os.ReadDir(w.dir)
				if err != nil || len(entries) > 0 {
					w.t.Errorf("%v were written (%v)", entries, err)
				}
			})
		})
	}
}

// TestLocalOnly: no tracker and no peer is spoken to.
func TestLocalOnly(t *testing.T) {
	f := origintest.NewFile(2*mib, 85)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		b := w.book(trackerAddr)
		b.join(w.liar("a", &liar{file: f}))
		a := &account{}
		if err := w.user(mib, func(o *client.Options) { o.LocalOnly = true }).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if n, _ := w.net.dials(trackerAddr); n > 0 || b.watches.Load() > 0 || a.done.LAN > 0 {
			w.t.Errorf("the LAN was used: %v", a)
		}
	})
}
