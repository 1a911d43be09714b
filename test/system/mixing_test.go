package system_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/origin/origintest"
)

// TestNothingMixedWithoutValidators: where nothing tells two replies apart,
// everything is of one version, even if the resource changes and breaks.
func TestNothingMixedWithoutValidators(t *testing.T) {
	const size = 8 * mib
	bare := func(seed uint64) origintest.File {
		return origintest.File{Content: origintest.Content{Seed: seed}, Size: size}
	}
	tagged := origintest.NewFile(size, 8)
	for name, tc := range map[string]struct {
		then  origintest.File
		fault origintest.Fault
	}{
		"changes":                {bare(2), origintest.Fault{}},
		"changes and breaks":     {bare(2), origintest.Fault{Skip: 1, Count: 1, After: 4 * mib, End: origintest.Reset}},
		"changes, and has a tag": {tagged, origintest.Fault{}},
		"breaks, and has a tag":  {tagged, origintest.Fault{Skip: 1, Count: 1, After: 4 * mib, End: origintest.Truncate}},
		"changes, short replies": {bare(2), origintest.Fault{Short: mib / 2}},
	} {
		for _, peers := range []int{-1, 0, 1, 2} { // -1: none are to be asked
			t.Run(fmt.Sprint(name, ", ", peers, " peers"), func(t *testing.T) {
				bubble(t, map[string]origintest.File{"/f.bin": bare(1).With(tc.fault)}, func(w *world) {
					if peers > 0 {
						w.tracker()
					}
					for i := range peers {
						w.peer(fmt.Sprint("peer", i), mib)
					}
					change := time.AfterFunc(2*time.Second, func() { w.origin.Set("/f.bin", tc.then) })
					defer change.Stop()
					a := &account{retracted: true}
					u := w.user(mib, func(o *client.Options) { o.LocalOnly = peers < 0 })
					if err := u.get("/f.bin", a); err != nil {
						w.t.Fatal(err, a.notes)
					}
					got, err := os.ReadFile(filepath.Join(w.dir, "f.bin"))
					if err != nil {
						w.t.Fatal(err)
					}
					if first := bare(1); len(got) != size || !first.Verify(got, 0) && !tc.then.Verify(got, 0) {
						w.t.Errorf("%d bytes of no version, or of both: %v %q", len(got), a.moves, a.notes)
					}
				})
			})
		}
	}
}

// TestOtherTagOneDate: another strong ETag under the same date may be another
// node that has the same, or another version. Blocks of what came before tell.
func TestOtherTagOneDate(t *testing.T) {
	f, newer := origintest.NewFile(8*mib, 8), origintest.NewFile(8*mib, 1008)
	if f.Modified != newer.Modified || f.ETag == newer.ETag {
		t.Fatal("they are not alike")
	}
	renamed := f
	renamed.ETag = newer.ETag
	for _, peers := range []int{0, 2} {
		for name, tc := range map[string]struct {
			then     origintest.File
			identity string
			again    bool
		}{
			"another node":    {renamed, "weak", false},
			"another version": {newer, "strong", true},
		} {
			t.Run(fmt.Sprint(name, ", ", peers, " peers"), func(t *testing.T) {
				bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
					w.tracker()
					for i := range peers {
						w.peer(fmt.Sprint("peer", i), mib)
					}
					change := time.AfterFunc(1500*time.Millisecond, func() { w.origin.Set("/f.bin", tc.then) })
					defer change.Stop()
					a := &account{}
					u := w.user(mib, func(o *client.Options) { o.Connections = 4 })
					if err := u.get("/f.bin", a); err != nil {
						w.t.Fatal(err, a.notes)
					}
					w.contains("f.bin", tc.then)
					if a.done.Identity != tc.identity || a.noted("starting again") != tc.again {
						w.t.Errorf("identity %s, notes %q", a.done.Identity, a.notes)
					}
					for _, m := range a.moves {
						if m.Change == "banned" {
							w.t.Errorf("%s is blamed: %s", m.Name, m.Reason)
						}
					}
				})
			})
		}
	}
}

// TestWitnessShowsItsVersion: an own line that met another version, and does
// not say so, is no witness against those who brought the right bytes.
func TestWitnessShowsItsVersion(t *testing.T) {
	f := origintest.NewFile(8*mib, 8)
	other := origintest.File{Content: origintest.Content{Seed: 2}, Size: f.Size}
	bubble(t, nil, func(w *world) {
		w.mirror(secondHost, f, 0)
		w.mirror(thirdHost, f.With(origintest.Fault{Skip: 1, Become: &other}), 0)
		w.tracker()
		w.peer("a", mib)
		w.peer("b", mib)
		u := w.user(mib, nil)
		u.detours.Store(secondHost+":80", thirdHost+":80")
		a := &account{}
		if err := u.do(mirrors(secondHost), a); err != nil {
			w.t.Fatal(err, a.notes, a.moves)
		}
		w.contains("f.bin", f)
		for _, m := range a.moves {
			if m.Change == "banned" {
				w.t.Errorf("%s is blamed: %s", m.Name, m.Reason)
			}
		}
	})
}
