package progress

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// worthwhile is the speed-up below which peers brought nothing worth a praise.
const worthwhile = 1.1

// summary is the closing account of a download: what was saved, how sure it is,
// and who brought it.
func summary(v *view, d Done, p palette) string {
	var resumed int64
	if v.start != nil {
		resumed = v.start.Resumed
	}
	mean := meanRate(d.Size-resumed, d.Elapsed)

	var b strings.Builder
	name := v.name()
	if v.start == nil && d.Path != "-" && d.Path != "" {
		name = nameOf(clean(d.Path))
	}
	fmt.Fprintf(&b, "%s %s in %s", p.bold(name+":"), formatBytes(d.Size), formatDuration(d.Elapsed))
	if mean > 0 && !handedOut(d.Sources) {
		b.WriteString(", " + formatRate(mean) + " on average")
	}
	b.WriteString("\n")
	if d.Path == "-" {
		field(&b, "written", "to stdout, in order")
	} else {
		field(&b, verb(d), clean(d.Path))
	}
	if resumed > 0 {
		field(&b, "resumed", formatBytes(resumed)+" were here already, "+formatBytes(max(d.Size-resumed, 0))+" were still to come")
	}
	prose(&b, "identity", identityProof(d.Identity))
	if algorithm, sum, ok := strings.Cut(d.Digest, ":"); ok {
		field(&b, clean(algorithm), clean(sum))
	}
	b.WriteString(sourceTable(d.Sources, d.Elapsed))
	if s := speedUp(d, mean); s != "" {
		prose(&b, "speed-up", s)
	}
	if s := overhead(d); s != "" {
		field(&b, "extra", s)
	}
	for _, n := range d.Notes {
		prose(&b, "note", clean(n))
	}
	return b.String()
}

// proseCols is where the lines of a sentence end at the latest.
const proseCols = 78

// field writes one line of an account; its value is never broken.
func field(b *strings.Builder, key, value string) {
	fmt.Fprintf(b, "  %-9s %s\n", key, value)
}

// prose writes a sentence of an account, broken between words.
func prose(b *strings.Builder, key, sentence string) {
	indent := len("  ") + 9 + len(" ")
	var row string
	for word := range strings.FieldsSeq(sentence) {
		switch {
		case row == "":
			row = word
		case indent+cells(row)+1+cells(word) > proseCols:
			field(b, key, row)
			key, row = "", word
		default:
			row += " " + word
		}
	}
	field(b, key, row)
}

// meanRate returns bytes per second; 0 if no time has passed.
func meanRate(n int64, d time.Duration) float64 {
	if d <= 0 || n <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// identityWord makes "none" of an identity that is not said.
func identityWord(identity string) string {
	if identity == "" {
		return "none"
	}
	return clean(identity)
}

// identityProof says what was and what was not proved of the bytes saved.
func identityProof(identity string) string {
	switch identity {
	case "digest":
		return "digest: the whole file was hashed and matches its known digest"
	case "strong":
		return "strong: every part came under one strong ETag and the same size; no digest was known to check the content against"
	case "weak":
		return "weak: every part came with the same size and modification time, which a careless origin may repeat; no digest was known"
	case "sampled":
		return "sampled: sizes agree, and so did samples compared between sources; the bytes between the samples were not compared"
	case "none", "":
		return "none: the origin gave nothing to tell versions apart; only the length of what arrived was checked"
	}
	return clean(identity)
}

// sourceTable says who brought how much, the most first.
func sourceTable(sources []Source, elapsed time.Duration) string {
	if len(sources) == 0 {
		return ""
	}
	sources = slices.Clone(sources)
	slices.SortStableFunc(sources, func(a, b Source) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	width := len("source")
	for _, s := range sources {
		width = min(max(width, cells(sourceName(s))), 40)
	}
	var b strings.Builder
	heads := [...]string{"source", "brought", "share"}
	if handedOut(sources) {
		heads = [...]string{"peer", "has", "of it"}
	}
	fmt.Fprintf(&b, "  %s  %9s  %5s  %11s\n", padRight(heads[0], width), heads[1], heads[2], "mean rate")
	all := total(sources)
	for _, s := range sources {
		rate := s.Rate
		if rate == 0 && s.Size == 0 {
			rate = meanRate(s.Bytes, elapsed)
		}
		row := fmt.Sprintf("  %s  %9s  %5s  %11s", padRight(sourceName(s), width), formatBytes(s.Bytes), portion(s, all), formatRate(rate))
		if remark := remark(s); remark != "" {
			row += "  " + remark
		}
		b.WriteString(row + "\n")
	}
	return b.String()
}

// handedOut reports whether the sources are those who got copies.
func handedOut(sources []Source) bool {
	return slices.ContainsFunc(sources, func(s Source) bool { return s.Size > 0 })
}

// verb is what became of the file.
func verb(d Done) string {
	if handedOut(d.Sources) {
		return "pushed"
	}
	return "saved"
}

// portion is the part that a source brought of all, or that it has of its copy.
func portion(s Source, all int64) string {
	if s.Size > 0 {
		return fmt.Sprintf("%d%%", percent(s.Bytes, s.Size))
	}
	return share(s.Bytes, all)
}

// remark is what is to be said of a source at the end.
func remark(s Source) string {
	switch s.State {
	case "", "idle", "running":
		return clean(s.Note)
	}
	if s.Note == "" {
		return clean(s.State)
	}
	return clean(s.State + ": " + s.Note)
}

// sourceName is the name of a source, with its kind where that is not a peer.
func sourceName(s Source) string {
	name := clean(s.Name)
	switch {
	case s.Kind == "local" && name == "":
		return "this machine"
	case s.Kind == "tunnel":
		return name + " (tunnel)"
	}
	return name
}

// total sums what the sources brought.
func total(sources []Source) int64 {
	var n int64
	for _, s := range sources {
		n += max(s.Bytes, 0)
	}
	return n
}

// share spells a part of a whole: "27%".
func share(n, all int64) string {
	if all <= 0 || n <= 0 {
		return "0%"
	}
	s := fmt.Sprintf("%.0f%%", 100*float64(n)/float64(all))
	if s == "0%" {
		return "<1%"
	}
	return s
}

// speedUp compares with this machine's own line alone. Peers that share the router
// with it add nothing to it, and are not praised for what it would have brought.
func speedUp(d Done, mean float64) string {
	helped := slices.ContainsFunc(d.Sources, func(s Source) bool { return s.Kind != "local" && s.Bytes > 0 })
	if sane(d.OwnRate) == 0 || mean == 0 || !helped {
		return ""
	}
	alone := fmt.Sprintf("this machine's own line alone (%s)", formatRate(d.OwnRate))
	factor := mean / d.OwnRate
	if factor < worthwhile {
		return fmt.Sprintf("none: the peers brought nothing beyond %s; they may share its way to the internet", alone)
	}
	return fmt.Sprintf("%.1f times %s", factor, alone)
}

// overhead says what the download cost beyond its bytes.
func overhead(d Done) string {
	var parts []string
	if d.Reassigned > 0 {
		parts = append(parts, plural(d.Reassigned, "range")+" reassigned")
	}
	if d.Duplicate > 0 {
		parts = append(parts, formatBytes(d.Duplicate)+" came twice")
	}
	if d.Verify > 0 {
		parts = append(parts, formatBytes(d.Verify)+" fetched for checks")
	}
	return strings.Join(parts, ", ")
}

// planText is the account of a dry run.
func planText(p Plan) string {
	var b strings.Builder
	name := clean(p.Name)
	if name == "" {
		name = nameOf(clean(p.URL))
	}
	fmt.Fprintf(&b, "%s: dry run, nothing is saved\n", name)
	if host := hostOf(p.URL); host != "" {
		field(&b, "origin", host)
	}
	if p.Size >= 0 {
		field(&b, "size", fmt.Sprintf("%s (%d bytes)", formatBytes(p.Size), p.Size))
	} else {
		field(&b, "size", "unknown")
	}
	field(&b, "identity", identityWord(p.Identity))
	if p.Ranges {
		field(&b, "ranges", "served: several sources can share the work")
	} else {
		field(&b, "ranges", "not served: one source would bring it all")
	}
	helped := false
	for _, h := range arrange(p.Helpers) {
		key := "own line"
		if h.Kind != "local" {
			key, helped = "helper", true
		}
		s := sourceName(h)
		if r := remark(h); r != "" {
			s += "  " + r
		}
		field(&b, key, s)
	}
	if !helped {
		field(&b, "helpers", "none")
	}
	for _, n := range p.Notes {
		prose(&b, "note", clean(n))
	}
	return b.String()
}
