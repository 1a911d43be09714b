package progress_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/progress"
)

// record runs report without a terminal and returns what came out.
func record(t *testing.T, o progress.Options, report func(*progress.UI)) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		o.Stdout, o.Stderr = &out, &err
		u := progress.New(o)
		report(u)
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return out.String(), err.String()
}

// story is a download of 12 seconds.
func story(u *progress.UI) {
	r := u.Download("https://files.example/pub/image.iso")
	s := begin(200 * mib)
	s.Resumed = 20 * mib
	r.Start(s)
	gone := peer("attic", mib)
	gone.State = "left"
	for range 12 {
		time.Sleep(time.Second)
		r.Progress(half(own(40*mib), peer("kitchen", 60*mib), gone))
	}
	r.Source(progress.SourceChange{Name: "kitchen", Change: "joined"})
	r.Source(progress.SourceChange{Name: "attic\x1b[1m", Change: "failed", Reason: "connection\nreset"})
	r.Note("the tracker is away")
	d := finished(own(60*mib), peer("kitchen", 120*mib), gone)
	d.Elapsed = 12 * time.Second
	d.Digest = "sha256:00ff"
	d.Reassigned, d.Duplicate, d.Verify = 1, 3*mib, mib/2
	d.Notes = []string{"the origin speaks plain http: nothing protects the bytes on their way to this machine"}
	r.Done(d)
}

func TestPlain(t *testing.T) {
	stdout, stderr := record(t, progress.Options{}, story)
	if stdout != "" {
		t.Errorf("on stdout: %q", stdout)
	}
	diff(t, stderr, `
image.iso: 200.0 MiB from files.example, identity strong, 20.0 MiB here already
image.iso: 50%, 100.0/200.0 MiB, 40.0 MiB/s, ETA 3s, 2 sources
image.iso: 50%, 100.0/200.0 MiB, 40.0 MiB/s, ETA 3s, 2 sources
image.iso: kitchen joined
image.iso: attic`+"\ufffd"+`[1m failed: connection reset
image.iso: the tracker is away
image.iso: 200.0 MiB in 12s, 15.0 MiB/s on average
  saved     /home/anna/image.iso
  resumed   20.0 MiB were here already, 180.0 MiB were still to come
  identity  strong: every part came under one strong ETag and the same size;
            no digest was known to check the content against
  sha256    00ff
  source     brought  share    mean rate
  kitchen  120.0 MiB    66%   30.0 MiB/s
  eth0      60.0 MiB    33%   10.0 MiB/s
  attic      1.0 MiB     1%   30.0 MiB/s  left
  speed-up  1.5 times this machine's own line alone (10.0 MiB/s)
  extra     1 range reassigned, 3.0 MiB came twice, 512.0 KiB fetched for checks
  note      the origin speaks plain http: nothing protects the bytes on their
            way to this machine
`)
}

func TestPlainWithoutSize(t *testing.T) {
	_, stderr := record(t, progress.Options{}, func(u *progress.UI) {
		r := u.Download("-")
		r.Start(progress.Start{URL: "http://h.example/x", Path: "-", Size: -1})
		r.Progress(progress.Snapshot{Size: -1, Bytes: 5 * mib, Rate: mib, ETA: -1, Phase: "waiting", Sources: []progress.Source{own(1)}})
		time.Sleep(6 * time.Second)
		r.Done(progress.Done{Path: "-", Size: 7})
	})
	diff(t, stderr, `
-: size unknown from h.example, identity none
-: 5.0 MiB, 1.0 MiB/s, waiting, 1 source
-: 7 B in 0s
  written   to stdout, in order
  identity  none: the origin gave nothing to tell versions apart; only the
            length of what arrived was checked
`)
}

func TestQuietSaysErrorsOnly(t *testing.T) {
	stdout, stderr := record(t, progress.Options{Quiet: true, Terminal: true}, func(u *progress.UI) {
		story(u)
		u.Download("x").Plan(progress.Plan{Name: "x"})
		u.Download("https://h.example/image").Fail(progress.Failure{Kind: "not found", Exit: 3})
		u.Download("https://h.example/image").Fail(progress.Failure{Message: "https://h.example/image: not found"})
	})
	if stdout != "" {
		t.Errorf("on stdout: %q", stdout)
	}
	diff(t, stderr, "ddm-client: image: not found\nddm-client: https://h.example/image: not found\n")
}

func TestSpeedUpPraisesNobodyForNothing(t *testing.T) {
	tunnel := peer("attic", 150*mib)
	tunnel.Kind = "tunnel"
	for _, c := range []struct {
		name    string
		own     float64
		sources []progress.Source
		want    string // how the speed-up line begins; "": there is none
	}{
		{"helped", 10 * mib, []progress.Source{own(50 * mib), peer("kitchen", 150*mib)}, "4.0 times this machine's"},
		{"a tunnel helped", 20 * mib, []progress.Source{own(50 * mib), tunnel}, "2.0 times"},
		{"peers behind the same router", 39 * mib, []progress.Source{own(50 * mib), peer("kitchen", 150*mib)}, "none: the peers brought nothing beyond"},
		{"slower with peers", 80 * mib, []progress.Source{own(50 * mib), peer("kitchen", 150*mib)}, "none:"},
		{"own line unknown", 0, []progress.Source{own(50 * mib), peer("kitchen", 150*mib)}, ""},
		{"no peer", 10 * mib, []progress.Source{own(200 * mib)}, ""},
		{"a peer that brought nothing", 10 * mib, []progress.Source{own(200 * mib), peer("kitchen", 0)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stderr := record(t, progress.Options{}, func(u *progress.UI) {
				d := finished(c.sources...)
				d.OwnRate = c.own
				u.Download("x").Done(d)
			})
			_, line, found := strings.Cut(stderr, "\n  speed-up  ")
			if found != (c.want != "") || !strings.HasPrefix(line, c.want) {
				t.Errorf("speed-up %q, want %q", line, c.want)
			}
		})
	}
}

func TestSummarySaysWhatWasProved(t *testing.T) {
	for _, c := range [][2]string{
		{"digest", "digest: the whole file was hashed"},
		{"strong", "strong: every part came under one strong ETag"},
		{"weak", "weak: every part came with the same size and modification"},
		{"sampled", "sampled: sizes agree"},
		{"none", "none: the origin gave nothing"},
		{"", "none: the origin gave nothing"},
	} {
		_, stderr := record(t, progress.Options{}, func(u *progress.UI) {
			d := finished(own(200 * mib))
			d.Identity = c[0]
			u.Download("x").Done(d)
		})
		if !strings.Contains(stderr, "  identity  "+c[1]) {
			t.Errorf("identity %q:\n%s", c[0], stderr)
		}
	}
}
