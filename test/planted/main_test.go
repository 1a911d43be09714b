package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
			tests, err := filepath.Glob(filepath.Join("..", "..", p, "*_test.go"))
			if err != nil || len(tests) == 0 {
				t.Errorf("%d, %s: package %s has no tests (%v)", i+1, b.name, p, err)
			}
		}
	}
	if len(names) < 25 {
		t.Errorf("%d bugs are too few", len(names))
	}
}
