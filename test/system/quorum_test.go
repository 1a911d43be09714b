package system_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	ddmv1 "ddm/proto/ddm/v1"
)

// scripted starts a peer that brings what order says; nil: the file.
func (w *world) scripted(name string, f origintest.File, order func(*lies, any) error) *ddmv1.PeerInfo {
	gen := origin.Generation{Size: f.Size, ETag: f.ETag, LastModified: f.Modified.Format("Mon, 02 Jan 2006 15:04:05 GMT")}
	l := &liar{file: f, rate: 2 * mib, order: order, probe: &ddmv1.ProbeResponse{Generation: origin.GenerationToProto(gen), Ranges: true}}
	return w.liar(name, l)
}

// garbles serves a file with all bytes changed, in a way of its own.
func garbles(f origintest.File, key byte) func(*lies, any) error {
	return twist(func(s *lies, a *ddmv1.Assign) error {
		if err := s.started(a, f); err != nil {
			return err
		}
		for off, n := range s.parts(a, a.GetLength(), 256<<10) {
			p := f.Bytes(off, n)
			for i := range p {
				p[i] ^= key
			}
			if err := s.data(a.GetAssignmentId(), off, p); err != nil {
				return err
			}
		}
		return s.done(a)
	})
}

// pair is a job that asks for two machines.
func pair() client.Job {
	return client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Quorum: 2}
}

// TestQuorum: everything comes from two machines. Whoever lies, even about one
// byte, is found by a third one's word, banned, and all it gave replaced;
// nobody else is. Second copies are no duplicates, and the summary says what
// was proved.
func TestQuorum(t *testing.T) {
	f := origintest.NewFile(16*mib, 120)
	for _, tc := range []struct {
		name    string
		peers   int
		noLocal bool
		lie     func() func(int64) bool
	}{
		{"own line and a peer", 1, false, nil},
		{"two peers", 2, true, nil},
		{"own line and two peers", 2, false, nil},
		{"a liar of three, with the own line", 2, false, func() func(int64) bool { return bulk }},
		{"a liar of three, without", 3, true, func() func(int64) bool { return bulk }},
		{"about one byte", 3, false, once},
		{"about one byte, without the own line", 3, true, once},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				var list []*ddmv1.PeerInfo
				var liars []string
				for i := range tc.peers {
					var order func(*lies, any) error
					if tc.lie != nil && i == 0 {
						order, liars = flips(f, tc.lie()), []string{"p0"}
					}
					list = append(list, w.scripted(fmt.Sprintf("p%d", i), f, order))
				}
				w.book(trackerAddr).join(list...)
				a := &account{retracted: tc.lie != nil}
				if err := w.user(2*mib, func(o *client.Options) { o.NoLocal = tc.noLocal }).do(pair(), a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.t.Log(a, a.done.Verify, a.moves, a.notes, a.done.Notes)
				w.holds("f.bin", f)
				if got := a.banned(); !slices.Equal(got, liars) {
					w.t.Errorf("banned: %q, want %q", got, liars)
				}
				if n := a.done.Verify; n < f.Size || tc.lie == nil && n > f.Size || n > 2*f.Size {
					w.t.Errorf("%d bytes were compared", n)
				}
				if !strings.Contains(strings.Join(a.done.Notes, " "), "every byte came from two machines and is the same") || a.done.Identity != "strong" {
					w.t.Errorf("identity %s, the summary says %q", a.done.Identity, a.done.Notes)
				}
			})
		})
	}
}

// TestQuorumUndecided: two differ and there is no third one, or three say three
// things, or the own line stands alone against two. Nothing proves who is
// right: nobody is banned, nothing committed, and the error says so.
func TestQuorumUndecided(t *testing.T) {
	f := origintest.NewFile(16*mib, 121)
	for _, tc := range []struct {
		name    string
		keys    []byte // how each peer changes bytes; 0: not
		noLocal bool
		said    string
	}{
		{"own line against one", []byte{1}, false, "there is no third source"},
		{"two peers", []byte{0, 1}, true, "there is no third source"},
		{"three things", []byte{1, 2}, false, "say three things"},
		{"three peers, three things", []byte{1, 2, 3}, true, "say three things"},
		{"own line against two", []byte{1, 1}, false, "two peers say the same"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				var list []*ddmv1.PeerInfo
				for i, key := range tc.keys {
					list = append(list, w.scripted(fmt.Sprintf("p%d", i), f, garbles(f, key)))
				}
				w.book(trackerAddr).join(list...)
				a := &account{retracted: true}
				err := w.user(2*mib, func(o *client.Options) { o.NoLocal = tc.noLocal }).do(pair(), a)
				if !errors.Is(err, errdefs.Corrupt) || !strings.Contains(fmt.Sprint(err), tc.said) {
					w.t.Errorf("it ended with %v", err)
				}
				w.t.Log(err, a.moves)
				if got := a.banned(); len(got) > 0 {
					w.t.Errorf("banned: %q", got)
				}
				w.vacant()
			})
		})
	}
}

// TestQuorumRefused: with fewer than two machines nothing could be compared.
func TestQuorumRefused(t *testing.T) {
	f := origintest.NewFile(4*mib, 122)
	bare := origintest.File{Content: f.Content, Size: 3 * mib} // too short for samples
	whole := f.With(origintest.Fault{Status: 200})
	for _, tc := range []struct {
		name   string
		file   origintest.File
		change func(*client.Options)
		said   string
	}{
		{"no peers wanted", f, func(o *client.Options) { o.LocalOnly = true }, "start peerd on another machine"},
		{"no peers here", f, nil, "start peerd on another machine"},
		{"no validator", bare, nil, "no validator"},
		{"no ranges", whole, nil, "no ranges"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": tc.file}, func(w *world) {
				w.book(trackerAddr)
				err := w.user(2*mib, tc.change).do(pair(), &account{})
				if errdefs.KindOf(err) != errdefs.Refused || !strings.Contains(fmt.Sprint(err), tc.said) {
					w.t.Errorf("it ended with %v", err)
				}
				w.vacant()
			})
		})
	}
}

// TestQuorumAfterResume: what a liar gave was written by an earlier run that
// asked for no quorum. It is compared like everything else.
func TestQuorumAfterResume(t *testing.T) {
	f := origintest.NewFile(16*mib, 123)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.book(trackerAddr).join(w.scripted("p0", f, flips(f, bulk)), w.scripted("p1", f, nil))
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir}
		// Blocks are looked at by chance without a quorum: a digest keeps that off.
		job.Checksums = sha(f)
		ctx, cancel := context.WithCancel(w.t.Context())
		a := &account{}
		a.once(0.6, cancel)
		if err := w.user(2*mib, nil).c.Download(ctx, job, a); !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
		a = &account{retracted: true, replaced: true}
		if err := w.user(2*mib, nil).do(pair(), a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.t.Log(a, a.start.Resumed, a.done.Verify, a.done.Notes)
		w.holds("f.bin", f)
		if a.start.Resumed == 0 || !slices.Equal(a.banned(), []string{"p0"}) {
			w.t.Errorf("%d bytes resumed, banned: %q", a.start.Resumed, a.banned())
		}
	})
}

// TestQuorumOfAWholePart: an earlier run brought everything, and could not give
// it its name. All of it is compared before it gets one.
func TestQuorumOfAWholePart(t *testing.T) {
	f := origintest.NewFile(8*mib, 125)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.book(trackerAddr).join(w.scripted("p0", f, nil))
		taken := filepath.Join(w.dir, "f.bin")
		a := &account{}
		a.once(0.5, func() {
			if err := os.WriteFile(taken, nil, 0o600); err != nil {
				w.t.Error(err)
			}
		})
		if err := w.user(2*mib, func(o *client.Options) { o.LocalOnly = true }).get("/f.bin", a); !errors.Is(err, errdefs.Exists) {
			w.t.Fatal(err)
		}
		if err := os.Remove(taken); err != nil {
			w.t.Fatal(err)
		}
		a = &account{}
		if err := w.user(2*mib, nil).do(pair(), a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		if a.start.Resumed != f.Size || a.done.Verify != f.Size {
			w.t.Errorf("%d bytes resumed, %d compared", a.start.Resumed, a.done.Verify)
		}
	})
}

// TestSpotsUndecided: without a digest and an own line, three peers say three
// things. It ends there, and does not go on silently.
func TestSpotsUndecided(t *testing.T) {
	f := origintest.NewFile(16*mib, 124)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.book(trackerAddr).join(w.scripted("p0", f, garbles(f, 1)), w.scripted("p1", f, garbles(f, 2)), w.scripted("p2", f, nil))
		a := &account{retracted: true}
		err := w.user(2*mib, func(o *client.Options) { o.NoLocal = true }).get("/f.bin", a)
		if !errors.Is(err, errdefs.Corrupt) || !strings.Contains(fmt.Sprint(err), "say three things") {
			w.t.Errorf("it ended with %v, %q", err, a.notes)
		}
		if got := a.banned(); len(got) > 0 {
			w.t.Errorf("banned: %q", got)
		}
		w.vacant()
	})
}
