package progress_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/progress"
)

const mib = 1 << 20

func begin(size int64) progress.Start {
	return progress.Start{
		URL: "https://user:secret@files.example/pub/image.iso?token=secret", Path: "/home/anna/image.iso",
		Size: size, Identity: "strong",
	}
}

func half(sources ...progress.Source) progress.Snapshot {
	return progress.Snapshot{
		Size: 200 * mib, Bytes: 100 * mib, Rate: 40 * mib, ETA: 2500 * time.Millisecond,
		Elapsed: 3 * time.Second, Sources: sources,
	}
}

func own(n int64) progress.Source {
	return progress.Source{Name: "eth0", Kind: "local", Bytes: n, Rate: 10 * mib, State: "running"}
}

func peer(name string, n int64) progress.Source {
	return progress.Source{Name: name, Kind: "peer", Bytes: n, Rate: 30 * mib, State: "running"}
}

func finished(sources ...progress.Source) progress.Done {
	return progress.Done{
		URL: "https://files.example/pub/image.iso", Path: "/home/anna/image.iso", Size: 200 * mib,
		Elapsed: 5 * time.Second, Identity: "strong", Sources: sources, OwnRate: 10 * mib,
	}
}

// show runs the UI until its display has settled and returns the screen.
func show(t *testing.T, width, height int, report func(*progress.UI)) string {
	t.Helper()
	var screen string
	synctest.Test(t, func(t *testing.T) {
		v := newVT(t, width, height)
		u := progress.New(v.options())
		report(u)
		time.Sleep(time.Second)
		screen = v.text()
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	})
	return screen
}

func TestLiveBlock(t *testing.T) {
	stalled := peer("kitchen", 60*mib)
	stalled.State, stalled.Rate, stalled.Note = "stalled", 0, "no byte for 3s"
	two := func(u *progress.UI) {
		r := u.Download("x")
		s := begin(200 * mib)
		s.Resumed = 20 * mib
		r.Start(s)
		r.Progress(half(stalled, own(40*mib)))
	}
	unknown := func(u *progress.UI) {
		r := u.Download("x")
		r.Start(begin(-1))
		r.Progress(progress.Snapshot{Size: -1, Bytes: 5 * mib, Rate: mib, ETA: -1, Elapsed: 7 * time.Second, Sources: []progress.Source{own(5 * mib)}})
	}
	for _, c := range []struct {
		name          string
		width, height int
		report        func(*progress.UI)
		want          string
	}{
		{"wide", 80, 24, two, `
image.iso  [++======>         ]   50%  100.0/200.0 MiB   40.0 MiB/s  ETA 3s
  eth0         10.0 MiB/s   40%  running
  kitchen           0 B/s   60%  stalled   no byte for 3s
`},
		{"before the start", 80, 24, func(u *progress.UI) { u.Download("https://a:b@files.example/image.iso?q") }, `
image.iso        0 B/s  connecting
`},
		{"narrow", 40, 24, two, `
ima..iso   50%   40.0 MiB/s  ETA 3s
  eth0         10.0 MiB/s  running
  kitchen           0 B/s  stalled
`},
		{"tiny", 12, 24, two, `
image.iso
  eth..
  kit..n
`},
		{"unknown size", 80, 24, unknown, `
image.iso  5.0 MiB    1.0 MiB/s  7s
  eth0         10.0 MiB/s  100%  running
`},
		{"finishing", 60, 24, func(u *progress.UI) {
			s := half()
			s.Phase = "finishing"
			u.Download("image.iso").Progress(s)
		}, `
image.iso   50%  100.0/200.0 MiB   40.0 MiB/s  finishing
`},
		{"empty file", 80, 24, func(u *progress.UI) {
			u.Download("empty").Progress(progress.Snapshot{ETA: -1})
		}, `
empty  [================================]  100%  0/0 B        0 B/s  ETA --
`},
		{"wide characters", 60, 24, func(u *progress.UI) {
			r := u.Download("x")
			r.Start(progress.Start{Path: "/tmp/日本語のファイル名はとても長いことがある.zst", Size: 200 * mib})
			r.Progress(half(peer("küche-日本", 1)))
		}, `
日本...zst    50%  100.0/200.0 MiB   40.0 MiB/s  ETA 3s
  küche-日本   30.0 MiB/s  100%  running
`},
		{"more sources than rows", 60, 5, func(u *progress.UI) {
			s := half(own(1))
			for i := range 9 {
				s.Sources = append(s.Sources, peer(fmt.Sprintf("peer%d", i), int64(i)*mib))
			}
			u.Download("image.iso").Progress(s)
		}, `
image.iso   50%  100.0/200.0 MiB   40.0 MiB/s  ETA 3s
  eth0         10.0 MiB/s   <1%  running
  peer8        30.0 MiB/s   22%  running
  and 8 more sources
`},
		{"more downloads than rows", 60, 4, func(u *progress.UI) {
			for i := range 6 {
				u.Download(fmt.Sprintf("file%d", i)).Progress(half(own(1)))
			}
		}, `
file0    50%  100.0/200.0 MiB   40.0 MiB/s  ETA 3s
file1    50%  100.0/200.0 MiB   40.0 MiB/s  ETA 3s
and 4 more downloads
`},
		{"hostile names", 80, 24, func(u *progress.UI) {
			u.Download("a\x1b[2Jb\u202e").Progress(half(peer("p\x1b]0;x\a\n", mib)))
		}, `
a�[2Jb�     [========>        ]   50%  100.0/200.0 MiB   40.0 MiB/s  ETA 3s
  p�]0;x�      30.0 MiB/s  100%  running
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := show(t, c.width, c.height, c.report)
			for l := range strings.SplitSeq(got, "\n") {
				if progress.Cells(l) >= c.width {
					t.Errorf("%d columns of %d: %q", progress.Cells(l), c.width, l)
				}
			}
			if rows := strings.Count(got, "\n"); rows >= c.height {
				t.Errorf("%d rows of %d", rows, c.height)
			}
			diff(t, got, c.want)
		})
	}
}
