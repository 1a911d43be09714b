package system_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

const (
	secondHost = "93.184.216.35"
	thirdHost  = "93.184.216.36"
)

// mirror serves one file on a host of its own.
func (w *world) mirror(host string, f origintest.File, rate float64) *origintest.Server {
	return origintest.Serve(w.t, w.net.listen(host+":80"), origintest.Options{
		Files: map[string]origintest.File{"/f.bin": f}, Throttle: origintest.Throttle{PerClient: rate},
	})
}

// mirrors is a job for the same path on several hosts.
func mirrors(hosts ...string) (job client.Job) {
	for _, host := range hosts {
		job.URLs = append(job.URLs, "http://"+host+"/f.bin")
	}
	return job
}

// TestMirrorsTogether: two slow mirrors on one fast line are used side by side.
func TestMirrorsTogether(t *testing.T) {
	f := origintest.NewFile(32*mib, 300)
	bubble(t, nil, func(w *world) {
		w.mirror(secondHost, f, 2*mib)
		w.mirror(thirdHost, f, 2*mib)
		a := &account{}
		u := w.user(8*mib, func(o *client.Options) { o.LocalOnly = true })
		if err := u.do(mirrors(secondHost, thirdHost), a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.notes)
		one, two := a.brought("own line@"+secondHost), a.brought("own line@"+thirdHost)
		if one < 12*mib || two < 12*mib {
			w.t.Errorf("the mirrors brought %d and %d bytes", one, two)
		}
		if took := a.done.Elapsed; took > 9*time.Second { // one alone: 16 s; both at best: 8 s
			w.t.Errorf("both together took %v", took)
		}
		if a.done.Identity != "strong" {
			w.t.Errorf("identity %s", a.done.Identity)
		}
	})
}

// TestPeersUseMirrors: a peer fetches from any of the mirrors, one that knows
// only the first protocol from the first.
func TestPeersUseMirrors(t *testing.T) {
	f := origintest.NewFile(48*mib, 301)
	bubble(t, nil, func(w *world) {
		w.mirror(secondHost, f, 2*mib)
		w.mirror(thirdHost, f, 2*mib)
		w.tracker()
		w.peer("new", 8*mib)
		old := &liar{file: f, rate: mib}
		w.liar("old", old)
		w.book("tracker-b:7420").join(peerAt("old", "old:7430"))
		a := &account{}
		u := w.user(8*mib, func(o *client.Options) { o.Trackers = append(o.Trackers, "tracker-b:7420") })
		if err := u.do(mirrors(secondHost, thirdHost), a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.notes)
		for _, name := range []string{"new@" + secondHost, "new@" + thirdHost, "old@" + secondHost} {
			if a.brought(name) == 0 {
				w.t.Errorf("%s brought nothing", name)
			}
		}
		old.heard.Range(func(order, _ any) bool {
			if text, _ := order.(string); strings.Contains(text, "mirror") || strings.Contains(text, thirdHost) {
				w.t.Errorf("the old peer was told %s", text)
			}
			return true
		})
	})
}

// TestMirrorEvidence: what has to agree before the bytes of a mirror are mixed
// with those of the first one.
func TestMirrorEvidence(t *testing.T) {
	f := origintest.NewFile(24*mib, 302)
	change := func(do func(*origintest.File)) origintest.File {
		g := f
		do(&g)
		return g
	}
	for _, tc := range []struct {
		name     string
		second   origintest.File
		identity string // "": the mirror is left out
		why      string
		sampled  bool
	}{
		{name: "the same validators", second: f, identity: "strong"},
		{name: "another tag, one date", second: change(func(g *origintest.File) { g.ETag = `"inode"` }), identity: "weak"},
		{name: "another date and tag", second: change(func(g *origintest.File) {
			g.ETag, g.Modified = `"mine"`, g.Modified.Add(time.Hour)
		}), identity: "sampled", sampled: true},
		{name: "other bytes", second: origintest.NewFile(24*mib, 303), why: "differ"},
		{name: "another length", second: origintest.NewFile(24*mib+1, 302), why: "it has 25165825 bytes, not 25165824"},
		{name: "no validators", second: change(func(g *origintest.File) { g.ETag, g.Modified = "", time.Time{} }), why: "nothing would show"},
		{name: "no ranges", second: f.With(origintest.Fault{Status: 200}), why: "serves no ranges"},
		{name: "gone", second: f.With(origintest.Fault{Status: 410}), why: "410 Gone"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, nil, func(w *world) {
				w.mirror(secondHost, f, mib)
				w.mirror(thirdHost, tc.second, mib)
				w.tracker()
				w.peer("a", mib)
				a := &account{}
				if err := w.user(8*mib, nil).do(mirrors(secondHost, thirdHost), a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.notes)
				brought := a.brought("own line@"+thirdHost) + a.brought("a@"+thirdHost)
				if used := brought > 0; used != (tc.identity != "") {
					w.t.Errorf("the mirror brought %d bytes", brought)
				}
				if tc.identity != "" && a.brought("a@"+thirdHost) == 0 {
					w.t.Error("the peer brought nothing of the mirror")
				}
				if want := tc.identity; want != "" && a.done.Identity != want {
					w.t.Errorf("identity %s, want %s", a.done.Identity, want)
				}
				if tc.why != "" && (!a.noted(tc.why) || !a.noted("the mirror "+thirdHost+" is left out")) {
					w.t.Errorf("notes %q do not say %q", a.notes, tc.why)
				}
				if tc.sampled != (a.done.Verify > a.done.Size/100) && // so much is looked at of what peers bring
					tc.why != "differ" {
					w.t.Errorf("%d bytes were spent on samples", a.done.Verify)
				}
			})
		})
	}
}

// TestMirrorAgainstPieces: a mirror that has other bytes under the same
// validators is found by the digests of pieces, and no peer is blamed for it.
func TestMirrorAgainstPieces(t *testing.T) {
	f, bad := origintest.NewFile(24*mib, 311), origintest.NewFile(24*mib, 312)
	bad.ETag, bad.Modified = f.ETag, f.Modified
	bubble(t, nil, func(w *world) {
		w.mirror(secondHost, f, mib)
		w.mirror(thirdHost, bad, mib)
		w.tracker()
		w.peer("a", mib)
		a := &account{retracted: true}
		job := mirrors(secondHost, thirdHost)
		job.Pieces = piecesOf(f)
		if err := w.user(8*mib, nil).do(job, a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.notes, a.moves)
		if !a.moved(thirdHost, "banned") || a.moved("a", "banned") || a.moved("a@"+secondHost, "banned") {
			w.t.Errorf("moves %v", a.moves)
		}
		if a.done.Identity != "digest" {
			w.t.Errorf("identity %s", a.done.Identity)
		}
	})
}

// TestMirrorChanges: a mirror that changes in the middle is dropped and named,
// whichever it is; the download neither begins again nor mixes.
func TestMirrorChanges(t *testing.T) {
	f := origintest.NewFile(24*mib, 304)
	newer := origintest.NewFile(24*mib, 305)
	for _, changing := range []string{secondHost, thirdHost} {
		t.Run(changing, func(t *testing.T) {
			bubble(t, nil, func(w *world) {
				servers := map[string]*origintest.Server{secondHost: w.mirror(secondHost, f, 2*mib), thirdHost: w.mirror(thirdHost, f, 2*mib)}
				w.tracker()
				w.peer("a", mib)
				a := &account{}
				a.once(0.3, func() { servers[changing].Set("/f.bin", newer) })
				if err := w.user(8*mib, nil).do(mirrors(secondHost, thirdHost), a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.notes)
				if !a.noted("the mirror " + changing + " is left out: resource changed") {
					w.t.Errorf("notes %q", a.notes)
				}
				if a.noted("starting again") {
					w.t.Error("it began again")
				}
			})
		})
	}
}

// TestDeadMirror: one that swallows what it is sent costs less than 2 s, be it
// the first or another.
func TestDeadMirror(t *testing.T) {
	f := origintest.NewFile(8*mib, 306)
	bubble(t, nil, func(w *world) {
		w.mirror(secondHost, f, 2*mib)
		w.net.swallow(thirdHost + ":80")
		u := w.user(8*mib, func(o *client.Options) { o.LocalOnly = true })
		var alone time.Duration
		for i, hosts := range [][]string{{secondHost}, {thirdHost, secondHost}, {secondHost, thirdHost}} {
			a, began := &account{}, time.Now()
			job := mirrors(hosts...)
			job.Output, job.Overwrite = "f.bin", true
			if err := u.do(job, a); err != nil {
				w.t.Fatal(err, a.notes)
			}
			w.holds("f.bin", f)
			took := time.Since(began)
			if i == 0 {
				alone = took
			}
			w.t.Log(hosts, took)
			if took > alone+2*time.Second {
				w.t.Errorf("%v took %v, %v without the dead one", hosts, took, alone)
			}
		}
	})
}

// TestBusyMirror: a mirror that asks for patience holds up nobody who fetches
// from another.
func TestBusyMirror(t *testing.T) {
	f := origintest.NewFile(16*mib, 307)
	for _, busy := range []string{secondHost, thirdHost} {
		t.Run(busy, func(t *testing.T) {
			bubble(t, nil, func(w *world) {
				for _, host := range []string{secondHost, thirdHost} {
					g := f
					if host == busy {
						g = f.With(origintest.Fault{Skip: 3, Status: 503, RetryAfter: "600"})
					}
					w.mirror(host, g, 2*mib)
				}
				a := &account{}
				began := time.Now()
				u := w.user(8*mib, func(o *client.Options) { o.LocalOnly = true })
				if err := u.do(mirrors(secondHost, thirdHost), a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", f)
				if took := time.Since(began); took > 12*time.Second {
					w.t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestMirrorsByPeersAlone: without own lines, peers say what the mirrors are.
func TestMirrorsByPeersAlone(t *testing.T) {
	f := origintest.NewFile(24*mib, 308)
	bubble(t, nil, func(w *world) {
		w.mirror(secondHost, f, 2*mib)
		w.mirror(thirdHost, f, 2*mib)
		w.tracker()
		w.peer("a", 8*mib)
		a := &account{}
		u := w.user(mib, func(o *client.Options) { o.NoLocal = true })
		if err := u.do(mirrors("93.184.216.40", secondHost, thirdHost), a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		w.t.Log(a, a.notes)
		if a.brought("a@"+secondHost) == 0 || a.brought("a@"+thirdHost) == 0 {
			w.t.Error("one of the mirrors brought nothing")
		}
	})
}

// TestMirrorsEnd: a download that is interrupted while mirrors are met ends.
func TestMirrorsEnd(t *testing.T) {
	f := origintest.NewFile(64*mib, 309)
	bubble(t, nil, func(w *world) {
		w.mirror(secondHost, f, mib)
		w.mirror(thirdHost, f.With(origintest.Fault{HeaderDelay: time.Hour}), mib)
		ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
		defer cancel()
		job := mirrors(secondHost, thirdHost)
		job.Dir = w.dir
		u := w.user(8*mib, func(o *client.Options) { o.LocalOnly = true })
		if err := u.c.Download(ctx, job, &account{}); errdefs.KindOf(err) == "" && ctx.Err() == nil {
			w.t.Errorf("it ended with %v", err)
		}
		w.vacant()
	})
}
