package system_test

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
	ddmv1 "ddm/proto/ddm/v1"
)

// documents serves texts by path, under a host of their own.
func (w *world) documents(addr string, texts map[string]string) {
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		text, ok := texts[r.URL.Path]
		if !ok {
			http.NotFound(rw, r)
			return
		}
		_, _ = io.WriteString(rw, text) // who asked may be gone
	})}
	lis := w.net.listen(addr)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(lis) // it ends by Close
	}()
	w.t.Cleanup(func() {
		_ = srv.Close() // nothing was written
		<-ended
	})
}

// piecesOf makes the digests of a file's pieces.
func piecesOf(f origintest.File) *digest.Pieces {
	p := &digest.Pieces{Length: mib, Algorithm: digest.SHA256}
	for off := int64(0); off < f.Size; off += mib {
		sum := sha256.Sum256(f.Bytes(off, int(min(mib, f.Size-off))))
		p.Sums = append(p.Sums, sum[:])
	}
	return p
}

// describe writes a Metalink document about a file.
func describe(f origintest.File, urls ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="../f.bin"><size>%d</size><hash type="sha-256">%x</hash><pieces length="%d" type="sha-256">`, f.Size, f.SHA256(f.Size), mib)
	for _, sum := range piecesOf(f).Sums {
		fmt.Fprintf(&b, "<hash>%x</hash>", sum)
	}
	b.WriteString("</pieces>")
	for i, u := range urls {
		fmt.Fprintf(&b, `<url priority="%d">%s</url>`, i+1, u)
	}
	b.WriteString("</file></metalink>")
	return b.String()
}

// TestOriginNamesItsDigest: what the reply to the own line's probe says of the
// whole is checked, and raises the identity if it cannot be forged.
func TestOriginNamesItsDigest(t *testing.T) {
	f := origintest.NewFile(3*mib, 61)
	sum := f.SHA256(f.Size)
	weak := md5.Sum(f.Bytes(0, int(f.Size)))
	b64 := base64.StdEncoding.EncodeToString
	wrong := b64(make([]byte, 32))
	for _, tc := range []struct {
		name         string
		field, value string
		kind         errdefs.Kind
		identity     string
	}{
		{"right", "Repr-Digest", "sha-256=:" + b64(sum[:]) + ":", "", "digest"},
		{"wrong", "Repr-Digest", "sha-256=:" + wrong + ":", errdefs.Corrupt, ""},
		{"of each range", "Content-Digest", "sha-256=:" + wrong + ":", errdefs.BadReply, ""},
		{"weak", "X-Goog-Hash", "md5=" + b64(weak[:]), "", "strong"},
		{"weak and wrong", "X-Goog-Hash", "md5=" + wrong[:22] + "==", errdefs.Corrupt, ""},
		{"of nobody knows what", "Content-Md5", wrong[:22] + "==", "", "strong"},
		{"malformed", "Repr-Digest", "sha-256=" + wrong, "", "strong"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := f
			f.Header = http.Header{tc.field: {tc.value}}
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				w.peer("a", mib)
				a := &account{retracted: true}
				err := w.user(mib, nil).get("/f.bin", a)
				if errdefs.KindOf(err) != tc.kind {
					w.t.Fatalf("error %v, want kind %q", err, tc.kind)
				}
				if err != nil {
					if !strings.Contains(err.Error(), tc.field) && !strings.Contains(err.Error(), strings.ToLower(tc.field)) {
						w.t.Errorf("%v: does not say who says so", err)
					}
					w.vacant()
					return
				}
				w.holds("f.bin", f)
				if a.done.Identity != tc.identity || (tc.identity == "digest") != strings.HasPrefix(a.done.Digest, "sha256:") {
					w.t.Errorf("identity %s, digest %q", a.done.Identity, a.done.Digest)
				}
			})
		})
	}
}

// TestLiarAgainstPieces: of three peers one lies with right CRCs. Its pieces
// are found, it is named, and the file is right.
func TestLiarAgainstPieces(t *testing.T) {
	f, other := origintest.NewFile(24*mib, 62), origintest.NewFile(24*mib, 63)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		l := &liar{file: other, rate: 4 * mib}
		l.order = twist(func(s *lies, a *ddmv1.Assign) error {
			if err := errors.Join(s.started(a, f), s.bytes(a, a.GetLength())); err != nil {
				return err
			}
			return s.done(a)
		})
		w.book(trackerAddr).join(w.liar("liar", l))
		a := &account{retracted: true}
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Pieces: piecesOf(f)}
		if err := w.user(mib, nil).do(job, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if !a.moved("liar", "banned") || a.done.Identity != "digest" {
			w.t.Errorf("identity %s; %v %v %v", a.done.Identity, a.moves, a.notes, a)
		}
		if more := a.done.Origin - f.Size; a.starts() != 1 || more > f.Size*3/4 {
			w.t.Errorf("%d starts, %d bytes more than the file: what was right was fetched again too", a.starts(), more)
		}
	})
}

// TestPiecesToStdout: content that goes out in order is judged on its way.
func TestPiecesToStdout(t *testing.T) {
	f := origintest.NewFile(3*mib+5, 64)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Pieces: piecesOf(f)}
		u := w.user(mib, func(o *client.Options) { o.LocalOnly = true })
		var out strings.Builder
		job.Stdout = &out
		a := &account{}
		if err := u.do(job, a); err != nil || int64(out.Len()) != f.Size || a.done.Identity != "digest" {
			w.t.Errorf("%d bytes, %v", out.Len(), err)
		}
		job.Pieces.Sums[3] = make([]byte, sha256.Size)
		if err := u.do(job, &account{}); !errors.Is(err, errdefs.Corrupt) {
			w.t.Errorf("error %v", err)
		}
	})
}

// TestChecksumFiles: what the file says is looked up by the resource's names.
func TestChecksumFiles(t *testing.T) {
	f := origintest.NewFile(2*mib, 65)
	const docs = "docs:80"
	line := fmt.Sprintf("%x  f.bin\n", f.SHA256(f.Size))
	other := strings.Repeat("0", 64)
	bubble(t, map[string]origintest.File{"/f.bin": f, "/latest": f.With(origintest.Fault{Location: "/f.bin"})}, func(w *world) {
		w.documents(docs, map[string]string{
			"/SHA256SUMS": other + "  g.bin\n" + line, "/wrong": other + "  f.bin\n", "/others": other + "  a\n" + other + "  b\n",
			"/page": "<html>", "/long": strings.Repeat("# nothing\n", digest.MaxList/8),
		})
		u := w.user(mib, func(o *client.Options) { o.LocalOnly = true })
		for _, tc := range []struct {
			path, sums string
			kind       errdefs.Kind
		}{
			{"/f.bin", "/SHA256SUMS", ""},
			{"/latest", "/SHA256SUMS", ""},
			{"/f.bin", "/wrong", errdefs.Corrupt},
			{"/f.bin", "/others", errdefs.Invalid},
			{"/f.bin", "/page", errdefs.Invalid},
			{"/f.bin", "/long", errdefs.Invalid},
			{"/f.bin", "/none", errdefs.NotFound},
		} {
			a := &account{}
			job := client.Job{URLs: []string{"http://" + originHost + tc.path}, ChecksumURL: "http://docs" + tc.sums, Overwrite: true, Output: "f.bin"}
			err := u.do(job, a)
			if errdefs.KindOf(err) != tc.kind {
				w.t.Errorf("%s, %s: %v, want kind %q", tc.path, tc.sums, err, tc.kind)
			}
			if err == nil && a.done.Identity != "digest" {
				w.t.Errorf("%s, %s: identity %s", tc.path, tc.sums, a.done.Identity)
			}
		}
	})
}

// TestMetalink: mirrors in their order, the one with another length left
// out, secrets kept from them, the name made safe.
func TestMetalink(t *testing.T) {
	f := origintest.NewFile(5*mib, 66)
	bubble(t, map[string]origintest.File{"/f.bin": f, "/short.bin": origintest.NewFile(mib, 67)}, func(w *world) {
		base := "http://" + originHost
		w.documents("docs:80", map[string]string{"/f.meta4": describe(f, base+"/none", base+"/short.bin", base+"/f.bin")})
		u := w.user(mib, func(o *client.Options) { o.LocalOnly = true })
		job := client.Job{URLs: []string{"http://docs/f.meta4"}, Dir: w.dir, Header: http.Header{"X-Secret": {"s3cret"}}}
		if err := u.do(job, &account{}); !errors.Is(err, client.ErrMetalink) {
			w.t.Fatal(err)
		}
		jobs, err := u.c.Follow(w.t.Context(), job, nil)
		if err != nil || len(jobs) != 1 {
			w.t.Fatalf("%d jobs, %v", len(jobs), err)
		}
		a := &account{}
		if err := u.c.Download(w.t.Context(), jobs[0], a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if a.done.Identity != "digest" {
			w.t.Errorf("identity %s", a.done.Identity)
		}
		for _, r := range w.origin.Requests() {
			if r.Header.Get("X-Secret") != "" {
				w.t.Errorf("%s was asked with the document's secrets", r.Path)
			}
		}
	})
}

// TestStrangersMetalink: a public server's document leads nobody into private
// networks; the user's own may.
func TestStrangersMetalink(t *testing.T) {
	f := origintest.NewFile(mib, 68)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		inside := describe(f, "http://10.0.0.1/f.bin")
		w.documents("93.184.216.35:80", map[string]string{"/f.meta4": inside})
		w.documents("10.0.0.2:80", map[string]string{"/f.meta4": inside})
		secret := origintest.Serve(w.t, w.net.listen("10.0.0.1:80"), origintest.Options{Files: map[string]origintest.File{"/f.bin": f}})
		defer secret.Close()
		u := w.user(mib, func(o *client.Options) { o.LocalOnly = true })
		for _, tc := range []struct {
			from string
			kind errdefs.Kind
		}{{"93.184.216.35", errdefs.Refused}, {"10.0.0.2", ""}} {
			jobs, err := u.c.Follow(w.t.Context(), client.Job{URLs: []string{"http://" + tc.from + "/f.meta4"}, Dir: w.dir}, nil)
			if err != nil {
				w.t.Fatal(err)
			}
			if err := u.c.Download(w.t.Context(), jobs[0], &account{}); errdefs.KindOf(err) != tc.kind {
				w.t.Errorf("from %s: %v, want kind %q", tc.from, err, tc.kind)
			}
		}
		w.holds("f.bin", f)
	})
}

// TestLinkedMetalink: a reply links to a document and a mirror; with the
// digests of the one the other may take over.
func TestLinkedMetalink(t *testing.T) {
	f := origintest.NewFile(6*mib, 69)
	first := f.With(origintest.Fault{Skip: 1, Status: 404}) // the probe is served, then the file is gone
	first.Header = http.Header{"Link": {`<http://93.184.216.35/f.meta4>; rel=describedby; type="application/metalink4+xml"`, `</mirror/f.bin>; rel=duplicate; pri=1`}}
	bubble(t, map[string]origintest.File{"/f.bin": first, "/mirror/f.bin": f}, func(w *world) {
		w.documents("93.184.216.35:80", map[string]string{"/f.meta4": describe(f)})
		a := &account{}
		u := w.user(mib, func(o *client.Options) { o.LocalOnly = true })
		if err := u.get("/f.bin", a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		if a.done.Identity != "digest" || !slices.ContainsFunc(a.notes, func(n string) bool { return strings.Contains(n, "the origin names 1 mirror besides") }) {
			w.t.Errorf("identity %s, notes %q", a.done.Identity, a.notes)
		}
	})
}
