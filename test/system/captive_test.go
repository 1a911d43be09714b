package system_test

import (
	"strings"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/origin/origintest"
)

const portalHost = "93.184.216.99"

// portal answers every request for the file with a page of its own.
func (w *world) portal() {
	page := origintest.NewFile(4000, 1)
	page.ETag = ""
	w.mirror(portalHost, page.With(origintest.Fault{Status: 200, Set: []string{"Content-Type: text/html"}}), 0)
}

// TestCaptivePeer: a peer that sees something else at two origins is left
// alone, looked at each minute, and used again once it sees what we see.
func TestCaptivePeer(t *testing.T) {
	f := origintest.NewFile(40*mib, 320)
	bubble(t, nil, func(w *world) {
		w.mirror(secondHost, f, 0)
		w.mirror(thirdHost, f, 0)
		w.portal()
		w.tracker()
		caught := w.peer("caught", mib/8)
		w.peer("free", mib/8)
		for _, host := range []string{secondHost, thirdHost} {
			caught.detours.Store(host+":80", portalHost+":80")
		}
		a := &account{}
		a.once(0.6, func() { // after a minute and a half, before the second look
			if a.moved("caught@"+secondHost, "joined") && !a.moved("caught@"+secondHost, "banned") {
				w.t.Error("the peer is not left alone")
			}
			caught.detours.Clear()
		})
		if err := w.user(mib/8, nil).do(mirrors(secondHost, thirdHost), a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.notes, a.moves)
		if reason, _ := a.reasonOf("caught@"+secondHost, "banned"); !strings.Contains(reason, "captive portal") {
			w.t.Errorf("the peer is left alone because of %q", reason)
		}
		if n := a.brought("caught@"+secondHost) + a.brought("caught@"+thirdHost); n < mib/8*10 {
			w.t.Errorf("the peer brought %d bytes after its login", n)
		}
	})
}

// TestCaptiveForTheRun: what a download found out of a peer holds for the
// other downloads of the run. One origin alone proves nothing.
func TestCaptiveForTheRun(t *testing.T) {
	f := origintest.NewFile(2*mib, 321)
	bubble(t, nil, func(w *world) {
		hosts := []string{secondHost, thirdHost, "93.184.216.37"}
		for _, host := range hosts {
			w.mirror(host, f, 0)
		}
		w.portal()
		w.tracker()
		caught := w.peer("caught", 0)
		for _, host := range hosts {
			caught.detours.Store(host+":80", portalHost+":80")
		}
		u := w.user(mib/4, nil)
		for i, host := range hosts {
			a := &account{}
			job := mirrors(host)
			job.Output, job.Overwrite = "f.bin", true
			if err := u.do(job, a); err != nil {
				w.t.Fatal(err)
			}
			w.holds("f.bin", f)
			joined, banned := a.moved("caught", "joined"), a.moved("caught", "banned")
			if joined != (i < 2) || banned != (i == 1) {
				w.t.Errorf("download %d: joined %v, banned %v", i+1, joined, banned)
			}
		}
	})
}

// TestPeersDisagree: the group that this machine sees is kept, without an own
// line the largest; who sees something else is named.
func TestPeersDisagree(t *testing.T) {
	f, stale := origintest.NewFile(16*mib, 322), origintest.NewFile(16*mib, 323)
	for _, noLocal := range []bool{true, false} {
		t.Run(map[bool]string{true: "no own line", false: "own line"}[noLocal], func(t *testing.T) {
			bubble(t, nil, func(w *world) {
				w.mirror(secondHost, f, 0)
				w.mirror(thirdHost, stale, 0)
				w.tracker()
				behind := []string{"x"}
				if !noLocal {
					behind = []string{"x", "y"}
				}
				for _, name := range []string{"x", "y", "z"} {
					h := w.peer(name, mib)
					if strings.Contains(strings.Join(behind, " "), name) {
						h.detours.Store(secondHost+":80", thirdHost+":80")
					}
				}
				time.Sleep(5 * time.Second) // all are registered
				a := &account{}
				u := w.user(mib, func(o *client.Options) { o.NoLocal = noLocal })
				if err := u.do(mirrors(secondHost), a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.notes)
				for _, name := range behind {
					if a.brought(name) > 0 {
						w.t.Errorf("%s brought bytes of another version", name)
					}
					if reason, ok := a.reasonOf(name, "failed"); !ok || !strings.Contains(reason, "changed") {
						w.t.Errorf("%s is left out because of %q", name, reason)
					}
				}
				if noLocal && !a.noted("the peer x sees another version") {
					w.t.Errorf("notes %q", a.notes)
				}
			})
		})
	}
}
