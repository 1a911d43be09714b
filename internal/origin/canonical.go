package origin

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Canonical returns the one spelling of a URL under which all that name the
// same resource are known (RFC 3986, section 6.2): scheme and host in lower
// case, no default port, a path, percent-encodings in upper case and only
// where they are needed, no fragment. The query stays; it may hold a secret.
//
// It is a key, not what is asked for. Where two spellings are merely likely to
// mean the same (dot segments, which this client sends as they are, an order of
// parameters, a trailing dot of the host), they stay two: that costs a copy,
// the other mistake costs the bytes.
//
// Errors: errdefs.Invalid for what no origin is asked: another scheme, no host,
// credentials, more than 8 KiB. They do not repeat the URL.
func Canonical(raw string) (string, error) {
	u, err := parseURL(raw)
	if err != nil {
		return "", err
	}
	path := canonicalEscapes(u.EscapedPath())
	if path == "" {
		path = "/"
	}
	if u.ForceQuery || u.RawQuery != "" {
		path += "?" + canonicalEscapes(u.RawQuery)
	}
	at := url.URL{Scheme: u.Scheme, Host: canonicalAuthority(u)}
	return at.String() + path, nil
}

// canonicalAuthority returns host and port; the port only if it is not that of
// the scheme.
func canonicalAuthority(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() {
		host = "[" + addr.String() + "]"
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Port() == "", err == nil && port == 80 && u.Scheme == "http", err == nil && port == 443 && u.Scheme == "https":
		return host
	case err != nil:
		return host + ":" + u.Port() // nobody can be dialled there
	default:
		return host + ":" + strconv.FormatUint(port, 10)
	}
}

// canonicalEscapes spells percent-encodings alike, and takes them from what
// needs none. A text with a percent sign that encodes nothing stays as it is:
// what stands behind it could become an encoding.
func canonicalEscapes(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return s
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return s
		}
		if c := byte(n); unreserved(c) {
			b.WriteByte(c)
		} else {
			b.WriteString(strings.ToUpper(s[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

// unreserved names the bytes that mean the same encoded or not (RFC 3986,
// section 2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
