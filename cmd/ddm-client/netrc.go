package main

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// netrc holds the machines of a .netrc file, in its order.
type netrc []netrcEntry

type netrcEntry struct {
	machine         string // lower case; "" is the default entry
	login, password string
	hasPassword     bool
}

// parseNetrc reads the format of ftp and curl: tokens separated by white
// space, quoted where they hold some; macros are skipped, # begins a comment
// where a token would begin.
func parseNetrc(text string) (netrc, error) {
	var all netrc
	s := netrcScanner{rest: text, line: 1}
	for {
		token, ok := s.next()
		if !ok {
			return all, nil
		}
		switch token {
		case "default":
			all = append(all, netrcEntry{})
			continue
		case "macdef":
			s.skipMacro()
			continue
		case "machine", "login", "password", "account":
		default:
			return nil, fmt.Errorf("line %d: %q where machine, default, login or password was expected", s.line, shorten(token))
		}
		line := s.line
		argument, ok := s.next()
		switch {
		case !ok:
			return nil, fmt.Errorf("line %d: nothing follows %s", line, token)
		case token == "machine":
			all = append(all, netrcEntry{machine: strings.ToLower(argument)})
		case len(all) == 0:
			return nil, fmt.Errorf("line %d: %s stands before any machine", line, token)
		case token == "login":
			all[len(all)-1].login = argument
		case token == "password":
			all[len(all)-1].password, all[len(all)-1].hasPassword = argument, true
		}
	}
}

// shorten hides most of a token that may be a misplaced password.
func shorten(token string) string {
	if len(token) <= 2 {
		return token
	}
	return token[:2] + "..."
}

// find gives the credentials for a host, with or without a port; nil: none.
// The default entry counts wherever it stands.
func (n netrc) find(host string) *url.Userinfo {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	var preset *url.Userinfo
	for _, e := range n {
		switch {
		case e.login == "" && !e.hasPassword:
		case host != "" && e.machine == host:
			return url.UserPassword(e.login, e.password)
		case e.machine == "" && preset == nil:
			preset = url.UserPassword(e.login, e.password)
		}
	}
	return preset
}

// netrcScanner cuts tokens and counts lines.
type netrcScanner struct {
	rest string
	line int
}

func (s *netrcScanner) take(n int) string {
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	s.line += strings.Count(taken, "\n")
	return taken
}

func (s *netrcScanner) next() (string, bool) {
	for {
		s.take(len(s.rest) - len(strings.TrimLeft(s.rest, " \t\r\n\v\f")))
		if !strings.HasPrefix(s.rest, "#") {
			break
		}
		s.take(len(firstLine(s.rest)))
	}
	if s.rest == "" {
		return "", false
	}
	if s.rest[0] == '"' {
		return s.quoted(), true
	}
	end := strings.IndexAny(s.rest, " \t\r\n\v\f")
	if end < 0 {
		end = len(s.rest)
	}
	return s.take(end), true
}

// quoted reads up to the closing quote, with backslashes before what is meant
// literally; without one, up to the end of the line.
func (s *netrcScanner) quoted() string {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.take(i + 1)
			return b.String()
		case '\n':
			s.take(i)
			return b.String()
		case '\\':
			if i+1 < len(s.rest) && s.rest[i+1] != '\n' {
				i++
				b.WriteByte(s.rest[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	s.take(len(s.rest))
	return b.String()
}

// skipMacro goes on behind the empty line that ends a macro.
func (s *netrcScanner) skipMacro() {
	for first := true; s.rest != ""; first = false {
		line := s.take(len(firstLine(s.rest)))
		if !first && strings.TrimSpace(line) == "" {
			return
		}
	}
}

// firstLine gives text up to and with its first newline.
func firstLine(text string) string {
	line, _, found := strings.Cut(text, "\n")
	if found {
		return text[:len(line)+1]
	}
	return text
}
