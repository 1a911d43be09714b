package timeline_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/timeline"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const ms = time.Millisecond

// small is a download with everything that can be seen.
func small(title string, rows [2]string, note string) *timeline.Picture {
	p := &timeline.Picture{Title: title, Notes: []string{note}, Size: 10 << 20, Took: 10 * time.Second}
	for _, name := range rows {
		p.Row(name)
	}
	p.Before(byterange.Between(9<<20, 10<<20))
	add := func(row, lane int, from, to time.Duration, a, b int64, why timeline.Why, early bool) {
		p.Add(timeline.Span{
			Row: row, Lane: lane, From: from, To: to, First: from + 100*ms, Last: to - 100*ms,
			Range: byterange.Between(a<<20, b<<20), Why: why, EndedEarly: early,
		})
	}
	add(0, 0, 0, 4*time.Second, 0, 4, timeline.Fresh, false)
	add(0, 3, time.Second, 5*time.Second, 4, 5, timeline.Fresh, true)
	add(1, 0, 2*time.Second, 6*time.Second, 6, 8, timeline.Steal, false)
	add(1, 0, 6*time.Second, 8*time.Second, 5, 6, timeline.Again, false)
	add(0, 0, 7*time.Second, 8*time.Second, 5, 6, timeline.Copy, true)
	p.Add(timeline.Span{Row: 1, From: 8 * time.Second, To: 9 * time.Second, Why: timeline.Fresh, EndedEarly: true}) // nothing came
	p.Add(timeline.Span{Row: 1, From: 9 * time.Second, To: 9 * time.Second})                                        // never ran
	p.Add(timeline.Span{Row: 2, To: time.Second})                                                                   // of nobody
	return p
}

// element is what a test looks at in a picture.
type element struct {
	name, class string
	attr        map[string]string
	text        string // its own
	tip         string
}

// draw renders and parses a picture.
func draw(t testing.TB, p *timeline.Picture) ([]*element, int) {
	t.Helper()
	var buf bytes.Buffer
	if err := p.WriteSVG(&buf); err != nil {
		t.Fatal(err)
	}
	size := buf.Len()
	var all, stack []*element
	dec := xml.NewDecoder(&buf)
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return all, size
		}
		if err != nil {
			t.Fatalf("this is no XML: %v", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			e := &element{name: tok.Name.Local, attr: map[string]string{}}
			for _, a := range tok.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			e.class = e.attr["class"]
			all, stack = append(all, e), append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) == 0 {
				continue
			}
			top := stack[len(stack)-1]
			top.text += string(tok)
			if top.name == "title" && len(stack) > 1 {
				stack[len(stack)-2].tip += string(tok)
			}
		}
	}
}

// outline lists what a picture says: its texts and its coloured bars.
func outline(all []*element) string {
	var b strings.Builder
	for _, e := range all {
		switch {
		case e.name == "text":
			fmt.Fprintf(&b, "text %s %q\n", e.class, e.text)
		case e.name == "rect" && e.tip != "":
			fmt.Fprintf(&b, "bar %s x %s width %s %q\n", e.class, e.attr["x"], e.attr["width"], e.tip)
		case e.class == "early" || e.class == "stop" || e.class == "before" || e.class == "whole" || e.class == "held":
			fmt.Fprintf(&b, "%s %s\n", e.name, e.class)
		}
	}
	return b.String()
}

func TestPicture(t *testing.T) {
	t.Parallel()
	all, _ := draw(t, small("a small download", [2]string{"own line", "alice"}, "what else is to be said"))
	got := outline(all)
	golden := filepath.Join("testdata", "small.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the picture changed (go test -update accepts that); it is now\n%s", got)
	}
}

// TestInside checks that nothing is drawn outside the picture, for downloads
// of every size.
func TestInside(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name               string
		rows, lanes, spans int
		each               time.Duration
		bytes              int64
	}{
		{name: "nothing"},
		{name: "one byte", rows: 1, lanes: 1, spans: 1, each: time.Microsecond, bytes: 1},
		{name: "two sources, 1 MiB", rows: 2, lanes: 1, spans: 4, each: 20 * ms, bytes: 64 << 10},
		{name: "forty sources, 10 TB", rows: 40, lanes: 16, spans: 100000, each: 2 * time.Second, bytes: 100 << 20},
		{name: "a thousand sources", rows: 1000, lanes: 8, spans: 50000, each: 2 * time.Second, bytes: 1 << 20},
		{name: "more lanes than tracks", rows: 2, lanes: 256, spans: 5000, each: time.Second, bytes: 1 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &timeline.Picture{Title: tt.name, Size: tt.bytes * int64(tt.spans)}
			for i := range tt.rows {
				p.Row("source " + strconv.Itoa(i))
			}
			for i := range tt.spans {
				turn := time.Duration(i/(tt.rows*tt.lanes)) * tt.each
				p.Add(timeline.Span{
					Row: i % tt.rows, Lane: i / tt.rows % tt.lanes, From: turn, To: turn + tt.each,
					Range: byterange.Range{Off: int64(i) * tt.bytes, Len: tt.bytes}, Why: timeline.Fresh, EndedEarly: i%100 == 7,
				})
				p.Arrived(turn, tt.bytes)
			}
			all, size := draw(t, p)
			if size > 3<<20 {
				t.Errorf("the picture has %d bytes", size)
			}
			checkInside(t, all)
		})
	}
}

func checkInside(t *testing.T, all []*element) {
	t.Helper()
	number := func(s string) float64 {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	width, height := number(all[0].attr["width"]), number(all[0].attr["height"])
	if height > 8000 {
		t.Errorf("the picture is %g high", height)
	}
	for _, e := range all[1:] {
		if e.name != "rect" {
			continue
		}
		x, y, w, h := number(e.attr["x"]), number(e.attr["y"]), number(e.attr["width"]), number(e.attr["height"])
		if x < 0 || y < 0 || w <= 0 || h <= 0 || x+w > width || y+h > height {
			t.Fatalf("a %s at %g,%g of %g x %g is not inside %g x %g", e.class, x, y, w, h, width, height)
		}
	}
}

// TestRareShows checks that one steal among very many shows.
func TestRareShows(t *testing.T) {
	t.Parallel()
	p := &timeline.Picture{Title: "rare"}
	p.Row("a")
	for i := range 200000 {
		s := timeline.Span{
			From: time.Duration(i) * ms, To: time.Duration(i+1) * ms,
			Range: byterange.Range{Off: int64(i) << 20, Len: 1 << 20}, Why: timeline.Fresh,
		}
		if i == 100000 {
			s.Why = timeline.Steal
		}
		p.Add(s)
	}
	all, _ := draw(t, p)
	steals := 0
	for _, e := range all {
		if e.class == "steal" && e.name == "rect" && e.tip != "" {
			steals++
		}
	}
	if steals != 2 { // over time and over the file
		t.Errorf("the steal shows %d times, want 2", steals)
	}
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	if err := r.CloseWithError(io.ErrNoProgress); err != nil {
		t.Fatal(err)
	}
	if err := small("", [2]string{}, "").WriteSVG(w); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v, want that of the writer", err)
	}
}

// FuzzText puts arbitrary text everywhere: the picture stays XML with the
// same elements, and every text is cut to what fits.
func FuzzText(f *testing.F) {
	for _, s := range []string{"plain", "", "<b>&amp;</b>", "\"'><script>alert(1)</script>", "]]>", "\x00\x1b[31m\xff\xfe", "\u202egnp.exe", strings.Repeat("long ", 300), strings.Repeat("長", 40), "\ufffe\uffff\U0001f600"} {
		f.Add(s, s, s)
	}
	plain, _ := draw(f, small("title", [2]string{"one", "two"}, "note"))
	f.Fuzz(func(t *testing.T, title, row, note string) {
		all, _ := draw(t, small(title, [2]string{row, row}, note))
		if len(all) != len(plain) {
			t.Fatalf("%d elements, want %d", len(all), len(plain))
		}
		for i, e := range all {
			if e.name != plain[i].name || e.class != plain[i].class {
				t.Fatalf("element %d is %s %q, want %s %q", i, e.name, e.class, plain[i].name, plain[i].class)
			}
			if n := len([]rune(e.text)); e.class == "name" && n > 23 {
				t.Fatalf("a name of %d characters: %q", n, e.text)
			}
			if strings.ContainsAny(e.text, "\x00\x1b\u202e") {
				t.Fatalf("%q went through", e.text)
			}
		}
	})
}
