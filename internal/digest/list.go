package digest

import (
	"path"
	"slices"
	"strings"
)

// MaxList bounds a checksum file, in bytes.
const MaxList = 4 << 20

// Entry is one line of a checksum file.
type Entry struct {
	Digest
	Name string // of the file that it is of, as written; "": the line does not say
}

// List is what a checksum file says.
type List []Entry

// ParseList reads a checksum file as sha256sum, BSD's sha256, openssl and
// others write it:
//
//	HEX  name    HEX *name    \HEX  escaped\\name    SHA256 (name) = HEX    sha256:HEX    HEX
//
// Where a line names no algorithm, the number of its digits does. Lines of no
// such form (comments, signatures) are skipped; a text without any entry is
// errdefs.Invalid.
func ParseList(text string) (List, error) {
	if len(text) > MaxList {
		return nil, invalid("a checksum file of %d bytes, at most %d MiB", len(text), MaxList>>20)
	}
	var all List
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		if e, ok := parseEntry(strings.TrimRight(line, " \t\r\n")); ok {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, invalid("no checksum is in it: lines such as \"HEX  name\" or \"SHA256 (name) = HEX\" are read")
	}
	return all, nil
}

// For returns the strongest digest of the file that goes by one of the names;
// folders do not count. A list of one file alone is about the one that is
// asked for, whatever it is called. None, or two that contradict each other,
// is errdefs.Invalid.
func (l List) For(names ...string) (Digest, error) {
	var found []Digest
	wanted := func(e Entry) bool {
		return e.Name == "" || slices.ContainsFunc(names, func(n string) bool { return n != "" && base(n) == base(e.Name) })
	}
	first := base(l[0].Name)
	alone := !slices.ContainsFunc(l, func(e Entry) bool { return base(e.Name) != first })
	for _, e := range l {
		if alone || wanted(e) {
			found = append(found, e.Digest)
		}
	}
	d, ok := Strongest(found)
	if !ok {
		return Digest{}, invalid("none of its %d checksums is of %q", len(l), strings.Join(names, ", "))
	}
	for _, o := range found {
		if o.Algorithm == d.Algorithm && !o.Equal(d) {
			return Digest{}, invalid("it holds several %s checksums that may be meant: name one by --checksum", d.Algorithm)
		}
	}
	return d, nil
}

// parseEntry reads one line.
func parseEntry(line string) (Entry, bool) {
	if i := strings.LastIndex(line, ") = "); i > 0 { // SHA256 (name) = HEX
		algorithm, name, ok := strings.Cut(line[:i], " (")
		if d, good := FromHex(algorithm, line[i+4:]); ok && good {
			return Entry{d, name}, true
		}
	}
	if i := strings.LastIndex(line, ")= "); i > 0 { // SHA256(name)= HEX
		algorithm, name, ok := strings.Cut(line[:i], "(")
		if d, good := FromHex(algorithm, line[i+3:]); ok && good {
			return Entry{d, name}, true
		}
	}
	if algorithm, sum, ok := strings.Cut(line, ":"); ok && !strings.ContainsAny(algorithm, " \t") {
		if d, good := FromHex(algorithm, sum); good {
			return Entry{d, ""}, true
		}
	}
	line, escaped := strings.CutPrefix(line, `\`)
	sum, name, spaced := strings.Cut(line, " ")
	if !spaced {
		sum, name, _ = strings.Cut(line, "\t")
	}
	d, ok := byLength(sum)
	if !ok {
		return Entry{}, false
	}
	if name != "" { // the second character tells text from binary
		name = strings.TrimPrefix(strings.TrimLeft(name, " \t"), "*")
	}
	if escaped {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	return Entry{d, name}, true
}

// byLength makes a digest of hexadecimal digits alone: by their number.
func byLength(sum string) (Digest, bool) {
	for _, algorithm := range []string{SHA512, SHA256, SHA1, MD5} {
		if len(sum) == 2*Size(algorithm) {
			return FromHex(algorithm, sum)
		}
	}
	return Digest{}, false
}

// base is a name without its folders.
func base(name string) string {
	if name == "" {
		return ""
	}
	return path.Base(strings.ReplaceAll(name, `\`, "/"))
}
