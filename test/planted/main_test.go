package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// count counts the tests of a package that a pattern picks.
func count(t *testing.T, pkg, pattern string) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	picks := regexp.MustCompile(pattern)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`).FindAllSubmatch(text, -1) {
			if picks.Match(m[1]) {
				n++
			}
		}
	}
	return n
}

// TestTables checks every patch against the code of today.
func TestTables(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for i, b := range bugs() {
		if names[b.name] {
			t.Errorf("%d: two are called %q", i+1, b.name)
		}
		names[b.name] = true
		text, err := os.ReadFile(filepath.Join("..", "..", b.file))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := b.apply(string(text)); err != nil {
			t.Errorf("%d, %s: %v", i+1, b.name, err)
		}
		for p := range strings.FieldsSeq(b.tests) {
			pkg, pattern, picked := strings.Cut(p, ":")
			if n := count(t, pkg, pattern); n == 0 {
				t.Errorf("%d, %s: package %s has no tests %s", i+1, b.name, pkg, pattern)
			}
			if pkg == "test/system" && !picked {
				t.Errorf("%d, %s: name the tests of %s, all of them take too long", i+1, b.name, pkg)
			}
		}
	}
	if len(names) < 25 {
		t.Errorf("%d bugs are too few", len(names))
	}
}
