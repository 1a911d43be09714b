package progress_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/progress"
)

// session runs report with a live display of the given size and returns what is
// on the screen at the end.
func session(t *testing.T, width, height int, change func(*progress.Options), report func(*vt, *progress.UI)) *vt {
	t.Helper()
	var v *vt
	synctest.Test(t, func(t *testing.T) {
		v = newVT(t, width, height)
		o := v.options()
		change(&o)
		u := progress.New(o)
		report(v, u)
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func same(*progress.Options) {}

func TestSessionEndsWithSummaryAlone(t *testing.T) {
	v := session(t, 90, 24, same, func(_ *vt, u *progress.UI) {
		r := u.Download("image.iso")
		time.Sleep(time.Second)
		r.Start(begin(200 * mib))
		for i := range 50 {
			s := half(own(int64(i)*mib), peer("kitchen", int64(i)*3*mib), peer("attic", mib))
			s.Bytes = int64(i) * 4 * mib
			s.Sources = s.Sources[:2+i/10%2]
			r.Progress(s)
			time.Sleep(100 * time.Millisecond)
			switch i {
			case 10:
				_, _ = fmt.Fprint(u.LogWriter(), "12:00 [WARN] a line")
			case 20:
				_, _ = fmt.Fprintln(u.LogWriter(), " in two parts")
			case 30:
				r.Source(progress.SourceChange{Name: "kitchen", Change: "stalled", Reason: "seen in the block"})
				r.Source(progress.SourceChange{Name: "attic", Change: "banned", Reason: "it sent wrong bytes"})
				r.Note("the tracker is away")
			}
		}
		r.Done(finished(own(50*mib), peer("kitchen", 150*mib)))
		r.Note("too late")
		_, _ = fmt.Fprint(u.LogWriter(), "without an end")
	})
	diff(t, v.text(), `
12:00 [WARN] a line in two parts
image.iso: attic banned: it sent wrong bytes
image.iso: the tracker is away
image.iso: 200.0 MiB in 5s, 40.0 MiB/s on average
  saved     /home/anna/image.iso
  identity  strong: every part came under one strong ETag and the same size;
            no digest was known to check the content against
  source     brought  share    mean rate
  kitchen  150.0 MiB    75%   30.0 MiB/s
  eth0      50.0 MiB    25%   10.0 MiB/s
  speed-up  4.0 times this machine's own line alone (10.0 MiB/s)
without an end
`)
	if v.colours != 0 {
		t.Errorf("%d colour sequences without colour", v.colours)
	}
}

func TestSessionScrollsCleanly(t *testing.T) {
	v := session(t, 50, 8, same, func(_ *vt, u *progress.UI) {
		one, two := u.Download("one"), u.Download("two")
		for i := range 40 {
			one.Progress(half(own(int64(i)), peer("kitchen", 1), peer("attic", 1), peer("cellar", 1)))
			two.Progress(half(own(int64(i)), peer("kitchen", 1), peer("attic", 1), peer("cellar", 1)))
			_, _ = fmt.Fprintf(u.LogWriter(), "log line %d\n", i)
			time.Sleep(300 * time.Millisecond)
		}
		one.Fail(progress.Failure{Message: "gone"})
		two.Fail(progress.Failure{Message: "gone, too"})
	})
	var want strings.Builder
	for i := range 40 {
		fmt.Fprintf(&want, "log line %d\n", i)
	}
	want.WriteString("ddm-client: one: gone\nddm-client: two: gone, too\n")
	diff(t, v.text(), want.String())
}

func TestSessionSurvivesResize(t *testing.T) {
	v := session(t, 100, 24, func(o *progress.Options) { o.Color = true }, func(v *vt, u *progress.UI) {
		r := u.Download("a-name-of-some-length.tar.zst")
		for _, width := range []int{100, 40, 25, 10, 70, 120} {
			v.resize(width, 24)
			r.Progress(half(own(int64(width)), peer("kitchen", 1), peer("attic", 1)))
			time.Sleep(300 * time.Millisecond)
		}
		r.Fail(progress.Failure{Kind: "interrupted", Message: "interrupted; run the same command again to resume"})
	})
	diff(t, v.text(), "ddm-client: a-name-of-some-length.tar.zst: interrupted; run the same command again to resume\n")
	if v.colours == 0 {
		t.Error("no colour sequence with colour")
	}
}

func TestSessionCutOffLeavesNothing(t *testing.T) {
	v := session(t, 80, 24, same, func(_ *vt, u *progress.UI) {
		u.Download("image.iso").Progress(half(own(1)))
		time.Sleep(time.Second)
	})
	if got := v.text(); got != "" {
		t.Errorf("left on the screen: %q", got)
	}
}

func TestSessionRedrawsOnlyWhatChanged(t *testing.T) {
	v := session(t, 80, 24, same, func(_ *vt, u *progress.UI) {
		r := u.Download("image.iso")
		for range 100 {
			r.Progress(half(own(1)))
			time.Sleep(100 * time.Millisecond)
		}
	})
	if v.writes > 4 {
		t.Errorf("%d writes for a block that stayed the same", v.writes)
	}
}

func TestPlanBesideLiveBlock(t *testing.T) {
	v := session(t, 80, 24, same, func(_ *vt, u *progress.UI) {
		one, two := u.Download("one"), u.Download("two")
		time.Sleep(time.Second)
		one.Plan(progress.Plan{
			URL: "https://u:p@files.example/one?token", Name: "one", Size: 3 * mib, Identity: "strong", Ranges: true,
			Helpers: []progress.Source{{Name: "kitchen", Kind: "peer"}, {Kind: "local"}, {Name: "attic", Kind: "tunnel", State: "busy", Note: "8 of 8 slots taken"}},
		})
		time.Sleep(time.Second)
		two.Plan(progress.Plan{URL: "https://files.example/two", Size: -1, Notes: []string{"a note"}})
	})
	diff(t, v.text(), `
one: dry run, nothing is saved
  origin    files.example
  size      3.0 MiB (3145728 bytes)
  identity  strong
  ranges    served: several sources can share the work
  own line  this machine
  helper    attic (tunnel)  busy: 8 of 8 slots taken
  helper    kitchen
two: dry run, nothing is saved
  origin    files.example
  size      unknown
  identity  none
  ranges    not served: one source would bring it all
  helpers   none
  note      a note
`)
}
