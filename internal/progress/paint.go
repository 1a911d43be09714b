package progress

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vbauerster/mpb/v8/cwriter"
)

// painter redraws the live block in place. Only mpb's writer and bar are used, not
// its container of bars: there each bar is a goroutine with a life of its own,
// while here rows come and go with the sources and give way to a summary in the
// same write.
type painter struct {
	out     *cwriter.Writer
	size    func() (width, height int)
	palette palette
	before  []string // the block that is on the screen
	width   int      // the columns that it was drawn for
}

func newPainter(o Options, p palette) *painter {
	measured := sizeOf(o.Stderr)
	size := func() (int, int) {
		width, height := measured()
		if o.Width != nil {
			width = o.Width()
		}
		if o.Height != nil {
			height = o.Height()
		}
		return width, height
	}
	return &painter{out: cwriter.New(o.Stderr), size: size, palette: p}
}

// draw writes t and the block of the views below it, in the place of the block
// that is there. All of stderr goes out in one write, so that nothing flickers.
func (p *painter) draw(stdout io.Writer, t text, views []view, now time.Time) error {
	width, height := p.size()
	lines := frame(views, width, height, now, p.palette)
	if t == (text{}) && width == p.width && slices.Equal(lines, p.before) {
		return nil
	}
	// The buffer is empty here: this flush only notes what the next one takes back.
	err := p.out.Flush(rowsOf(p.before, width))
	if err == nil && t.stdout != "" {
		// stdout may be the same terminal: the block goes first.
		if err = p.out.Flush(0); err == nil {
			_, err = io.WriteString(stdout, t.stdout)
		}
	}
	if err == nil {
		p.out.WriteString(t.stderr)
		for _, line := range lines {
			p.out.WriteString(line)
			p.out.WriteByte('\n')
		}
		err = p.out.Flush(0)
	}
	p.out.Reset() // after an error, what was left
	p.before, p.width = lines, width
	if err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}

// rowsOf returns how many rows the lines take on a terminal of this width: one
// that became narrower has wrapped them.
func rowsOf(lines []string, width int) int {
	rows := 0
	for _, line := range lines {
		rows += max((cells(stripColour(line))+width-1)/max(width, 1), 1)
	}
	return rows
}

// stripColour removes what a palette added.
func stripColour(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == 0x1b {
			for i < len(s) && s[i] != 'm' {
				i++
			}
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}
