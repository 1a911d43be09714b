package client

import (
	"fmt"
	"slices"
	"strings"

	"ddm/internal/byterange"
	"ddm/internal/progress"
)

// Who brought which bytes is recorded by a name: "own:LINE" or "peer:ID", and
// behind a tab the host of the mirror that it fetched from, if that was not the
// first.

// giver is at for the records of who brought what: peerOf reads it.
func (m *mirror) giver(source string) string {
	if m.n == 0 {
		return source
	}
	return source + "\t" + m.host
}

// peerOf returns the peer's id out of a giver's name, if it is a peer's.
func peerOf(giver string) (id string, ok bool) {
	source, _, _ := strings.Cut(giver, "\t") // no id holds one
	return strings.CutPrefix(source, "peer:")
}

// mirrorOf returns the host of the mirror that a giver fetched from, if it was
// not the first.
func mirrorOf(giver string) (host string, ok bool) {
	_, host, ok = strings.Cut(giver, "\t")
	return host, ok
}

// forget leaves a mirror out of everything that follows; false: there is none
// besides the one in use.
func (r *request) forget(host string) bool {
	n := len(r.asks)
	r.asks = slices.DeleteFunc(slices.Clone(r.asks), func(a ask) bool { return a.url != r.url() && hostOf(a.url) == host })
	return len(r.asks) < n
}

// blameMirrors leaves out the mirrors that a bad piece came from, apart from the
// first. They may have it so, whoever fetched it: then nobody else is blamed
// for this piece.
func (d *download) blameMirrors(givers map[string]bool, piece byterange.Range) (blamed bool) {
	for giver := range givers {
		host, ok := mirrorOf(giver)
		if blamed = blamed || ok; ok && d.req.forget(host) {
			d.rep.Source(progress.SourceChange{Name: host, Change: "banned", Reason: fmt.Sprintf("the piece %s that came from it is not what its digest says", piece)})
		}
	}
	return blamed
}
