// Package filename finds a name for what is downloaded, and makes names safe.
//
//	Content-Disposition --parse--> filename*, filename \
//	URL --last path segment------------------------------> Sanitize --> one local name
//	neither --------------------------------> "download" /
//
// Names come from strangers. Whatever goes in, what comes out is one component
// that every common operating system takes as an ordinary file.
package filename

import (
	"cmp"
	"net/url"
	"strings"
)

// fallback is the name of what has none.
const fallback = "download"

// FromResponse returns the name to save a response under: what its
// Content-Disposition header says, else the last segment of the path of
// originalURL, which is the one that the user gave, else that of finalURL, else
// "download". It is sanitised. Queries never become names.
func FromResponse(disposition, finalURL, originalURL string) string {
	name := usable(fromDisposition(disposition))
	name = cmp.Or(name, usable(fromURL(originalURL)), usable(fromURL(finalURL)), fallback)
	return Sanitize(name)
}

// usable returns name, or "" if nothing of it would survive sanitising.
func usable(name string) string {
	if clean(name) == "" {
		return ""
	}
	return name
}

// fromURL returns the last non-empty segment of the path, decoded once.
func fromURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" {
		return ""
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	segment := path[strings.LastIndexByte(path, '/')+1:]
	return unescape(segment)
}
