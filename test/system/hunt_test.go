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
	_, list := w.villagers(f, order)
	return list
}

func (w *world) villagers(f origintest.File, order func(s *lies, o any) error) (all []*liar, list []*ddmv1.PeerInfo) {
	for i := range 8 {
		gen := origin.Generation{Size: f.Size, ETag: f.ETag, LastModified: f.Modified.Format("Mon, 02 Jan 2006 15:04:05 GMT")}
		l := &liar{file: f, rate: 2 * mib, probe: &ddmv1.ProbeResponse{Generation: origin.GenerationToProto(gen), Ranges: true}}
		if i == 0 {
			l.order = order
		}
		all, list = append(all, l), append(list, w.liar(fmt.Sprintf("p%d", i), l))
	}
	return all, list
}

// flips serves a file with some bytes changed.
func flips(f origintest.File, wrong func(off int64) bool) func(*lies, any) error {
	return twist(func(s *lies, a *ddmv1.Assign) error {
		if err := s.started(a, f); err != nil {
			return err
		}
		for off, n := range s.parts(a, a.GetLength(), 64<<10) {
			p := f.Bytes(off, n)
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

// deceits are ways to lie, told byte by 4 KiB that are given.
var deceits = map[string]func() func(off int64) bool{
	"in bulk":       func() func(int64) bool { return bulk },
	"once":          once,
	"early":         func() func(int64) bool { return within(0, 512<<10) },
	"late":          func() func(int64) bool { return within(3*mib/2, 1<<40) },
	"once, late":    func() func(int64) bool { return within(3*mib/2, 3*mib/2+4<<10) },
	"now and again": func() func(int64) bool { return func(off int64) bool { return off/(64<<10)%16 == 7 } },
}

// within lies about what is given when so many bytes were given.
func within(from, to int64) func(off int64) bool {
	var given atomic.Int64 // its streams run side by side
	return func(int64) bool {
		n := given.Add(4 << 10)
		return n > from && n <= to
	}
}

// TestHuntForALiar: a digest of the whole does not match; of eight peers one
// lied. It is found with at most one more file of traffic, banned, and the
// download is right in the end.
func TestHuntForALiar(t *testing.T) {
	for _, size := range []int64{48 * mib, 21*mib + 4321} {
		f := origintest.NewFile(size, 80)
		for name, wrong := range deceits {
			if size > 24*mib && name != "in bulk" && name != "once" {
				continue
			}
			for _, noLocal := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d MiB, %s, no own line %v", size/mib, name, noLocal), func(t *testing.T) {
					bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) { w.hunt(f, wrong(), noLocal, strings.HasPrefix(name, "once")) })
				})
			}
		}
	}
}

func (w *world) hunt(f origintest.File, wrong func(off int64) bool, noLocal, once bool) {
	peers, list := w.villagers(f, flips(f, wrong))
	w.book(trackerAddr).join(list...)
	a := &account{}
	job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Checksums: sha(f)}
	if err := w.user(2*mib, func(o *client.Options) { o.NoLocal = noLocal }).do(job, a); err != nil {
		w.t.Fatal(err, a.notes)
	}
	w.holds("f.bin", f)
	w.t.Log(a, a.moves, a.notes, a.done.Notes, a.done.Verify)
	sent := w.origin.Sent()
	for _, l := range peers {
		sent += l.sent.Load()
	}
	w.t.Logf("%.2f files more were sent", float64(sent-f.Size)/float64(f.Size))
	// What ordinary downloads bring twice at their end is not the hunt's.
	if extra := a.done.Origin - f.Size - a.done.Duplicate; extra > f.Size {
		w.t.Errorf("%d bytes more than the file", extra)
	}
	if a.done.Identity != "digest" {
		w.t.Errorf("identity %s", a.done.Identity)
	}
	if got := a.banned(); len(got) != 1 || got[0] != "p0" {
		w.t.Errorf("banned are %q", got)
	}
	told := strings.Join(a.done.Notes, " ")
	if !strings.Contains(told, "p0 gave wrong bytes") || once && !strings.Contains(told, "the rest of what it gave is right") {
		w.t.Errorf("the summary does not tell: %q", a.done.Notes)
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
