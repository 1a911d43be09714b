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
	rowsAreShown(t, "docs/hard-cases.md", "H", 52)
}

// TestFaults does the same for the faults of the cluster.
func TestFaults(t *testing.T) {
	t.Parallel()
	rowsAreShown(t, "docs/faults.md", "F", 41)
}

// rowsAreShown looks for the rows of a table, by letter and number, and for the
// tests that each names. What is not built needs none.
func rowsAreShown(t *testing.T, doc, letter string, most int) {
	t.Helper()
	text := read(t, doc)
	named := regexp.MustCompile("`([a-z0-9/-]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([^`]+))?`")
	sources := map[string]string{}
	for n := 1; n <= most; n++ {
		id := fmt.Sprintf("%s%02d", letter, n)
		row := regexp.MustCompile(`(?m)^\| `+id+` \|.*$`).FindAllString(text, -1)
		if len(row) != 1 {
			t.Errorf("%s has %d rows", id, len(row))
			continue
		}
		refs := named.FindAllStringSubmatch(row[0], -1)
		if len(refs) == 0 && !strings.Contains(row[0], "not built") {
			t.Errorf("%s names no test", id)
		}
		for _, ref := range refs {
			source, ok := sources[ref[1]]
			if !ok {
				source = testsIn(t, ref[1])
				sources[ref[1]] = source
			}
			_, body, found := strings.Cut(source, "\nfunc "+ref[2]+"(")
			if !found {
				t.Errorf("%s: %s has no %s", id, ref[1], ref[2])
			}
			if ref[3] != "" && !strings.Contains(source, `"`+ref[3]+`"`) && !strings.Contains(body, ref[3]) {
				t.Errorf("%s: %s.%s has no case %q", id, ref[1], ref[2], ref[3])
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
