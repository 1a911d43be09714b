package system_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ddm/client"
	"ddm/internal/progress"
)

type (
	progressSnapshot = progress.Snapshot
	sourceChange     = progress.SourceChange
)

// account is what a download reported.
type account struct {
	mu      sync.Mutex
	start   progress.Start
	snaps   []progress.Snapshot
	moves   []progress.SourceChange
	movedAt []time.Time // of each
	notes   []string
	plan    *progress.Plan
	done    *progress.Done
	log     []string                // names of the calls, in order
	at      func(progress.Snapshot) // called for each snapshot

	retracted bool // bytes may be taken back
	replaced  bool // bytes of an earlier run may be
}

func (a *account) add(what string, keep func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, what)
	keep()
}

func (a *account) Start(s progress.Start) { a.add("start", func() { a.start = s }) }
func (a *account) Source(s progress.SourceChange) {
	a.add("source", func() { a.moves, a.movedAt = append(a.moves, s), append(a.movedAt, time.Now()) })
}
func (a *account) Note(s string)         { a.add("note", func() { a.notes = append(a.notes, s) }) }
func (a *account) Plan(p progress.Plan)  { a.add("plan", func() { a.plan = &p }) }
func (a *account) Done(d progress.Done)  { a.add("done", func() { a.done = &d }) }
func (a *account) Fail(progress.Failure) {}

func (a *account) Progress(s progress.Snapshot) {
	a.add("progress", func() { a.snaps = append(a.snaps, s) })
	if a.at != nil {
		a.at(s)
	}
}

// check judges what every report must be like. err is what Download returned.
func (a *account) check(t *testing.T, err error) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	starts, last := 0, ""
	for _, what := range a.log {
		if last == "done" || last == "plan" {
			t.Errorf("%s is reported after %s", what, last)
		}
		last = what
		switch what {
		case "start":
			starts++
		case "source", "done":
			if starts == 0 {
				t.Errorf("%s is reported before start", what)
			}
		}
	}
	if (a.done != nil || a.plan != nil) != (err == nil) {
		t.Errorf("error %v, done %v, plan %v", err, a.done, a.plan)
	}
	var before progress.Snapshot
	for _, s := range a.snaps {
		if s.Phase != "checking" && starts == 1 && (s.Bytes < before.Bytes && !a.retracted || s.Elapsed < before.Elapsed) {
			t.Errorf("progress goes back from %d bytes at %v to %d at %v", before.Bytes, before.Elapsed, s.Bytes, s.Elapsed)
		}
		if s.Size >= 0 && s.Bytes > s.Size || s.Rate < 0 || s.Bytes < 0 {
			t.Errorf("progress makes no sense: %+v", s)
		}
		if s.Phase != "checking" {
			before = s
		}
	}
	if a.done == nil || starts != 1 {
		return
	}
	var sum int64
	for _, s := range a.done.Sources {
		sum += s.Bytes
	}
	fresh := a.done.Size - a.start.Resumed
	most := fresh
	if a.retracted { // of what came twice, the copy that was written may be the one taken back
		most += a.done.Duplicate
	}
	if d := a.done; sum < fresh || sum > most && !a.replaced || d.Origin+d.Stored < sum || d.LAN > d.Origin+d.Stored {
		t.Errorf("sources brought %d bytes of %d, of which %d were there before; %d came, %d of them over the LAN", sum, d.Size, a.start.Resumed, d.Origin+d.Stored, d.LAN)
	}
}

// once calls do when more than the share of the file is there.
func (a *account) once(share float64, do func()) {
	fire := sync.OnceFunc(do)
	a.at = func(s progress.Snapshot) {
		if float64(s.Bytes) > share*float64(s.Size) {
			fire()
		}
	}
}

func (a *account) brought(name string) int64 {
	for _, s := range a.done.Sources {
		if s.Name == name {
			return s.Bytes
		}
	}
	return 0
}

// starts returns how often it began.
func (a *account) starts() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, what := range a.log {
		if what == "start" {
			n++
		}
	}
	return n
}

// moved reports whether a source changed so.
func (a *account) moved(name, change string) bool {
	for _, m := range a.moves {
		if m.Name == name && m.Change == change {
			return true
		}
	}
	return false
}

// get downloads a path of the origin under its own name.
func (u *user) get(path string, a *account) error {
	return u.do(client.Job{URLs: []string{"http://" + originHost + path}}, a)
}

// do downloads into the world's folder and judges the report.
func (u *user) do(job client.Job, a *account) error {
	u.w.t.Helper()
	if job.Dir == "" {
		job.Dir = u.w.dir
	}
	err := u.c.Download(u.w.t.Context(), job, a)
	a.check(u.w.t, err)
	return err
}

func (a *account) String() string {
	var b bytes.Buffer
	if a.done != nil {
		fmt.Fprintf(&b, "%.1fs origin %d lan %d dup %d own %.0f", a.done.Elapsed.Seconds(), a.done.Origin, a.done.LAN, a.done.Duplicate, a.done.OwnRate)
		for _, s := range a.done.Sources {
			fmt.Fprintf(&b, " %s=%d(%s)", s.Name, s.Bytes, s.State)
		}
	}
	return b.String()
}

// noted reports whether a note holds the text.
func (a *account) noted(text string) bool {
	return slices.ContainsFunc(a.notes, func(n string) bool { return strings.Contains(n, text) })
}
