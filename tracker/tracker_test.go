package tracker_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

func TestLeaseEndsAtItsTime(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		stream, snapshot := h.watch(c)
		if len(snapshot) != 0 {
			t.Errorf("snapshot of nobody: %v", snapshot)
		}
		granted := time.Now()
		resp := must(c.Register(t.Context(), request("a")))(h)
		if d := resp.GetLeaseDuration().AsDuration(); d != 6*time.Second {
			t.Errorf("lease of %v", d)
		}
		if d := resp.GetHeartbeatPeriod().AsDuration(); d > 2*time.Second || d < 1800*time.Millisecond {
			t.Errorf("heartbeat after %v", d)
		}
		if resp.GetHello().GetVersion() != "1.2.3" || resp.GetAddress() != "10.0.0.2:7430" {
			t.Errorf("answer %v", resp)
		}
		joined := h.next(stream)
		if joined.GetKind() != ddmv1.PeerChange_KIND_JOINED || joined.GetPeer().GetName() != "box a" || time.Since(granted) != 0 {
			t.Errorf("%v after %v", joined, time.Since(granted))
		}
		time.Sleep(6*time.Second - time.Nanosecond)
		if ids := h.ids(c); !slices.Equal(ids, []string{"a"}) {
			t.Errorf("a nanosecond before the end: %q", ids)
		}
		time.Sleep(time.Nanosecond)
		if ids := h.ids(c); len(ids) != 0 {
			t.Errorf("at the end: %q", ids)
		}
		if gone := h.next(stream); gone.GetKind() != ddmv1.PeerChange_KIND_EXPIRED || gone.GetPeer().GetId() != "a" || time.Since(granted) != 6*time.Second {
			t.Errorf("%v after %v", gone, time.Since(granted))
		}
		if err := h.beat(c, resp.GetLeaseId()); !errors.Is(err, errdefs.LeaseExpired) {
			t.Errorf("heartbeat afterwards: %v", err)
		}
	})
}

// TestSilence has three peers: one beats, one falls silent like a killed
// process, one never beats.
func TestSilence(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		beats, silent := h.register(c, "beats"), h.register(c, "silent")
		h.register(c, "never")
		stream, _ := h.watch(c)
		begin := time.Now()
		beat := func(leases ...string) {
			time.Sleep(2 * time.Second)
			for _, lease := range leases {
				if err := h.beat(c, lease); err != nil {
					t.Fatalf("after %v: %v", time.Since(begin), err)
				}
			}
		}
		for range 5 {
			beat(beats, silent)
		}
		for range 1000 {
			beat(beats)
		}
		if ids := h.ids(c); !slices.Equal(ids, []string{"beats"}) {
			t.Errorf("left: %q", ids)
		}
		for _, want := range []string{"never", "silent"} {
			if gone := h.next(stream); gone.GetKind() != ddmv1.PeerChange_KIND_EXPIRED || gone.GetPeer().GetId() != want {
				t.Errorf("%v, want %s gone", gone, want)
			}
		}
	})
}

// TestExpiryIsSeenAtOnce reads the change when it comes, not when asked for.
func TestExpiryIsSeenAtOnce(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		stream, _ := h.watch(c)
		first, second := time.Now(), time.Now().Add(time.Second)
		h.register(c, "first")
		time.Sleep(time.Second)
		h.register(c, "second")
		h.next(stream)
		h.next(stream)
		for _, at := range []time.Time{first, second} {
			gone := h.next(stream)
			if after := time.Since(at); gone.GetKind() != ddmv1.PeerChange_KIND_EXPIRED || after != 6*time.Second {
				t.Errorf("%v after %v", gone, after)
			}
		}
	})
}

func TestDeregisterIsSeenAtOnce(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		lease := h.register(c, "a")
		stream, snapshot := h.watch(c)
		if len(snapshot) != 1 || snapshot[0].GetId() != "a" || snapshot[0].GetBootId() != "boot-1" {
			t.Errorf("snapshot %v", snapshot)
		}
		begin := time.Now()
		for range 2 { // an unknown lease is no error
			must(c.Deregister(t.Context(), &ddmv1.DeregisterRequest{LeaseId: lease}))(h)
		}
		gone := h.next(stream)
		if gone.GetKind() != ddmv1.PeerChange_KIND_LEFT || gone.GetPeer().GetId() != "a" || time.Since(begin) != 0 {
			t.Errorf("%v after %v", gone, time.Since(begin))
		}
		if gone.GetPeer().GetAddress() != "" || gone.GetPeer().GetLastHeartbeat() != nil {
			t.Errorf("more than the id: %v", gone)
		}
	})
}

func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := start(t, tracker.Config{})
		lease := before.register(before.client(), "a")
		if err := before.stop(); err != nil {
			t.Fatal(err)
		}
		after := start(t, tracker.Config{})
		c := after.client()
		if err := after.beat(c, lease); !errors.Is(err, errdefs.LeaseExpired) {
			t.Fatalf("a tracker that knows nobody answers %v", err)
		}
		again := after.register(c, "a")
		if again == lease {
			t.Error("a lease id was used twice")
		}
		if err := after.beat(c, again); err != nil {
			t.Error(err)
		}
	})
}

func TestRegisterAgainReplaces(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		stream, _ := h.watch(c)
		old := h.register(c, "a")
		h.next(stream)
		time.Sleep(5 * time.Second)

		restarted := request("a")
		restarted.Peer.BootId, restarted.Peer.Address = "boot-2", ":9999"
		lease := must(c.Register(t.Context(), restarted))(h).GetLeaseId()
		joined := h.next(stream)
		if joined.GetKind() != ddmv1.PeerChange_KIND_JOINED || joined.GetPeer().GetAddress() != "10.0.0.2:9999" || joined.GetPeer().GetBootId() != "boot-2" {
			t.Errorf("watchers see %v", joined)
		}
		if strings.Contains(h.log.String(), "[WARN]") {
			t.Errorf("a restart after a silence is no clone: %s", h.log)
		}
		if err := h.beat(c, old); !errors.Is(err, errdefs.LeaseExpired) {
			t.Errorf("the replaced lease: %v", err)
		}
		time.Sleep(5 * time.Second) // past the end of the old lease, which hits nobody
		if ids := h.ids(c); !slices.Equal(ids, []string{"a"}) {
			t.Errorf("listed: %q", ids)
		}
		if err := h.beat(c, lease); err != nil {
			t.Error(err)
		}
	})
}

// TestClonedDisk lets two runs of one id take turns, as two machines would.
func TestClonedDisk(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		for i := range 30 {
			req := request("a")
			req.Peer.BootId = fmt.Sprint("boot-", i%2)
			lease := must(c.Register(t.Context(), req))(h).GetLeaseId()
			if peers, _ := h.list(c, 0); len(peers) != 1 || peers[0].GetBootId() != req.GetPeer().GetBootId() {
				t.Fatalf("listed: %v", peers)
			}
			if err := h.beat(c, lease); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
		}
		if n := strings.Count(h.log.String(), "[WARN]"); n != 1 {
			t.Errorf("%d warnings in a minute, want 1:\n%s", n, h.log)
		}
	})
}

func TestHeartbeatCarriesLoadAndLines(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		lease := h.register(c, "a")
		stream, _ := h.watch(c)
		heartbeat := func(req *ddmv1.HeartbeatRequest) {
			req.LeaseId = lease
			period := must(c.Heartbeat(t.Context(), req))(h).GetNextPeriod().AsDuration()
			if period > 2*time.Second || period < 1800*time.Millisecond {
				t.Errorf("next heartbeat after %v", period)
			}
		}
		time.Sleep(2 * time.Second)
		heartbeat(&ddmv1.HeartbeatRequest{Load: &ddmv1.Load{Streams: 7}})
		heartbeat(&ddmv1.HeartbeatRequest{Load: &ddmv1.Load{Streams: 8}, Lines: lines(1)}) // the same lines
		peers, _ := h.list(c, 0)
		if peers[0].GetLoad().GetStreams() != 8 || !peers[0].GetLastHeartbeat().AsTime().Equal(time.Now()) || len(peers[0].GetLines()) != 1 {
			t.Errorf("listed: %v", peers[0])
		}
		heartbeat(&ddmv1.HeartbeatRequest{Lines: lines(2)})
		if joined := h.next(stream); joined.GetKind() != ddmv1.PeerChange_KIND_JOINED || len(joined.GetPeer().GetLines()) != 2 {
			t.Errorf("the first change is %v, want that of the lines", joined)
		}
		for name, req := range map[string]*ddmv1.HeartbeatRequest{
			"negative load": {LeaseId: lease, Load: &ddmv1.Load{FetchBytesPerSecond: -1}},
			"no lease":      {},
			"many lines":    {LeaseId: lease, Lines: lines(65)},
		} {
			if _, err := c.Heartbeat(t.Context(), req); !errors.Is(err, errdefs.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestAddressByAsker(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		peerHere, peerThere := h.from("127.0.0.1", "127.0.0.1"), h.from("192.168.1.5", "192.168.1.1")
		h.register(peerHere, "here")
		moving := h.register(peerThere, "there")
		for _, test := range []struct{ from, reached, here string }{
			{"192.168.1.9", "192.168.1.1", "192.168.1.1:7430"},
			{"fd00::9", "fd00::1", "[fd00::1]:7430"},
			{"127.0.0.1", "127.0.0.1", "127.0.0.1:7430"},
		} {
			c := h.from(test.from, test.reached)
			_, snapshot := h.watch(c)
			listed, _ := h.list(c, 0)
			for _, peers := range [][]*ddmv1.PeerInfo{snapshot, listed} {
				if len(peers) != 2 || peers[0].GetAddress() != test.here || peers[1].GetAddress() != "192.168.1.5:7430" {
					t.Errorf("%s sees %v", test.from, peers)
				}
			}
		}
		// A peer whose address changes is followed at its next heartbeat.
		stream, _ := h.watch(h.client())
		if err := h.beat(h.from("192.168.1.77", "192.168.1.1"), moving); err != nil {
			t.Fatal(err)
		}
		if joined := h.next(stream); joined.GetPeer().GetAddress() != "192.168.1.77:7430" {
			t.Errorf("moved: %v", joined)
		}
		if _, err := h.from("fe80::1%1", "fe80::2%1").Register(t.Context(), request("x")); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("from a link-local address: %v", err)
		}
	})
}
