package progress

import (
	"os"

	"golang.org/x/term"
)

// Detect says whether stderr can show a live display, and whether in colour: it
// must be a terminal that TERM does not call dumb, and NO_COLOR must be unset or
// empty. What goes to stdout is never coloured, so that stdout takes no part.
func Detect(_, stderr *os.File, getenv func(string) string) (terminal, color bool) {
	terminal = term.IsTerminal(int(stderr.Fd())) && getenv("TERM") != "dumb"
	return terminal, terminal && getenv("NO_COLOR") == ""
}

// Defaults of a display that cannot be measured.
const (
	defaultWidth  = 80
	defaultHeight = 24
)

// sizeOf returns a function that measures the terminal behind w on each call, for
// it may change any time.
func sizeOf(w any) func() (width, height int) {
	f, ok := w.(*os.File)
	if !ok {
		return func() (int, int) { return defaultWidth, defaultHeight }
	}
	return func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width <= 0 || height <= 0 {
			return defaultWidth, defaultHeight
		}
		return width, height
	}
}
