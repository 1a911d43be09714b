package system_test

import (
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
		{"nothing for sampled", bare, nil, origin.Sampled, "the evidence is none", ""},
		{"nothing for none", bare, nil, origin.None, "", "none"},
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
