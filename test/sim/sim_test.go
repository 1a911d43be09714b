package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ddm/client/schedule/sim"
)

// call runs the tool and returns what it printed.
func call(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), args, &out)
	return out.String(), err
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, want string }{
		{"", "one of --scenario, --seed and --seeds"},
		{"--seed 1 --seeds 1..2", "one of --scenario, --seed and --seeds"},
		{"--seed x", "invalid argument"},
		{"--seed 1 more", `"more": everything is said by flags`},
		{"--seeds 1..2 --svg x.svg", "--svg draws one download"},
		{"--seeds 2..1", `"2..1" is not written A..B`},
		{"--seeds 5", `"5" is not written A..B`},
		{"--seeds a..b", `"a..b" is not written A..B`},
		{"--scenario /nowhere/x.toml", "no such file"},
		{"--held --scenario x.toml", "--held knows seeds only"},
		{"--frobnicate", "unknown flag"},
	} {
		if _, err := call(t, strings.Fields(tt.args)...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q in it", tt.args, err, tt.want)
		}
	}
	help, err := call(t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--seeds A..B", "--scenario FILE", "--svg FILE", "[[line.change]]", "max-connections"} {
		if !strings.Contains(help, want) {
			t.Errorf("the help does not mention %q", want)
		}
	}
}

// TestHelpExample reads the example of the help, so that it stays true.
func TestHelpExample(t *testing.T) {
	t.Parallel()
	var example []string
	for text := range strings.Lines(format) {
		if strings.HasPrefix(text, "  ") {
			example = append(example, text)
		}
	}
	title, sc, err := read(strings.NewReader(strings.Join(example, "")))
	if err != nil {
		t.Fatal(err)
	}
	if title != "two lines, one drops" || sc.Size != 256<<20 || sc.Origin != 125e6 || len(sc.Lines) != 1 || sc.Config.Window != 32<<20 {
		t.Errorf("%q: %+v", title, sc)
	}
	l := sc.Lines[0]
	if l.Rate != 50e6/8 || l.PerConn != 2<<20 || l.MaxConn != 4 || l.Latency != 5*time.Millisecond || l.Group != "attic" || l.Metered != 0.2 {
		t.Errorf("%+v", l)
	}
	if want := (sim.Change{At: 10 * time.Second, Kind: sim.SetRate, Rate: 500e0 * 1024, Wait: 2 * time.Second, Most: 3}); len(l.Changes) != 1 || l.Changes[0] != want {
		t.Errorf("%+v", l.Changes)
	}
}

func TestScenarioFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"", "size is missing"},
		{`size = "many"`, `line 1: `},
		{"\nsize = \"1MiB\"\nspeed = 3", "unknown key speed"},
		{`size = "1MiB"`, "there is no [[line]]"},
		{"size = \"1MiB\"\n[[line]]\nname = \"x\"", `line "x", number 1: rate is missing`},
		{"size = \"1MiB\"\n[[line]]\nrate = \"fast\"", `"fast" is no rate`},
		{"size = \"1MiB\"\n[[line]]\nrate = \"-5Mbit\"", `is no rate`},
		{"size = \"1MiB\"\n[[line]]\nrate = \"NaNMbit\"", `is no rate`},
		{"size = \"1MiB\"\n[[line]]\nrate = \"5Mbit\"\ngroup = \"g\"", `group "g" is not in [groups]`},
		{"size = \"1MiB\"\n[[line]]\nrate = \"5Mbit\"\njoins = \"-1s\"", "negative"},
		{"size = \"1MiB\"\n[[line]]\nrate = \"5Mbit\"\ncount = 1000000", "at most 10000 lines"},
		{"size = \"1MiB\"\n[[line]]\nrate = \"5Mbit\"\n[[line.change]]\ndoes = \"explode\"", `does = "explode" is none of allow, cut, deny`},
		{"size = \"1MiB\"\n[[line]]\nrate = \"5Mbit\"\n[[line.change]]\nhow = \"x\"", "unknown key line.change.how"},
	} {
		if _, _, err := read(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q in it", tt.text, err, tt.want)
		}
	}
	_, sc, err := read(strings.NewReader("size = \"1MiB\"\n[[line]]\ncount = 2\nrate = \"2.5Mbit/s\"\n[[line]]\nrate = \"1MB/s\""))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range sc.Lines {
		names = append(names, l.Name)
	}
	if strings.Join(names, ",") != "line 1 1,line 1 2,line 2" || sc.Lines[0].Rate != 2.5e6/8 || sc.Lines[2].Rate != 1e6 {
		t.Errorf("%+v", sc.Lines)
	}
}

// TestExamples runs the scenarios beside this file. Their figures are exact.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("scenarios/*.toml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			svg := filepath.Join(t.TempDir(), "x.svg")
			out, err := call(t, "--scenario", name, "--svg", svg)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"T*/T", "ideal", "last 1 %", "steal", "stall", "duplicates"} {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			checkSVG(t, svg)
		})
	}
}

func checkSVG(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dec := xml.NewDecoder(f)
	elements := 0
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := tok.(xml.StartElement); ok {
			elements++
		}
	}
	if elements < 50 {
		t.Errorf("only %d elements", elements)
	}
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	one, err := call(t, "--seed", "7")
	if err != nil || !strings.Contains(one, "seed 7: ") {
		t.Errorf("%v\n%s", err, one)
	}
	all, err := call(t, "--seeds", "0..49")
	if err != nil || !strings.Contains(all, "seeds 0 to 49") || !strings.Contains(all, "worst efficiency") {
		t.Errorf("%v\n%s", err, all)
	}
	if again, _ := call(t, "--seeds", "0..49"); again != all {
		t.Errorf("the same seeds give\n%s\nand\n%s", all, again)
	}
}

func TestHeld(t *testing.T) {
	t.Parallel()
	all, err := call(t, "--held", "--seeds", "0..9")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"everybody", "one-has-all", "worst: seed "} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if again, _ := call(t, "--held", "--seeds", "0..9"); again != all {
		t.Errorf("the same seeds give\n%s\nand\n%s", all, again)
	}
	if one, err := call(t, "--held", "--seed", "3"); err != nil || !strings.Contains(one, "worst: seed 3: ") {
		t.Errorf("%v\n%s", err, one)
	}
}

// TestFailure checks that a run without an end is told and drawn.
func TestFailure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name, svg := filepath.Join(dir, "stuck.toml"), filepath.Join(dir, "x.svg")
	text := "size = \"1MiB\"\nlimit = \"20s\"\n[[line]]\nrate = \"1Mbit\"\n[[line.change]]\nat = \"1s\"\ndoes = \"stall\"\n"
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, "--scenario", name, "--svg", svg); !errors.Is(err, sim.ErrStuck) {
		t.Errorf("error %v, want %v", err, sim.ErrStuck)
	}
	picture, err := os.ReadFile(svg)
	if err != nil || !strings.Contains(string(picture), "failed: sim: stuck") {
		t.Errorf("the picture does not tell: %v", err)
	}
}
