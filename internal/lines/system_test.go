package lines_test

import (
	"runtime"
	"testing"

	"ddm/internal/errdefs"
	"ddm/internal/lines"
)

// TestAddress uses addresses of this machine that no interface lists, and one
// that is another's.
func TestAddress(t *testing.T) {
	t.Parallel()
	for bind, ok := range map[string]bool{
		"127.0.0.1":     true,
		"127.0.0.7":     runtime.GOOS == "linux", // all of 127.0.0.0/8 is this machine
		"198.51.100.77": false,
	} {
		s, err := lines.Open(lines.Config{Specs: []lines.Spec{{Interface: bind}}})
		if (err == nil) != ok {
			t.Errorf("%s: %v", bind, err)
		}
		if err != nil {
			if errdefs.KindOf(err) != errdefs.Invalid {
				t.Errorf("%s: kind of %v", bind, err)
			}
			continue
		}
		s.Close()
	}
}
