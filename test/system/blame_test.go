package system_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
	ddmv1 "ddm/proto/ddm/v1"
)

// knowledge is what a download can know of the content.
var knowledge = []struct {
	name string
	know func(job *client.Job, f origintest.File)
}{
	{"nothing", func(*client.Job, origintest.File) {}},
	{"the whole", func(job *client.Job, f origintest.File) { job.Checksums = sha(f) }},
	{"pieces", func(job *client.Job, f origintest.File) { job.Pieces = piecesOf(f) }},
}

// TestLyingMirror: a mirror has other bytes under the same validators. It is
// left out, with all that came from it, whoever fetched it: the peer that did is
// not to blame, and is used until the end.
func TestLyingMirror(t *testing.T) {
	f, bad := origintest.NewFile(24*mib, 140), origintest.NewFile(24*mib, 141)
	bad.ETag, bad.Modified = f.ETag, f.Modified
	for _, tc := range knowledge {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, nil, func(w *world) {
				w.mirror(secondHost, f, mib)
				lying := w.mirror(thirdHost, bad, mib)
				w.tracker()
				w.peer("a", mib)
				a := &account{retracted: true}
				job := mirrors(secondHost, thirdHost)
				tc.know(&job, f)
				if err := w.user(8*mib, nil).do(job, a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.moves, a.notes, a.done.Notes)
				if got := a.banned(); !slices.Equal(got, []string{thirdHost}) {
					w.t.Errorf("banned: %q", got)
				}
				if !strings.Contains(strings.Join(a.done.Notes, " ")+strings.Join(a.notes, " "), thirdHost) {
					w.t.Errorf("nothing tells of it: %q, %q", a.notes, a.done.Notes)
				}
				if len(lying.Requests()) == 0 || a.brought("a")+a.brought("a@"+secondHost) == 0 {
					w.t.Errorf("%d requests to the liar, sources %v", len(lying.Requests()), a.done.Sources)
				}
			})
		})
	}
}

// TestLiarThroughAMirror: a peer lies about what an honest mirror has. The
// mirror is asked before anybody is blamed, and stays; the peer is banned.
func TestLiarThroughAMirror(t *testing.T) {
	f := origintest.NewFile(24*mib, 142)
	for _, tc := range knowledge[:2] { // by pieces, a mirror is left out without being asked
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, nil, func(w *world) {
				w.mirror(secondHost, f, mib)
				w.mirror(thirdHost, f, mib)
				var told atomic.Bool
				lie := garbles(f, 1)
				l := &liar{file: f, rate: 2 * mib}
				l.open = func(s *lies) error {
					return s.send(&ddmv1.Opened{Hello: &ddmv1.Hello{Capabilities: []string{"mirrors"}}, Lines: []*ddmv1.Line{{Name: "line"}}, MaxLanes: 4})
				}
				l.order = func(s *lies, o any) error {
					if a, ok := o.(*ddmv1.FetchRequest_Assign); ok && a.Assign.GetMirror() > 0 {
						told.Store(true)
						return lie(s, o)
					}
					return s.obey(o)
				}
				w.book(trackerAddr).join(w.liar("p0", l))
				a := &account{retracted: true}
				job := mirrors(secondHost, thirdHost)
				tc.know(&job, f)
				if err := w.user(8*mib, nil).do(job, a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.moves, a.notes, a.done.Notes)
				for _, name := range a.banned() {
					if !strings.HasPrefix(name, "p0") {
						w.t.Errorf("%s was banned", name)
					}
				}
				if !told.Load() || len(a.banned()) == 0 {
					w.t.Errorf("it lied %v, banned: %q", told.Load(), a.banned())
				}
			})
		})
	}
}

// flaky serves a file honestly and badly: replies that end early, that fail in
// the middle or at once, and streams that break.
func flaky(f origintest.File) func(*lies, any) error {
	var n atomic.Int64
	return twist(func(s *lies, a *ddmv1.Assign) error {
		half := a.GetLength() / 2
		switch n.Add(1) % 6 {
		case 1:
			return errors.Join(s.started(a, f), s.bytes(a, half), s.done(a))
		case 2:
			return errors.Join(s.started(a, f), s.bytes(a, half), s.fail(a, ddmv1.FailureKind_FAILURE_KIND_UNAVAILABLE))
		case 3:
			return s.fail(a, ddmv1.FailureKind_FAILURE_KIND_TIMEOUT)
		case 4:
			return errors.Join(s.started(a, f), s.bytes(a, half), errors.New("reset"))
		}
		return errors.Join(s.started(a, f), s.bytes(a, a.GetLength()), s.done(a))
	})
}

// TestFlakyPeersAreHonest: peers whose replies are cut, fail and break are no
// liars. None is banned, whatever is known and whoever compares, and the one
// that does lie among them is.
func TestFlakyPeersAreHonest(t *testing.T) {
	f := origintest.NewFile(24*mib, 143)
	ways := slices.Clone(knowledge)
	ways = append(ways, struct {
		name string
		know func(*client.Job, origintest.File)
	}{"a quorum", func(job *client.Job, _ origintest.File) { job.Quorum = 2 }})
	for _, tc := range ways {
		for _, lying := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, a liar %v", tc.name, lying), func(t *testing.T) {
				bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
					var list []*ddmv1.PeerInfo
					for i := range 4 {
						list = append(list, w.scripted(fmt.Sprintf("p%d", i), f, flaky(f)))
					}
					var liars []string
					if lying {
						list, liars = append(list, w.scripted("liar", f, flips(f, bulk))), []string{"liar"}
					}
					w.book(trackerAddr).join(list...)
					a := &account{retracted: true}
					job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}}
					tc.know(&job, f)
					err := w.user(mib, nil).do(job, a)
					if got := a.banned(); !slices.Equal(got, liars) && len(got) > 0 {
						w.t.Errorf("banned: %q, want %q", got, liars)
					}
					if err != nil {
						w.t.Fatal(err, errdefs.KindOf(err), a.notes)
					}
					w.holds("f.bin", f)
					w.t.Log(a, a.moves, a.notes)
				})
			})
		}
	}
}
