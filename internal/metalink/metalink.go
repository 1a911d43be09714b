// Package metalink reads what publishers say of a download: where it is, how
// long, and what it and its pieces hash to. It is pure.
//
//	FILE.meta4 (RFC 5854), FILE.metalink (version 3) --Parse--> File: name, size, digests, pieces, URLs
//	Link fields of a reply (RFC 6249) --ReadLinks--> mirrors, and where a Metalink is
//
// Documents come from strangers: they are bounded, what contradicts itself is
// an error, and names are as written, for internal/filename to make safe.
package metalink

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"ddm/internal/digest"
	"ddm/internal/errdefs"
)

// MaxSize bounds a document, in bytes.
const MaxSize = 8 << 20

// The other bounds.
const (
	maxFiles = 1000
	maxURLs  = 1000 // of one file
	maxText  = 8 << 10
)

// File is one file that a document describes.
type File struct {
	Name    string          // as written: may hold folders, and anything else
	Size    int64           // bytes; -1: the document does not say
	Digests []digest.Digest // of the whole, strongest first
	Pieces  *digest.Pieces  // nil: none
	URLs    []URL           // the best first
}

// URL is one place to fetch from, by http or https.
type URL struct {
	URL      string
	Priority int    // from 1, the best, to Last
	Location string // two letters of ISO 3166-1, in lower case; "": not said
}

// Last is the priority of a URL that has none.
const Last = 999_999

// IsMediaType reports whether a Content-Type is that of a Metalink document.
func IsMediaType(contentType string) bool {
	kind, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/metalink4+xml", "application/metalink+xml":
		return true
	}
	return false
}

// IsName reports whether a file's name or a URL's path is that of a document.
func IsName(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".meta4") || strings.HasSuffix(name, ".metalink")
}

// Parse reads a document of either version. Its errors are errdefs.Invalid.
// URLs of other schemes, digests of unknown algorithms, signatures and
// descriptions are left out.
func Parse(r io.Reader) ([]File, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%w: read a Metalink document: %w", errdefs.OpenFile, err)
	}
	if len(text) > MaxSize {
		err = fmt.Errorf("it is larger than %d MiB", MaxSize>>20)
	}
	var all []File
	if err == nil {
		all, err = parse(text)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it ends too early")
	}
	if err != nil {
		return nil, documentError(err.Error())
	}
	return all, nil
}

// documentError is a fault of a document.
type documentError string

// Error says what is wrong.
func (e documentError) Error() string { return "the Metalink document cannot be used: " + string(e) }

// Unwrap gives the kind.
func (e documentError) Unwrap() error { return errdefs.Invalid }

func parse(text []byte) ([]File, error) {
	dec := xml.NewDecoder(bytes.NewReader(text))
	root, err := openRoot(dec)
	if err != nil {
		return nil, err
	}
	var raw []rawFile
	switch root.Name.Space {
	case "urn:ietf:params:xml:ns:metalink":
		raw, err = decode4(dec, root)
	case "http://www.metalinker.org/":
		raw, err = decode3(dec, root)
	default:
		err = fmt.Errorf("its version is not known: the namespace is %.60q", root.Name.Space)
	}
	if err != nil {
		return nil, err
	}
	if err := closed(dec); err != nil {
		return nil, err
	}
	return files(raw)
}

// openRoot reads up to the first element. A document type could bring
// entities: none is taken.
func openRoot(dec *xml.Decoder) (xml.StartElement, error) {
	for {
		t, err := dec.Token()
		if err != nil {
			return xml.StartElement{}, err
		}
		switch t := t.(type) {
		case xml.Directive:
			return xml.StartElement{}, errors.New("it declares a document type")
		case xml.StartElement:
			if t.Name.Local != "metalink" {
				return xml.StartElement{}, fmt.Errorf("its root is <%.40s>", t.Name.Local)
			}
			return t, nil
		}
	}
}

// closed reads what stands behind the root.
func closed(dec *xml.Decoder) error {
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement, xml.Directive:
			return errors.New("something follows the root")
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return errors.New("text follows the root")
			}
		}
	}
}

// files judges what was read.
func files(raw []rawFile) ([]File, error) {
	if len(raw) == 0 || len(raw) > maxFiles {
		return nil, fmt.Errorf("it describes %d files, want 1 to %d", len(raw), maxFiles)
	}
	all := make([]File, len(raw))
	for i, f := range raw {
		var err error
		if all[i], err = f.judge(); err != nil {
			return nil, fmt.Errorf("file %d, %.60q: %w", i+1, f.name, err)
		}
		if slices.ContainsFunc(all[:i], func(o File) bool { return o.Name == f.name }) {
			return nil, fmt.Errorf("it describes %.60q twice", f.name)
		}
	}
	return all, nil
}

// rawFile is a file as either version says it, not judged yet.
type rawFile struct {
	name   string
	sizes  []string
	hashes []rawHash
	pieces []rawPieces
	urls   []rawURL
}

type rawHash struct{ algorithm, sum string }

type rawPieces struct {
	length, algorithm string
	sums              []string
}

type rawURL struct {
	url, location string
	priority      int
	bad           bool // the priority was no number
}

func (f rawFile) judge() (File, error) {
	out := File{Name: f.name, Size: -1}
	if f.name == "" || len(f.name) > maxText {
		return File{}, errors.New("it has no name, or one that is too long")
	}
	var err error
	if len(f.sizes) > 1 {
		return File{}, fmt.Errorf("it has %d sizes", len(f.sizes))
	}
	for _, s := range f.sizes {
		if out.Size, err = number("size", s); err != nil {
			return File{}, err
		}
	}
	if out.Digests, err = judgeHashes(f.hashes); err != nil {
		return File{}, err
	}
	if out.Pieces, err = judgePieces(f.pieces, out.Size); err != nil {
		return File{}, err
	}
	if out.URLs, err = judgeURLs(f.urls); err != nil {
		return File{}, err
	}
	return out, nil
}

func judgeHashes(hashes []rawHash) ([]digest.Digest, error) {
	var all []digest.Digest
	for _, h := range hashes {
		if digest.Canonical(h.algorithm) == "" {
			continue
		}
		d, ok := digest.FromHex(h.algorithm, h.sum)
		if !ok {
			return nil, fmt.Errorf("%.80q is no %.20s", strings.TrimSpace(h.sum), h.algorithm)
		}
		if slices.ContainsFunc(all, func(o digest.Digest) bool { return o.Algorithm == d.Algorithm && !o.Equal(d) }) {
			return nil, fmt.Errorf("it has two different %s", d.Algorithm)
		}
		if !slices.ContainsFunc(all, d.Equal) {
			all = append(all, d)
		}
	}
	slices.SortStableFunc(all, digest.ByStrength)
	return all, nil
}

// judgePieces takes the strongest of several lists.
func judgePieces(lists []rawPieces, size int64) (*digest.Pieces, error) {
	var best *digest.Pieces
	for _, l := range lists {
		p := &digest.Pieces{Algorithm: digest.Canonical(l.algorithm)}
		if p.Algorithm == "" {
			continue
		}
		var err error
		if p.Length, err = number("piece length", l.length); err != nil || p.Length == 0 {
			return nil, cmp.Or(err, errors.New("its pieces have no length"))
		}
		for _, sum := range l.sums {
			d, ok := digest.FromHex(p.Algorithm, sum)
			if !ok {
				return nil, fmt.Errorf("%.80q is no %s", strings.TrimSpace(sum), p.Algorithm)
			}
			p.Sums = append(p.Sums, d.Sum)
		}
		if len(p.Sums) == 0 {
			return nil, errors.New("its list of pieces is empty")
		}
		if size >= 0 {
			if err := p.Fits(size); err != nil {
				return nil, err
			}
		}
		if best == nil || digest.ByStrength(digest.Digest{Algorithm: p.Algorithm}, digest.Digest{Algorithm: best.Algorithm}) < 0 {
			best = p
		}
	}
	return best, nil
}

func judgeURLs(urls []rawURL) ([]URL, error) {
	if len(urls) > maxURLs {
		return nil, fmt.Errorf("it has %d URLs, at most %d", len(urls), maxURLs)
	}
	var all []URL
	for _, raw := range urls {
		text := strings.TrimSpace(raw.url)
		u, err := url.Parse(text)
		switch {
		case err != nil || len(text) > maxText:
			return nil, errors.New("a URL of it does not parse")
		case raw.bad || raw.priority < 1 || raw.priority > Last:
			return nil, fmt.Errorf("a URL of it has a priority outside 1 to %d", Last)
		case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			continue
		}
		if !slices.ContainsFunc(all, func(o URL) bool { return o.URL == text }) {
			all = append(all, URL{URL: text, Priority: raw.priority, Location: strings.ToLower(strings.TrimSpace(raw.location))})
		}
	}
	slices.SortStableFunc(all, func(a, b URL) int { return a.Priority - b.Priority })
	return all, nil
}
