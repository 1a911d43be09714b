package system_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"ddm/client"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
)

// piecesBy is piecesOf with pieces of another length.
func piecesBy(f origintest.File, length int64) *digest.Pieces {
	p := &digest.Pieces{Length: length, Algorithm: digest.SHA256}
	for off := int64(0); off < f.Size; off += length {
		sum := sha256.Sum256(f.Bytes(off, int(min(length, f.Size-off))))
		p.Sums = append(p.Sums, sum[:])
	}
	return p
}

// banned returns who was.
func (a *account) banned() (names []string) {
	for _, m := range a.moves {
		if m.Change == "banned" && !slices.Contains(names, m.Name) {
			names = append(names, m.Name)
		}
	}
	return names
}

// TestLiarAmongEightAgainstPieces: one of eight lies, in bulk or about one
// byte. It is banned at its first bad piece, while the download runs, whether it
// brought the piece alone or others had a part in it (long pieces), and next to
// nothing comes for nothing.
func TestLiarAmongEightAgainstPieces(t *testing.T) {
	f := origintest.NewFile(48*mib, 91)
	for _, tc := range []struct {
		name    string
		wrong   func() func(int64) bool
		length  int64
		noLocal bool
		early   bool  // its first piece is a bad one
		waste   int64 // bytes more than the file
	}{
		{"in bulk", func() func(int64) bool { return bulk }, mib, false, true, 8 * mib},
		{"in bulk, no own line", func() func(int64) bool { return bulk }, mib, true, true, 8 * mib},
		{"once", once, mib, false, false, 4 * mib},
		{"long pieces", func() func(int64) bool { return bulk }, 12 * mib, false, false, 48 * mib},
		{"long pieces, no own line", func() func(int64) bool { return bulk }, 12 * mib, true, false, 48 * mib},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.book(trackerAddr).join(w.village(f, flips(f, tc.wrong()))...)
				a := &account{retracted: true}
				var last int64 // bytes there when somebody was banned
				a.at = func(s progressSnapshot) {
					if !a.moved("p0", "banned") {
						last = s.Bytes
					}
				}
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Pieces: piecesBy(f, tc.length)}
				if err := w.user(2*mib, func(o *client.Options) { o.NoLocal = tc.noLocal }).do(job, a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.t.Log(a, a.moves, a.notes, a.done.Notes, a.done.Verify, last)
				w.holds("f.bin", f)
				if got := a.banned(); !slices.Equal(got, []string{"p0"}) {
					w.t.Errorf("banned: %q", got)
				}
				if a.starts() != 1 || a.done.Identity != "digest" {
					w.t.Errorf("identity %s after %d starts", a.done.Identity, a.starts())
				}
				if tc.early && last > f.Size*3/4 {
					w.t.Errorf("%d of %d bytes were there before the liar was banned", last, f.Size)
				}
				if waste := a.done.Origin - f.Size - a.done.Duplicate; waste > tc.waste {
					w.t.Errorf("%d bytes came for nothing", waste)
				}
			})
		})
	}
}

// TestPiecesAfterResume: what a liar gave was written by an earlier run. Its
// pieces are found as soon as the next run begins, and it is not asked again.
func TestPiecesAfterResume(t *testing.T) {
	f := origintest.NewFile(24*mib, 92)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		info := w.liar("p0", &liar{file: f, rate: 4 * mib, order: flips(f, bulk)})
		w.book(trackerAddr).join(info)
		job := client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Dir: w.dir}
		ctx, cancel := context.WithCancel(w.t.Context())
		a := &account{}
		a.once(0.6, cancel)
		if err := w.user(2*mib, nil).c.Download(ctx, job, a); !errors.Is(err, context.Canceled) {
			w.t.Fatal(err)
		}
		job.Pieces = piecesOf(f)
		a = &account{retracted: true, replaced: true}
		if err := w.user(2*mib, nil).do(job, a); err != nil {
			w.t.Fatal(err, a.notes)
		}
		w.t.Log(a, a.moves, a.notes, a.done.Notes, a.start.Resumed)
		w.holds("f.bin", f)
		if a.start.Resumed == 0 || a.starts() != 1 || !slices.Equal(a.banned(), []string{"p0"}) || a.done.Identity != "digest" {
			w.t.Errorf("resumed %d, %d starts, banned %q, identity %s", a.start.Resumed, a.starts(), a.banned(), a.done.Identity)
		}
	})
}

// TestPiecesOfSomethingElse: the digests are not of what everybody serves.
// Nobody is banned for that, nothing is committed, and not much is fetched.
func TestPiecesOfSomethingElse(t *testing.T) {
	f, other := origintest.NewFile(48*mib, 93), origintest.NewFile(48*mib, 94)
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all of them %v", all), func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.book(trackerAddr).join(w.village(f, nil)...)
				p := piecesOf(other)
				if !all {
					p = piecesOf(f)
					p.Sums[0] = make([]byte, sha256.Size)
				}
				a := &account{retracted: true}
				err := w.user(2*mib, nil).do(client.Job{URLs: []string{"http://" + originHost + "/f.bin"}, Pieces: p}, a)
				if !errors.Is(err, errdefs.Corrupt) {
					w.t.Errorf("it ended with %v", err)
				}
				w.t.Log(err, a.moves, a.notes)
				w.vacant()
				if got := a.banned(); len(got) > 0 {
					w.t.Errorf("banned: %q", got)
				}
			})
		})
	}
}
