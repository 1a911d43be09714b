package filename

import (
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"
)

// fromDisposition returns the name that a Content-Disposition header gives
// (RFC 6266), "" if none. filename* wins over filename, the first of each over
// repeats. What the grammar forbids but servers send is read as it was meant.
func fromDisposition(header string) string {
	var plain, extended string
	for rest := header; rest != ""; {
		var key, value string
		key, value, rest = nextParameter(rest)
		switch {
		case key == "filename*" && extended == "":
			extended = decodeExtended(value)
		case key == "filename" && plain == "":
			plain = decodePlain(value)
		}
	}
	if extended != "" {
		return extended
	}
	return plain
}

// nextParameter cuts one parameter off s. What is no parameter, such as the
// disposition type, has an empty key.
func nextParameter(s string) (key, value, rest string) {
	end := strings.IndexAny(s, ";=")
	if end < 0 {
		return "", "", ""
	}
	if s[end] == ';' {
		return "", "", s[end+1:]
	}
	key = strings.ToLower(strings.Trim(s[:end], " \t\r\n"))
	if space := strings.LastIndexAny(key, " \t,"); space >= 0 { // "attachment filename=x"
		key = key[space+1:]
	}
	s = strings.TrimLeft(s[end+1:], " \t\r\n")
	if strings.HasPrefix(s, `"`) {
		value, rest = quoted(s[1:])
		return key, value, rest
	}
	value, rest, _ = strings.Cut(s, ";")
	return key, strings.Trim(value, " \t\r\n"), rest
}

// quoted reads a quoted string up to its closing quote and then to the next
// semicolon. A backslash escapes a quote or a backslash only: before anything
// else it is one of a path that somebody forgot to take off.
func quoted(s string) (value, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == '"':
			_, rest, _ = strings.Cut(s[i+1:], ";")
			return b.String(), rest
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), "" // never closed
}

// decodeExtended reads an ext-value, charset'language'percent-encoded (RFC
// 8187, section 3.2). A value without the quotes is taken for UTF-8.
func decodeExtended(value string) string {
	parts := strings.SplitN(value, "'", 3)
	if len(parts) < 3 {
		return text(unescape(value))
	}
	decoded := unescape(parts[2])
	switch strings.ToLower(strings.Trim(parts[0], ` "`)) {
	case "iso-8859-1", "latin1", "windows-1252", "us-ascii":
		return latin1(decoded)
	}
	return text(decoded)
}

// decodePlain reads a filename value. Percent signs are what they are, unless
// everything that is not ASCII was plainly encoded with them; words of RFC 2047
// are decoded, which is what those who send them mean.
func decodePlain(value string) string {
	if strings.Contains(value, "=?") {
		if decoded, err := new(mime.WordDecoder).DecodeHeader(value); err == nil {
			return text(decoded)
		}
	}
	if decoded, err := url.PathUnescape(value); err == nil && decoded != value &&
		!ascii(decoded) && ascii(value) && utf8.ValidString(decoded) {
		return decoded
	}
	return text(value)
}

// text returns s if it is UTF-8, else what it is as ISO-8859-1.
func text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return latin1(s)
}

func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// unescape decodes percent-encoding once, and leaves alone what is none.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := hex(s[i+1]), hex(s[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
