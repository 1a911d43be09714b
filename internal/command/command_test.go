package command_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/command"
	"ddm/internal/config"
	"ddm/internal/errdefs"
)

func TestRefuseNamesEachProblem(t *testing.T) {
	t.Parallel()
	whole := fmt.Errorf("%w: one sentence: %w", errdefs.Invalid, io.EOF)
	err := errors.Join(
		&config.SettingError{Where: "f:1", Key: "k", Text: "wrong"},
		errors.Join(&config.SettingError{Where: "--x", Text: "wrong too"}, whole),
	)
	var stderr strings.Builder
	status := command.Refuse(command.Std{Stderr: &stderr}, &config.Program{Name: "p"}, err)
	want := "p: f:1: k: wrong\np: --x: wrong too\np: one sentence: EOF\nTry \"p --help\".\n"
	if status != 28 || stderr.String() != want {
		t.Errorf("%d: %q, want %q", status, stderr.String(), want)
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		status int
		want   string
	}{
		{io.EOF, 1, "p: EOF\n"},
		{fmt.Errorf("%w: broken", errdefs.Unavailable), 1, "p: broken\n"},
		{fmt.Errorf("%w: bad lease", errdefs.Invalid), 28, "p: bad lease\n"},
	} {
		var stderr strings.Builder
		if got := command.Failed(command.Std{Stderr: &stderr}, "p", tt.err); got != tt.status || stderr.String() != tt.want {
			t.Errorf("%v: %d, %q", tt.err, got, stderr.String())
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if got := command.Version("v1"); got != "v1" {
		t.Errorf("linked: %q", got)
	}
	if got := command.Version(""); got == "" {
		t.Error("not linked: empty")
	}
}

func TestPlaintextIsSaidOnce(t *testing.T) {
	t.Parallel()
	for _, insecure := range []bool{false, true} {
		var stderr strings.Builder
		c := config.Common{LogLevel: "info", LogJSON: true, Insecure: insecure}
		command.Plaintext(command.Logger(command.Std{Stderr: &stderr}, "p", c), hclog.Info, c)
		want := 1
		if insecure {
			want = 0
		}
		if got := strings.Count(stderr.String(), "--insecure"); got != want {
			t.Errorf("insecure %v: said %d times: %s", insecure, got, stderr.String())
		}
	}
}
