package system_test

import (
	"testing"
	"time"

	"ddm/internal/origin/origintest"
)

// TestSlowFirstBytes is an origin that thinks before each reply: ranges grow
// with that, so that there are few of them. Time is virtual and exact.
func TestSlowFirstBytes(t *testing.T) {
	for _, tc := range []struct {
		delay time.Duration
		peers int
		most  time.Duration // one request would take 8 s and the delay
	}{
		{0, 0, 8100 * time.Millisecond},
		{300 * time.Millisecond, 0, 9300 * time.Millisecond},
		{1500 * time.Millisecond, 0, 11100 * time.Millisecond},
		{3 * time.Second, 0, 14200 * time.Millisecond},
		{300 * time.Millisecond, 2, 5 * time.Second},
		{1500 * time.Millisecond, 2, 9500 * time.Millisecond},
	} {
		t.Run(tc.delay.String(), func(t *testing.T) {
			f := origintest.NewFile(32*mib, 63).With(origintest.Fault{HeaderDelay: tc.delay})
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				for _, name := range []string{"a", "b"}[:tc.peers] {
					w.peer(name, 4*mib)
				}
				a := &account{}
				if err := w.user(4*mib, nil).get("/f.bin", a); err != nil {
					w.t.Fatal(err)
				}
				w.holds("f.bin", f)
				if a.done.Elapsed > tc.most {
					w.t.Errorf("took %v with %d requests, want at most %v: %v", a.done.Elapsed, w.origin.Total(), tc.most, a)
				}
			})
		})
	}
}
