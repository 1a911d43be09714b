// Command planted proves that the tests test something: it breaks the code in
// small ways, one at a time, and expects a test to fail each time.
//
//	git ls-files --copy--> a tree of its own --one patch--> go test PACKAGES
//	                              ^                             |
//	                              '------- taken back <--- caught, or not
//
//	go run ./test/planted            all of them
//	go run ./test/planted -only 7,9  these, with what their tests said
//
// The tables in bugs_*.go hold the patches. One whose old text is gone, or is
// there twice, is an error, so that the tables stay true.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// bug is a small breakage.
type bug struct {
	name  string // what it does
	file  string
	old   string // is there exactly once
	new   string
	tests string // what must fail, one of them: packages below ddm/, with spaces between; behind a colon a pattern of the tests to run
}

func bugs() []bug {
	return slices.Concat(originBugs(), diskBugs(), swarmBugs(), serviceBugs(), flowBugs(), evidenceBugs(), storeBugs(), leaseBugs(), listBugs())
}

// apply returns the file's text with the bug in it.
func (b *bug) apply(text string) (string, error) {
	if n := strings.Count(text, b.old); n != 1 {
		return "", fmt.Errorf("%s: the text to break is there %d times, not once: bring the table up to date", b.file, n)
	}
	return strings.Replace(text, b.old, b.new, 1), nil
}

// testLimit is for the tests of one package; beyond it they hang. Those of whole
// systems take longer together: bugs that they catch name the tests.
const testLimit = 3 * time.Minute

func main() {
	only := flag.String("only", "", "plant these `numbers` alone and show what their tests say")
	workers := flag.Int("j", 2, "bugs planted side by side, each in a `tree` of its own")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only, *workers)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "planted:", err)
		os.Exit(1)
	}
}

// choose gives the places in the table of the bugs that only names, or all.
func choose(only string, all int) ([]int, error) {
	var numbers []int
	for field := range strings.FieldsFuncSeq(only, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > all {
			return nil, fmt.Errorf("there is no bug %q: they are 1 to %d", field, all)
		}
		numbers = append(numbers, n-1)
	}
	for i := 0; only == "" && i < all; i++ {
		numbers = append(numbers, i)
	}
	return numbers, nil
}

func run(ctx context.Context, only string, workers int) (err error) {
	all := bugs()
	numbers, err := choose(only, len(all))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "ddm-planted-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var trees []*tree
	for i := range min(workers, len(numbers)) {
		t, err := newTree(ctx, filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return err
		}
		trees = append(trees, t)
	}
	if err := trees[0].baseline(ctx, all, numbers); err != nil {
		return err
	}
	return plantAll(ctx, trees, all, numbers, only != "")
}

// plantAll plants the numbered bugs and prints a line for each.
func plantAll(ctx context.Context, trees []*tree, all []bug, numbers []int, show bool) error {
	jobs := make(chan int)
	var printing sync.Mutex
	missed := 0
	var wg sync.WaitGroup
	for _, t := range trees {
		wg.Go(func() {
			for i := range jobs {
				began := time.Now()
				v := t.plant(ctx, &all[i])
				if ctx.Err() != nil {
					continue
				}
				printing.Lock()
				if !v.caught {
					missed++
				}
				fmt.Printf("%3d  %-62s %5.1fs  %s\n", i+1, all[i].name, time.Since(began).Seconds(), v.text)
				if show {
					fmt.Printf("%s\n", v.output)
				}
				printing.Unlock()
			}
		})
	}
	for _, i := range numbers {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case missed > 0:
		return fmt.Errorf("%d of %d planted bugs were not caught", missed, len(numbers))
	}
	fmt.Printf("%d of %d planted bugs were caught\n", len(numbers), len(numbers))
	return nil
}

// tree is a copy of the module.
type tree struct{ dir string }

// newTree copies what git knows, or would take, into dir.
func newTree(ctx context.Context, dir string) (*tree, error) {
	root, err := exec.CommandContext(ctx, "git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return nil, fmt.Errorf("git rev-parse: %w", err)
	}
	top := strings.TrimSpace(string(root))
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = top
	names, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(top, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, and git was not told yet
		}
		if err != nil {
			return nil, err
		}
		to := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, data, 0o644)); err != nil {
			return nil, err
		}
	}
	return &tree{dir}, nil
}

// baseline checks that the tests pass as long as nothing is broken.
func (t *tree) baseline(ctx context.Context, all []bug, numbers []int) error {
	whole, some := map[string]bool{}, map[string][]string{}
	for _, i := range numbers {
		for field := range strings.FieldsSeq(all[i].tests) {
			pkg, pattern, picked := strings.Cut(field, ":")
			if some[pkg] = append(some[pkg], pattern); !picked {
				whole[pkg] = true
			}
		}
	}
	for _, pkg := range slices.Sorted(maps.Keys(some)) {
		tests := pkg
		if !whole[pkg] {
			tests += ":" + strings.Join(some[pkg], "|")
		}
		if out, err := t.test(ctx, tests); err != nil {
			return fmt.Errorf("the tests fail although nothing is broken: %w\n%s", err, out)
		}
	}
	return nil
}

// verdict is what became of a planted bug.
type verdict struct {
	caught bool
	text   string
	output []byte
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// plant breaks the tree, runs the tests, and mends it.
func (t *tree) plant(ctx context.Context, b *bug) verdict {
	path := filepath.Join(t.dir, b.file)
	good, err := os.ReadFile(path)
	if err != nil {
		return verdict{text: err.Error()}
	}
	bad, err := b.apply(string(good))
	if err != nil {
		return verdict{text: err.Error()}
	}
	if err := os.WriteFile(path, []byte(bad), 0o644); err != nil {
		return verdict{text: err.Error()}
	}
	var out []byte
	for tests := range strings.FieldsSeq(b.tests) {
		if out, err = t.test(ctx, tests); err != nil {
			break
		}
	}
	if mend := os.WriteFile(path, good, 0o644); mend != nil {
		return verdict{text: mend.Error()}
	}
	v := verdict{output: out}
	found := failure.FindAllSubmatch(out, -1)
	switch {
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		v.text = "NOT TESTED: it does not compile"
	case err == nil:
		v.text = "NOT CAUGHT by " + b.tests
	case bytes.Contains(out, []byte("test timed out")):
		v.caught, v.text = true, "caught: the tests hang"
	case found == nil:
		v.caught, v.text = true, "caught: the tests crash"
	default:
		v.caught, v.text = true, "caught by "+string(found[len(found)-1][1])
	}
	return v
}

// test runs the tests of a package below ddm/ until one fails, or those of a
// pattern behind a colon.
func (t *tree) test(ctx context.Context, tests string) ([]byte, error) {
	pkg, pattern, _ := strings.Cut(tests, ":")
	args := []string{"test", "-vet=off", "-failfast", "-timeout", testLimit.String(), "-run", pattern, "ddm/" + pkg}
	ctx, cancel := context.WithTimeout(ctx, 2*testLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = t.dir
	return cmd.CombinedOutput()
}
