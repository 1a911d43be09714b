package metalink

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// document4 is RFC 5854. Elements of other namespaces are skipped.
type document4 struct {
	Files []file4 `xml:"urn:ietf:params:xml:ns:metalink file"`
}

type file4 struct {
	Name   string    `xml:"name,attr"`
	Sizes  []string  `xml:"urn:ietf:params:xml:ns:metalink size"`
	Hashes []hash    `xml:"urn:ietf:params:xml:ns:metalink hash"`
	Pieces []pieces4 `xml:"urn:ietf:params:xml:ns:metalink pieces"`
	URLs   []url4    `xml:"urn:ietf:params:xml:ns:metalink url"`
}

type hash struct {
	Type string `xml:"type,attr"`
	Sum  string `xml:",chardata"`
}

type pieces4 struct {
	Length string   `xml:"length,attr"`
	Type   string   `xml:"type,attr"`
	Sums   []string `xml:"urn:ietf:params:xml:ns:metalink hash"`
}

type url4 struct {
	Priority string `xml:"priority,attr"`
	Location string `xml:"location,attr"`
	URL      string `xml:",chardata"`
}

func decode4(dec *xml.Decoder, root xml.StartElement) ([]rawFile, error) {
	var doc document4
	if err := dec.DecodeElement(&doc, &root); err != nil {
		return nil, err
	}
	all := make([]rawFile, len(doc.Files))
	for i, f := range doc.Files {
		raw := rawFile{name: f.Name, sizes: f.Sizes}
		for _, h := range f.Hashes {
			raw.hashes = append(raw.hashes, rawHash{h.Type, h.Sum})
		}
		for _, p := range f.Pieces {
			raw.pieces = append(raw.pieces, rawPieces{p.Length, p.Type, p.Sums})
		}
		for _, u := range f.URLs {
			entry := rawURL{url: u.URL, location: u.Location, priority: Last}
			if u.Priority != "" {
				n, err := number("priority", u.Priority)
				entry.priority, entry.bad = int(min(n, Last+1)), err != nil
			}
			raw.urls = append(raw.urls, entry)
		}
		all[i] = raw
	}
	return all, nil
}

// document3 is version 3 as publishers came to write it.
type document3 struct {
	Files []file3 `xml:"files>file"`
}

type file3 struct {
	Name   string    `xml:"name,attr"`
	Sizes  []string  `xml:"size"`
	Hashes []hash    `xml:"verification>hash"`
	Pieces []pieces3 `xml:"verification>pieces"`
	URLs   []url3    `xml:"resources>url"`
}

type pieces3 struct {
	Length string   `xml:"length,attr"`
	Type   string   `xml:"type,attr"`
	Hashes []piece3 `xml:"hash"`
}

type piece3 struct {
	Number string `xml:"piece,attr"`
	Sum    string `xml:",chardata"`
}

type url3 struct {
	Preference string `xml:"preference,attr"` // 100 is the best, 1 the last
	Location   string `xml:"location,attr"`
	URL        string `xml:",chardata"`
}

func decode3(dec *xml.Decoder, root xml.StartElement) ([]rawFile, error) {
	var doc document3
	if err := dec.DecodeElement(&doc, &root); err != nil {
		return nil, err
	}
	all := make([]rawFile, len(doc.Files))
	for i, f := range doc.Files {
		raw := rawFile{name: f.Name, sizes: f.Sizes}
		for _, h := range f.Hashes {
			raw.hashes = append(raw.hashes, rawHash{h.Type, h.Sum})
		}
		for _, p := range f.Pieces {
			sums, err := p.inOrder()
			if err != nil {
				return nil, err
			}
			raw.pieces = append(raw.pieces, rawPieces{p.Length, p.Type, sums})
		}
		for _, u := range f.URLs {
			entry := rawURL{url: u.URL, location: u.Location, priority: Last}
			if u.Preference != "" {
				n, err := number("preference", u.Preference)
				entry.priority, entry.bad = 101-int(min(n, 101)), err != nil
				entry.priority = max(entry.priority, 1)
			}
			raw.urls = append(raw.urls, entry)
		}
		all[i] = raw
	}
	return all, nil
}

// inOrder puts the sums into the order of their numbers, which run from 0
// without a gap. Sums without any number are in order already.
func (p pieces3) inOrder() ([]string, error) {
	sums := make([]string, len(p.Hashes))
	seen := make([]bool, len(p.Hashes))
	numbered := slices.ContainsFunc(p.Hashes, func(h piece3) bool { return h.Number != "" })
	for i, h := range p.Hashes {
		n := int64(i)
		if numbered {
			var err error
			if n, err = number("piece number", h.Number); err != nil {
				return nil, err
			}
		}
		if n >= int64(len(sums)) || seen[n] {
			return nil, fmt.Errorf("piece number %d is one too many", n)
		}
		sums[n], seen[n] = h.Sum, true
	}
	return sums, nil
}

// number reads digits: no sign, no unit.
func number(what, s string) (int64, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || s[0] < '0' || s[0] > '9' {
		return 0, fmt.Errorf("%.40q is no %s", s, what)
	}
	return n, nil
}
