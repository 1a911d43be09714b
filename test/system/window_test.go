package system_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/origin/origintest"
)

// TestSlowPeerHoldsNoWindow writes to standard output beside a slow peer: what
// that has in hand must not hold up everybody behind it. Time is virtual.
func TestSlowPeerHoldsNoWindow(t *testing.T) {
	for _, slow := range []float64{64 << 10, 256 << 10, mib} {
		t.Run(fmt.Sprint(slow), func(t *testing.T) {
			f := origintest.NewFile(96*mib, 63)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				w.peer("a", 32*mib)
				w.peer("b", slow)
				a := &account{}
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Stdout: io.Discard}
				if err := w.user(32*mib, nil).do(job, a); err != nil {
					w.t.Fatal(err)
				}
				if most := 2500 * time.Millisecond; a.done.Elapsed > most { // two lines need 1.5 s
					w.t.Errorf("took %v, want at most %v: %v", a.done.Elapsed, most, a)
				}
			})
		})
	}
}
