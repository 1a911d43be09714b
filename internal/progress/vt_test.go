package progress_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"

	"ddm/internal/progress"
)

// vt is a terminal as far as a display needs one: it prints, wraps at its width,
// scrolls at its height, moves up and clears to its end. It fails its test on
// anything else. Colours are counted, not kept.
type vt struct {
	t             *testing.T
	width, height int

	mu       sync.Mutex
	lines    []string // the screen's last height lines and what has scrolled off
	row, col int      // the cursor; row counts from the first line
	colours  int
	writes   int
}

func newVT(t *testing.T, width, height int) *vt {
	t.Helper()
	return &vt{t: t, width: width, height: height, lines: []string{""}}
}

// Write interprets what a program prints. It is called from other goroutines than
// the test's.
func (v *vt) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.writes++
	for rest := string(p); rest != ""; {
		if after, ok := strings.CutPrefix(rest, "\x1b["); ok {
			end := strings.IndexFunc(after, func(r rune) bool { return r >= '@' && r <= '~' })
			if end < 0 {
				v.t.Errorf("an escape sequence without an end: %q", rest)
				return len(p), nil
			}
			v.escape(after[:end], after[end])
			rest = after[end+1:]
			continue
		}
		r := []rune(rest)[0]
		rest = rest[len(string(r)):]
		v.print(r)
	}
	return len(p), nil
}

func (v *vt) escape(args string, final byte) {
	switch final {
	case 'A':
		n, err := strconv.Atoi(args)
		if err != nil || n < 1 {
			v.t.Errorf("cursor up by %q", args)
		}
		v.row = max(v.row-n, len(v.lines)-v.height, 0)
	case 'J':
		v.lines = v.lines[:v.row+1]
		v.lines[v.row] = clip(v.lines[v.row], v.col)
	case 'm':
		v.colours++
	default:
		v.t.Errorf("unexpected escape sequence %q%c", args, final)
	}
}

func (v *vt) print(r rune) {
	if r == '\n' {
		v.newline()
		return
	}
	if r < ' ' {
		v.t.Errorf("unexpected control character %q", r)
		return
	}
	if w := progress.Cells(string(r)); v.col+w > v.width {
		v.newline()
	}
	v.lines[v.row] = clip(v.lines[v.row], v.col) + string(r)
	v.col += progress.Cells(string(r))
}

func (v *vt) newline() {
	v.row, v.col = v.row+1, 0
	if v.row == len(v.lines) {
		v.lines = append(v.lines, "")
	}
}

func clip(s string, cols int) string {
	n := 0
	for i, r := range s {
		if n += progress.Cells(string(r)); n > cols {
			return s[:i]
		}
	}
	return s
}

// text is all that was ever left on the screen, scrolled off or not.
func (v *vt) text() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return strings.Join(v.lines, "\n")
}

// resize makes the terminal another size; lines that are wider wrap anew, as in
// most terminals.
func (v *vt) resize(width, height int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var lines []string
	for _, l := range v.lines {
		for progress.Cells(l) > width {
			head := clip(l, width)
			lines = append(lines, head)
			l = l[len(head):]
		}
		lines = append(lines, l)
	}
	v.lines, v.row = lines, len(lines)-1
	v.width, v.height = width, height
}

func (v *vt) size() (width, height int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.width, v.height
}

func (v *vt) options() progress.Options {
	return progress.Options{
		Stdout: v, Stderr: v, Terminal: true,
		Width:  func() int { w, _ := v.size(); return w },
		Height: func() int { _, h := v.size(); return h },
	}
}

// diff fails the test unless both are equal; lines are compared for the reader.
func diff(t *testing.T, got, want string) {
	t.Helper()
	got, want = strings.TrimRight(got, "\n"), strings.TrimRight(strings.TrimPrefix(want, "\n"), "\n")
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range max(len(g), len(w)) {
		a, b := "(none)", "(none)"
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if a != b {
			t.Errorf("line %d:\n got %q\nwant %q", i+1, a, b)
		}
	}
	t.Logf("all of it:\n%s", got)
}
