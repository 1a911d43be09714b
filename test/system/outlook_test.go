package system_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
	ddmv1 "ddm/proto/ddm/v1"
)

// outlook plans one file, and checks that nothing was kept.
func (u *user) outlook(path string) (client.Outlook, error) {
	u.w.t.Helper()
	o, err := u.c.Outlook(u.w.t.Context(), client.Job{URLs: []string{"http://" + originHost + path}, Dir: u.w.dir})
	if entries, readErr := os.ReadDir(u.w.dir); readErr != nil || len(entries) > 0 {
		u.w.t.Errorf("%v were written (%v)", entries, readErr)
	}
	return o, err
}

func near(d time.Duration, seconds float64) bool {
	return math.Abs(d.Seconds()-seconds) < 0.05*seconds
}

// TestOutlook plans over an own line that is measured, a peer with a limit and
// one without.
func TestOutlook(t *testing.T) {
	f := origintest.NewFile(100*mib, 91)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		b := w.book(trackerAddr)
		b.join(
			&ddmv1.PeerInfo{Id: "a", Name: "attic", Address: "a:7430", Lines: []*ddmv1.Line{{Name: "x", LimitBytesPerSecond: 3 * mib}, {Id: 1, Name: "y", Closed: true}}},
			&ddmv1.PeerInfo{Id: "b", Name: "barn", Address: "b:7430", Lines: []*ddmv1.Line{{Name: "z"}, {Id: 1, Name: "m", Metered: true}}},
		)
		o, err := w.user(mib, nil).outlook("/f.bin")
		if err != nil {
			w.t.Fatal(err)
		}
		var who []string
		for _, s := range o.Sources {
			who = append(who, fmt.Sprintf("%s %s %s %d", s.Name, s.Kind, s.Basis, s.Bytes/mib))
		}
		if got := strings.Join(who, ", "); got != "own line local measured 20, attic/x peer limit 60, barn/z peer assumed 20" {
			w.t.Errorf("sources %s", got)
		}
		if !near(o.Expected, 20) || !near(o.Bounds.OneCopy, 20) || !near(o.Bounds.PeerToPeer, 20) || !near(o.Bounds.ClientServer, 100) {
			w.t.Errorf("expected %v, bounds %+v", o.Expected, o.Bounds)
		}
		if b := o.Bottleneck; len(b.Sources) != 3 || b.Receiver || !near(b.Needs, 20) || b.Bytes != f.Size {
			w.t.Errorf("bottleneck %+v", b)
		}
		if len(o.Notes) != 1 || o.Notes[0] != "m of barn is metered and left out" {
			w.t.Errorf("notes %q", o.Notes)
		}
		if w.origin.Sent() > 2*mib {
			w.t.Errorf("%d bytes from the origin", w.origin.Sent())
		}
	})
}

// TestOutlookUnderLimit: what this machine may take is the bottleneck then.
func TestOutlookUnderLimit(t *testing.T) {
	f := origintest.NewFile(50*mib, 92)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		b := w.book(trackerAddr)
		b.join(&ddmv1.PeerInfo{Id: "a", Name: "attic", Address: "a:7430", Lines: []*ddmv1.Line{{LimitBytesPerSecond: 9 * mib}}})
		o, err := w.user(mib, func(o *client.Options) { o.LimitRate = 2 * mib }).outlook("/f.bin")
		if err != nil || !near(o.Expected, 25) || !o.Bottleneck.Receiver || !near(o.Bottleneck.Needs, 25) || !near(o.Bounds.PeerToPeer, 25) {
			w.t.Errorf("%+v, %v", o, err)
		}
	})
}

// TestOutlookWithoutRates: a peer that nothing is known of promises nothing.
func TestOutlookWithoutRates(t *testing.T) {
	f := origintest.NewFile(50*mib, 93)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.peer("a", mib)
		time.Sleep(time.Second) // the peer registers
		o, err := w.user(mib, func(o *client.Options) { o.NoLocal = true }).outlook("/f.bin")
		if err != nil || o.Expected != 0 || len(o.Sources) != 1 || o.Sources[0].Basis != "unknown" || len(o.Bottleneck.Sources) != 0 {
			w.t.Errorf("%+v, %v", o, err)
		}
		if _, err := w.user(mib, nil).outlook("/none.bin"); errdefs.KindOf(err) != errdefs.NotFound {
			w.t.Errorf("a resource that is not there: %v", err)
		}
	})
}

// TestOutlookAlone: without ranges only one line can bring it.
func TestOutlookAlone(t *testing.T) {
	f := origintest.NewFile(30*mib, 94).With(origintest.Fault{Status: 200})
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		b := w.book(trackerAddr)
		b.join(&ddmv1.PeerInfo{Id: "a", Name: "attic", Address: "a:7430", Lines: []*ddmv1.Line{{LimitBytesPerSecond: 9 * mib}}})
		o, err := w.user(mib, nil).outlook("/f.bin")
		if err != nil || len(o.Sources) != 1 || !near(o.Expected, 30) || len(o.Notes) != 1 {
			w.t.Errorf("%+v, %v", o, err)
		}
	})
}
