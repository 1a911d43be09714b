package client

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ddm/client/blame"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// request is a job's resource as it is asked for.
type request struct {
	asks []ask // the mirrors; the first is in use
	jar  http.CookieJar
	// private says why the request stays on this machine's own lines; "": it
	// may be shared with peers.
	private string

	undigested bool // what the origin says of digests is left unchecked

	list     digest.List     // of the job's checksum file; nil: none
	suspects map[string]bool // peers that had a hand in bad pieces, by id: they are left out
	learned  learned         // from the origin, for the mirrors that it named
	past     past            // attempts that were not the last
	lists    *blame.Lists    // what holders of a shared file say of its pieces; nil: they are not asked
	sought   bool            // an attempt waits for the first list: the whole was wrong without one
	member   string          // its id in swarms; "": not needed yet
}

// maxMirrors bounds what an origin can make a download remember.
const maxMirrors = 32

// ask is one URL of a resource, with what goes to its origin and no other.
type ask struct {
	url     string // without userinfo and fragment
	header  http.Header
	guarded bool // a public server named it; see origin.Resource
	named   bool // the origin of another one named it, with digests of its content
}

// url is the one in use.
func (r *request) url() string { return r.asks[0].url }

// mirrors are the others, as the journal may know them.
func (r *request) mirrors() []string {
	var list []string
	for _, a := range r.asks[1:] {
		list = append(list, stored(a.url))
	}
	return list
}

// prefer puts the n-th URL first and leaves the others in their order.
func (r *request) prefer(n int) {
	first := r.asks[n]
	r.asks = slices.Insert(slices.Delete(slices.Clone(r.asks), n, n+1), 0, first)
}

// demote puts the first URL behind all others.
func (r *request) demote() {
	r.asks = append(slices.Clone(r.asks[1:]), r.asks[0])
}

func newRequest(job Job) (*request, error) {
	if job.Shared != nil {
		return &request{asks: []ask{{url: job.Shared.item().URL()}}, undigested: true, suspects: map[string]bool{}, lists: newLists(job)}, nil
	}
	if len(job.URLs) == 0 {
		return nil, fmt.Errorf("%w: no URL given", errdefs.Invalid)
	}
	req := &request{jar: job.Cookies, undigested: job.NoOriginDigest, suspects: map[string]bool{}}
	var first *url.URL
	if job.Home != "" {
		var err error
		if first, err = parseURL(job.Home); err != nil {
			return nil, err
		}
	}
	for _, raw := range job.URLs {
		u, err := parseURL(raw)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = u
		}
		header := job.Header.Clone()
		if header == nil {
			header = http.Header{}
		}
		user := u.User
		if originOf(u) != originOf(first) { // the caller's secrets are for the first one's origin
			maps.DeleteFunc(header, func(name string, _ []string) bool { return !harmless(name) })
		} else if user == nil {
			user = job.User
		}
		if user == nil && job.Netrc != nil {
			user = job.Netrc(u.Hostname())
		}
		if user != nil {
			password, _ := user.Password()
			(&http.Request{Header: header}).SetBasicAuth(user.Username(), password)
			req.private = "it needs credentials"
		}
		u.User, u.Fragment, u.RawFragment = nil, "", ""
		req.asks = append(req.asks, ask{url: u.String(), header: header, guarded: job.Guarded})
		if req.private == "" {
			req.private = whyPrivate(u, header, req.jar)
		}
	}
	return req, nil
}

// learn adds a mirror that the origin named, unless asking it takes a secret.
// It returns false if nothing was added.
func (r *request) learn(raw string, guarded bool) bool {
	u, err := parseURL(raw)
	if err != nil || u.User != nil || len(r.asks) >= maxMirrors {
		return false
	}
	u.Fragment, u.RawFragment = "", ""
	header := r.asks[0].header.Clone()
	maps.DeleteFunc(header, func(name string, _ []string) bool { return !harmless(name) })
	known := slices.ContainsFunc(r.asks, func(a ask) bool { return a.url == u.String() })
	if known || whyPrivate(u, header, r.jar) != "" {
		return false
	}
	r.asks = append(r.asks, ask{url: u.String(), header: header, guarded: guarded, named: true})
	return true
}

// whyPrivate says what in a request is not for others to see; "": nothing.
func whyPrivate(u *url.URL, header http.Header, jar http.CookieJar) string {
	if jar != nil && len(jar.Cookies(u)) > 0 {
		return "it needs cookies"
	}
	if key := secretParameter(u.RawQuery); key != "" {
		return "its URL carries a secret (" + key + ")"
	}
	for name := range header {
		if !harmless(name) {
			return "it carries a header of its own (" + name + ")"
		}
	}
	return ""
}

// harmless names the header fields that hold no secret.
func harmless(name string) bool {
	return slices.Contains([]string{"User-Agent", "Accept", "Accept-Language", "Referer"}, http.CanonicalHeaderKey(name))
}

// originOf is the boundary for secrets: scheme, host and port.
func originOf(u *url.URL) string {
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// parseURL reads a URL that the user gave. Its messages hide what may be secret.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: URL does not parse", errdefs.Invalid)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: URL %q: only http and https are spoken", errdefs.Invalid, shown(raw))
	case u.Hostname() == "":
		return nil, fmt.Errorf("%w: URL %q names no host", errdefs.Invalid, shown(raw))
	case len(raw) > 8<<10:
		return nil, fmt.Errorf("%w: URL of %d bytes, at most 8 KiB", errdefs.Invalid, len(raw))
	}
	return u, nil
}

// secretParameter returns the name of a query parameter that makes the URL
// itself a credential, "" if there is none. It reads more leniently than
// net/url: what that refuses, an origin may take.
func secretParameter(query string) string {
	exact := []string{
		"sig", "sign", "auth", "key", "pass", "pwd", "policy", "hmac", "hash", "jwt", "sid", "code", "ticket", "st", "hdnea", "hdnts", "verify",
	}
	parts := []string{"signature", "token", "secret", "passw", "apikey", "api_key", "api-key", "credential", "session", "authoriz", "oauth", "private"}
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(key); err == nil {
			key = plain
		}
		low := strings.ToLower(key)
		if slices.Contains(exact, low) || slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(low, p) }) {
			return key
		}
	}
	return ""
}

// shown returns a URL for people and logs: without its query.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(URL)"
	}
	if u.RawQuery != "" {
		u.RawQuery = "..."
	}
	u.User, u.Fragment = nil, ""
	return u.String()
}

// stored returns a URL for the journal: without anything that may be secret.
func stored(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User, u.Fragment, u.RawQuery = nil, "", ""
	return u.String()
}

// vacant refuses a destination that is known before the first request.
func vacant(job Job) error {
	if job.Stdout != nil || job.Output == "" || job.Overwrite {
		return nil
	}
	path := filepath.Join(job.Dir, job.Output)
	if filepath.IsAbs(job.Output) {
		path = job.Output
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s: %w: choose another name or allow overwriting", path, errdefs.Exists)
	}
	return nil
}

// wire returns the URL as peers get it. Its request must not be private.
func (a ask) wire(gen *ddmv1.Generation) *ddmv1.Resource {
	res := &ddmv1.Resource{Url: a.url, Generation: gen}
	for name, values := range a.header {
		for _, v := range values {
			res.Headers = append(res.Headers, &ddmv1.Header{Name: name, Value: v})
		}
	}
	return res
}

func parseTime(s string) (time.Time, error) { return http.ParseTime(s) }
