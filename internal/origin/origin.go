// Package origin is the one way to the internet: it asks HTTP origins for
// byte ranges and lets through only replies that pass the accept test.
//
//	Probe, Open --> redirects --> http.Transport --> policy --> socket of the line
//	                   |                            (judges each address dialled)
//	                Accept (pure: status, header, pinned generation)
//	                   |
//	  Reply.Body <-- exact length, stall watchdog, rate limit
//
// A Line is one way of a machine to the internet. It speaks HTTP/1.1 only, so
// that a lane is a connection. Nothing here retries, caches bodies or logs.
package origin

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ddm/internal/byterange"
)

// Generation pins the identity of a resource: bytes of two generations are
// never mixed in one file. The fields are the raw header values.
type Generation struct {
	Size         int64  // complete length in bytes; -1: unknown
	ETag         string // as received, quotes and W/ included; "": none
	LastModified string // as received; "": none
	Coding       string // Content-Encoding in lower case; "": identity
}

// StrongETag reports whether the ETag is well formed and a strong validator
// (RFC 9110, section 8.8.3).
func (g Generation) StrongETag() bool {
	n := len(g.ETag)
	if n < 2 || g.ETag[0] != '"' || g.ETag[n-1] != '"' {
		return false
	}
	return !strings.ContainsFunc(g.ETag[1:n-1], func(r rune) bool {
		return r <= ' ' || r == '"' || r == 0x7f
	})
}

// Level grades the evidence that two replies are of one generation.
type Level int

// The levels, weakest first.
const (
	None    Level = iota // nothing: one source only, in sequence
	Sampled              // same length; equal bytes must be shown by samples
	Weak                 // same length and Last-Modified
	Strong               // same length and strong ETag
	Digest               // a digest is known; never graded from one reply
)

// String gives the word of the outer contract.
func (l Level) String() string {
	switch l {
	case Sampled:
		return "sampled"
	case Weak:
		return "weak"
	case Strong:
		return "strong"
	case Digest:
		return "digest"
	default:
		return "none"
	}
}

// ParseLevel reads the word of a level; ok is false if it is none.
func ParseLevel(word string) (l Level, ok bool) {
	for l := None; l <= Digest; l++ {
		if l.String() == word {
			return l, true
		}
	}
	return None, false
}

// Resource is what to fetch, and which generation of it.
type Resource struct {
	URL    string         // absolute http or https URL, without userinfo
	Header http.Header    // extra request headers; dropped when a redirect changes the origin
	Jar    http.CookieJar // nil: none
	Gen    Generation     // pinned; its Size must be known

	// Guarded says that a public server named the URL, not the user: it is
	// judged like the target of a redirect, by LineConfig.Redirected.
	Guarded bool

	// Undigested leaves a reply's Content-Digest unchecked.
	Undigested bool
}

// ProbeRequest asks what an origin says of a resource.
type ProbeRequest struct {
	URL    string         // absolute http or https URL, without userinfo
	Header http.Header    // extra request headers; dropped when a redirect changes the origin
	Jar    http.CookieJar // nil: none
	From   int64          // first byte to ask for
	First  int64          // bytes to ask for; 0: 1 MiB
	Whole  bool           // ask for everything in one reply instead, without a range

	Guarded    bool // as in Resource
	Undigested bool // as in Resource
}

// Linked is the Link fields of one reply.
type Linked struct {
	URL    *url.URL // that they are relative to
	Fields []string
}

// Reply is an accepted answer. Its Body must be closed.
type Reply struct {
	Gen   Generation      // what this reply said
	Level Level           // how well it agrees with the pinned generation; of a probe: what can be reached at best
	Range byterange.Range // what the body holds, perhaps less than asked; Len is math.MaxInt64 if a Whole has no known length
	Whole bool            // a 200: the body is the resource from byte 0, and ranges are not served (probes only)

	FinalURL    string        // after redirects; may hold a secret in its query: never log or send it
	Disposition string        // Content-Disposition as received
	Modified    time.Time     // Last-Modified; zero: none
	Header      http.Header   // of the reply
	Links       []Linked      // where the reply, and redirects on the way to it, had Link fields
	Guarded     bool          // it came from a public address, or a proxy: what it names is judged as in Resource
	FirstByte   time.Duration // from sending the last request to its reply's header

	// Body gives exactly Range. A body that ends early fails with
	// errdefs.Unavailable around io.ErrUnexpectedEOF, a longer one, and one
	// that is not what its Content-Digest says, with errdefs.BadReply: then
	// nothing of it may be used. It lives as long as
	// the context of its request. A Read may return bytes and an error
	// together. Close must not run beside a Read: cancel the context to end
	// one that blocks.
	Body io.ReadCloser
}
