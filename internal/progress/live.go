package progress

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Measures of the live block, in columns unless said otherwise.
const (
	liveEvery   = 125 * time.Millisecond
	maxRows     = 16 // of one download
	percentCols = 4
	rateCols    = 11
	stateCols   = 8
	etaCols     = 10
	minBar      = 10
	maxBar      = 50
	minName     = 12
	shortName   = 8 // where a name must do with less
	gap         = "  "
)

// liveStyle draws a block that is redrawn in place; what is past is written above it.
type liveStyle struct {
	program string
	palette palette
}

func (liveStyle) period() time.Duration      { return liveEvery }
func (liveStyle) tick(*view, time.Time) text { return text{} }
func (liveStyle) start(*view) text           { return text{} }

// source leaves to the block what the block shows; a source that went for a fault
// is gone from it, and the reason would be lost.
func (s liveStyle) source(v *view, c SourceChange) text {
	if c.Change == "failed" || c.Change == "banned" {
		return text{stderr: sourceLine(v, c)}
	}
	return text{}
}

func (liveStyle) note(v *view, n string) text { return text{stderr: noteLine(v, n)} }
func (liveStyle) plan(_ *view, p Plan) text   { return text{stdout: planText(p)} }
func (s liveStyle) done(v *view, d Done) text { return text{stderr: summary(v, d, s.palette)} }
func (s liveStyle) fail(v *view, f Failure) text {
	return text{stderr: failLine(s.program, v, f)}
}

// frame draws the block: of each download one line for the whole and one per
// source. No line is wider than width-1, so that none wraps; there are at most
// height-1, so that all can be taken back.
func frame(views []view, width, height int, now time.Time, p palette) []string {
	width, height = max(width-1, 1), max(height-1, 1)
	if len(views) == 0 {
		return nil
	}
	var lines []string
	hidden := 0
	if len(views) > height {
		hidden = len(views) - (height - 1)
		views = views[:height-1]
	}
	c := layout(views, width)
	rows := allot(views, height-min(hidden, 1))
	for i := range views {
		lines = append(lines, totalLine(&views[i], c, now, p))
		lines = append(lines, sourceLines(views[i].snap, rows[i]-1, c, p)...)
	}
	if hidden > 0 {
		lines = append(lines, cut("and "+plural(hidden, "more download"), width))
	}
	return lines
}

// allot shares the rows out among the downloads, one at a time in turns; each
// gets at least one, none more than it can fill.
func allot(views []view, height int) []int {
	rows := make([]int, len(views))
	for left := height; left > 0; {
		before := left
		for i, v := range views {
			want := 1
			if v.snap != nil {
				want = min(want+len(v.snap.Sources), maxRows)
			}
			if rows[i] < want && left > 0 {
				rows[i]++
				left--
			}
		}
		if left == before {
			break
		}
	}
	return rows
}

// columns are the widths of what a line of the block shows; 0 leaves it out.
type columns struct {
	width, name, bar, percent, size, rate, eta int
}

// layout finds the richest columns that fit.
func layout(views []view, width int) columns {
	c := columns{width: width, rate: rateCols, eta: etaCols}
	name := 0
	for i := range views {
		v := &views[i]
		name = max(name, cells(v.name()))
		if v.snap == nil {
			continue
		}
		c.size = max(c.size, cells(sizeText(v.snap)))
		if v.snap.Size >= 0 {
			c.percent = percentCols
		}
		for _, s := range v.snap.Sources {
			name = max(name, len(gap)+cells(sourceName(s)))
		}
	}
	rest := func() int { return width - c.fixed() }
	if room := rest() - minBar - len(gap); room >= minName && c.percent > 0 {
		c.name = min(name, max(minName, min(room, width/3)))
		c.bar = min(rest()-c.name-len(gap), maxBar)
		return c
	}
	drops := []*int{&c.size, &c.eta, &c.rate, &c.percent}
	if c.percent == 0 { // then the size is the progress
		drops = []*int{&c.eta, &c.rate, &c.size}
	}
	for _, drop := range drops {
		if rest() >= min(name, shortName) {
			break
		}
		*drop = 0
	}
	c.name = min(name, max(rest(), 0))
	return c
}

// fixed is what all but the name and the bar take, gaps included.
func (c columns) fixed() int {
	n := 0
	for _, w := range []int{c.percent, c.size, c.rate, c.eta} {
		if w > 0 {
			n += len(gap) + w
		}
	}
	return n
}

// totalLine is the line of a whole download.
func totalLine(v *view, c columns, now time.Time, p palette) string {
	s := v.snap
	if s == nil {
		s = &Snapshot{Size: -1, ETA: -1, Phase: "connecting", Elapsed: now.Sub(v.began)}
	}
	var b strings.Builder
	b.WriteString(p.bold(padRight(v.name(), c.name)))
	if c.bar > 0 {
		b.WriteString(gap)
		b.WriteString(bar(v, s, c.bar, p))
	}
	if c.percent > 0 {
		done := ""
		if s.Size >= 0 {
			done = fmt.Sprintf("%d%%", percent(s.Bytes, s.Size))
		}
		b.WriteString(gap + padLeft(done, c.percent))
	}
	if c.size > 0 {
		b.WriteString(gap + padLeft(sizeText(s), c.size))
	}
	if c.rate > 0 {
		b.WriteString(gap + padLeft(formatRate(s.Rate), c.rate))
	}
	if c.eta > 0 {
		b.WriteString(gap + cut(left(s), c.eta))
	}
	return strings.TrimRight(b.String(), " ")
}

// left says how long a download will take, or what it is doing instead.
func left(s *Snapshot) string {
	switch {
	case s.Phase != "":
		return clean(s.Phase)
	case s.Size < 0:
		return formatETA(s.Elapsed)
	}
	return "ETA " + formatETA(s.ETA)
}

// sizeText says how much is there, and of how much.
func sizeText(s *Snapshot) string {
	switch {
	case s.Size >= 0:
		return formatOf(s.Bytes, s.Size)
	case s.Bytes > 0:
		return formatBytes(s.Bytes)
	}
	return ""
}

// bar draws what is there of a download, what was resumed apart; blank if the size
// is unknown.
func bar(v *view, s *Snapshot, width int, p palette) string {
	if s.Size < 0 {
		return strings.Repeat(" ", width)
	}
	stat := decor.Statistics{
		AvailableWidth: width, RequestedWidth: width,
		Total: s.Size, Current: s.Bytes, Completed: s.Bytes >= s.Size,
	}
	if v.start != nil {
		stat.Refill = min(v.start.Resumed, s.Bytes)
	}
	if s.Size == 0 {
		stat.Total, stat.Current = 1, 1
	}
	style := mpb.BarStyle().Padding(" ").FillerMeta(p.good).TipMeta(p.good).RefillerMeta(p.dim)
	var b bytes.Buffer
	if err := style.Build().Fill(&b, stat); err != nil {
		return strings.Repeat(" ", width)
	}
	return b.String()
}

// sourceLines draws the sources of a download in at most rows lines: those that
// bring most, in their usual order, then how many more there are.
func sourceLines(s *Snapshot, rows int, c columns, p palette) []string {
	if s == nil || rows <= 0 {
		return nil
	}
	shown := s.Sources
	if len(shown) > rows {
		shown = arrange(foremost(shown, rows-1))
	}
	all := total(s.Sources)
	var lines []string
	for _, src := range shown {
		lines = append(lines, liveLine(src, all, c, p))
	}
	if hidden := len(s.Sources) - len(shown); hidden > 0 {
		lines = append(lines, p.dim(cut(gap+"and "+plural(hidden, "more source"), c.width)))
	}
	return lines
}

// foremost returns the n sources most worth a line: this machine's own, then those
// that brought most, which changes less often than who is fastest.
func foremost(sources []Source, n int) []Source {
	sources = slices.Clone(sources)
	slices.SortStableFunc(sources, func(a, b Source) int {
		return cmp.Or(byKind(a, b), cmp.Compare(b.Bytes, a.Bytes))
	})
	return sources[:n]
}

// liveLine is the line of one source. On a narrow terminal it loses first its
// note, then its share, then its state, then its rate.
func liveLine(s Source, all int64, c columns, p palette) string {
	const rate, part, state = len(gap) + rateCols, len(gap) + percentCols, len(gap) + stateCols
	name := max(min(c.name-len(gap), c.width-len(gap)-rate-state), minName-len(gap))
	b := gap + padRight(sourceName(s), name)
	room := c.width - cells(b)
	if room < rate {
		return strings.TrimRight(cut(b, c.width), " ")
	}
	b += gap + padLeft(formatRate(s.Rate), rateCols)
	if room -= rate; room < state {
		return b
	}
	if room -= state; room >= part {
		b += gap + padLeft(portion(s, all), percentCols)
		room -= part
	}
	b += gap + p.state(s.State, padRight(clean(s.State), stateCols))
	if s.Note != "" && room >= len(gap)+minName {
		b += gap + p.dim(cut(clean(s.Note), room-len(gap)))
	}
	return strings.TrimRight(b, " ")
}

// palette colours text, or leaves it alone.
type palette struct{ on bool }

func (p palette) sgr(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p palette) bold(s string) string { return p.sgr("1", s) }
func (p palette) dim(s string) string  { return p.sgr("2", s) }
func (p palette) good(s string) string { return p.sgr("32", s) }

// state colours s by the state of a source.
func (p palette) state(state, s string) string {
	switch state {
	case "stalled", "cooling":
		return p.sgr("33", s)
	case "banned", "failed":
		return p.sgr("31", s)
	case "idle", "left":
		return p.dim(s)
	}
	return s
}
