package digest

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// Scope is what a digest of a reply's header is about.
type Scope int

const (
	// Whole is the complete representation, whatever part of it the body holds.
	Whole Scope = iota + 1
	// Body is the reply's own body.
	Body
)

// Claim is one digest that a reply's header names.
type Claim struct {
	Digest
	Scope Scope
	Field string // the header field, as it is usually written
}

// FromHeader returns what a reply's header says of content, strongest first.
// Partial says that the body holds a part of the representation only; then
//
//	Repr-Digest (RFC 9530), Digest (RFC 3230)   Whole
//	x-goog-hash                                 Whole, unless the content was stored in another coding
//	Content-Digest (RFC 9530)                   Body
//	x-amz-checksum-*                            Whole if x-amz-checksum-type says so, else left out:
//	                                            it may be that of an upload's part
//	Content-MD5 (RFC 2616, gone since RFC 7231) left out: servers disagree about what it is of
//
// and otherwise all are Whole. What is malformed, of an unknown algorithm, of
// the wrong length, or composed of other digests (x-amz-checksum-* with "-N")
// is left out, and so are claims that contradict each other.
func FromHeader(h http.Header, partial bool) []Claim {
	body := Whole
	if partial {
		body = Body
	}
	var all []Claim
	add := func(scope Scope, field, algorithm string, sum []byte) {
		if name := Canonical(algorithm); name != "" && len(sum) == Size(name) {
			all = append(all, Claim{Digest{name, sum}, scope, field})
		}
	}
	for name, sum := range dictionary(h.Values("Repr-Digest")) {
		add(Whole, "Repr-Digest", name, sum)
	}
	for name, sum := range dictionary(h.Values("Content-Digest")) {
		add(body, "Content-Digest", name, sum)
	}
	for _, p := range pairs(h.Values("Digest")) {
		add(Whole, "Digest", p.name, p.sum)
	}
	if storedAsSent(h) {
		for _, p := range pairs(h.Values("X-Goog-Hash")) {
			add(Whole, "x-goog-hash", p.name, p.sum)
		}
	}
	kind := h.Get("X-Amz-Checksum-Type")
	if strings.EqualFold(kind, "FULL_OBJECT") || kind == "" && !partial {
		for _, name := range []string{SHA512, SHA256, SHA1, MD5, CRC32C} {
			if v := h.Get("X-Amz-Checksum-" + name); v != "" {
				add(Whole, "x-amz-checksum-"+name, name, decode(v))
			}
		}
	}
	if v := h.Get("Content-Md5"); v != "" && !partial {
		add(Whole, "Content-MD5", MD5, decode(v))
	}
	slices.SortStableFunc(all, func(a, b Claim) int { return ByStrength(a.Digest, b.Digest) })
	return agreed(all)
}

// agreed leaves out repetitions, and all that contradict each other.
func agreed(all []Claim) (kept []Claim) {
	same := func(a, b Claim) bool { return a.Scope == b.Scope && a.Algorithm == b.Algorithm }
	for i, c := range all {
		disputed := slices.ContainsFunc(all, func(o Claim) bool { return same(c, o) && !c.Equal(o.Digest) })
		repeated := slices.ContainsFunc(all[:i], func(o Claim) bool { return same(c, o) })
		if !disputed && !repeated {
			kept = append(kept, c)
		}
	}
	return kept
}

// storedAsSent reports whether Google's store sends an object in the coding in
// which it hashed it: it decompresses for whoever does not take gzip.
func storedAsSent(h http.Header) bool {
	plain := func(coding string) string {
		coding = strings.ToLower(strings.TrimSpace(coding))
		if coding == "identity" {
			return ""
		}
		return coding
	}
	stored := plain(h.Get("X-Goog-Stored-Content-Encoding"))
	return stored == "" || stored == plain(h.Get("Content-Encoding"))
}

// pair is one name=base64.
type pair struct {
	name string
	sum  []byte
}

// pairs reads fields of the form name=base64, name=base64.
func pairs(fields []string) (list []pair) {
	for _, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
			if sum := decode(value); ok && sum != nil {
				list = append(list, pair{name, sum})
			}
		}
	}
	return list
}

// decode reads base64, padded or not; nil if it is none, or empty.
func decode(s string) []byte {
	b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(s), "="))
	if err != nil || len(b) == 0 || strings.ContainsAny(s, "\r\n") {
		return nil
	}
	return b
}
