package system_test

import (
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/origin/origintest"
)

// TestClientAsleep holds up the client's loop for longer than its patience, as
// a stopped process or a sleeping machine does, again and again. That is nobody
// else's silence.
func TestClientAsleep(t *testing.T) {
	f := origintest.NewFile(36*mib, 31)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		naps, a := 0, &account{}
		a.at = func(s progressSnapshot) {
			if s.Bytes > mib && naps < 4 {
				naps++
				time.Sleep(70 * time.Second)
			}
		}
		u := w.user(100<<10, func(o *client.Options) { o.LocalOnly = true })
		if err := u.get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if naps < 4 {
			w.t.Errorf("%d naps", naps)
		}
		for _, m := range a.moves {
			if m.Change == "stalled" {
				w.t.Errorf("%s is called stalled: %s", m.Name, m.Reason)
			}
		}
	})
}
