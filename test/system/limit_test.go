package system_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

// TestLimitRate: the limit holds over all sources together, whatever they
// could bring, and no source is called stalled because of it.
func TestLimitRate(t *testing.T) {
	for _, tc := range []struct {
		limit, size int64
		peers       int
		stdout      bool
		whole       bool
	}{
		{limit: 64 << 10, size: mib, peers: 0},
		{limit: 64 << 10, size: mib, peers: 3},
		{limit: mib, size: 8 * mib, peers: 0},
		{limit: mib, size: 8 * mib, peers: 3},
		{limit: mib, size: 6 * mib, peers: 2, stdout: true},
		{limit: mib, size: 6 * mib, whole: true},
		{limit: 5 * mib, size: 20 * mib, peers: 3},
	} {
		t.Run(fmt.Sprintf("%d KiB per s, %d peers, %v %v", tc.limit>>10, tc.peers, tc.stdout, tc.whole), func(t *testing.T) {
			f := origintest.NewFile(tc.size, 60)
			if tc.whole {
				f = f.With(origintest.Fault{Status: 200})
			}
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				for i := range tc.peers {
					w.peer(string(rune('a'+i)), 8*mib)
				}
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}}
				if tc.stdout {
					job.Stdout = io.Discard
				}
				a := &account{}
				if err := w.user(8*mib, func(o *client.Options) { o.LimitRate = tc.limit }).do(job, a); err != nil {
					w.t.Fatal(err)
				}
				w.t.Log(a, a.moves)
				if a.done.Duplicate > tc.size/100 {
					w.t.Errorf("%d bytes came twice", a.done.Duplicate)
				}
				want := float64(tc.size+a.done.Duplicate)/float64(tc.limit) - 0.25 // of a second that is free at the start
				if took := a.done.Elapsed.Seconds(); math.Abs(took/want-1) > 0.05 {
					w.t.Errorf("took %.1f s, want %.1f s", took, want)
				}
				for _, m := range a.moves {
					if m.Change != "joined" {
						w.t.Errorf("%v", m)
					}
				}
			})
		})
	}
}

// TestHeldBack: what we ourselves do not take in time is no reason to ask for it
// twice, and little of it is on its way when its source dies.
func TestHeldBack(t *testing.T) {
	f := origintest.NewFile(60*mib, 65)
	for _, tc := range []struct {
		name   string
		limit  int64
		reader float64 // bytes per second; 0: there is none
		own    float64 // bytes per second
		kill   bool
	}{
		{name: "limited", limit: 4 * mib, own: 64 * mib},
		{name: "limited, one killed", limit: 4 * mib, own: 64 * mib, kill: true},
		{name: "limited, slow own line, one killed", limit: 4 * mib, own: mib, kill: true},
		{name: "slow reader", reader: 4 * mib, own: 64 * mib},
		{name: "slow reader, one killed", reader: 4 * mib, own: 64 * mib, kill: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				w.peer("a", 3*mib)
				b := w.peer("b", 3*mib)
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}}
				if tc.reader > 0 {
					job.Stdout = &lazy{rate: tc.reader}
				}
				if tc.kill {
					time.AfterFunc(2*time.Second, func() { b.kill(w) })
				}
				a := &account{}
				if err := w.user(tc.own, func(o *client.Options) { o.LimitRate = tc.limit }).do(job, a); err != nil {
					w.t.Fatal(err)
				}
				w.t.Log(a, a.moves)
				if a.done.Duplicate > f.Size/100 {
					w.t.Errorf("%d bytes came twice", a.done.Duplicate)
				}
				if spilt := w.origin.Sent() - f.Size; spilt > f.Size/20 {
					w.t.Errorf("%d bytes left the origin in vain", spilt)
				}
			})
		})
	}
}

// TestSlowLAN: where the LAN is slower than a peer's own line, its lanes take turns
// on it: one that waits for its turn is not replaced, and little is on its way
// when something else is decided.
func TestSlowLAN(t *testing.T) {
	for _, tc := range []struct {
		own   float64    // bytes per second
		wan   [3]float64 // of peers
		lan   [3]float64 // 0: as fast as it goes
		spilt int64      // at most such a part of the file may leave the origin in vain: what peers had read for lanes that were cut
	}{
		{own: mib / 5, wan: [3]float64{4 * mib}, lan: [3]float64{mib}, spilt: 16},
		{own: 4 * mib, wan: [3]float64{8 * mib, mib / 5, mib / 2}, lan: [3]float64{mib / 2, 2 * mib}, spilt: 8},
		{own: mib, wan: [3]float64{2 * mib, mib, 4 * mib}, lan: [3]float64{0, 0, mib / 2}, spilt: 16},
	} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			f := origintest.NewFile(64*mib, 66)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				for i, rate := range tc.wan {
					if rate > 0 {
						w.peer(string(rune('a'+i)), rate).lan.setRate(tc.lan[i])
					}
				}
				a := &account{}
				if err := w.user(tc.own, nil).get("/f.bin", a); err != nil {
					w.t.Fatal(err)
				}
				w.t.Log(a)
				if a.done.Duplicate > f.Size/50 {
					w.t.Errorf("%d bytes came twice", a.done.Duplicate)
				}
				if spilt := w.origin.Sent() - f.Size; spilt > f.Size/tc.spilt {
					w.t.Errorf("%d bytes left the origin in vain", spilt)
				}
			})
		})
	}
}

// TestConnections: -x bounds the requests of each source at any time, and
// never more than 16 run for one source or 64 for a download.
func TestConnections(t *testing.T) {
	for _, tc := range []struct{ x, peers, source, all int }{
		{x: 1, peers: 3, source: 1, all: 4},
		{x: 3, peers: 2, source: 3, all: 9},
		{x: 0, peers: 0, source: 16, all: 16},
		{x: 0, peers: 6, source: 16, all: 64},
	} {
		t.Run(fmt.Sprintf("x %d, %d peers", tc.x, tc.peers), func(t *testing.T) {
			f := origintest.NewFile(12*mib, 61).With(origintest.Fault{Rate: mib / 4}) // each connection is slow: more pay
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				for i := range tc.peers {
					w.peer(string(rune('a'+i)), 8*mib)
				}
				u := w.user(8*mib, func(o *client.Options) { o.Connections = tc.x })
				own, all := 0, 0
				a := &account{}
				a.at = func(progressSnapshot) {
					own, all = max(own, u.wan.live()), max(all, w.origin.Live(""))
				}
				if err := u.get("/f.bin", a); err != nil {
					w.t.Fatal(err)
				}
				w.holds("f.bin", f)
				w.t.Log(a, "own", own, "all", all)
				if own > tc.source || all > tc.all {
					w.t.Errorf("own line: %d connections at most, all: %d requests; want %d and %d", own, all, tc.source, tc.all)
				}
				if tc.x == 0 && own < 4 {
					w.t.Errorf("only %d connections were found out to pay", own)
				}
			})
		})
	}
}

// lazy is a reader of standard output that takes its time.
type lazy struct {
	rate  float64       // bytes per second; 0: at once
	pause time.Duration // once, after 6 MiB

	mu  sync.Mutex
	got bytes.Buffer
}

func (l *lazy) Write(p []byte) (int, error) {
	l.mu.Lock()
	n, err := l.got.Write(p)
	pause := time.Duration(0)
	if l.got.Len() > 6*mib {
		pause, l.pause = l.pause, 0
	}
	l.mu.Unlock()
	if l.rate > 0 {
		pause += time.Duration(float64(n) / l.rate * float64(time.Second))
	}
	time.Sleep(pause)
	return n, err
}

// TestSlowReader: a reader of standard output that is slow, or pauses for
// minutes, gets every byte in order; nobody is called stalled for it, and what
// waits in memory is bounded.
func TestSlowReader(t *testing.T) {
	const size = 14 * mib
	f := origintest.NewFile(size, 62)
	for name, out := range map[string]*lazy{
		"fast":        {},
		"slow":        {rate: mib},
		"very slow":   {rate: 192 << 10},
		"pauses":      {pause: 50 * time.Second},
		"pauses long": {pause: 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				w.peer("a", 2*mib)
				w.peer("b", 2*mib)
				a := &account{}
				var ahead int64
				a.at = func(progressSnapshot) {
					out.mu.Lock()
					defer out.mu.Unlock()
					ahead = max(ahead, w.origin.Sent()-int64(out.got.Len()))
				}
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Stdout: out, Digest: true}
				if err := w.user(2*mib, nil).do(job, a); err != nil {
					w.t.Fatal(err, a.moves)
				}
				w.t.Log(a, a.moves, ahead>>20, "MiB ahead at most")
				if !f.Verify(out.got.Bytes(), 0) || out.got.Len() != size || a.done.Digest != fmt.Sprintf("sha256:%x", f.SHA256(size)) {
					w.t.Errorf("%d bytes, wrong, or not %d; %s", out.got.Len(), size, a.done.Digest)
				}
				for _, m := range a.moves {
					if m.Change == "stalled" {
						w.t.Errorf("%v", m)
					}
				}
				if a.brought("a") < mib || a.brought("b") < mib {
					w.t.Error("peers did not help")
				}
				w.clean()
			})
		})
	}
}

// TestWindow: on standard output, a source that crawls with the lowest bytes
// does not let the others run ahead without bound.
func TestWindow(t *testing.T) {
	f := origintest.NewFile(64*mib, 63)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.peer("a", 32*mib)
		w.peer("b", 64<<10)
		out := &lazy{}
		a := &account{}
		var ahead int64
		a.at = func(s progressSnapshot) {
			out.mu.Lock()
			defer out.mu.Unlock()
			ahead = max(ahead, s.Bytes-int64(out.got.Len()))
		}
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Stdout: out}
		if err := w.user(32*mib, nil).do(job, a); err != nil {
			w.t.Fatal(err)
		}
		w.t.Log(a, a.moves, ahead>>20, "MiB ahead at most")
		if ahead > 33*mib {
			w.t.Errorf("%d bytes waited in memory", ahead)
		}
		if !f.Verify(out.got.Bytes(), 0) {
			w.t.Error("wrong bytes")
		}
	})
}

// TestStdoutBreaks: a reader that goes, and a full disk behind standard
// output, end the download at once with their own kinds.
func TestStdoutBreaks(t *testing.T) {
	for kind, cause := range map[errdefs.Kind]error{
		errdefs.WriteFile: io.ErrClosedPipe,
		errdefs.NoSpace:   &os.PathError{Op: "write", Path: "stdout", Err: syscall.ENOSPC},
	} {
		t.Run(string(kind), func(t *testing.T) {
			f := origintest.NewFile(8*mib, 64)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				w.peer("a", mib)
				r, pipe := io.Pipe()
				go func() {
					_, _ = io.CopyN(io.Discard, r, 3*mib)
					_ = r.CloseWithError(cause)
				}()
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Stdout: pipe}
				began := time.Now()
				if err := w.user(mib, nil).do(job, &account{}); errdefs.KindOf(err) != kind {
					w.t.Errorf("error %v, want kind %q", err, kind)
				}
				if took := time.Since(began); took > 5*time.Second {
					w.t.Errorf("it took %v to notice", took)
				}
				w.clean()
			})
		})
	}
}
