package system_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	ddmv1 "ddm/proto/ddm/v1"
)

// village is eight scripted peers of which the first lies.
func (w *world) village(f origintest.File, order func(s *lies, o any) error) []*ddmv1.PeerInfo {
	var list []*ddmv1.PeerInfo
	for i := range 8 {
		gen := origin.Generation{Size: f.Size, ETag: f.ETag, LastModified: f.Modified.Format("Mon, 02 Jan 2006 15:04:05 GMT")}
		l := &liar{file: f, rate: 2 * mib, probe: &ddmv1.ProbeResponse{Generation: origin.GenerationToProto(gen), Ranges: true}}
		if i == 0 {
			l.order = order
		}
		list = append(list, w.liar(fmt.Sprintf("p%d", i), l))
	}
	return list
}

// flips serves a file with some bytes changed.
func flips(f origintest.File, wrong func(off int64) bool) func(*lies, any) error {
	return twist(func(s *lies, a *ddmv1.Assign) error {
		if err := s.started(a, f); err != nil {
			return err
		}
		for at := int64(0); at < a.GetLength(); at += 64 << 10 {
			off := a.GetOffset() + at
			p := f.Bytes(off, int(min(64<<10, a.GetLength()-at)))
			for i := range (len(p) + 4095) / 4096 { // one byte of 4 KiB, which is the least that is looked at
				if mid := min(i*4096+2048, len(p)-1); wrong(off + int64(mid)) {
					p[mid] ^= 1
				}
			}
			if err := s.data(a.GetAssignmentId(), off, p); err != nil {
				return err
			}
		}
		return s.done(a)
	})
}

func bulk(int64) bool { return true }

// once lies about a single byte of all that it gives.
func once() func(int64) bool {
	var told atomic.Bool // its streams run side by side
	return func(int64) bool { return !told.Swap(true) }
}

func sha(f origintest.File) []digest.Digest {
	sum := f.SHA256(f.Size)
	return []digest.Digest{{Algorithm: digest.SHA256, Sum: sum[:]}}
}

// TestHuntForALiar: a digest of the whole does not match; of eight peers one
// lied. It is found with at most one more file of traffic, banned, and the
// download is right in the end.
func TestHuntForALiar(t *testing.T) {
	f := origintest.NewFile(48*mib, 80)
	for name, wrong := range map[string]func() func(int64) bool{"in bulk": func() func(int64) bool { return bulk }, "once": once} {
		for _, noLocal := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, no own line %v", name, noLocal), func(t *testing.T) {
				bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
					peers := w.village(f, flips(f, wrong()))
					w.book(trackerAddr).join(peers...)
					a := &account{}
					job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Checksums: sha(f)}
					if err := w.user(2*mib, func(o *client.Options) { o.NoLocal = noLocal }).do(job, a); err != nil {
						w.t.Fatal(err, a.notes)
					}
					w.holds("f.bin", f)
					w.t.Log(a, a.moves, a.notes, a.done.Notes, a.done.Verify)
					for _, m := range a.moves {
						if (m.Name == "p0") != (m.Change == "banned") && m.Change == "banned" {
							w.t.Errorf("%s was banned: %s", m.Name, m.Reason)
						}
					}
					if !a.moved("p0", "banned") || a.done.Identity != "digest" {
						w.t.Errorf("identity %s: the liar was not banned", a.done.Identity)
					}
					// Everything once more, what proves the lie, and what was in
					// flight when streams were cut.
					if extra := a.done.Origin - f.Size - a.done.Duplicate; extra > f.Size+mib {
						w.t.Errorf("%d bytes more than the file", extra)
					}
					if len(a.done.Notes) == 0 || !strings.Contains(strings.Join(a.done.Notes, " "), "p0 gave wrong bytes") {
						w.t.Errorf("the summary does not tell: %q", a.done.Notes)
					}
				})
			})
		}
	}
}

// TestHuntInVain: nobody lied, the digest is of something else. Nobody is
// banned, and it ends with what was proved.
func TestHuntInVain(t *testing.T) {
	f := origintest.NewFile(16*mib, 81)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.book(trackerAddr).join(w.village(f, nil)...)
		a := &account{}
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Checksums: sha(origintest.NewFile(16*mib, 82))}
		err := w.user(2*mib, nil).do(job, a)
		if !errors.Is(err, errdefs.Corrupt) || !strings.Contains(err.Error(), "came twice and is the same") {
			w.t.Errorf("it ended with %v", err)
		}
		for _, m := range a.moves {
			if m.Change == "banned" {
				w.t.Errorf("%s was banned", m.Name)
			}
		}
		w.vacant()
		w.clean()
	})
}

// TestHuntAfterResume: what the liar gave was written by an earlier run.
func TestHuntAfterResume(t *testing.T) {
	f := origintest.NewFile(24*mib, 83)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		l := &liar{file: f, rate: 4 * mib, order: flips(f, bulk)}
		info := w.liar("p0", l)
		tracker := w.book(trackerAddr)
		tracker.join(info)
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Checksums: sha(f), Dir: w.dir}
		ctx, cancel := context.WithCancel(w.t.Context())
		a := &account{}
		a.once(0.6, cancel)
		u := w.user(2*mib, nil)
		if err := u.c.Download(ctx, job, a); !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
		tracker.expire(info)
		a = &account{}
		if err := u.do(job, a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.holds("f.bin", f)
		if a.done.Identity != "digest" || !strings.Contains(strings.Join(a.done.Notes, " "), "gave wrong bytes") {
			w.t.Errorf("identity %s, notes %q", a.done.Identity, a.done.Notes)
		}
	})
}
