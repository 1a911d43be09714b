//go:build unix

package crash_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ddm/internal/origin/origintest"
	"ddm/test/program"
)

// job is one download that a test interferes with.
type job struct {
	*worker

	file origintest.File
}

func newJob(t *testing.T, s shape) *job {
	t.Helper()
	j := &job{worker: newWorker(t, s, 1, &tally{}), file: origintest.NewFile(s.size, 3)}
	j.origin.Set("/a.bin", j.file)
	return j
}

// begin starts the client and waits until the origin sent a share of the file.
func (j *job) begin(t *testing.T, share float64) *program.Process {
	t.Helper()
	p := j.start(t, "a.bin", j.file.SHA256(j.size))
	if !j.sentShare(t, p, j.origin.Sent(), share) {
		t.Fatal("it ended too early")
	}
	return p
}

func (j *job) ends(t *testing.T, p *program.Process, want int) {
	t.Helper()
	if status := p.Wait(t); status != want {
		t.Fatalf("exit %d, want %d", status, want)
	}
}

func (j *job) finished(t *testing.T) {
	t.Helper()
	j.complete(t, "a.bin", j.file.SHA256(j.size))
}

// TestStopped stops the client, a peer, or both in the middle.
func TestStopped(t *testing.T) {
	t.Parallel()
	pause := 3 * time.Second
	if os.Getenv("DDM_KILLS") != "" {
		pause = 70 * time.Second // longer than the patience for a download without a byte
	}
	for _, tt := range []struct {
		name         string
		peers        int
		client, peer bool
	}{
		{name: "client", client: true},
		{name: "client with peers", peers: 2, client: true},
		{name: "peer", peers: 2, peer: true},
		{name: "client and peer", peers: 2, client: true, peer: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, shape{size: 12 * mib, rate: 2 * mib, peers: tt.peers})
			p := j.begin(t, 0.4)
			if tt.peer {
				j.helpers[0].Signal(syscall.SIGSTOP)
			}
			if tt.client {
				p.Signal(syscall.SIGSTOP)
				time.Sleep(pause)
				p.Signal(syscall.SIGCONT)
			}
			j.ends(t, p, 0)
			j.finished(t)
		})
	}
}

// TestInterrupted ends the client by a signal; the same command goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, shape{size: 8 * mib, rate: 4 * mib})
			p := j.begin(t, 0.5)
			p.Signal(sig)
			j.ends(t, p, 7)
			if e, ok := p.Event("error"); !ok || e.Exit != 7 {
				t.Errorf("no error event with status 7: %v", e)
			}
			if exists(filepath.Join(j.dir, "a.bin")) || !exists(filepath.Join(j.dir, ".a.bin.ddm-part")) {
				t.Error("the part file is not kept, or has a name already")
			}
			sent := j.origin.Sent()
			p = j.begin(t, 0)
			j.ends(t, p, 0)
			// An end in good order saves everything that arrived.
			e, _ := p.Event("start")
			if again := j.origin.Sent() - sent; e.Resumed < j.size/4 || again > j.size-e.Resumed+probe {
				t.Errorf("resumed %d of %d, %d bytes were sent", e.Resumed, j.size, again)
			}
			j.finished(t)
		})
	}
}

// TestSecondClient: one process at a time may download to a name.
func TestSecondClient(t *testing.T) {
	t.Parallel()
	j := newJob(t, shape{size: 8 * mib, rate: 4 * mib})
	first := j.begin(t, 0.2)
	second := j.begin(t, 0)
	j.ends(t, second, 11)
	if first.Ended() {
		t.Error("the first one was over before the second one: nothing was tested")
	}
	j.ends(t, first, 0)
	j.finished(t)
	if s := first.Stderr.String(); strings.Contains(s, "another process") {
		t.Error(s)
	}
}

// TestAloneAtLast kills the tracker and every peer in the middle.
func TestAloneAtLast(t *testing.T) {
	t.Parallel()
	s := shape{size: 12 * mib, rate: 3 * mib}
	j := newJob(t, s)
	var tracker *program.Process
	tracker, j.tracker = programs.Tracker(t)
	for i := range 2 {
		j.helpers = append(j.helpers, j.peer(t, i))
	}
	programs.AwaitPeers(t, j.tracker, 2)
	p := j.begin(t, 0.3)
	tracker.Kill()
	for _, h := range j.helpers {
		h.Kill()
	}
	j.ends(t, p, 0)
	j.finished(t)
}

// TestOriginGone cuts the connection to the origin and lets it err for a while.
func TestOriginGone(t *testing.T) {
	t.Parallel()
	j := newJob(t, shape{size: 4 * mib, rate: 2 * mib})
	cut := j.file.With(origintest.Fault{Skip: 1, Count: 3, Status: 502}, origintest.Fault{Count: 1, After: mib / 2, End: origintest.Reset})
	j.origin.Set("/a.bin", cut)
	p := j.begin(t, 0)
	j.ends(t, p, 0)
	j.finished(t)
}
