package system_test

import (
	"fmt"
	"strings"
	"testing"

	"ddm/client"
	"ddm/internal/origin/origintest"
)

// TestSpotChecks: no digest is known. Who lies in bulk is found while the
// download runs, banned, and what it gave replaced; the end says what that
// proves and what not. Nobody else is banned.
func TestSpotChecks(t *testing.T) {
	f := origintest.NewFile(48*mib, 90)
	for _, noLocal := range []bool{false, true} {
		for _, lies := range []bool{false, true} {
			t.Run(fmt.Sprintf("no own line %v, a liar %v", noLocal, lies), func(t *testing.T) {
				bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
					order := flips(f, bulk)
					if !lies {
						order = nil
					}
					w.book(trackerAddr).join(w.village(f, order)...)
					a := &account{retracted: lies}
					if err := w.user(2*mib, func(o *client.Options) { o.NoLocal = noLocal }).get("/f.bin", a); err != nil {
						w.t.Fatal(err, a.notes)
					}
					w.t.Log(a, a.moves, a.notes, a.done.Notes, a.done.Verify)
					w.holds("f.bin", f)
					for _, m := range a.moves {
						if m.Change == "banned" && m.Name != "p0" {
							w.t.Errorf("%s was banned: %s", m.Name, m.Reason)
						}
					}
					if a.moved("p0", "banned") != lies {
						w.t.Errorf("p0: %v", a.moves)
					}
					said := strings.Join(a.done.Notes, " ")
					if !strings.Contains(said, "only a digest would") || lies != strings.Contains(said, "p0 gave wrong bytes") {
						w.t.Errorf("the summary says %q", said)
					}
					if a.done.Verify == 0 || a.done.Verify > f.Size/100+2*mib || a.done.Identity != "strong" {
						w.t.Errorf("identity %s, %d bytes spent on checks", a.done.Identity, a.done.Verify)
					}
				})
			})
		}
	}
}
