package system_test

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"

	"ddm/client"
	"ddm/internal/catalogue"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/rpc"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

// onlooker enters the swarm of a file and says what it was told: whether some
// of it is held, and by which peers.
func (w *world) onlooker(url string, f origintest.File) (held bool, peers []string) {
	w.t.Helper()
	conn, err := rpc.Dial("passthrough:///"+trackerAddr, rpc.Options{},
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return w.net.dial(ctx, addr) }))
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	stream, err := ddmv1.NewSwarmServiceClient(conn).Join(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := catalogue.KeyOf(url)
	if err != nil {
		w.t.Fatal(err)
	}
	tag, _ := catalogue.TagOf(origin.Generation{Size: f.Size, ETag: f.ETag})
	for _, req := range []*ddmv1.JoinRequest{
		{Step: &ddmv1.JoinRequest_Enter{Enter: &ddmv1.Enter{Key: key[:], Id: "onlooker"}}},
		{Step: &ddmv1.JoinRequest_Bind{Bind: &ddmv1.Bind{Generation: tag[:], Size: f.Size}}},
	} {
		if err := stream.Send(req); err != nil {
			w.t.Fatal(err)
		}
	}
	for {
		resp, err := stream.Recv()
		if err != nil { // that was all
			slices.Sort(peers)
			return held, peers
		}
		held = held || resp.GetEntered().GetHeld()
		for _, m := range resp.GetMembers().GetCame() {
			if m.GetPeer() {
				peers = append(peers, m.GetName())
			}
		}
	}
}

// TestTrackerKnowsWhatPeersHold has the tracker learn what peers fetched for a
// client, lose it when it restarts, and learn it again.
func TestTrackerKnowsWhatPeersHold(t *testing.T) {
	f := origintest.NewFile(40*mib, 78)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		stop := w.tracker()
		url := "http://" + originHost + "/f.bin"
		var stops []func()
		for _, name := range []string{"p", "q"} {
			stops = append(stops, w.machine(map[string]float64{"x": 2 * mib}).peer(name, peer.Config{Store: memory(w)}))
		}
		want := func(when string, peers ...string) {
			t.Helper()
			if held, got := w.onlooker(url, f); held != (len(peers) > 0) || !slices.Equal(got, peers) {
				t.Errorf("%s: held %v, by %v, want %v", when, held, got, peers)
			}
		}
		time.Sleep(time.Second)
		want("at first")
		if err := w.machine(map[string]float64{"eth0": mib}).user(func(o *client.Options) { o.NoLocal = true }).get("/f.bin", &account{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		want("after a download", "p", "q")
		stop()
		w.tracker()
		time.Sleep(5 * time.Second)
		want("after a restart of the tracker", "p", "q")
		stops[0]()
		want("after a peer left", "q")
		stops[1]()
		want("after both left")
	})
}
