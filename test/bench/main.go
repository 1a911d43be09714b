//go:build linux

// Command bench runs the programs and those they are compared with on network
// namespaces, all in turn in one run, and writes what it found to docs/bench:
// a table, JSON and plots. It needs root.
//
//	for each round: for each case: a lab (netlab) -> curl measures the lines
//	                                              -> tools in turn -> figure.Results
//	at the end: medians -> goals, tables, chart -> results.md, results.json, *.svg
//
// Everything is written to memory (tmpfs), and every file that a tool saved is
// compared with what the origin has. Lines are shaped by the kernel (tbf) and
// have no delay besides that of their queue.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ddm/test/bench/content"
	"ddm/test/bench/figure"
	"ddm/test/lab/netlab"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how many times everything is measured")
	flag.StringVar(&o.only, "only", "", "comma-separated cases to run, of "+strings.Join(caseNames(), ", ")+"; a prefix will do")
	flag.BoolVar(&o.quick, "quick", false, "small files and short measuring: to try the bench, not to believe it")
	flag.StringVar(&o.bin, "bin", "", "folder with tracker, peerd and ddm-client to use instead of building them")
	flag.StringVar(&o.out, "out", filepath.Join("docs", "bench"), "folder to write results to")
	flag.StringVar(&o.timelines, "timelines", "", "folder for a picture of every download by ddm-client; costs a little")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds    int
	only      string
	quick     bool
	bin       string
	out       string
	timelines string
}

// bench is one run of everything.
type bench struct {
	options
	log     io.Writer
	began   time.Time
	work    string // a folder in memory
	block   content.Block
	results figure.Results
	broken  []string // runs that failed, and tools that are missing, in words
	files   int      // named so far
}

func run(ctx context.Context, o options, log io.Writer) (err error) {
	groups, err := chosen(o.only)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	b := &bench{options: o, log: log, began: time.Now(), block: content.NewBlock()}
	if err := install(ctx, b.logf); err != nil {
		b.logf("goes on without what is missing: %v", err)
	}
	for _, program := range missing() {
		b.broken = append(b.broken, program+" is not installed: nothing is compared with it")
	}
	if why := netlab.Missing(); why != "" {
		return errors.New(why)
	}
	if b.work, err = memory(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	if err := b.build(ctx); err != nil {
		return err
	}
	if o.timelines != "" {
		if b.timelines, err = filepath.Abs(o.timelines); err != nil {
			return err
		}
		if err := os.MkdirAll(b.timelines, 0o755); err != nil { //nolint:gosec // pictures
			return err
		}
	}
	commit := commitOf(ctx)
	for round := range o.rounds {
		for _, g := range groups {
			if err := b.runGroup(ctx, g, round); err != nil {
				if round == 0 {
					return err
				}
				b.broken = append(b.broken, fmt.Sprintf("interrupted in round %d of %d, lab %s", round+1, o.rounds, g.name))
				return b.report(context.WithoutCancel(ctx), commit)
			}
		}
	}
	return b.report(ctx, commit)
}

// runGroup runs some cases on one lab. Only the bench's own end is an error: a
// run that fails is reported with the results.
func (b *bench) runGroup(ctx context.Context, g group, round int) error {
	fail := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			b.broken = append(b.broken, fmt.Sprintf("round %d, %s: %v", round+1, what, err))
			b.logf("%s failed: %v", what, err)
		}
	}
	if !slices.ContainsFunc(g.cases, func(c benchCase) bool { return c.rounds == 0 || round < c.rounds }) {
		return nil
	}
	fail("lab "+g.name, b.within(ctx, func(s *scope) {
		l := g.build(s)
		for _, c := range g.cases {
			if c.rounds > 0 && round >= c.rounds {
				continue
			}
			began := time.Now()
			fail("case "+c.name, b.within(s.ctx, func(s *scope) {
				inner := *l
				inner.scope, inner.tracker, inner.peers = s, nil, make(map[string]*process)
				c.run(&inner, c.name, round)
			}))
			b.logf("round %d, case %s: %.0f s", round+1, c.name, time.Since(began).Seconds())
		}
	}))
	return ctx.Err()
}

// chosen picks the cases named, and the labs that these need.
func chosen(only string) ([]group, error) {
	if only == "" {
		return groups(), nil
	}
	wanted := strings.Split(only, ",")
	found := make(map[string]bool)
	var some []group
	for _, g := range groups() {
		g.cases = slices.DeleteFunc(g.cases, func(c benchCase) bool {
			for _, prefix := range wanted {
				if c.name == prefix || strings.HasPrefix(c.name, prefix+"-") {
					found[prefix] = true
					return false
				}
			}
			return true
		})
		if len(g.cases) > 0 {
			some = append(some, g)
		}
	}
	for _, prefix := range wanted {
		if !found[prefix] {
			return nil, fmt.Errorf("no case %q; there are %s", prefix, strings.Join(caseNames(), ", "))
		}
	}
	return some, nil
}

func caseNames() []string {
	var all []string
	for _, g := range groups() {
		for _, c := range g.cases {
			all = append(all, c.name)
		}
	}
	return all
}

func (b *bench) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, "%7.1f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// memory makes a folder on a tmpfs: curl never syncs, and disks differ.
func memory() (string, error) {
	const shm = "/dev/shm"
	var fs unix.Statfs_t
	if err := unix.Statfs(shm, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		return "", errors.New("/dev/shm is no tmpfs: mount one there")
	}
	return os.MkdirTemp(shm, "ddm-bench-")
}

// build builds the bench's own helpers, and the programs unless they are given.
func (b *bench) build(ctx context.Context) error {
	packages := []string{"ddm/test/bench/origin", "ddm/test/bench/rawrelay"}
	given := b.bin
	if given == "" {
		packages = append(packages, "ddm/cmd/tracker", "ddm/cmd/peerd", "ddm/cmd/ddm-client")
	}
	b.bin = filepath.Join(b.work, "bin")
	if err := os.Mkdir(b.bin, 0o755); err != nil { //nolint:gosec // programs
		return err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-trimpath", "-o", b.bin}, packages...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	if given == "" {
		return nil
	}
	given, err := filepath.Abs(given)
	if err != nil {
		return err
	}
	for _, name := range []string{"tracker", "peerd", "ddm-client"} {
		if err := os.Symlink(filepath.Join(given, name), filepath.Join(b.bin, name)); err != nil {
			return err
		}
	}
	return nil
}

// rivals are the programs that the bench compares with, and their packages.
func rivals() map[string]string {
	return map[string]string{"curl": "curl", "aria2c": "aria2", "axel": "axel", "wget2": "wget2"}
}

// missing lists those that are not there, in order.
func missing() []string {
	var programs []string
	for program := range rivals() {
		if _, err := exec.LookPath(program); err != nil {
			programs = append(programs, program)
		}
	}
	slices.Sort(programs)
	return programs
}

// install gets what is missing of them from the distribution, as far as that
// has it.
func install(ctx context.Context, logf func(string, ...any)) error {
	programs := missing()
	if len(programs) == 0 {
		return nil
	}
	run := [][]string{{"update", "-q"}}
	for _, program := range programs { // one by one: one that does not exist keeps nobody away
		run = append(run, []string{"install", "-qy", "--no-install-recommends", rivals()[program]})
	}
	logf("installs %s", strings.Join(programs, ", "))
	var errs []error
	for _, args := range run {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("apt-get %s (or do it yourself): %w\n%s", strings.Join(args, " "), err, out))
		}
	}
	return errors.Join(errs...)
}

// commitOf names the commit that is measured.
func commitOf(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
