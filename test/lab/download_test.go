//go:build lab && linux

package lab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ddm/test/lab/fileserver"
	"ddm/test/lab/netlab"
)

// event is any of the --json events.
type event struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`

	Size         *int64   `json:"size"`
	Identity     string   `json:"identity"`
	ResumedBytes int64    `json:"resumed_bytes"`
	Bytes        int64    `json:"bytes"`
	Rate         float64  `json:"rate"`
	Sources      []source `json:"sources"`

	Name   string `json:"name"`
	Change string `json:"change"`
	Reason string `json:"reason"`

	Path             string `json:"path"`
	ReassignedRanges int64  `json:"reassigned_ranges"`
	DuplicateBytes   int64  `json:"duplicate_bytes"`
	OriginBytes      int64  `json:"origin_bytes"`

	Kind    string `json:"kind"`
	Message string `json:"message"`
	Exit    int    `json:"exit"`
}

type source struct {
	Name  string  `json:"name"`
	Kind  string  `json:"kind"`
	Bytes int64   `json:"bytes"`
	Rate  float64 `json:"rate"`
	State string  `json:"state"`
}

// download is one run of ddm-client.
type download struct {
	proc    *netlab.Process
	events  *eventLog
	content fileserver.Content
	path    string // of the URL
	dir     string
}

// result is how a download ended.
type result struct {
	status int
	wall   time.Duration
	events []event
}

// start runs ddm-client on a host, saving to dir.
func (c *cluster) start(t *testing.T, host, dir, path string, flags ...string) *download {
	t.Helper()
	d := &download{dir: dir, path: path, events: newEventLog()}
	d.content, _ = fileserver.Parse(path) // a path without content is a test of its own
	args := append([]string{"--insecure", "--json", "--dir", dir}, flags...)
	d.proc = c.lab.Host(host).Start(t, d.events, binary(t, "ddm-client"), append(args, originURL+path)...)
	return d
}

// get is start with the cluster's tracker, into a fresh folder.
func (c *cluster) get(t *testing.T, path string) *download {
	t.Helper()
	return c.start(t, "client", t.TempDir(), path, "--tracker", c.trackerAddr())
}

// await waits for an event; the download must not end before.
func (d *download) await(t *testing.T, what string, match func(event) bool) event {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for seen := 0; ; {
		all, more := d.events.since(seen)
		for _, e := range all {
			if match(e) {
				return e
			}
		}
		seen += len(all)
		select {
		case <-more:
		case <-d.proc.Done():
			t.Fatalf("the download ended before %s: %s", what, d.events.text())
		case <-timer.C:
			t.Fatalf("waited %v in vain for %s: %s", patience, what, d.events.text())
		}
	}
}

// half waits until about half of the file is in.
func (d *download) half(t *testing.T) event {
	t.Helper()
	return d.await(t, "half of the file was in", func(e event) bool {
		return e.Event == "progress" && e.Bytes >= d.content.Size*2/5
	})
}

func (d *download) end(t *testing.T) result {
	t.Helper()
	status, wall := d.proc.Wait(t, patience)
	events, _ := d.events.since(0)
	return result{status: status, wall: wall, events: events}
}

// succeed waits for the end and checks all that a success promises.
func (d *download) succeed(t *testing.T) result {
	t.Helper()
	r := d.end(t)
	if r.status != 0 {
		t.Fatalf("exit status %d: %s", r.status, d.events.text())
	}
	done := r.last(t, "done")
	if done.Size == nil || *done.Size != d.content.Size {
		t.Errorf("done says size %v, want %d", done.Size, d.content.Size)
	}
	for _, e := range r.events {
		if e.Event == "error" {
			t.Errorf("an error event beside exit status 0: %+v", e)
		}
	}
	if want := filepath.Join(d.dir, d.content.Name); done.Path != "" && filepath.Base(done.Path) != d.content.Name {
		t.Errorf("done says path %q, want %q", done.Path, want)
	}
	d.compare(t)
	if names := list(t, d.dir); len(names) != 1 {
		t.Errorf("the folder holds %v, want only %s", names, d.content.Name)
	}
	return r
}

// compare holds the saved file against what the origin's must be.
func (d *download) compare(t *testing.T) {
	t.Helper()
	f, err := os.Open(filepath.Join(d.dir, d.content.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() != d.content.Size {
		t.Fatalf("the file has %d bytes, want %d", info.Size(), d.content.Size)
	}
	want := d.content.Reader()
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for off := int64(0); off < info.Size(); off += int64(len(a)) {
		n := min(int64(len(a)), info.Size()-off)
		if _, err := io.ReadFull(f, a[:n]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(want, b[:n]); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a[:n], b[:n]) {
			t.Fatalf("wrong bytes in [%d, %d)", off, off+n)
		}
	}
}

func list(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// last gives the only event of that kind that ends a download.
func (r result) last(t *testing.T, kind string) event {
	t.Helper()
	var found []event
	for _, e := range r.events {
		if e.Event == kind {
			found = append(found, e)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d events %q, want 1", len(found), kind)
	}
	return found[0]
}

// brought says how much each source gave, by the peer's name ("local" for all
// of the client's own lines).
func brought(e event) map[string]int64 {
	given := make(map[string]int64)
	for _, s := range e.Sources {
		given[peerName(s)] += s.Bytes
	}
	return given
}

func peerName(s source) string {
	if s.Kind == "local" {
		return "local"
	}
	return bareName(s.Name)
}

// bareName is a source's name without a line's name behind it.
func bareName(name string) string {
	if i := strings.IndexAny(name, "/ ("); i > 0 {
		return name[:i]
	}
	return name
}

// changes gives what "source" events said about a peer.
func (r result) changes(peer string) string {
	var all []string
	for _, e := range r.events {
		if e.Event == "source" && bareName(e.Name) == peer {
			all = append(all, e.Change)
		}
	}
	return strings.Join(all, " ")
}

// eventLog takes a client's stdout apart.
type eventLog struct {
	mu     sync.Mutex
	rest   []byte
	events []event
	lines  bytes.Buffer
	more   chan struct{} // closed when an event came
}

func newEventLog() *eventLog { return &eventLog{more: make(chan struct{})} }

func (l *eventLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines.Write(p)
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			break
		}
		l.rest = rest
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			e = event{Event: "garbage", Message: fmt.Sprintf("%v in %q", err, line)}
		}
		l.events = append(l.events, e)
	}
	close(l.more)
	l.more = make(chan struct{})
	return len(p), nil
}

// since gives the events from number seen on, and a channel that is closed when
// there are more.
func (l *eventLog) since(seen int) ([]event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[seen:len(l.events):len(l.events)], l.more
}

func (l *eventLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return "events:\n" + l.lines.String()
}
