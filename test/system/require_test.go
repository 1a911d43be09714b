package system_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
)

// TestRequireIdentity: less evidence than asked for is refused before more than
// the probe is fetched, with a sentence that says what there is.
func TestRequireIdentity(t *testing.T) {
	strong := origintest.NewFile(8*mib, 70)
	weak := strong
	weak.ETag = ""
	bare := origintest.File{Content: strong.Content, Size: strong.Size}
	fading := strong.With(origintest.Fault{Skip: 2, ETag: new(string)}) // another node, without tags
	sum := strong.SHA256(strong.Size)
	known := []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}}
	for _, tc := range []struct {
		name    string
		file    origintest.File
		sums    []digest.Digest
		require origin.Level
		said    string // in the refusal; "": it is done
		reached string
	}{
		{"strong for strong", strong, nil, origin.Strong, "", "strong"},
		{"strong for weak", strong, nil, origin.Weak, "", "strong"},
		{"strong for digest", strong, nil, origin.Digest, "no digest of the content is known", ""},
		{"weak for strong", weak, nil, origin.Strong, "the evidence is weak (no strong ETag", ""},
		{"weak for weak", weak, nil, origin.Weak, "", "weak"},
		{"nothing for weak", bare, nil, origin.Weak, "the evidence is none (no Last-Modified", ""},
		{"samples for nothing", bare, nil, origin.Sampled, "", "sampled"},
		{"nothing for none", bare, nil, origin.None, "", "sampled"},
		{"a digest makes up for it", bare, known, origin.Digest, "", "digest"},
		{"a digest is more than strong", weak, known, origin.Strong, "", "digest"},
		{"fading", fading, nil, origin.Strong, "refused", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": tc.file}, func(w *world) {
				w.tracker()
				w.peer("a", mib)
				a := &account{}
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Require: tc.require, Checksums: tc.sums}
				err := w.user(mib, nil).do(job, a)
				switch {
				case tc.said == "" && err == nil:
					w.holds("f.bin", tc.file)
					if a.done.Identity != tc.reached {
						w.t.Errorf("identity %s, want %s", a.done.Identity, tc.reached)
					}
				case tc.said == "" || err == nil:
					w.t.Fatalf("error %v, want %q", err, tc.said)
				case tc.name == "fading": // every further reply shows less: none is used
					w.vacant()
				case errdefs.KindOf(err) != errdefs.Refused || !strings.Contains(err.Error(), tc.said):
					w.t.Errorf("error %v, want %q", err, tc.said)
				default:
					w.vacant()
					if n := len(w.origin.Requests()); n > 1 {
						w.t.Errorf("%d requests before it was refused", n)
					}
				}
			})
		})
	}
}

// TestRequireIdentityOfAnEarlierRun: what an earlier run mixed by less evidence
// than is asked for now is kept aside, and said so; without asking for more it
// is used, and the end says what it is worth.
func TestRequireIdentityOfAnEarlierRun(t *testing.T) {
	f := origintest.NewFile(8*mib, 70)
	tagless := f.With(origintest.Fault{Skip: 1, Set: []string{"Etag:"}}) // all replies but the first
	sum := f.SHA256(f.Size)
	for name, tc := range map[string]struct {
		require origin.Level
		sums    []digest.Digest
		aside   bool
		reached string
	}{
		"nothing":             {origin.None, nil, false, "weak"},
		"weak":                {origin.Weak, nil, false, "weak"},
		"strong":              {origin.Strong, nil, true, "strong"},
		"strong, by a digest": {origin.Strong, []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}}, false, "digest"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": tagless}, func(w *world) {
				u := w.user(mib, nil)
				ctx, cancel := context.WithCancel(w.t.Context())
				first := &account{}
				first.once(0.6, cancel)
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir}
				if err := u.c.Download(ctx, job, first); !errors.Is(err, context.Canceled) {
					w.t.Fatalf("error %v, want canceled", err)
				}
				w.origin.Set("/f.bin", f)
				before := w.origin.Sent()
				job.Require, job.Checksums = tc.require, tc.sums
				a := &account{}
				if err := u.do(job, a); err != nil {
					w.t.Fatal(err)
				}
				w.contains("f.bin", f)
				if again := w.origin.Sent()-before >= f.Size; again != tc.aside || a.noted("came under the identity weak") != tc.aside {
					w.t.Errorf("sent %d bytes, notes %q", w.origin.Sent()-before, a.notes)
				}
				if a.done.Identity != tc.reached {
					w.t.Errorf("identity %s, want %s", a.done.Identity, tc.reached)
				}
			})
		})
	}
}
