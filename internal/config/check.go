package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// listenAddress judges "[HOST]:PORT"; port 0 means any.
func listenAddress(s string) (string, error) {
	host, port, err := splitAddress(s)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(host, port), nil
}

// listenOrOff is listenAddress, or "off" and "" for not at all.
func listenOrOff(s string) (string, error) {
	if s == "" || strings.EqualFold(s, "off") {
		return "", nil
	}
	return listenAddress(s)
}

// dialAddress judges "HOST:PORT". Port and brackets may be left out where
// usualPort is not "".
func dialAddress(s, usualPort string) (string, error) {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil && usualPort != "" {
		return net.JoinHostPort(a.String(), usualPort), nil
	}
	if usualPort != "" && !strings.Contains(s, ":") {
		s += ":" + usualPort
	}
	host, port, err := splitAddress(s)
	switch {
	case err != nil:
		return "", err
	case host == "":
		return "", fmt.Errorf("%q names no host", s)
	case port == "0":
		return "", fmt.Errorf("%q: nobody can be reached at port 0", s)
	}
	return net.JoinHostPort(host, port), nil
}

func trackerAddress(s string) (string, error) { return dialAddress(s, "7420") }

// advertised is a dialAddress, or "" for what the tracker sees.
func advertised(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	return dialAddress(s, "")
}

func splitAddress(s string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(s)
	if err != nil {
		return "", "", fmt.Errorf("%q is no address: write HOST:PORT, an IPv6 host in brackets", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", "", fmt.Errorf("%q is no address: the port must be a number from 0 to 65535", s)
	}
	return host, port, checkHost(host)
}

func checkHost(host string) error {
	if strings.ContainsFunc(host, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\@?#,"'[]<>`, r)
	}) {
		return fmt.Errorf("%q is no host: it holds a character that no host has", host)
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is no IPv6 address", host)
		}
	}
	return nil
}

// ownHeaders are set by the program itself: a range request would not be one,
// or a connection not reusable, if a user changed them.
func ownHeaders() []string {
	return []string{
		"accept-encoding", "connection", "content-length", "host", "if-match", "if-none-match",
		"if-modified-since", "if-range", "if-unmodified-since", "keep-alive", "proxy-connection", "range",
		"te", "trailer", "transfer-encoding", "upgrade",
	}
}

// header judges "Name: value". Its messages never repeat the value, which
// may be a secret.
func header(s string) (string, error) {
	name, v, ok := strings.Cut(s, ":")
	switch {
	case !ok:
		return "", errors.New(`a header must be written 'Name: value'`)
	case !httpguts.ValidHeaderFieldName(name):
		return "", fmt.Errorf("%q is no header name", name)
	case !httpguts.ValidHeaderFieldValue(v):
		return "", fmt.Errorf("the value of header %s holds a control character", name)
	case slices.Contains(ownHeaders(), strings.ToLower(name)):
		return "", fmt.Errorf("header %s is chosen by the download itself", name)
	}
	return name + ": " + strings.TrimSpace(v), nil
}

// headerValue judges a text that becomes the value of one header.
func headerValue(s string) (string, error) {
	if !httpguts.ValidHeaderFieldValue(s) {
		return "", errors.New("holds a control character")
	}
	return s, nil
}

// userPassword judges "user:password" without repeating it.
func userPassword(s string) (string, error) {
	if user, _, ok := strings.Cut(s, ":"); s != "" && (!ok || user == "") {
		return "", errors.New("must be written user:password")
	}
	return headerValue(s)
}

// ProxyURL judges a proxy and completes it: a URL, HOST:PORT for http, "none" for no proxy
// whatever the environment says, "" for what the environment says.
func ProxyURL(s string) (string, error) {
	if s == "" || strings.EqualFold(s, "none") {
		return strings.ToLower(s), nil
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" {
		return "", errors.New(`is no proxy: write a URL such as "http://proxy:3128", or "none"`)
	}
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return "", fmt.Errorf("proxies by %s are not spoken: http, https, socks5, socks5h are", u.Scheme)
	}
	return s, nil
}
