package origin

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"ddm/internal/errdefs"
)

const (
	maxRedirects = 10
	maxURL       = 8 << 10 // bytes
	userAgent    = "ddm"   // if the caller names none
)

// trail is where a request stands on its way through redirects. It is a
// value: following makes a new one.
type trail struct {
	at      *url.URL
	crossed bool     // the origin changed on the way: the caller's headers stay behind
	guarded bool     // a public address sent us here
	seen    []string // requests already answered by a redirect
	links   []Linked // of the replies on the way
}

// linked takes up the Link fields of a reply.
func (t trail) linked(h http.Header) trail {
	if fields := h.Values("Link"); len(fields) > 0 {
		t.links = append(slices.Clone(t.links), Linked{URL: t.at, Fields: fields})
	}
	return t
}

// parseURL judges a URL that a caller names.
func parseURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("%w: URL of %d bytes, the most is %d", errdefs.Invalid, len(raw), maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		// The text of url.Parse repeats the URL, and with it its secrets.
		return nil, fmt.Errorf("%w: malformed URL", errdefs.Invalid)
	}
	if why := unfit(u); why != "" {
		return nil, fmt.Errorf("%w: URL %s", errdefs.Invalid, why)
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// unfit says why a URL cannot be asked, "" if it can.
func unfit(u *url.URL) string {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Sprintf("has scheme %.20q, spoken are http and https", u.Scheme)
	case !hasHost(u):
		return "names no host"
	case u.User != nil:
		return "holds credentials"
	default:
		return ""
	}
}

// hasHost takes names and addresses; url.Parse lets more pass than it can read
// back from its own String.
func hasHost(u *url.URL) bool {
	name := u.Hostname()
	if strings.Contains(name, ":") {
		addr, err := netip.ParseAddr(name)
		return err == nil && addr.Is6() && strings.HasPrefix(u.Host, "[")
	}
	return name != "" && !strings.ContainsAny(name, "[]@/\\?# ")
}

// isRedirect reports whether a status sends a GET elsewhere.
func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	default:
		return false
	}
}

// follow takes one redirect. cookies is the Cookie field of the request that
// was redirected: the same URL with other cookies is no loop.
func (t trail) follow(location []string, cookies string) (trail, error) {
	if len(location) != 1 || location[0] == "" || len(location[0]) > maxURL {
		return t, fmt.Errorf("%w: redirect without one usable Location", errdefs.BadReply)
	}
	next, err := t.at.Parse(location[0])
	if err != nil {
		return t, fmt.Errorf("%w: redirect to a malformed URL", errdefs.BadReply)
	}
	if why := unfit(next); why != "" {
		return t, fmt.Errorf("%w: redirect target %s", errdefs.BadReply, why)
	}
	if t.at.Scheme == "https" && next.Scheme == "http" {
		return t, fmt.Errorf("%w: redirect from https to http", errdefs.Refused)
	}
	next.Fragment, next.RawFragment = "", ""
	seen := append(slices.Clone(t.seen), t.at.String()+"\n"+cookies)
	if len(seen) > maxRedirects {
		return t, fmt.Errorf("%w: more than %d", errdefs.Redirects, maxRedirects)
	}
	return trail{
		at:      next,
		crossed: t.crossed || originOf(t.at) != originOf(next),
		guarded: t.guarded,
		seen:    seen,
		links:   t.links,
	}, nil
}

// loops reports whether the same request was answered by a redirect before.
func (t trail) loops(cookies string) bool {
	return slices.Contains(t.seen, t.at.String()+"\n"+cookies)
}

// originOf is the boundary for credentials: scheme, host and port.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + canonicalHost(u.Hostname()) + ":" + port
}

// requestHeader builds the header of one hop. Of the caller's fields nothing
// that steers the connection or the range passes; after a change of origin
// only those that hold no secret do.
func requestHeader(caller http.Header, crossed bool, rng string) http.Header {
	h := make(http.Header, len(caller)+6)
	for name, values := range caller {
		name = http.CanonicalHeaderKey(name)
		if crossed && !harmless(name) || ours(name) {
			continue
		}
		h[name] = append(h[name], values...)
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", userAgent)
	}
	if h.Get("Accept") == "" {
		h.Set("Accept", "*/*")
	}
	// Ranges count coded bytes; a coding or transformation on the way would
	// make them differ from one source to the next.
	h.Set("Accept-Encoding", "identity")
	h.Set("Cache-Control", "no-transform")
	if rng != "" {
		h.Set("Range", rng)
	}
	return h
}

// harmless names the fields that may go to an origin the caller did not name.
func harmless(name string) bool {
	return name == "User-Agent" || name == "Accept" || name == "Accept-Language"
}

// ours names the fields that a caller cannot set.
func ours(name string) bool {
	switch name {
	case "Range", "Accept-Encoding", "Host", "Content-Length", "Transfer-Encoding", "Te", "Trailer",
		"Connection", "Keep-Alive", "Upgrade", "Expect", "Proxy-Connection", "Proxy-Authorization", "Cache-Control":
		return true
	default:
		return strings.HasPrefix(name, "If-")
	}
}
