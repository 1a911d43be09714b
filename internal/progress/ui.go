package progress

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options choose a display. Stdout and Stderr must be set.
type Options struct {
	Stdout io.Writer // JSON lines, plans; never the live display
	Stderr io.Writer // everything for people

	JSON     bool // JSON lines on Stdout, people get errors only
	Quiet    bool // errors only
	Terminal bool // Stderr can show a live display
	Color    bool // and colours

	Width   func() int // columns of the live display; nil: as Stderr's terminal has, else 80
	Height  func() int // its rows; nil: likewise, else 24
	Program string     // begins an error line; "": ddm-client
}

// UI draws any number of downloads that run at once. Its methods are safe for
// concurrent use.
type UI struct {
	style  style
	stdout io.Writer
	stderr io.Writer
	paint  *painter // nil: no live display

	wake chan struct{} // holds one token while there is something to write
	quit chan struct{}
	loop sync.WaitGroup

	mu     sync.Mutex // guards what follows; never held while writing
	views  []*view    // the downloads that have not ended, in the order of their coming
	nextID int
	out    outbox
	log    []byte // a log line without its end
	closed bool

	writing sync.Mutex // held while writing to stderr; guards what follows
	err     error      // the first that writing met
}

// New starts a display. Close it.
func New(o Options) *UI {
	if o.Program == "" {
		o.Program = "ddm-client"
	}
	u := &UI{
		stdout: o.Stdout,
		stderr: o.Stderr,
		wake:   make(chan struct{}, 1),
		quit:   make(chan struct{}),
	}
	switch {
	case o.JSON:
		u.style = jsonStyle{program: o.Program, quiet: o.Quiet}
	case o.Quiet:
		u.style = quietStyle{program: o.Program}
	case o.Terminal:
		p := palette{on: o.Color}
		u.style = liveStyle{program: o.Program, palette: p}
		u.paint = newPainter(o, p)
	default:
		u.style = plainStyle{program: o.Program}
	}
	u.loop.Go(u.run)
	return u
}

// Download adds a download and returns what to report it with. The label (a URL,
// a name) is shown until its Start says better.
func (u *UI) Download(label string) Reporter {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nextID++
	v := &view{id: u.nextID, label: clean(label), began: time.Now(), shown: time.Now()}
	if !u.closed {
		u.views = append(u.views, v)
	}
	return &reporter{ui: u, view: v}
}

// LogWriter returns where log lines go while the display is up: above the live
// block, else straight to Stderr. It never fails.
func (u *UI) LogWriter() io.Writer { return logWriter{u} }

// Close writes what waits, takes the live block away and returns the first error
// that writing met. What is reported afterwards is dropped; log lines still pass.
func (u *UI) Close() error {
	u.mu.Lock()
	first := !u.closed
	u.closed = true
	u.views = nil
	if len(u.log) > 0 {
		u.out.add(text{stderr: string(u.log) + "\n"}, true)
		u.log = nil
	}
	u.mu.Unlock()
	if first {
		close(u.quit)
	}
	u.loop.Wait()

	u.writing.Lock()
	defer u.writing.Unlock()
	return u.err
}

// run is the one goroutine that writes, apart from log lines without a live block.
func (u *UI) run() {
	tick := time.NewTicker(u.style.period())
	defer tick.Stop()
	for {
		select {
		case <-u.quit:
			u.flush(time.Now())
			return
		case now := <-tick.C:
			u.tick(now)
		case <-u.wake:
		}
		u.flush(time.Now())
	}
}

// tick says what is due of each download. It follows a flush in the same goroutine,
// so that a reader who does not keep up finds one such line waiting, not many.
func (u *UI) tick(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, v := range u.views {
		u.out.add(u.style.tick(v, now), true)
	}
}

// flush writes the texts that wait and, on a terminal, the block below them.
func (u *UI) flush(now time.Time) {
	u.mu.Lock()
	t := u.out.take()
	var views []view
	if u.paint != nil {
		for _, v := range u.views {
			views = append(views, *v)
		}
	}
	u.mu.Unlock()

	// Only this goroutine writes to stdout: a reader of it who is slow does not
	// hold up the log.
	var err error
	if u.paint == nil && t.stdout != "" {
		_, err = io.WriteString(u.stdout, t.stdout)
	}
	u.writing.Lock()
	defer u.writing.Unlock()
	u.fail(err)
	if u.paint != nil {
		u.fail(u.paint.draw(u.stdout, t, views, now))
		return
	}
	if t.stderr != "" {
		_, err = io.WriteString(u.stderr, t.stderr)
		u.fail(err)
	}
}

// fail keeps the first error of writing. The caller holds u.writing.
func (u *UI) fail(err error) {
	if u.err == nil && err != nil {
		u.err = fmt.Errorf("show progress: %w", err)
	}
}

// report changes a view and takes what its style says to it, unless the download
// has ended. A text that is droppable gives way when too much waits.
func (u *UI) report(v *view, droppable, last bool, say func(*view) text) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed || v.ended {
		return
	}
	u.out.add(say(v), droppable)
	if last {
		v.ended = true
		u.views = slices.DeleteFunc(u.views, func(o *view) bool { return o == v })
	}
	// A live block is redrawn soon enough, and all its texts with it.
	if u.paint == nil && !u.out.empty() {
		select {
		case u.wake <- struct{}{}:
		default:
		}
	}
}

// view is what is known of one download.
type view struct {
	id    int
	label string
	began time.Time
	shown time.Time // when a tick last said something
	start *Start    // nil: not started
	snap  *Snapshot // nil: none yet, and not started
	fresh bool      // snap has not been shown
	ended bool
}

// name is what the download is called in texts.
func (v *view) name() string {
	if v.start != nil && v.start.Path != "" && v.start.Path != "-" {
		return clean(filepath.Base(v.start.Path))
	}
	return nameOf(v.label)
}

// nameOf shortens a URL to the last step of its path; other labels stay.
func nameOf(label string) string {
	rest, isURL := label, false
	if _, after, ok := strings.Cut(label, "://"); ok {
		rest, isURL = after, true
	}
	if !isURL {
		return label
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	host, path, _ := strings.Cut(rest, "/")
	if path = strings.TrimRight(path, "/"); path != "" {
		return path[strings.LastIndexByte(path, '/')+1:]
	}
	return host[strings.LastIndexByte(host, '@')+1:]
}

// reporter reports one download into its UI.
type reporter struct {
	ui   *UI
	view *view
}

func (r *reporter) Start(s Start) {
	r.ui.report(r.view, false, false, func(v *view) text {
		v.start, v.shown = &s, time.Now()
		if v.snap == nil {
			v.snap = &Snapshot{Size: s.Size, Bytes: s.Resumed, ETA: -1}
		}
		return r.ui.style.start(v)
	})
}

func (r *reporter) Progress(s Snapshot) {
	s.Sources = arrange(s.Sources)
	r.ui.report(r.view, true, false, func(v *view) text {
		v.snap, v.fresh = &s, true
		return text{}
	})
}

func (r *reporter) Source(c SourceChange) {
	r.ui.report(r.view, true, false, func(v *view) text { return r.ui.style.source(v, c) })
}

func (r *reporter) Note(s string) {
	r.ui.report(r.view, true, false, func(v *view) text { return r.ui.style.note(v, s) })
}

func (r *reporter) Plan(p Plan) {
	r.ui.report(r.view, false, true, func(v *view) text { return r.ui.style.plan(v, p) })
}

func (r *reporter) Done(d Done) {
	r.ui.report(r.view, false, true, func(v *view) text { return r.ui.style.done(v, d) })
}

func (r *reporter) Fail(f Failure) {
	r.ui.report(r.view, false, true, func(v *view) text { return r.ui.style.fail(v, f) })
}

// arrange copies sources into the order of display, which does not change with
// their rates: own lines first, then by name.
func arrange(in []Source) []Source {
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(a, b Source) int {
		return cmp.Or(byKind(a, b), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// byKind puts this machine's own lines first.
func byKind(a, b Source) int {
	rank := func(s Source) int {
		if s.Kind == "local" {
			return 0
		}
		return 1
	}
	return cmp.Compare(rank(a), rank(b))
}

// logWriter passes whole lines on.
type logWriter struct{ ui *UI }

// Write takes over a copy of p; a last line without its end waits for it.
func (w logWriter) Write(p []byte) (int, error) {
	u := w.ui
	u.mu.Lock()
	if u.paint != nil && !u.closed {
		defer u.mu.Unlock()
		u.log = append(u.log, p...)
		if end := bytes.LastIndexByte(u.log, '\n') + 1; end > 0 || len(u.log) > maxLogLine {
			if end == 0 {
				u.log = append(u.log, '\n')
				end = len(u.log)
			}
			u.out.add(text{stderr: string(u.log[:end])}, true)
			u.log = append(u.log[:0], u.log[end:]...)
		}
		return len(p), nil
	}
	u.mu.Unlock()

	if u.paint != nil {
		u.loop.Wait() // the block goes first
	}
	u.writing.Lock()
	defer u.writing.Unlock()
	_, err := u.stderr.Write(p)
	u.fail(err)
	return len(p), nil // a display that is gone is no reason to stop
}
