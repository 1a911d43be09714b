//go:build lab && linux

package lab_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ddm/test/lab/netlab"
)

// TestMain builds the programs once. Where no lab can be made the tests say so
// themselves, and nothing is built.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if os.Getenv("DDM_LAB_BIN") != "" || netlab.Missing() != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "ddm-lab-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	for _, pkg := range []string{"ddm/test/lab/origin", "ddm/test/lab/names", "ddm/cmd/tracker", "ddm/cmd/peerd", "ddm/cmd/ddm-client"} {
		out, err := exec.CommandContext(context.Background(), "go", "build", "-o", dir, pkg).CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "go build %s: %v\n%s", pkg, err, out)
			return 1
		}
	}
	if err := os.Setenv("DDM_LAB_BIN", dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func binary(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(os.Getenv("DDM_LAB_BIN"), name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func correctness(t *testing.T) {
	t.Helper()
	if os.Getenv("DDM_LAB") == "figures" {
		t.Skip("skipped: DDM_LAB=figures runs the figures only")
	}
	netlab.Require(t)
}

func figures(t *testing.T) {
	t.Helper()
	if mode := os.Getenv("DDM_LAB"); mode != "figures" && mode != "all" {
		t.Skip("skipped: figures are judged with DDM_LAB=figures (make lab)")
	}
	netlab.Require(t)
}
