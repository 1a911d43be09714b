package tracker_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"ddm/internal/pipenet"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

// lan is a listener in memory whose connections have the addresses that the
// dialler asks for.
type lan struct {
	*pipenet.Listener
	mu   sync.Mutex
	ends chan [2]net.Addr
}

func newLAN() *lan { return &lan{Listener: pipenet.Listen(), ends: make(chan [2]net.Addr, 1)} }

func (l *lan) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	ends := <-l.ends
	return &end{Conn: c, local: ends[0], remote: ends[1]}, nil
}

// dial connects from an IP address to the tracker at another one.
func (l *lan) dial(ctx context.Context, from, to string) (net.Conn, error) {
	addr := func(s string, port int) *net.TCPAddr {
		ip, err := net.ResolveIPAddr("ip", s)
		if err != nil {
			panic(err)
		}
		return &net.TCPAddr{IP: ip.IP, Zone: ip.Zone, Port: port}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c, err := l.DialContext(ctx)
	if err == nil {
		l.ends <- [2]net.Addr{addr(to, 7420), addr(from, 40000)}
	}
	return c, err
}

type end struct {
	net.Conn
	local, remote net.Addr
}

func (e *end) LocalAddr() net.Addr  { return e.local }
func (e *end) RemoteAddr() net.Addr { return e.remote }

// harness is a running tracker in a bubble.
type harness struct {
	*testing.T
	lan  *lan
	log  *bytes.Buffer
	stop func() error // ends the tracker; the first call's result stays
}

// bubble runs f in a synctest bubble with a tracker of that configuration.
func bubble(t *testing.T, cfg tracker.Config, f func(t *testing.T, h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, start(t, cfg)) })
}

func start(t *testing.T, cfg tracker.Config) *harness {
	t.Helper()
	h := &harness{T: t, lan: newLAN(), log: &bytes.Buffer{}}
	cfg.Log = hclog.New(&hclog.LoggerOptions{Output: h.log, Level: hclog.Debug})
	cfg.Version = "1.2.3"
	srv, err := tracker.NewOn(cfg, h.lan, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	h.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := h.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return h
}

// from is a connection of a machine with that address to the tracker at
// another one.
func (h *harness) from(ip, to string) ddmv1.TrackerServiceClient {
	h.Helper()
	return ddmv1.NewTrackerServiceClient(h.dial(ip, to))
}

func (h *harness) dial(ip, to string) *grpc.ClientConn {
	h.Helper()
	conn, err := rpc.Dial("passthrough:///tracker", rpc.Options{},
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return h.lan.dial(ctx, ip, to) }))
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = conn.Close() })
	return conn
}

// client is a connection whose address does not matter.
func (h *harness) client() ddmv1.TrackerServiceClient {
	h.Helper()
	return h.from("10.0.0.2", "10.0.0.1")
}

// must fails the test for an error.
func must[T any](v T, err error) func(h *harness) T {
	return func(h *harness) T {
		h.Helper()
		if err != nil {
			h.Fatal(err)
		}
		return v
	}
}

func (h *harness) register(c ddmv1.TrackerServiceClient, id string) string {
	h.Helper()
	return must(c.Register(h.Context(), request(id)))(h).GetLeaseId()
}

func (h *harness) beat(c ddmv1.TrackerServiceClient, lease string) error {
	h.Helper()
	_, err := c.Heartbeat(h.Context(), &ddmv1.HeartbeatRequest{LeaseId: lease})
	return err
}

// list follows the pages.
func (h *harness) list(c ddmv1.TrackerServiceClient, pageSize int32) (peers []*ddmv1.PeerInfo, pages int) {
	h.Helper()
	token := ""
	for {
		page := must(c.ListPeers(h.Context(), &ddmv1.ListPeersRequest{PageSize: pageSize, PageToken: token}))(h)
		peers = append(peers, page.GetPeers()...)
		pages++
		if token = page.GetNextPageToken(); token == "" {
			return peers, pages
		}
	}
}

// ids gives the ids of the listed peers.
func (h *harness) ids(c ddmv1.TrackerServiceClient) []string {
	h.Helper()
	peers, _ := h.list(c, 0)
	ids := make([]string, len(peers))
	for i, p := range peers {
		ids[i] = p.GetId()
	}
	return ids
}

// watch opens a watch and reads the snapshot.
func (h *harness) watch(c ddmv1.TrackerServiceClient) (stream ddmv1.TrackerService_WatchPeersClient, snapshot []*ddmv1.PeerInfo) {
	h.Helper()
	stream = must(c.WatchPeers(h.Context(), &ddmv1.WatchPeersRequest{}))(h)
	for {
		m := must(stream.Recv())(h)
		if len(m.GetChanges()) > 100 {
			h.Errorf("%d changes in one message", len(m.GetChanges()))
		}
		for _, change := range m.GetChanges() {
			if change.GetKind() != ddmv1.PeerChange_KIND_JOINED {
				h.Errorf("snapshot holds %v", change)
			}
			snapshot = append(snapshot, change.GetPeer())
		}
		if m.GetSynced() {
			return stream, snapshot
		}
	}
}

// next reads one message with one change.
func (h *harness) next(stream ddmv1.TrackerService_WatchPeersClient) *ddmv1.PeerChange {
	h.Helper()
	m := must(stream.Recv())(h)
	if m.GetSynced() || len(m.GetChanges()) != 1 {
		h.Fatalf("got %v, want one change", m)
	}
	return m.GetChanges()[0]
}

func request(id string) *ddmv1.RegisterRequest {
	return &ddmv1.RegisterRequest{
		Hello: &ddmv1.Hello{Version: "0.1", Capabilities: []string{"tunnel"}},
		Peer: &ddmv1.PeerInfo{
			Id: id, Name: "box " + id, Address: ":7430", Version: "0.1", Lines: lines(1), BootId: "boot-1",
		},
	}
}

func lines(n int) []*ddmv1.Line {
	all := make([]*ddmv1.Line, n)
	for i := range all {
		all[i] = &ddmv1.Line{Id: uint32(i), Name: fmt.Sprintf("a line with quite a long name, %032d", i)}
	}
	return all
}
