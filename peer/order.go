package peer

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

// Bounds of what a client may send. Whatever is larger is refused as Invalid.
const (
	maxURL         = 8 << 10
	maxHeaders     = 8
	maxHeaderBytes = 16 << 10 // all names and values together
	maxValidator   = 1 << 10  // an entity tag, a date, a coding
	maxMirrors     = 15       // of a stream, besides the URL of its Open
)

// passed names the request headers that a client may set: none of them carries
// a credential or changes where the request goes.
func passed(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "User-Agent", "Accept", "Accept-Language", "Referer":
		return true
	}
	return false
}

// checkResource validates the target of an Open or a Probe. Nothing of what
// it lets through chooses an address, a proxy or a method.
func checkResource(r *ddmv1.Resource) (origin.Resource, error) {
	if r == nil {
		return origin.Resource{}, fmt.Errorf("%w: no resource named", errdefs.Invalid)
	}
	if err := checkURL(r.GetUrl()); err != nil {
		return origin.Resource{}, err
	}
	return checkTarget(r)
}

// checkTarget validates a resource but for its URL.
func checkTarget(r *ddmv1.Resource) (origin.Resource, error) {
	header, err := checkHeaders(r.GetHeaders())
	if err != nil {
		return origin.Resource{}, err
	}
	return origin.Resource{URL: r.GetUrl(), Header: header}, nil
}

// checkURL accepts an absolute http or https URL without userinfo and
// fragment. Its errors do not repeat the URL: it may hold a secret.
func checkURL(raw string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("%w: URL of %d bytes, at most %d are taken", errdefs.Invalid, len(raw), maxURL)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("%w: URL cannot be parsed", errdefs.Invalid)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: only absolute http and https URLs are fetched", errdefs.Invalid)
	case u.Opaque != "" || u.Hostname() == "":
		return fmt.Errorf("%w: URL without a host", errdefs.Invalid)
	case u.User != nil:
		return fmt.Errorf("%w: URL with user information, send no credentials to a peer", errdefs.Invalid)
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return fmt.Errorf("%w: URL with a fragment", errdefs.Invalid)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%w: URL with a port outside 1 to 65535", errdefs.Invalid)
		}
	}
	return nil
}

// sharedURL reports whether a URL names a content that no origin has:
// "ddm:sha256:" and 64 digits in lower case.
func sharedURL(raw string) bool {
	digits, ok := strings.CutPrefix(raw, offer.Scheme+"sha256:")
	return ok && len(digits) == 64 && strings.Trim(digits, "0123456789abcdef") == ""
}

func checkHeaders(fields []*ddmv1.Header) (http.Header, error) {
	if len(fields) > maxHeaders {
		return nil, fmt.Errorf("%w: %d headers, at most %d are passed on", errdefs.Invalid, len(fields), maxHeaders)
	}
	header, size := make(http.Header, len(fields)), 0
	for _, f := range fields {
		name, value := f.GetName(), f.GetValue()
		size += len(name) + len(value)
		switch {
		case size > maxHeaderBytes:
			return nil, fmt.Errorf("%w: more than %d bytes of headers", errdefs.Invalid, maxHeaderBytes)
		case !passed(name):
			return nil, fmt.Errorf("%w: peers pass on User-Agent, Accept, Accept-Language and Referer, no other header", errdefs.Invalid)
		case !httpguts.ValidHeaderFieldValue(value):
			return nil, fmt.Errorf("%w: value of header %s", errdefs.Invalid, http.CanonicalHeaderKey(name))
		}
		header.Add(name, value)
	}
	return header, nil
}

// checkOpen validates the first order of a stream.
func checkOpen(o *ddmv1.Open) (origin.Resource, error) {
	return checkPinned(o.GetResource())
}

// checkMirror validates a further URL of a stream that has n of them, with
// Open's, for a resource of so many bytes.
func checkMirror(m *ddmv1.Mirror, n int, size int64) (origin.Resource, error) {
	res, err := checkPinned(m.GetResource())
	switch {
	case err != nil:
		return origin.Resource{}, err
	case n > maxMirrors || uint64(m.GetIndex()) != uint64(n):
		return origin.Resource{}, fmt.Errorf("%w: mirror %d after %d, at most %d are taken", errdefs.Invalid, m.GetIndex(), n-1, maxMirrors)
	case res.Gen.Size != size:
		return origin.Resource{}, fmt.Errorf("%w: a mirror of another length", errdefs.Invalid)
	}
	return res, nil
}

// checkPinned validates a resource and its generation.
func checkPinned(r *ddmv1.Resource) (origin.Resource, error) {
	check := checkResource
	if sharedURL(r.GetUrl()) {
		check = checkTarget
	}
	res, err := check(r)
	if err != nil {
		return origin.Resource{}, err
	}
	g := r.GetGeneration()
	switch {
	case g == nil:
		return origin.Resource{}, fmt.Errorf("%w: no generation pinned", errdefs.Invalid)
	case g.GetSize() < 0:
		return origin.Resource{}, fmt.Errorf("%w: a resource of unknown size is fetched from one source", errdefs.Invalid)
	case len(g.GetEtag()) > maxValidator, len(g.GetLastModified()) > maxValidator, len(g.GetContentCoding()) > maxValidator:
		return origin.Resource{}, fmt.Errorf("%w: validator of more than %d bytes", errdefs.Invalid, maxValidator)
	}
	res.Gen = origin.GenerationFromProto(g)
	return res, nil
}

// checkAssign validates an order against the lanes that were granted and the
// size that was pinned.
func checkAssign(a *ddmv1.Assign, lanes int, size int64) (byterange.Range, error) {
	off, n := a.GetOffset(), a.GetLength()
	switch {
	case off < 0 || n < 1 || off > math.MaxInt64-n:
		return byterange.Range{}, fmt.Errorf("%w: range at %d of %d bytes", errdefs.Invalid, off, n)
	case off+n > size:
		return byterange.Range{}, fmt.Errorf("%w: range ends at %d, the resource at %d", errdefs.BadRange, off+n, size)
	case uint64(a.GetLane()) >= uint64(lanes):
		return byterange.Range{}, fmt.Errorf("%w: lane %d, granted are %d", errdefs.Busy, a.GetLane(), lanes)
	}
	return byterange.Range{Off: off, Len: n}, nil
}
