//go:build unix

package crash_test

import (
	"net"
	"strings"
	"testing"

	"ddm/internal/origin/origintest"
	"ddm/test/program"
)

// TestFewDescriptors gives each program 64 file descriptors and takes from
// tracker and peer what strangers can take. Nobody crashes, and the download
// is right.
func TestFewDescriptors(t *testing.T) {
	t.Parallel()
	few := programs.Limited(t, 64)
	file := origintest.NewFile(12*mib, 9)
	w := newWorker(t, shape{size: file.Size, rate: 3 * mib}, 1, &tally{})
	w.origin.Set("/a.bin", file)
	tracker, at := few.Tracker(t)
	peers := []*program.Process{few.Peer(t, at, "a", "127.0.0.2"), few.Peer(t, at, "b", "127.0.0.3")}
	programs.AwaitPeers(t, at, 2)
	for _, addr := range []string{at, peers[0].Address()} {
		for range 100 {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}
	sum := file.SHA256(file.Size)
	p := few.Start(t, "ddm-client", "--insecure", "--json", "--dir", w.dir, "--interface", "127.0.0.1", "--tracker", at,
		"--connections", "16", w.origin.URL+"/a.bin")
	if status := p.Wait(t); status != 0 {
		t.Fatalf("exit %d", status)
	}
	w.complete(t, "a.bin", sum)
	for _, s := range append(peers, tracker) {
		if s.Ended() {
			t.Error("a program ended")
		}
		if log := s.Stderr.String(); strings.Contains(log, "panic") {
			t.Error(log)
		}
	}
	if log := tracker.Stderr.String(); !strings.Contains(log, "connections refused") {
		t.Errorf("the tracker refused nobody: nothing was tested: %s", log)
	}
}
