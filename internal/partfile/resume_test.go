package partfile_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/partfile"
	"ddm/internal/partfile/crashfs"
)

func TestSameGeneration(t *testing.T) {
	t.Parallel()
	strong := func(tag, modified string) origin.Generation {
		return origin.Generation{Size: 5, ETag: tag, LastModified: modified}
	}
	for _, c := range []struct {
		name string
		a, b origin.Generation
		want bool
	}{
		{"strong tags agree", strong(`"a"`, "x"), strong(`"a"`, "y"), true},
		{"strong tags differ, dates agree", strong(`"a"`, "x"), strong(`"b"`, "x"), false},
		{"weak tags differ, dates agree", strong(`W/"a"`, "x"), strong(`W/"b"`, "x"), true},
		{"weak tags agree, dates differ", strong(`W/"a"`, "x"), strong(`W/"a"`, "y"), false},
		{"one tag, dates agree", strong(`"a"`, "x"), strong("", "x"), true},
		{"nothing to compare", strong("", ""), strong("", ""), false},
		{"sizes differ", strong(`"a"`, "x"), origin.Generation{Size: 6, ETag: `"a"`, LastModified: "x"}, false},
		{"codings differ", strong(`"a"`, "x"), origin.Generation{Size: 5, ETag: `"a"`, Coding: "gzip"}, false},
		{"size unknown", origin.Generation{Size: -1, ETag: `"a"`}, origin.Generation{Size: -1, ETag: `"a"`}, false},
	} {
		if got := partfile.SameGeneration(c.a, c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestWhatIsResumed begins with one URL and goes on with another.
func TestWhatIsResumed(t *testing.T) {
	t.Parallel()
	date := "Mon, 02 Jan 2006 15:04:05 GMT"
	gen := origin.Generation{Size: 1000, ETag: `"one"`, LastModified: date}
	first := partfile.Meta{URL: "https://a.example/d/x.iso", Gen: gen, Level: origin.Strong}
	for _, c := range []struct {
		name   string
		meta   partfile.Meta
		resume bool
	}{
		{"same", first, true},
		{"other scheme", partfile.Meta{URL: "http://a.example/d/x.iso", Gen: gen}, true},
		{"a mirror", partfile.Meta{URL: "https://b.example/x.iso", Gen: gen}, true},
		{"a mirror without a date", partfile.Meta{URL: "https://b.example/x.iso", Gen: origin.Generation{Size: 1000, ETag: `"one"`}}, false},
		{"a mirror that is named", partfile.Meta{URL: "https://b.example/y", Mirrors: []string{first.URL}, Gen: gen}, true},
		{"a mirror that is named and tags otherwise", partfile.Meta{URL: "https://b.example/y", Mirrors: []string{first.URL}, Gen: origin.Generation{Size: 1000, ETag: `"two"`, LastModified: date}}, true},
		{"a mirror that is named and has another date", partfile.Meta{URL: "https://b.example/y", Mirrors: []string{first.URL}, Gen: origin.Generation{Size: 1000, ETag: `"two"`, LastModified: "x"}}, false},
		{"another file of the host", partfile.Meta{URL: "https://a.example/d/y.iso", Gen: gen}, false},
		{"another file elsewhere", partfile.Meta{URL: "https://b.example/y.iso", Gen: gen}, false},
		{"changed", partfile.Meta{URL: first.URL, Gen: origin.Generation{Size: 1000, ETag: `"two"`, LastModified: date}}, false},
		{"another size", partfile.Meta{URL: first.URL, Gen: origin.Generation{Size: 999, ETag: `"one"`}}, false},
	} {
		d := crashfs.New(1, -1)
		f := mustOpen(t, d, first, partfile.Options{})
		write(t, f, content(500), 0, "ann")
		closeFile(t, f)
		c.meta.Level = origin.Strong
		f = mustOpen(t, d, c.meta, partfile.Options{})
		if resumed := f.Resumed() == 500; resumed != c.resume || resumed == (len(f.Kept()) == 1) {
			t.Errorf("%s: resumed %d bytes, kept %v", c.name, f.Resumed(), f.Kept())
		}
		want := origin.Strong
		if c.resume && c.meta.Gen.ETag != gen.ETag {
			want = origin.Weak
		}
		if f.Level() != want {
			t.Errorf("%s: level %v, want %v", c.name, f.Level(), want)
		}
		closeFile(t, f)
		if !c.resume && !bytes.Equal(d.Content(".x.ddm-part.old-1"), content(500)) {
			t.Errorf("%s: the old part file is not what it was", c.name)
		}
	}
}

// TestEvidenceIsResumed: a run that asks for more evidence than an earlier one's
// bytes came under keeps them aside; one that does not knows what they are worth.
func TestEvidenceIsResumed(t *testing.T) {
	t.Parallel()
	gen := origin.Generation{Size: 1000, ETag: `"one"`, LastModified: "Mon, 02 Jan 2006 15:04:05 GMT"}
	dateless, tagless := gen, gen
	dateless.LastModified, tagless.ETag = "", ""
	for _, c := range []struct {
		name   string
		gen    origin.Generation
		began  origin.Level
		lower  origin.Level // before the second half; Digest: never
		unsaid bool         // the journal was written before it said anything of it
		level  origin.Level // that is resumed
	}{
		{"strong", gen, origin.Strong, origin.Digest, false, origin.Strong},
		{"weak", gen, origin.Weak, origin.Digest, false, origin.Weak},
		{"became weak", gen, origin.Strong, origin.Weak, false, origin.Weak},
		{"became sampled", gen, origin.Weak, origin.Sampled, false, origin.Sampled},
		{"never rises", tagless, origin.Sampled, origin.Weak, false, origin.Sampled},
		{"unsaid, by tag and date", gen, origin.Strong, origin.Digest, true, origin.Weak},
		{"unsaid, by tag", dateless, origin.Strong, origin.Digest, true, origin.Strong},
		{"unsaid, by date", tagless, origin.Weak, origin.Digest, true, origin.None},
	} {
		for least := origin.None; least <= origin.Strong; least++ {
			for _, clean := range []bool{false, true} {
				name := fmt.Sprintf("%s, %s is asked for, a clean end %v", c.name, least, clean)
				d := crashfs.New(1, -1)
				meta := partfile.Meta{URL: "http://a/x", Gen: c.gen, Level: c.began}
				f := mustOpen(t, d, meta, partfile.Options{})
				write(t, f, content(250), 0, "ann")
				if err := f.Checkpoint(); err != nil {
					t.Fatal(err)
				}
				f.Lower(c.lower)
				write(t, f, content(500)[250:], 250, "ann")
				if err := f.Checkpoint(); err != nil {
					t.Fatal(err)
				}
				if clean {
					closeFile(t, f)
				} else {
					d.Kill()
					_ = f.Close() // only ends its goroutine
				}
				if c.unsaid {
					forgetLevel(t, d)
				}
				meta.Level, meta.Least = origin.Strong, least
				for range 2 { // what was found out is written down
					f = mustOpen(t, d, meta, partfile.Options{})
					if least > c.level {
						if f.Resumed() != 0 || len(f.Kept()) != 1 || !strings.Contains(f.Kept()[0].Reason, c.level.String()) || f.Level() != origin.Strong {
							t.Errorf("%s: resumed %d as %v, kept %v", name, f.Resumed(), f.Level(), f.Kept())
						}
						closeFile(t, f)
						break
					}
					if f.Resumed() != 500 || f.Level() != c.level {
						t.Errorf("%s: resumed %d as %v, want %v; kept %v", name, f.Resumed(), f.Level(), c.level, f.Kept())
					}
					closeFile(t, f)
				}
			}
		}
	}
}

// forgetLevel makes a journal one that was written before levels were.
func forgetLevel(t *testing.T, d *crashfs.Disk) {
	t.Helper()
	const name = ".x.ddm-journal"
	old, err := partfile.WithoutLevel(d.Content(name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Open().OpenFile(name, os.O_TRUNC)
	if err == nil {
		_, err = f.WriteVec([][]byte{old}, 0)
		err = errors.Join(err, f.SyncData(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// damage is done between two runs on a download of two pieces.
func TestDamage(t *testing.T) {
	t.Parallel()
	const part, journal = ".x.ddm-part", ".x.ddm-journal"
	read := func(t *testing.T, dir, name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	put := func(t *testing.T, dir, name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		have   int64
		kept   string
	}{
		{"none", func(*testing.T, string) {}, 2 << 20, ""},
		{"journal with a torn tail", func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, journal, append(read(t, dir, journal), 'E', 200, 0, 0, 0, 1, 2))
		}, 2 << 20, ""},
		{"journal cut", func(t *testing.T, dir string) {
			t.Helper()
			b := read(t, dir, journal)
			put(t, dir, journal, b[:len(b)-40])
		}, 1 << 20, ""},
		{"a byte of the part file", func(t *testing.T, dir string) {
			t.Helper()
			b := read(t, dir, part)
			b[100] ^= 1
			put(t, dir, part, b)
		}, 1 << 20, ""},
		{"part file cut", func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, part, read(t, dir, part)[:1<<20+5])
		}, 1 << 20, ""},
		{"part file emptied", func(t *testing.T, dir string) { t.Helper(); put(t, dir, part, nil) }, 0, ""},
		{"journal missing", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, journal)); err != nil {
				t.Fatal(err)
			}
		}, 0, "no journal"},
		{"journal foreign", func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, journal, []byte("hello"))
		}, 0, "not a journal"},
		{"journal of another version", func(t *testing.T, dir string) {
			t.Helper()
			put(t, dir, journal, bytes.Replace(read(t, dir, journal), []byte("journal 1"), []byte("journal 2"), 1))
		}, 0, "version"},
		{"part file missing", func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(filepath.Join(dir, part)); err != nil {
				t.Fatal(err)
			}
		}, 0, ""},
		{"part file is a link", func(t *testing.T, dir string) {
			t.Helper()
			target := filepath.Join(t.TempDir(), "victim")
			if err := os.Rename(filepath.Join(dir, part), target); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, filepath.Join(dir, part)); err != nil {
				t.Fatal(err)
			}
		}, 0, "not a regular file"},
		{"part file copied", func(t *testing.T, dir string) {
			t.Helper()
			b := read(t, dir, part)
			if err := os.Remove(filepath.Join(dir, part)); err != nil {
				t.Fatal(err)
			}
			put(t, dir, part, b)
		}, 2 << 20, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			truth := content(3 << 20)
			meta := metaOf(3 << 20)
			f := openDir(t, dir, meta, partfile.Options{})
			for off := int64(0); off < 2<<20; off += 1 << 20 {
				write(t, f, truth[off:off+1<<20], off, "ann")
				if err := f.Checkpoint(); err != nil {
					t.Fatal(err)
				}
			}
			closeFile(t, f)
			c.damage(t, dir)

			f = openDir(t, dir, meta, partfile.Options{})
			have := f.Have()
			if have.Bytes() != c.have {
				t.Errorf("%d bytes are trusted, want %d", have.Bytes(), c.have)
			}
			if kept := f.Kept(); c.kept == "" != (len(kept) == 0) || c.kept != "" && !strings.Contains(kept[0].Reason, c.kept) {
				t.Errorf("kept %v, want reason %q", kept, c.kept)
			}
			if _, err := f.WriteAt([][]byte{truth}, 0, "bob"); err != nil {
				t.Fatal(err)
			}
			path, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 3 << 20})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, truth) {
				t.Errorf("content differs: %v", err)
			}
		})
	}
}

// TestWhatIsRehashed looks at how much is read again: the newest 64 MiB after
// a clean end, everything when told to, after a kill, or when somebody touched
// the file.
func TestWhatIsRehashed(t *testing.T) {
	t.Parallel()
	const size = 80 << 20
	dir := t.TempDir()
	truth := bytes.Repeat(content(1<<20), 80)
	f := openDir(t, dir, metaOf(size), partfile.Options{})
	for off := int64(0); off < size; off += 16 << 20 {
		write(t, f, truth[off:off+16<<20], off, "ann")
		if err := f.Checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	part, journal := f.PartPath(), filepath.Join(dir, ".x.ddm-journal")
	unclean, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	closeFile(t, f)
	reopen := func(name string, all bool, wantHashed, wantHave int64) {
		t.Helper()
		var hashed int64
		f := openDir(t, dir, metaOf(size), partfile.Options{VerifyAll: all, Progress: func(done, total int64) {
			if hashed = done; done > total {
				t.Errorf("%s: %d of %d bytes re-hashed", name, done, total)
			}
		}})
		defer closeFile(t, f)
		if hashed != wantHashed || f.Resumed() != wantHave {
			t.Errorf("%s: %d bytes re-hashed, %d taken over", name, hashed, f.Resumed())
		}
	}
	reopen("clean end", false, 64<<20, size)
	reopen("when told", true, size, size)
	if err := os.WriteFile(journal, unclean, 0o600); err != nil {
		t.Fatal(err)
	}
	reopen("after a kill", false, size, size)

	// One of the oldest bytes rots: the file's time does not say so.
	st, err := os.Stat(part)
	if err != nil {
		t.Fatal(err)
	}
	rot(t, part, 3<<20)
	if err := os.Chtimes(part, time.Time{}, st.ModTime()); err != nil {
		t.Fatal(err)
	}
	reopen("rot, unseen", false, 64<<20, size)
	reopen("rot, when told", true, size, size-1<<20)
	rot(t, part, 5<<20)
	reopen("touched", false, size-1<<20, size-2<<20)
}

func rot(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, errRead := f.ReadAt(b, off)
	_, errWrite := f.WriteAt([]byte{b[0] ^ 1}, off)
	if err := errors.Join(errRead, errWrite, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestDropBesideRot cuts an extent whose other bytes are no longer what they
// were: nothing of it stays.
func TestDropBesideRot(t *testing.T) {
	t.Parallel()
	d := crashfs.New(1, -1)
	f := mustOpen(t, d, metaOf(3<<20), partfile.Options{})
	defer closeFile(t, f)
	write(t, f, content(3<<20), 0, "ann")
	if err := f.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	d.Tamper(".x.ddm-part", 1<<20+900_000)
	if n, err := f.Drop(byterange.Range{Off: 1 << 20, Len: 10}); n != 1<<20 || err != nil {
		t.Errorf("Drop beside rot = %d, %v", n, err)
	}
	if n, err := f.Drop(byterange.Range{Off: 5, Len: 10}); n != 10 || err != nil {
		t.Errorf("Drop = %d, %v", n, err)
	}
}

func TestRehashCanBeCancelled(t *testing.T) {
	t.Parallel()
	d := crashfs.New(1, -1)
	f := mustOpen(t, d, metaOf(3<<20), partfile.Options{})
	write(t, f, content(3<<20), 0, "ann")
	closeFile(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := partfile.OpenIn(ctx, d.Open(), "x", metaOf(3<<20), partfile.Options{Progress: func(int64, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v", err)
	}
	f = mustOpen(t, d, metaOf(3<<20), partfile.Options{})
	defer closeFile(t, f)
	if f.Resumed() != 3<<20 {
		t.Errorf("resumed %d bytes", f.Resumed())
	}
}

func TestFailedSyncForgets(t *testing.T) {
	t.Parallel()
	for nth := 1; nth <= 2; nth++ { // of the data, of the journal
		d := crashfs.New(1, -1)
		truth := content(64 << 10)
		f := mustOpen(t, d, metaOf(64<<10), partfile.Options{})
		write(t, f, truth[:10_000], 0, "ann")
		if err := f.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		write(t, f, truth[20_000:30_000], 20_000, "ann")
		d.FailSync(nth)
		wantKind(t, f.Checkpoint(), errdefs.WriteFile)
		if have := f.Have(); have.Bytes() != 10_000 || !have.Contains(byterange.Range{Len: 10_000}) {
			t.Errorf("%d bytes are still trusted", have.Bytes())
		}
		for e := range f.Extents() {
			if e.Range != (byterange.Range{Len: 10_000}) || !e.Synced {
				t.Errorf("%v is still claimed", e)
			}
		}
		_, err := f.WriteAt([][]byte{truth[:10]}, 40_000, "")
		wantKind(t, err, errdefs.WriteFile)
		_, err = f.Drop(byterange.Range{Len: 10})
		wantKind(t, err, errdefs.WriteFile)
		_, err = f.Commit(t.Context(), partfile.CommitOptions{Size: 64 << 10})
		wantKind(t, err, errdefs.WriteFile)
		before := d.Content(".x.ddm-journal")
		wantKind(t, f.Close(), errdefs.WriteFile)
		if !bytes.Equal(d.Content(".x.ddm-journal"), before) {
			t.Error("the journal says more after a failed sync")
		}
		d.PowerCut()
		f = mustOpen(t, d, metaOf(64<<10), partfile.Options{})
		have := f.Have()
		if !have.Contains(byterange.Range{Len: 10_000}) {
			t.Errorf("%d bytes survived", have.Bytes())
		}
		closeFile(t, f)
	}
}

func TestFullDiskAndRoomMade(t *testing.T) {
	t.Parallel()
	d := crashfs.New(1, -1)
	truth := content(64 << 10)
	f := mustOpen(t, d, metaOf(64<<10), partfile.Options{})
	write(t, f, truth[:20_000], 0, "ann")
	d.SetRoom(40_000)
	_, err := f.WriteAt([][]byte{truth[20_000:50_000]}, 20_000, "ann")
	wantKind(t, err, errdefs.NoSpace)
	_, err = f.WriteAt([][]byte{truth[:1]}, 60_000, "ann")
	wantKind(t, err, errdefs.NoSpace)
	wantKind(t, f.Close(), errdefs.NoSpace)
	_, err = partfile.OpenIn(t.Context(), d.Open(), "x", metaOf(64<<10), partfile.Options{})
	wantKind(t, err, errdefs.NoSpace)
	_, err = partfile.OpenIn(t.Context(), d.Open(), "other", metaOf(64<<10), partfile.Options{})
	wantKind(t, err, errdefs.NoSpace)
	d.SetRoom(-1)
	f = mustOpen(t, d, metaOf(64<<10), partfile.Options{})
	if f.Resumed() != 20_000 {
		t.Errorf("resumed %d bytes", f.Resumed())
	}
	write(t, f, truth[20_000:], 20_000, "ann")
	if _, err := f.Commit(t.Context(), partfile.CommitOptions{Size: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(d.Content("x"), truth) || len(d.Names()) != 1 {
		t.Errorf("not finished: %v", d.Names())
	}
}
