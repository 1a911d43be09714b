//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"ddm/test/bench/figure"
)

// setting says where and how the results came about.
type setting struct {
	Command string   `json:"command"`
	Commit  string   `json:"commit"`
	Date    string   `json:"date"`
	Rounds  int      `json:"rounds"`
	Quick   bool     `json:"quick"`
	Machine string   `json:"machine"`
	Tools   []string `json:"tools"`
	Failed  []string `json:"failed_runs"`
}

// judged is a verdict as JSON has it.
type judged struct {
	Figure  string   `json:"figure"`
	Bound   string   `json:"bound"`
	Value   *float64 `json:"value"` // null: not measured
	Runs    int      `json:"runs"`
	Reached bool     `json:"reached"`
}

// report judges what was measured, prints it, and writes table, JSON and plots.
func (b *bench) report(ctx context.Context, commit string) error {
	set := setting{
		Command: b.command(), Commit: commit, Date: b.began.UTC().Format(time.RFC3339), Rounds: b.rounds, Quick: b.quick,
		Machine: machine(), Tools: versions(ctx), Failed: b.broken,
	}
	verdicts := b.verdicts()
	var out bytes.Buffer
	b.markdown(&out, set, verdicts)
	text, err := json.MarshalIndent(struct {
		setting
		Figures []judged        `json:"figures"`
		Results *figure.Results `json:"results"`
	}{set, forJSON(verdicts), &b.results}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil { //nolint:gosec // a folder of documents
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(b.out, "results.md"), out.Bytes(), 0o644),          //nolint:gosec // a document
		os.WriteFile(filepath.Join(b.out, "results.json"), append(text, '\n'), 0o644), //nolint:gosec // a document
		b.plots(),
	)
	var print bytes.Buffer
	table := tabwriter.NewWriter(&print, 0, 0, 2, ' ', 0)
	for _, v := range verdicts {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", word(v), v.What, bound(v), value(v))
	}
	err = errors.Join(err, table.Flush())
	_, failed := print.WriteTo(b.log)
	return errors.Join(err, failed)
}

// command is the command line, as one would type it.
func (b *bench) command() string {
	return strings.Join(append([]string{"go run ./test/bench"}, os.Args[1:]...), " ")
}

// verdicts judges the figures of the cases that ran.
func (b *bench) verdicts() []figure.Verdict {
	var all []figure.Verdict
	for _, g := range goals() {
		if v := g.Judge(&b.results); v.Runs > 0 || b.only == "" {
			all = append(all, v)
		}
	}
	return all
}

func forJSON(verdicts []figure.Verdict) []judged {
	var all []judged
	for _, v := range verdicts {
		j := judged{Figure: v.What, Bound: bound(v), Runs: v.Runs, Reached: v.Reached}
		if !math.IsNaN(v.Value) {
			j.Value = &v.Value
		}
		all = append(all, j)
	}
	return all
}

func bound(v figure.Verdict) string {
	sign := "<="
	if v.Least {
		sign = ">="
	}
	return sign + " " + strconv.FormatFloat(v.Bound, 'g', 4, 64) + v.Unit
}

func value(v figure.Verdict) string {
	if math.IsNaN(v.Value) {
		return "not measured"
	}
	return number(v.Value) + v.Unit
}

func word(v figure.Verdict) string {
	switch {
	case v.Runs == 0:
		return "not measured"
	case v.Reached:
		return "reached"
	default:
		return "NOT reached"
	}
}

// number writes three or four digits.
func number(v float64) string {
	switch size := math.Abs(v); {
	case v == math.Trunc(v) && size < 1e6:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

func (b *bench) markdown(w *bytes.Buffer, set setting, verdicts []figure.Verdict) {
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	p("# What the bench found\n")
	p("Made by `%s` (`make bench`) at commit `%s` on %s; %s. Do not edit.\n", set.Command, set.Commit, set.Date[:10], plural(set.Rounds, "round"))
	if set.Quick {
		p("**A quick run with small files: it shows that the bench works, and nothing else.**\n")
	}
	p("Machine: %s. Compared with %s.\n", set.Machine, strings.Join(set.Tools, "; "))
	p("Everything runs in network namespaces of one machine, all tools in turn, each round beginning with another one; files are written to memory (tmpfs) and compared with the origin's. Times are from the start of the command to its end. T\\* is what the lines need at their measured rates: what curl gets on each of them, all at once, in the same round. Lines have no delay but that of their own queue (60 ms when full); cables with a delay are said to be so. Medians of all rounds; the JSON has every value.\n")
	p("## Figures\n")
	p("| figure | wanted | found | | runs |\n|---|---|---|---|---|")
	for _, v := range verdicts {
		p("| %s | %s | %s | %s | %d |", v.What, bound(v), value(v), word(v), v.Runs)
	}
	for _, plot := range plotNames() {
		p("\n![%s](%s)", plot.alt, plot.file)
	}
	for _, s := range sections() {
		b.section(w, s)
	}
	if len(set.Failed) > 0 {
		p("\n## Runs that failed\n")
		for _, f := range set.Failed {
			p("- %s", strings.ReplaceAll(f, "\n", " "))
		}
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// column is a metric as a table shows it.
type column struct{ head, metric string }

// section is a table of the results.
type section struct {
	title, text string
	cases       []string
	columns     []column
}

func (b *bench) section(w *bytes.Buffer, s section) {
	var rows []*figure.Row
	for _, c := range s.cases {
		rows = append(rows, b.results.Of(c)...)
	}
	if len(rows) == 0 {
		return
	}
	if s.cases[0] == "2-equal" {
		slices.SortFunc(rows, func(a, b *figure.Row) int { return strings.Compare(a.Variant, b.Variant) })
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n| |", s.title, s.text)
	for _, c := range s.columns {
		fmt.Fprintf(w, " %s |", c.head)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(s.columns)))
	for _, row := range rows {
		name := row.Variant
		if len(s.cases) > 1 {
			name = strings.ReplaceAll(row.Case[strings.IndexByte(row.Case, '-')+1:], "-", " ") + ": " + name
		}
		fmt.Fprintf(w, "| %s |", name)
		for _, c := range s.columns {
			fmt.Fprintf(w, " %s |", cell(row, c.metric))
		}
		fmt.Fprintln(w)
	}
}

func cell(row *figure.Row, metric string) string {
	v := row.Median(metric)
	switch {
	case math.IsNaN(v):
		return ""
	case metric == "seconds" && len(row.Values("gave_up")) > 0:
		return fmt.Sprintf("%s (%d of %d given up)", number(v), len(row.Values("gave_up")), len(row.Values(metric)))
	default:
		return number(v)
	}
}

// machine describes the box.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(text), "model name\t: ")
		model, _, _ = strings.Cut(rest, "\n")
	}
	kernel := "unknown kernel"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", model, runtime.NumCPU(), kernel, runtime.Version())
}

// versions asks the others what they are.
func versions(ctx context.Context) []string {
	var all []string
	for program := range rivals() {
		if slices.Contains(missing(), program) {
			continue
		}
		out, err := exec.CommandContext(ctx, program, "--version").Output()
		line, _, _ := strings.Cut(string(out), "\n")
		if err != nil {
			line = program
		}
		words := strings.Fields(line)
		all = append(all, strings.Join(words[:min(3, len(words))], " "))
	}
	slices.Sort(all)
	return all
}
