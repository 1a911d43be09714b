// Package docs_test holds the documents against the code that they describe:
// every setting has its row, every package its place on the map, every target
// and every link leads somewhere.
package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ddm/internal/config"
)

const root = ".."

func documents() []string { return []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} }

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section cuts out what stands under a heading of the third level.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n### "+heading+"\n")
	if !found {
		t.Fatalf("README.md has no section %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	body, _, _ = strings.Cut(body, "\n### ")
	return body
}

// TestSettings finds every setting in the table of its program, with its
// variable and its key where it has them, and no row besides.
func TestSettings(t *testing.T) {
	t.Parallel()
	readme := read(t, "README.md")
	common := section(t, readme, "All three programs")
	row := regexp.MustCompile("(?m)^\\| `(?:-., )?--([a-z-]+).*$")
	everywhere := []string{"config", "check-config", "version", "help"}
	for _, p := range []*config.Program{
		config.TrackerProgram(&config.Tracker{}), config.PeerdProgram(&config.Peerd{}), config.ClientProgram(&config.Client{}),
	} {
		own := section(t, readme, p.Name)
		known := slices.Clone(everywhere)
		for _, s := range p.Settings {
			known = append(known, s.Name)
			in, variable := own, p.Variable(s.Name)
			if s.Group == config.CommonGroup {
				in, variable = common, strings.Replace(variable, strings.ToUpper(p.Key), "PROGRAM", 1)
			}
			flag := "| `--" + s.Name
			if s.Short != "" {
				flag = "| `-" + s.Short + ", --" + s.Name
			}
			if strings.HasPrefix(s.Arg, "[") {
				flag += s.Arg
			} else if s.Arg != "" {
				flag += " " + strings.ReplaceAll(s.Arg, "|", `\|`)
			}
			var want string
			switch s.Scope {
			case config.Everywhere:
				want = flag + "` | `" + variable + "` | `" + s.Name + "` |"
			case config.NotInFile:
				want = flag + "` | `" + variable + "` | |"
			case config.FlagOnly:
				want = flag + "` | | |"
			}
			if !strings.Contains(in, want) {
				t.Errorf("README.md, %s: no row that begins with\n%s", p.Name, want)
			}
		}
		for _, m := range row.FindAllStringSubmatch(own+common, -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("README.md, %s: there is no flag --%s", p.Name, m[1])
			}
		}
	}
}

// TestPackages finds every package on the map, and nothing on it that is gone.
func TestPackages(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "\n## Packages\n")
	table, _, _ = strings.Cut(table, "\n## ")
	packages := map[string]bool{}
	for _, file := range goFiles(t) {
		packages[path.Dir(file)] = true
	}
	for dir := range packages {
		if !strings.Contains(table, "`"+dir+"`") {
			t.Errorf("ARCHITECTURE.md: package %s is not on the map", dir)
		}
	}
	row := regexp.MustCompile("(?m)^\\| (`[^|]*) \\|")
	for _, m := range row.FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			if !packages[strings.Trim(name, "`")] {
				t.Errorf("ARCHITECTURE.md: there is no package %s", name)
			}
		}
	}
}

// goFiles lists the Go files of the main module: those that git knows, for a
// package that is being written has no place yet, or else all.
func goFiles(t *testing.T) []string {
	t.Helper()
	skipped := func(name string) bool {
		return slices.Contains([]string{"bin", "docs", "testdata", "tools"}, name) || strings.HasPrefix(name, ".")
	}
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "*.go")
	cmd.Dir = root
	var files []string
	if out, err := cmd.Output(); err == nil && len(out) > 0 {
		for file := range strings.FieldsSeq(string(out)) {
			if !slices.ContainsFunc(strings.Split(path.Dir(file), "/"), skipped) {
				files = append(files, file)
			}
		}
		return files
	}
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && file != "." && skipped(e.Name()):
			return fs.SkipDir
		case path.Ext(file) == ".go":
			files = append(files, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestModules finds what every module that we import spares us.
func TestModules(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "\n## Modules")
	for line := range strings.Lines(read(t, "go.mod")) {
		path, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasSuffix(strings.TrimSpace(line), "// indirect") || !strings.Contains(path, ".") {
			continue
		}
		if short := strings.TrimPrefix(path, "google.golang.org/"); !strings.Contains(table, "`"+path+"`") && !strings.Contains(table, "`"+short+"`") {
			t.Errorf("ARCHITECTURE.md does not say what %s spares us", path)
		}
	}
}

// TestTargets looks up every make target that the documents name.
func TestTargets(t *testing.T) {
	t.Parallel()
	makefile := read(t, "Makefile")
	named := regexp.MustCompile("(?m)(?:^|`|&& )make ([a-z-]+)")
	for _, doc := range documents() {
		for _, m := range named.FindAllStringSubmatch(read(t, doc), -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: there is no target %q", doc, m[1])
			}
		}
	}
}

// TestLinks follows every relative link of the documents.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)|\]\(#([^)]+)\)`)
	for _, doc := range documents() {
		text := read(t, doc)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if m[1] != "" {
				if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
					t.Errorf("%s: %v", doc, err)
				}
				continue
			}
			heading := regexp.MustCompile(fmt.Sprintf(`(?im)^#+ %s$`, regexp.QuoteMeta(strings.ReplaceAll(m[3], "-", " "))))
			if !heading.MatchString(text) {
				t.Errorf("%s: no heading for the link #%s", doc, m[3])
			}
		}
	}
}
