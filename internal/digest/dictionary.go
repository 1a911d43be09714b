package digest

import (
	"strings"
)

// dictionary reads a structured field (RFC 9651, section 3.2) whose values are
// byte sequences. As that RFC asks, a field with a fault anywhere says nothing,
// and the last of several values of one key counts.
func dictionary(fields []string) map[string][]byte {
	s := scanner{rest: strings.Join(fields, ",")}
	members := map[string][]byte{}
	s.spaces(" ")
	for s.rest != "" {
		key, ok := s.key()
		if !ok {
			return nil
		}
		sum, ok := s.member()
		if !ok || !s.parameters() {
			return nil
		}
		members[key] = sum
		s.spaces(" \t")
		if s.rest == "" {
			return members
		}
		if !s.take(',') {
			return nil
		}
		s.spaces(" \t")
		if s.rest == "" { // a trailing comma
			return nil
		}
	}
	return members
}

// scanner eats a field from its front.
type scanner struct{ rest string }

func (s *scanner) spaces(set string) { s.rest = strings.TrimLeft(s.rest, set) }

func (s *scanner) take(c byte) bool {
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// while eats what is made of characters that ok takes.
func (s *scanner) while(ok func(c byte) bool) string {
	n := 0
	for n < len(s.rest) && ok(s.rest[n]) {
		n++
	}
	eaten := s.rest[:n]
	s.rest = s.rest[n:]
	return eaten
}

func (s *scanner) key() (string, bool) {
	if s.rest == "" || !lower(s.rest[0]) && s.rest[0] != '*' {
		return "", false
	}
	return s.while(func(c byte) bool { return lower(c) || digit(c) || strings.IndexByte("_-.*", c) >= 0 }), true
}

// member eats "=:base64:". A value of another kind is eaten too, and nil.
func (s *scanner) member() (sum []byte, ok bool) {
	if !s.take('=') {
		return nil, true // true, in short
	}
	if strings.HasPrefix(s.rest, ":") {
		return s.bytes()
	}
	return nil, s.item()
}

func (s *scanner) bytes() (sum []byte, ok bool) {
	text, rest, ok := strings.Cut(s.rest[1:], ":")
	if !ok {
		return nil, false
	}
	s.rest = rest
	if sum = decode(text); sum == nil && text != "" {
		return nil, false
	}
	return sum, true
}

// parameters eats ";key=value" as often as it comes.
func (s *scanner) parameters() bool {
	for s.take(';') {
		s.spaces(" ")
		if _, ok := s.key(); !ok {
			return false
		}
		if !s.take('=') {
			continue
		}
		if !strings.HasPrefix(s.rest, ":") {
			if !s.item() {
				return false
			}
		} else if _, ok := s.bytes(); !ok {
			return false
		}
	}
	return true
}

// item eats a bare item that is no byte sequence, judging it only as far as
// its end has to be found.
func (s *scanner) item() bool {
	if s.take('"') {
		for s.rest != "" {
			switch c := s.rest[0]; {
			case c == '"':
				s.rest = s.rest[1:]
				return true
			case c == '\\' && len(s.rest) > 1:
				s.rest = s.rest[2:]
			default:
				s.rest = s.rest[1:]
			}
		}
		return false
	}
	return s.while(func(c byte) bool {
		return lower(c) || digit(c) || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~:/?@", c) >= 0
	}) != ""
}

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }
