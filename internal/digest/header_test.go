package digest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ddm/internal/digest"
)

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestFromHeader(t *testing.T) {
	t.Parallel()
	b64 := func(n int, c byte) string {
		return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(c), n)))
	}
	s256, s256b, s512, md5, crc := b64(32, 'a'), b64(32, 'b'), b64(64, 'c'), b64(16, 'd'), b64(4, 'e')
	type want map[bool]string // partial or not: algorithm/first byte/scope/field
	both := func(s string) want { return want{false: s, true: s} }
	for _, tt := range []struct {
		name   string
		header http.Header
		want   want
	}{
		{"nothing", header(), both("")},
		{"Repr-Digest covers the whole on a 206 too", header("Repr-Digest", "sha-256=:"+s256+":"), both("sha256 a whole Repr-Digest")},
		{"Content-Digest covers the body", header("Content-Digest", "sha-256=:"+s256+":"), want{false: "sha256 a whole Content-Digest", true: "sha256 a body Content-Digest"}},
		{"both", header("Repr-Digest", "sha-256=:"+s256+":", "Content-Digest", "sha-256=:"+s256b+":"), want{true: "sha256 a whole Repr-Digest, sha256 b body Content-Digest", false: ""}},
		{"several, strongest first", header("Repr-Digest", "md5=:"+md5+":, sha-256=:"+s256+":;p=1;q=\"a;,\\\"\" ,\tsha-512=:"+s512+":"), both("sha512 c whole Repr-Digest, sha256 a whole Repr-Digest, md5 d whole Repr-Digest")},
		{"over two fields", header("Repr-Digest", "md5=:"+md5+":", "Repr-Digest", "sha-256=:"+s256+":"), both("sha256 a whole Repr-Digest, md5 d whole Repr-Digest")},
		{"the last of a key", header("Repr-Digest", "sha-256=:"+s256b+":,sha-256=:"+s256+":"), both("sha256 a whole Repr-Digest")},
		{"unknown beside known", header("Repr-Digest", "blake=:AAAA:, unixsum=12, x;y, sha-256=:"+s256+":"), both("sha256 a whole Repr-Digest")},
		{"no padding", header("Repr-Digest", "sha-256=:"+strings.TrimRight(s256, "=")+":"), both("sha256 a whole Repr-Digest")},
		{"hex is no byte sequence", header("Repr-Digest", "sha-256="+emptySHA256), both("")},
		{"quoted is no byte sequence", header("Repr-Digest", `sha-256="`+s256+`"`), both("")},
		{"upper case is no key", header("Repr-Digest", "SHA-256=:"+s256+":"), both("")},
		{"a fault anywhere", header("Repr-Digest", "sha-256=:"+s256+":, !"), both("")},
		{"trailing comma", header("Repr-Digest", "sha-256=:"+s256+":,"), both("")},
		{"not closed", header("Repr-Digest", "sha-256=:"+s256), both("")},
		{"not closed string", header("Repr-Digest", "sha-256=:"+s256+":;a=\"\\"), both("")},
		{"wrong length", header("Repr-Digest", "sha-256=:"+md5+":"), both("")},
		{"old Digest", header("Digest", "SHA-256="+s256+",MD5="+md5+", SHA="+b64(20, 'f')+",UNIXsum=30637"), both("sha256 a whole Digest, sha1 f whole Digest, md5 d whole Digest")},
		{"old and new agree", header("Digest", "SHA-256="+s256, "Repr-Digest", "sha-256=:"+s256+":"), both("sha256 a whole Repr-Digest")},
		{"old and new disagree", header("Digest", "SHA-256="+s256, "Repr-Digest", "sha-256=:"+s256b+":, md5=:"+md5+":"), both("md5 d whole Repr-Digest")},
		{"Google", header("X-Goog-Hash", "crc32c="+crc, "X-Goog-Hash", "md5="+md5), both("md5 d whole x-goog-hash, crc32c e whole x-goog-hash")},
		{"Google in one field", header("X-Goog-Hash", "crc32c="+crc+",md5="+md5), both("md5 d whole x-goog-hash, crc32c e whole x-goog-hash")},
		{"Google, decompressed", header("X-Goog-Hash", "md5="+md5, "X-Goog-Stored-Content-Encoding", "gzip"), both("")},
		{"Google, stored gzip", header("X-Goog-Hash", "md5="+md5, "X-Goog-Stored-Content-Encoding", "gzip", "Content-Encoding", "gzip"), both("md5 d whole x-goog-hash")},
		{"Google, identity", header("X-Goog-Hash", "md5="+md5, "X-Goog-Stored-Content-Encoding", "identity"), both("md5 d whole x-goog-hash")},
		{"Amazon", header("X-Amz-Checksum-Sha256", s256, "X-Amz-Checksum-Crc32c", crc), want{false: "sha256 a whole x-amz-checksum-sha256, crc32c e whole x-amz-checksum-crc32c"}},
		{"Amazon, full", header("X-Amz-Checksum-Sha256", s256, "X-Amz-Checksum-Type", "FULL_OBJECT"), both("sha256 a whole x-amz-checksum-sha256")},
		{"Amazon, composite", header("X-Amz-Checksum-Sha256", s256+"-12", "X-Amz-Checksum-Type", "COMPOSITE"), both("")},
		{"Amazon, composite by its look", header("X-Amz-Checksum-Sha256", s256+"-12"), both("")},
		{"Content-MD5", header("Content-MD5", md5), want{false: "md5 d whole Content-MD5"}},
		{"Content-MD5 in hex", header("Content-MD5", emptyMD5), both("")},
	} {
		for _, partial := range []bool{false, true} {
			var got []string
			for _, c := range digest.FromHeader(tt.header, partial) {
				scope := map[digest.Scope]string{digest.Whole: "whole", digest.Body: "body"}[c.Scope]
				got = append(got, fmt.Sprintf("%s %c %s %s", c.Algorithm, c.Sum[0], scope, c.Field))
			}
			if text := strings.Join(got, ", "); text != tt.want[partial] {
				t.Errorf("%s, partial %v: %q, want %q", tt.name, partial, text, tt.want[partial])
			}
		}
	}
}

// FuzzFromHeader: nothing of the wrong length, nothing twice; and a digest
// that is written beside anything well-formed is found.
func FuzzFromHeader(f *testing.F) {
	f.Add("sha-256=:AAAA:;a=b, x", "MD5=1,SHA=2", "crc32c=AAAAAA==", "content")
	f.Add("*a.b-c_d;x=\"\\\"\";y=?1;z=-1.5", ",,=", "md5", "")
	f.Fuzz(func(t *testing.T, repr, old, goog, content string) {
		h := http.Header{"Repr-Digest": {repr}, "Content-Digest": {repr}, "Digest": {old}, "X-Goog-Hash": {goog}, "Content-Md5": {goog}, "X-Amz-Checksum-Sha1": {old}}
		for _, partial := range []bool{false, true} {
			seen := map[string]bool{}
			for _, c := range digest.FromHeader(h, partial) {
				key := fmt.Sprint(c.Scope, c.Algorithm)
				if len(c.Sum) != digest.Size(c.Algorithm) || seen[key] || !partial && c.Scope == digest.Body {
					t.Fatalf("claim %+v", c)
				}
				seen[key] = true
			}
		}
		clean := len(digest.FromHeader(http.Header{"Repr-Digest": {"md5=:1B2M2Y8AsgTpgAmY7PhCfg==:", repr}}, true)) > 0
		if !clean || strings.Contains(repr, "sha-256") {
			return
		}
		sum := sha256.Sum256([]byte(content))
		field := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
		got := digest.FromHeader(http.Header{"Repr-Digest": {field, repr}}, true)
		for _, c := range got {
			if c.Algorithm == digest.SHA256 && string(c.Sum) == string(sum[:]) {
				return
			}
		}
		t.Errorf("%q beside %q: %+v", field, repr, got)
	})
}
