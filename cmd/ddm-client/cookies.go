package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// parseCookies reads a cookie file in Netscape's format, as browsers, curl and
// wget write it, into a jar: seven fields separated by tabs, # before comments
// and, as #HttpOnly_, before cookies that scripts may not see.
func parseCookies(text string) (http.CookieJar, error) {
	jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	if err != nil {
		return nil, err
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		line, _ = strings.CutPrefix(line, "#HttpOnly_")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		u, cookie, err := parseCookie(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		jar.SetCookies(u, []*http.Cookie{cookie})
	}
	return jar, nil
}

// parseCookie reads one line; the URL is one that might have set the cookie.
func parseCookie(line string) (*url.URL, *http.Cookie, error) {
	f := strings.Split(line, "\t")
	if len(f) == 6 {
		f = append(f, "") // an empty value whose tab an editor removed
	}
	if len(f) != 7 {
		return nil, nil, fmt.Errorf("%d fields separated by tabs, not 7: is it in Netscape's format?", len(f))
	}
	domain, path := strings.ToLower(strings.TrimPrefix(f[0], ".")), f[2]
	subdomains, err1 := parseFlag(f[1])
	secure, err2 := parseFlag(f[3])
	expires, err3 := strconv.ParseInt(strings.TrimSpace(f[4]), 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, errors.New("the second and the fourth field must be TRUE or FALSE")
	}
	switch {
	case err3 != nil:
		return nil, nil, errors.New("the fifth field must be a time in seconds since 1970")
	case domain == "" || strings.ContainsAny(domain, "/ @?#"):
		return nil, nil, errors.New("the first field is no domain")
	case f[5] == "":
		return nil, nil, errors.New("the cookie has no name")
	}
	if !strings.HasPrefix(path, "/") {
		path = "/"
	}
	cookie := &http.Cookie{Name: f[5], Value: f[6], Path: path, Secure: secure}
	if subdomains {
		cookie.Domain = domain
	}
	if expires > 0 {
		cookie.Expires = time.Unix(expires, 0)
	}
	return &url.URL{Scheme: "https", Host: domain, Path: path}, cookie, nil
}

func parseFlag(s string) (bool, error) {
	switch strings.ToUpper(s) {
	case "TRUE":
		return true, nil
	case "FALSE":
		return false, nil
	}
	return false, strconv.ErrSyntax
}
