package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestHardCases finds a row for each hard case, and each test that it names.
func TestHardCases(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/hard-cases.md")
	named := regexp.MustCompile("`([a-z0-9/-]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([^`]+))?`")
	sources := map[string]string{}
	for n := 1; n <= 52; n++ {
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| H%02d \|.*$`, n)).FindAllString(text, -1)
		if len(row) != 1 {
			t.Errorf("H%02d has %d rows", n, len(row))
			continue
		}
		refs := named.FindAllStringSubmatch(row[0], -1)
		if len(refs) == 0 {
			t.Errorf("H%02d names no test", n)
		}
		for _, ref := range refs {
			source, ok := sources[ref[1]]
			if !ok {
				source = testsIn(t, ref[1])
				sources[ref[1]] = source
			}
			_, body, found := strings.Cut(source, "\nfunc "+ref[2]+"(")
			if !found {
				t.Errorf("H%02d: %s has no %s", n, ref[1], ref[2])
			}
			if ref[3] != "" && !strings.Contains(source, `"`+ref[3]+`"`) && !strings.Contains(body, ref[3]) {
				t.Errorf("H%02d: %s.%s has no case %q", n, ref[1], ref[2], ref[3])
			}
		}
	}
}

// testsIn returns the test files of a package.
func testsIn(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("\n")
		b.Write(text)
	}
	return b.String()
}
