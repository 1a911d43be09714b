package progress_test

import (
	"os"
	"testing"

	"golang.org/x/term"

	"ddm/internal/progress"
)

func environment(vars map[string]string) func(string) string {
	return func(k string) string { return vars[k] }
}

func TestDetectFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if terminal, color := progress.Detect(f, f, environment(map[string]string{"TERM": "xterm"})); terminal || color {
		t.Errorf("a file: terminal %v, color %v", terminal, color)
	}
}

func TestDetectTerminal(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil || !term.IsTerminal(int(tty.Fd())) {
		t.Skipf("no pseudo-terminal to be had here: %v", err)
	}
	defer func() { _ = tty.Close() }()
	for _, c := range []struct {
		env             map[string]string
		terminal, color bool
	}{
		{map[string]string{"TERM": "xterm"}, true, true},
		{map[string]string{}, true, true},
		{map[string]string{"TERM": "dumb"}, false, false},
		{map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, true, false},
		{map[string]string{"TERM": "xterm", "NO_COLOR": ""}, true, true},
	} {
		terminal, color := progress.Detect(tty, tty, environment(c.env))
		if terminal != c.terminal || color != c.color {
			t.Errorf("%v: terminal %v, color %v; want %v, %v", c.env, terminal, color, c.terminal, c.color)
		}
	}
}
