package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"ddm/internal/config"
)

// maxLine bounds a line of an input file, mirrors included, in bytes.
const maxLine = 1 << 20

// plan is one download as the command line orders it.
type plan struct {
	urls  []*url.URL // mirrors; without userinfo and fragment
	user  *url.Userinfo
	label string // for people: the first URL without its query
}

// plans makes one plan per download. Every problem is named at once. Input is
// the text of --input-file.
func plans(args []string, mirror bool, inputName, input string) ([]plan, error) {
	var all []plan
	var problems []error
	add := func(where string, urls []string) {
		p, err := newPlan(urls)
		if err != nil {
			problems = append(problems, &config.SettingError{Where: where, Text: err.Error()})
			return
		}
		all = append(all, p)
	}
	if mirror && len(args) > 0 {
		add("", args)
	} else {
		for _, arg := range args {
			add("", []string{arg})
		}
	}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(input, "\ufeff")) {
		n++
		where := fmt.Sprintf("%s:%d", inputName, n)
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case len(line) > maxLine:
			problems = append(problems, &config.SettingError{Where: where, Text: "the line is too long"})
		default:
			add(where, strings.FieldsFunc(line, func(r rune) bool { return r == '\t' }))
		}
	}
	return all, errors.Join(problems...)
}

func newPlan(urls []string) (plan, error) {
	var p plan
	for i, raw := range urls {
		u, err := parseURL(strings.TrimSpace(raw))
		if err != nil {
			return plan{}, err
		}
		user := u.User
		u.User = nil
		switch {
		case i == 0:
			p.user, p.label = user, redact(u)
		case user != nil && (p.user == nil || *user != *p.user):
			return plan{}, fmt.Errorf("%s: mirrors with credentials of their own: put them into a file for --netrc-file", redact(u))
		}
		p.urls = append(p.urls, u)
	}
	return p, nil
}

// parseURL takes http and https. Its messages hide query and credentials.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		reason := err
		if e, ok := errors.AsType[*url.Error](err); ok {
			reason = e.Err
		}
		shown, _, _ := strings.Cut(raw, "?")
		if i := strings.LastIndex(shown, "@"); i >= 0 {
			shown = "..." + shown[i:]
		}
		return nil, fmt.Errorf("%q is no URL: %w", shown, reason)
	}
	u.Scheme = strings.ToLower(u.Scheme)
	switch {
	case u.Scheme == "" || portLike(u.Opaque): // "localhost:80/x" parses with localhost as its scheme
		return nil, fmt.Errorf("%q is no URL: it needs a scheme, as in https://%s", redact(u), strings.TrimPrefix(redact(u), "//"))
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q: %s is not spoken: http and https are", redact(u), u.Scheme)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q is no URL: it names no host", redact(u))
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

func portLike(opaque string) bool { return opaque != "" && opaque[0] >= '0' && opaque[0] <= '9' }

// redact writes a URL without what may be secret.
func redact(u *url.URL) string {
	shown := *u
	if i := strings.LastIndex(shown.Opaque, "@"); i >= 0 {
		shown.Opaque = "..." + shown.Opaque[i:]
	}
	shown.User, shown.RawQuery, shown.ForceQuery, shown.Fragment, shown.RawFragment = nil, "", false, "", ""
	return shown.String()
}

// target splits --output into the folder and the name to save under.
func target(dir, output string) (folder, name string, err error) {
	if output == "" || output == "-" {
		return dir, "", nil
	}
	if strings.HasSuffix(output, "/") || strings.HasSuffix(output, string(filepath.Separator)) {
		return "", "", fmt.Errorf("%q is a folder: name it by --dir", output)
	}
	folder, name = filepath.Split(filepath.FromSlash(output))
	switch {
	case name == "." || name == "..":
		return "", "", fmt.Errorf("%q is no name for a file", output)
	case strings.ContainsRune(output, 0):
		return "", "", fmt.Errorf("%q holds a NUL character", output)
	case filepath.IsAbs(output) && dir != "":
		return "", "", fmt.Errorf("%q is absolute: it leaves nothing to --dir", output)
	case filepath.IsAbs(output):
		return filepath.Clean(folder), name, nil
	}
	return filepath.Join(dir, folder), name, nil
}

// headers makes the extra request headers. What --header says is stronger
// than --user-agent and --referer.
func headers(cfg *config.Client, version string) http.Header {
	h := http.Header{}
	for _, line := range cfg.Headers {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	preset := func(name, value string) {
		if _, ok := h[name]; !ok && value != "" {
			h.Set(name, value)
		}
	}
	preset("Referer", cfg.Referer)
	preset("User-Agent", cfg.UserAgent)
	preset("User-Agent", "ddm/"+version)
	return h
}
