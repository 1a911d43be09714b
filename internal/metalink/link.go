package metalink

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Links are what a reply's Link fields (RFC 8288) say of a download, as RFC
// 6249 has it.
type Links struct {
	Mirrors   []URL    // rel=duplicate: the same content elsewhere, the best first
	Described []string // rel=describedby: Metalink documents about it
}

// ReadLinks reads a reply's Link fields; base is the URL that it came from.
// What is malformed, relates to another resource (anchor), or is neither http
// nor https is left out, and of more than a thousand links the rest. A mirror
// named with "pref" counts as better than any without.
func ReadLinks(fields []string, base *url.URL) (out Links) {
	var preferred, others []URL
	n := 0
	for _, field := range fields {
		for n < maxURLs {
			l, rest, ok := nextLink(field)
			if !ok {
				break // where the next one begins is anybody's guess
			}
			field = rest
			n++
			target, ok := l.about(base)
			if !ok {
				continue
			}
			for rel := range strings.FieldsSeq(strings.ToLower(l.params["rel"])) {
				_, pref := l.params["pref"]
				switch {
				case rel == "duplicate" && pref:
					preferred = append(preferred, l.mirror(target))
				case rel == "duplicate":
					others = append(others, l.mirror(target))
				case rel == "describedby" && IsMediaType(l.params["type"]) && !slices.Contains(out.Described, target):
					out.Described = append(out.Described, target)
				}
			}
		}
	}
	for _, list := range [][]URL{preferred, others} {
		slices.SortStableFunc(list, func(a, b URL) int { return a.Priority - b.Priority })
		for _, m := range list {
			if !slices.ContainsFunc(out.Mirrors, func(o URL) bool { return o.URL == m.URL }) {
				out.Mirrors = append(out.Mirrors, m)
			}
		}
	}
	return out
}

// about resolves a link's target, if the link is about what was asked for.
func (l link) about(base *url.URL) (string, bool) {
	u, err := base.Parse(l.target)
	_, anchored := l.params["anchor"]
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || anchored || len(l.target) > maxText {
		return "", false
	}
	u.Fragment, u.RawFragment = "", ""
	return u.String(), true
}

func (l link) mirror(target string) URL {
	m := URL{URL: target, Priority: Last, Location: strings.ToLower(l.params["geo"])}
	if n, err := strconv.Atoi(l.params["pri"]); err == nil && n >= 1 && n < Last {
		m.Priority = n
	}
	return m
}

// link is one link-value.
type link struct {
	target string
	params map[string]string // by name in lower case; the first of a name counts
}

// nextLink eats one link-value and the comma behind it.
func nextLink(s string) (l link, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t,")
	if s == "" {
		return link{}, "", false
	}
	if s[0] != '<' {
		return link{}, "", false
	}
	target, s, ok := strings.Cut(s[1:], ">")
	if !ok {
		return link{}, "", false
	}
	l = link{target: strings.TrimSpace(target), params: map[string]string{}}
	for {
		s = strings.TrimLeft(s, " \t")
		switch {
		case s == "":
			return l, "", true
		case s[0] == ',':
			return l, s[1:], true
		case s[0] != ';':
			return link{}, "", false
		}
		var name, value string
		if name, value, s, ok = parameter(s[1:]); !ok {
			return link{}, "", false
		}
		if _, seen := l.params[name]; !seen && name != "" {
			l.params[name] = value
		}
	}
}

// parameter eats name, name=token or name="text".
func parameter(s string) (name, value, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexAny(s, "=;, \t")
	if end < 0 {
		return strings.ToLower(s), "", "", true
	}
	name, s = strings.ToLower(s[:end]), strings.TrimLeft(s[end:], " \t")
	s, ok = strings.CutPrefix(s, "=")
	if !ok {
		return name, "", s, true
	}
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		if end = strings.IndexAny(s, ";, \t"); end < 0 {
			end = len(s)
		}
		return name, s[:end], s[end:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return name, b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", "", false
}
