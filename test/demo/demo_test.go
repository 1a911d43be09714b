package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"ddm/test/lab/fileserver"
)

// TestDemo runs the demo with a file that takes about three seconds.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: builds and runs the three programs")
	}
	if err := checkAddresses(t.Context()); err != nil {
		t.Skip("skipped: ", err)
	}
	var out, display bytes.Buffer
	if err := run(t.Context(), options{size: 24 << 20, line: 2 << 20, out: &out, err: &display}); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &out, &display)
	}
	for _, want := range []string{"SHA-256 agrees", "alice", "bob", "carol", "times as fast"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the demo does not say %q:\n%s", want, &out)
		}
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "127.0.0.") && strings.HasSuffix(line, " 0.0 %\n") {
			t.Errorf("a line brought nothing: %s", line)
		}
	}
}

func TestAloneMeasuresASmallFile(t *testing.T) {
	t.Parallel()
	base, stop, err := serve(t.Context(), fileserver.New(1<<20, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	start := time.Now()
	rate, err := alone(t.Context(), base+"/ranges/600000/a")
	if err != nil || rate <= 0 {
		t.Errorf("rate %v, %v", rate, err)
	}
	t.Log(rate, time.Since(start))
}
