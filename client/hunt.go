package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"ddm/client/blame"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/progress"
)

// The whole has not the digest that it should have, and nothing else is known:
// what others gave is fetched again and compared with what is on disk, until
// it is proved who lied. What the witness has takes the place of what differs.
// If the whole is right then, so is all else that the liar gave; if not, what of
// that nobody compared is dropped, and the download goes on without the liar.
//
//	commit --Corrupt--> blame.Hunt --Next--> witness: own line, or two peers
//	                        ^                   |
//	                        '------ Blame ------'--> healed --whole--> banned
//	                                                   '------------> dropped, banned --> once more
//
// So every byte comes once more at most, compared or in the place of another,
// and of a block that differs twice.

// past is what earlier attempts of one download leave to the next.
type past struct {
	origin, lan, stored, verified int64         // bytes that came
	duplicate                     int64         // of them, those that were there already
	compared                      byterange.Set // came twice, and were the same
	story                         []string      // for the summary
}

// huntedError says who was found. Its kind is errdefs.Corrupt; the next attempt
// goes on without them.
type huntedError struct{ what string }

// Error tells it.
func (e *huntedError) Error() string { return e.what }

// Unwrap gives the kind.
func (e *huntedError) Unwrap() error { return errdefs.Corrupt }

func hunted(err error) bool {
	_, ok := errors.AsType[*huntedError](err)
	return ok
}

// hunter is one hunt.
type hunter struct {
	d     *download
	hunt  *blame.Hunt
	size  int64
	total int64
	found []string // what it came to, for people
}

// mismatch ends a comparison at the first block that differs.
type mismatch struct {
	r       byterange.Range
	content []byte // that the witness has
	more    []byte // that it has behind
}

func (m *mismatch) Error() string { return fmt.Sprintf("bytes %v differ", m.r) }

// hunt looks for whoever gave wrong bytes. If somebody is found its error says
// so, and what it gave is dropped; else everything is discarded.
func (d *download) hunt(ctx context.Context, size int64, cause error) error {
	h := &hunter{d: d, size: size}
	var given []blame.Given
	for x := range d.file.Extents() {
		if trusted(x.Giver) {
			continue
		}
		for r := range d.req.past.compared.Missing(x.Range) {
			given = append(given, blame.Given{Range: r, Giver: x.Giver})
			h.total += r.Len
		}
	}
	d.note(fmt.Sprintf("%v; looking for who gave what is wrong: what others brought (%s) is compared with what comes again", cause, humanize.IBytes(uint64(h.total))))
	h.hunt = blame.New(given, rand.Int64N)
	if err := h.run(ctx); err != nil {
		return fmt.Errorf("%w; who gave what is wrong could not be found out: %w", cause, err)
	}
	if len(h.found)+len(h.hunt.Liars()) == 0 {
		return errors.Join(fmt.Errorf("%w; %s, so it is thrown away", cause, d.unexplained(h.total)), d.file.Discard())
	}
	whole := d.sums.compute(ctx, d.file, 0, size) == nil
	if err := h.replace(whole); err != nil {
		return err
	}
	d.req.past.story = append(d.req.past.story, h.found...)
	return &huntedError{what: strings.Join(h.found, "; ")}
}

// unexplained says why nobody is to blame.
func (d *download) unexplained(looked int64) string {
	if looked == 0 && d.req.past.compared.Len() == 0 {
		return "the own line brought all of it, and nothing tells which part is wrong"
	}
	return "everything that others brought came twice and is the same: the origin serves other content than the digest is of"
}

// trusted reports whether an own line got these bytes from where the job said.
func trusted(giver string) bool {
	return strings.HasPrefix(giver, "own:") && !strings.Contains(giver, "\t")
}

// run compares until the hunt is over.
func (h *hunter) run(ctx context.Context) error {
	for g, ok := h.hunt.Next(); ok; g, ok = h.hunt.Next() {
		if err := h.compare(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// compare holds what somebody gave against what witnesses bring.
func (h *hunter) compare(ctx context.Context, g blame.Given) error {
	var failure error
	list := h.d.witnesses(g.Giver)
	for i, w := range list {
		differs, err := h.hold(ctx, w, g.Range)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			failure = worse(failure, err)
			continue
		case differs == nil:
			return nil
		}
		return h.judge(ctx, g, w, list[i+1:], differs)
	}
	if failure == nil {
		failure = fmt.Errorf("%w: there is nobody else to ask", errdefs.Unavailable)
	}
	return failure
}

// hold reads a range from a witness and returns the first block that differs
// from what is on disk; nil: none does.
func (h *hunter) hold(ctx context.Context, w witness, r byterange.Range) (*mismatch, error) {
	d := h.d
	return d.confer(ctx, w, r, func(same byterange.Range) {
		d.req.past.compared.Add(same)
		d.rep.Progress(progress.Snapshot{Size: h.size, Bytes: min(d.req.past.compared.Bytes(), h.size), ETA: -1, Elapsed: d.clock(), Phase: "checking"})
	})
}

// proofLength is how much of what differs is fetched from a third source.
const proofLength = 4 << 10

// common returns how many of the first bytes are the same in both.
func common(a, b []byte) int64 {
	if bytes.Equal(a, b) {
		return int64(len(a))
	}
	n := int64(0)
	for a[n] == b[n] {
		n++
	}
	return n
}

// errGone ends a comparison with bytes that were taken back meanwhile.
var errGone = errors.New("it is not there any more")

// confer reads a range from a witness, tells of each part that is the same as
// on disk, and returns the first that is not; nil: none.
func (d *download) confer(ctx context.Context, w witness, r byterange.Range, same func(byterange.Range)) (*mismatch, error) {
	mine := make([]byte, maxPayload)
	err := w.read(ctx, r, func(off int64, p []byte) error {
		part := mine[:len(p)]
		d.verified.Add(int64(len(p)))
		if _, err := d.file.ReadAt(part, off); errors.Is(err, errdefs.BadRange) {
			return errGone
		} else if err != nil {
			return err
		}
		n := common(part, p)
		if n > 0 {
			same(byterange.Range{Off: off, Len: n})
		}
		if rest := p[n:]; len(rest) > 0 {
			proof := min(len(rest), proofLength)
			rest = bytes.Clone(rest)
			return &mismatch{r: byterange.Range{Off: off + n, Len: int64(proof)}, content: rest[:proof], more: rest[proof:]}
		}
		return nil
	})
	if m, ok := errors.AsType[*mismatch](err); ok {
		return m, nil
	}
	return nil, err
}

// judge finds out who is wrong about a block that differs.
func (h *hunter) judge(ctx context.Context, g blame.Given, w witness, others []witness, m *mismatch) error {
	for rest := range h.d.req.past.compared.Missing(g.Range) {
		if rest = byterange.Between(max(rest.Off, m.r.End()), rest.End()); !rest.Empty() {
			h.hunt.Back(blame.Given{Range: rest, Giver: g.Giver})
		}
	}
	v, err := h.d.arbitrate(ctx, g.Giver, w, others, m)
	switch {
	case err != nil:
		return err
	case v.damaged > 0:
		h.found = append(h.found, fmt.Sprintf("the disk changed %s at bytes %v after they were written; they were fetched again", humanize.IBytes(uint64(v.damaged)), m.r))
	}
	for _, liar := range v.liars {
		h.hunt.Blame(liar)
	}
	if len(v.liars) == 0 || slices.Contains(v.liars, w.giver) {
		return nil
	}
	return h.heal(w, m)
}

// heal puts what a witness brought in the place of what differs from it. Where
// that was proof two say the same; the rest is its own word.
func (h *hunter) heal(w witness, m *mismatch) error {
	d := h.d
	whole := byterange.Range{Off: m.r.Off, Len: m.r.Len + int64(len(m.more))}
	if _, err := d.file.Drop(whole); err != nil {
		return err
	}
	if _, err := d.file.WriteAt([][]byte{m.content, m.more}, whole.Off, w.giver); err != nil {
		return err
	}
	d.req.past.compared.Add(m.r)
	return nil
}

// mirrorSite is where a giver's mirror is.
func (d *download) mirrorSite(host string) (*site, bool) {
	for _, a := range d.req.asks {
		if hostOf(a.url) == host {
			return &site{c: d.c, ask: a, jar: d.req.jar, note: d.rep.Note}, true
		}
	}
	return nil, false
}

// replace leaves liars out, and drops what they gave and nobody found right:
// nothing, if the whole is.
func (h *hunter) replace(whole bool) error {
	d := h.d
	for _, liar := range h.hunt.Liars() {
		name, gave := h.expel(liar)
		if whole {
			h.found = append(h.found, name+" gave wrong bytes; it is left out, and they are replaced: the rest of what it gave is right, or the whole would not be")
			continue
		}
		var dropped int64
		for x := range d.file.Extents() {
			if !gave(x.Giver) {
				continue
			}
			for r := range d.req.past.compared.Missing(x.Range) {
				n, err := d.file.Drop(r)
				if err != nil {
					return err
				}
				dropped += n
			}
		}
		h.found = append(h.found, fmt.Sprintf("%s gave wrong bytes; it is left out, and %s that it gave are fetched again", name, humanize.IBytes(uint64(dropped))))
	}
	return nil
}

// expel leaves a liar out of everything that follows.
func (h *hunter) expel(liar string) (name string, gave func(giver string) bool) {
	d := h.d
	const reason = "it gave bytes that are not the origin's; what it gave is replaced"
	if id, peer := peerOf(liar); peer {
		d.req.suspects[id] = true
		name = d.roster.name(id)
		d.rep.Source(progress.SourceChange{Name: name, Change: "banned", Reason: reason})
		return "the peer " + name, func(giver string) bool { other, ok := peerOf(giver); return ok && other == id }
	}
	_, host, _ := strings.Cut(liar, "\t")
	d.req.asks = slices.DeleteFunc(d.req.asks, func(a ask) bool { return a.url != d.req.url() && hostOf(a.url) == host })
	d.rep.Source(progress.SourceChange{Name: host, Change: "banned", Reason: reason})
	return "the mirror " + host, func(giver string) bool { return strings.HasSuffix(giver, "\t"+host) }
}
