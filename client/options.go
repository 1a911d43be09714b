package client

import (
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/digest"
	"ddm/internal/lines"
	"ddm/internal/offer"
	"ddm/internal/origin"
)

// Options hold for every download of a Client. The zero value of a field means
// its default.
type Options struct {
	Trackers  []string     // host:port; none: no peers are looked for
	Lines     []lines.Spec // own lines; none: the system's choice
	StateDir  string       // keeps the lines' quotas; "": none may have one
	NoLocal   bool         // leave this machine's own lines unused
	LocalOnly bool         // use no peers
	Insecure  bool         // plaintext to tracker and peers
	Share     *Sharing     // how others get what is downloaded; nil: they do not

	Connections int   // most connections per source and origin; 0: found out, at most 16
	LimitRate   int64 // bytes per second over all sources; 0: none

	Retry          int           // attempts per request that fail in a way worth repeating; 0: 5, -1: none
	RetryWait      time.Duration // first wait between them, doubled each time; 0: 1 s
	ConnectTimeout time.Duration // 0: 10 s
	Timeout        time.Duration // until an answer's header; 0: 15 s
	Patience       time.Duration // without a byte from anywhere; 0: 60 s

	Proxy func(*http.Request) (*url.URL, error) // for own lines; nil: none
	Log   hclog.Logger                          // nil: discards

	Version string // of the program, told to peers and trackers
}

// Sharing is how others on the LAN get what a Client downloads, while it
// downloads it and for a moment after.
type Sharing struct {
	Shelf *offer.Shelf // is given what may be shared; the caller's
	// Serve sees to it that the Shelf is served, and returns where: "host:port",
	// or ":port" if trackers are to fill in from where they are dialled. It may
	// be called often, and side by side.
	Serve func() (address string, err error)
	For   time.Duration // how long everything is served on after its download; 0: as long as members of its swarm need it, at most 10 s
	Name  string        // what people call this machine
}

// Job is one download.
type Job struct {
	Shared  *Shared        // a file that machines of the LAN offer, in place of URLs
	URLs    []string       // mirrors of one resource; the first is the main one
	Home    string         // URL whose origin Header and User are for; "": the first of URLs
	Guarded bool           // a public server named the URLs, not the user: they must not lead into private networks
	Dir     string         // folder to save in; "": the current one
	Output  string         // name to save under; "": from the origin
	Stdout  io.Writer      // set: write there in order, and nothing to disk
	Header  http.Header    // extra request headers, as the user gave them
	User    *url.Userinfo  // credentials for the URL's origin; nil: none
	Cookies http.CookieJar // nil: none
	Netrc   func(host string) *url.Userinfo

	Digest    bool // compute the SHA-256 of what was saved
	Overwrite bool // replace an existing file
	DryRun    bool // only say what would be done

	// What is known of the content besides; everything is checked before the
	// commit.
	Size        int64           // bytes that it must have; 0: not known
	Checksums   []digest.Digest // all must be right
	ChecksumURL string          // a checksum file, fetched over an own line at first; "": none
	Pieces      *digest.Pieces  // bad ones are fetched again; nil: not known

	Require origin.Level // less evidence than this is errdefs.Refused; the zero value asks for none

	Quorum int // 2: everything is to come from two machines, and be the same; 0 or 1: once is enough

	NoMetalink     bool // save a Metalink document instead of failing with ErrMetalink
	NoOriginDigest bool // leave unchecked what the origin's header says the content hashes to

	Timeline string // file for a picture (SVG) of who fetched what when; "": none
}
