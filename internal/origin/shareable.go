package origin

import (
	"net/http"
	"strings"
)

// Shareable reports whether others who ask for the same may be given what a
// reply holds, and be sure that it is the same: it has a strong validator, and
// nothing in it says that it is for one client. What the request carried is for
// the caller to judge.
func (r *Reply) Shareable() bool {
	if r.Level < Strong || !r.Gen.StrongETag() || r.Header.Get("Set-Cookie") != "" || varies(r.Header) {
		return false
	}
	for _, field := range r.Header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(strings.ToLower(field), ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if name == "no-store" || name == "private" {
				return false
			}
		}
	}
	return true
}

// varies reports whether the reply depends on more than what every requester
// sends alike: they ask for the coding identity, and from no other site.
func varies(h http.Header) bool {
	for _, field := range h.Values("Vary") {
		for name := range strings.SplitSeq(strings.ToLower(field), ",") {
			switch strings.TrimSpace(name) {
			case "", "accept-encoding", "range", "if-range", "origin",
				"access-control-request-method", "access-control-request-headers", "access-control-request-private-network":
			default:
				return true
			}
		}
	}
	return false
}
