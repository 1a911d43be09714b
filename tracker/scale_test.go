package tracker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

func TestThousandsOfPeers(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		const n = 5000
		c := h.client()
		early, _ := h.watch(c)
		parallel(n, 50, func(i int) { h.register(c, fmt.Sprintf("peer-%05d", i)) })

		for _, size := range []int32{0, 7, 1000} {
			peers, pages := h.list(c, size)
			wantPages := map[int32]int{0: 10, 7: 715, 1000: 5}[size]
			if len(peers) != n || pages < wantPages || pages > 3*wantPages {
				t.Errorf("page size %d: %d peers on %d pages", size, len(peers), pages)
			}
			for i, p := range peers {
				if p.GetId() != fmt.Sprintf("peer-%05d", i) {
					t.Fatalf("place %d holds %s", i, p.GetId())
				}
			}
		}
		if _, snapshot := h.watch(c); len(snapshot) != n {
			t.Errorf("snapshot of %d", len(snapshot))
		}
		seen := map[ddmv1.PeerChange_Kind]int{}
		for seen[ddmv1.PeerChange_KIND_EXPIRED] < n {
			for _, change := range must(early.Recv())(h).GetChanges() {
				seen[change.GetKind()]++
			}
		}
		if seen[ddmv1.PeerChange_KIND_JOINED] != n || len(h.ids(c)) != 0 {
			t.Errorf("saw %v, left %d", seen, len(h.ids(c)))
		}
	})
}

// TestPagesFitMessages lists the largest peers that can be registered.
func TestPagesFitMessages(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		c := h.client()
		for i := range 300 {
			req := request(fmt.Sprintf("peer-%05d", i))
			req.Peer.Lines = lines(64)
			must(c.Register(t.Context(), req))(h)
		}
		peers, _ := h.list(c, 1000)
		_, snapshot := h.watch(c)
		if len(peers) != 300 || len(snapshot) != 300 {
			t.Errorf("%d listed, %d in the snapshot", len(peers), len(snapshot))
		}
	})
}

// TestHerd has a thousand peers register at once, from machines of their own.
func TestHerd(t *testing.T) {
	bubble(t, tracker.Config{}, func(t *testing.T, h *harness) {
		const n = 1000
		leases := make([]string, n)
		periods := make([]time.Duration, n)
		parallel(n, n, func(i int) {
			c := h.from(fmt.Sprintf("10.1.%d.%d", i/250, i%250), "10.1.255.1")
			resp, err := c.Register(t.Context(), request(fmt.Sprintf("peer-%05d", i)))
			if err != nil {
				t.Errorf("peer %d: %v", i, err)
			}
			leases[i], periods[i] = resp.GetLeaseId(), resp.GetHeartbeatPeriod().AsDuration()
		})
		if ids := h.ids(h.client()); len(ids) != n {
			t.Errorf("%d listed", len(ids))
		}
		slices.Sort(leases)
		slices.Sort(periods)
		if len(slices.Compact(leases)) != n {
			t.Error("two leases have one id")
		}
		if periods[0] < 1800*time.Millisecond || periods[n-1] > 2*time.Second || len(slices.Compact(periods)) < n/2 {
			t.Errorf("periods from %v to %v", periods[0], periods[n-1])
		}
	})
}

func TestSlowWatcherIsEnded(t *testing.T) {
	bubble(t, tracker.Config{WatchQueue: 20}, func(t *testing.T, h *harness) {
		c := h.client()
		slow, _ := h.watch(h.client())
		quick, _ := h.watch(h.client())
		req := request("a")
		req.Peer.Lines = lines(64)
		for i := range 200 {
			must(c.Register(t.Context(), req))(h)
			if change := h.next(quick); change.GetPeer().GetId() != "a" {
				t.Errorf("change %d: %v", i, change)
			}
		}
		got := 0
		for {
			m, err := slow.Recv()
			if errors.Is(err, errdefs.Busy) {
				break
			}
			got += len(must(m, err)(h).GetChanges())
		}
		if got == 0 || got >= 200 {
			t.Errorf("the slow one got %d of 200 changes", got)
		}
		if _, snapshot := h.watch(c); len(snapshot) != 1 {
			t.Errorf("watching anew: %v", snapshot)
		}
	})
}

func TestLimits(t *testing.T) {
	bubble(t, tracker.Config{MaxPeers: 2, MaxWatchers: 1}, func(t *testing.T, h *harness) {
		c := h.client()
		h.register(c, "a")
		h.register(c, "b")
		h.register(c, "b")
		_, err := c.Register(t.Context(), request("c"))
		if _, ok := errdefs.RetryAfterOf(err); !errors.Is(err, errdefs.Busy) || !ok {
			t.Errorf("the third peer: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		first := must(c.WatchPeers(ctx, &ddmv1.WatchPeersRequest{}))(h)
		must(first.Recv())(h)
		second := must(c.WatchPeers(t.Context(), &ddmv1.WatchPeersRequest{}))(h)
		if _, err := second.Recv(); !errors.Is(err, errdefs.Busy) {
			t.Errorf("the second watcher: %v", err)
		}
		cancel()
		synctest.Wait()
		h.watch(c)
		time.Sleep(6 * time.Second)
		h.register(c, "c")
	})
}

// parallel calls f for 0 to n-1, so many at a time.
func parallel(n, atOnce int, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}
