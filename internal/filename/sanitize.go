package filename

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxBytes leaves room for the side files' prefixes and suffixes below the 255
// bytes that file systems take.
const maxBytes = 160

// maxExtension is the longest extension, with its dot, that is kept when a
// name has to be cut.
const maxExtension = 24

// Sanitize makes name one local component: what is behind its last / or \,
// valid UTF-8 in NFC, without control and direction characters, nothing that
// Windows forbids or reserves, no leading dot or dash, no trailing dot or
// space, at most 160 bytes with its extension kept. It is never empty, and
// sanitising its result again changes nothing.
func Sanitize(name string) string {
	name = clean(name)
	if name == "" {
		return fallback
	}
	return name
}

// clean is Sanitize, but empty for a name of which nothing is left. Steps can
// undo one another (composing lengthens, cutting uncovers a trailing space), so
// they run until nothing changes; each but the first only shortens.
func clean(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = norm.NFC.String(strings.ToValidUTF8(name, "_"))
	name = strings.Map(replace, name)
	for {
		before := name
		name = norm.NFC.String(name)
		name = shorten(trim(name))
		if reserved(name) {
			name = "_" + name
		}
		if name == before {
			return name
		}
	}
}

// replace drops what cannot be seen and replaces what cannot be had.
func replace(r rune) rune {
	switch {
	case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == '\u2028', r == '\u2029':
		return -1
	case strings.ContainsRune(`<>:"/\|?*`, r):
		return '_'
	case unicode.IsSpace(r):
		return ' '
	}
	return r
}

func trim(name string) string {
	name = strings.TrimLeft(name, ".- ")
	return strings.TrimRight(name, ". ")
}

// shorten cuts the stem, at the border of a character, to keep the extension.
func shorten(name string) string {
	if len(name) <= maxBytes {
		return name
	}
	stem, ext := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 && len(name)-dot <= maxExtension {
		stem, ext = name[:dot], name[dot:]
		if inner, ok := strings.CutSuffix(stem, ".tar"); ok && inner != "" {
			stem, ext = inner, ".tar"+ext
		}
	}
	cut := maxBytes - len(ext)
	for cut > 0 && !utf8.RuneStart(stem[cut]) {
		cut--
	}
	return strings.TrimRight(stem[:cut], ". ") + ext
}

// reserved reports whether Windows takes the name for a device, whatever the
// extension.
func reserved(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if digit, ok := strings.CutPrefix(base, port); ok {
			switch digit {
			case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
				return true
			}
		}
	}
	return false
}
