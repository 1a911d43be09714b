package progress_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"ddm/internal/progress"
)

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{
		-1:            "0 B",
		0:             "0 B",
		1:             "1 B",
		999:           "999 B",
		1000:          "1.0 KiB",
		1024:          "1.0 KiB",
		1536:          "1.5 KiB",
		1<<20 - 1:     "1.0 MiB",
		1 << 20:       "1.0 MiB",
		123456789:     "117.7 MiB",
		1<<30 - 1<<10: "1.0 GiB",
		3 << 30:       "3.0 GiB",
		math.MaxInt64: "8.0 EiB",
	} {
		if got := progress.FormatBytes(n); got != want {
			t.Errorf("formatBytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestFormatOf(t *testing.T) {
	for _, c := range []struct {
		n, total int64
		want     string
	}{
		{0, 0, "0/0 B"},
		{5, 100, "  5/100 B"},
		{0, 1500 << 20, "0.0/1.5 GiB"},
		{1 << 29, 12 << 30, " 0.5/12.0 GiB"},
		{12 << 30, 12 << 30, "12.0/12.0 GiB"},
	} {
		if got := progress.FormatOf(c.n, c.total); got != c.want {
			t.Errorf("formatOf(%d, %d) = %q, want %q", c.n, c.total, got, c.want)
		}
	}
}

func TestFormatRate(t *testing.T) {
	for r, want := range map[float64]string{
		0: "0 B/s", -5: "0 B/s", 0.4: "0 B/s", 999: "999 B/s", 1000: "1.0 KiB/s",
		12.5e6: "11.9 MiB/s", math.Inf(1): "0 B/s",
	} {
		if got := progress.FormatRate(r); got != want {
			t.Errorf("formatRate(%v) = %q, want %q", r, got, want)
		}
	}
	if got := progress.FormatRate(math.NaN()); got != "0 B/s" {
		t.Errorf("formatRate(NaN) = %q", got)
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:             "0s",
		0:                        "0s",
		30 * time.Millisecond:    "0s",
		400 * time.Millisecond:   "0.4s",
		2 * time.Second:          "2s",
		9940 * time.Millisecond:  "9.9s",
		9960 * time.Millisecond:  "10s",
		59600 * time.Millisecond: "1m00s",
		63 * time.Second:         "1m03s",
		125 * time.Minute:        "2h05m",
		76 * time.Hour:           "3d04h",
	} {
		if got := progress.FormatDuration(d); got != want {
			t.Errorf("formatDuration(%v) = %q, want %q", d, got, want)
		}
	}
	if got := progress.FormatETA(-1); got != "--" {
		t.Errorf("formatETA of an unknown time = %q", got)
	}
	if got := progress.FormatETA(1400 * time.Millisecond); got != "1s" {
		t.Errorf("formatETA = %q, want whole seconds", got)
	}
}

func TestPercentIsFullOnlyForTheWhole(t *testing.T) {
	for _, c := range []struct {
		n, total int64
		want     int
	}{
		{0, 10, 0}, {9999, 10000, 99}, {10, 10, 100}, {0, 0, 100}, {-1, 10, 0}, {20, 10, 100},
	} {
		if got := progress.Percent(c.n, c.total); got != c.want {
			t.Errorf("percent(%d, %d) = %d, want %d", c.n, c.total, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for label, want := range map[string]string{
		"file.iso":                            "file.iso",
		"https://h.example/a/b.iso?token=x#y": "b.iso",
		"https://user:pw@h.example/":          "h.example",
		"http://h.example:8080?q=/etc":        "h.example:8080",
	} {
		if got := progress.NameOf(label); got != want {
			t.Errorf("nameOf(%q) = %q, want %q", label, got, want)
		}
	}
	for url, want := range map[string]string{
		"https://user:p@w@h.example:1/a@b": "h.example:1",
		"https://h.example?x=a@b":          "h.example",
		"no url":                           "",
	} {
		if got := progress.HostOf(url); got != want {
			t.Errorf("hostOf(%q) = %q, want %q", url, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		s     string
		width int
		want  string
	}{
		{"short", 8, "short"},
		{"ubuntu-24.04-amd64.iso", 12, "ubunt..4.iso"},
		{"日本語日本語日本語", 10, "日本..本語"},
		{"日本語", 3, "日"},
		{"anything", 0, ""},
		{"e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", 8, "e\u0301e\u0301e\u0301..e\u0301e\u0301e\u0301"},
	} {
		if got := progress.Cut(c.s, c.width); got != c.want {
			t.Errorf("cut(%q, %d) = %q, want %q", c.s, c.width, got, c.want)
		}
	}
}

// What comes out fits, and whatever came in can do nothing to a terminal.
func FuzzCleanAndCut(f *testing.F) {
	for _, s := range []string{"plain", "a\x1b[2Jb", "x\r\ny", "\u202egnp.exe", "\xff\xfe", "日本語👩‍👩‍👧", "\u009b31m", "a\u0301"} {
		f.Add(s, 9)
	}
	f.Fuzz(func(t *testing.T, s string, width int) {
		c := progress.Clean(s)
		if !utf8.ValidString(c) {
			t.Fatalf("clean(%q) = %q, not valid UTF-8", s, c)
		}
		if i := strings.IndexFunc(c, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }); i >= 0 {
			t.Fatalf("clean(%q) = %q, a control character at %d", s, c, i)
		}
		if width < 0 || width > 1000 {
			return
		}
		if got := progress.Cut(c, width); progress.Cells(got) > width {
			t.Fatalf("cut(%q, %d) = %q, %d columns", c, width, got, progress.Cells(got))
		}
	})
}
