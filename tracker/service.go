package tracker

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	ddmv1 "ddm/proto/ddm/v1"
)

// service speaks gRPC for a registry. It judges what comes in and completes
// what goes out; it decides nothing.
type service struct {
	ddmv1.UnimplementedTrackerServiceServer
	cfg Config
	reg *registry
	// senders counts the goroutines that send to watchers; Server.Run waits
	// for them.
	senders sync.WaitGroup
}

func (s *service) hello() *ddmv1.Hello { return &ddmv1.Hello{Version: s.cfg.Version} }

// period is the time until a peer's next heartbeat: up to a tenth shorter than
// configured, so that peers which began together do not stay together.
func (s *service) period() *durationpb.Duration {
	return durationpb.New(s.cfg.Heartbeat - time.Duration(rand.Float64()*float64(s.cfg.Heartbeat)/10))
}

// Register implements ddmv1.TrackerServiceServer.
func (s *service) Register(ctx context.Context, req *ddmv1.RegisterRequest) (*ddmv1.RegisterResponse, error) {
	reg, err := parseRegister(req)
	if err != nil {
		return nil, err
	}
	from, reached := ends(ctx)
	at, err := newPlace(reg.host, reg.port, from)
	if err != nil {
		return nil, err
	}
	rec, err := s.reg.register(time.Now(), reg, at)
	if err != nil {
		return nil, err
	}
	return &ddmv1.RegisterResponse{
		Hello:           s.hello(),
		LeaseId:         rec.lease,
		HeartbeatPeriod: s.period(),
		LeaseDuration:   durationpb.New(s.cfg.Lease),
		Address:         rec.place.seenBy(reached),
	}, nil
}

// Heartbeat implements ddmv1.TrackerServiceServer.
func (s *service) Heartbeat(ctx context.Context, req *ddmv1.HeartbeatRequest) (*ddmv1.HeartbeatResponse, error) {
	b, err := parseHeartbeat(req)
	if err != nil {
		return nil, err
	}
	from, _ := ends(ctx)
	if err := s.reg.heartbeat(time.Now(), b, from); err != nil {
		return nil, err
	}
	return &ddmv1.HeartbeatResponse{NextPeriod: s.period()}, nil
}

// Deregister implements ddmv1.TrackerServiceServer.
func (s *service) Deregister(_ context.Context, req *ddmv1.DeregisterRequest) (*ddmv1.DeregisterResponse, error) {
	id, err := parseDeregister(req)
	if err != nil {
		return nil, err
	}
	s.reg.deregister(time.Now(), id)
	return &ddmv1.DeregisterResponse{}, nil
}

// ListPeers implements ddmv1.TrackerServiceServer. A page ends early where it
// would be too large for one message.
func (s *service) ListPeers(ctx context.Context, req *ddmv1.ListPeersRequest) (*ddmv1.ListPeersResponse, error) {
	n, after, err := parseList(req)
	if err != nil {
		return nil, err
	}
	_, reached := ends(ctx)
	page, more := s.reg.list(time.Now(), after, n)
	resp := &ddmv1.ListPeersResponse{}
	size := 0
	for _, rec := range page {
		info := rec.info(reached)
		size += proto.Size(info)
		if len(resp.Peers) > 0 && size > maxBatchBytes {
			more = true
			break
		}
		resp.Peers = append(resp.Peers, info)
	}
	if more {
		resp.NextPageToken = pageToken(resp.Peers[len(resp.Peers)-1].GetId())
	}
	return resp, nil
}

// WatchPeers implements ddmv1.TrackerServiceServer. Sending may block for as
// long as the client does not read, so that it has a goroutine of its own: it
// ends, at the latest, when this call returns and with it the stream.
func (s *service) WatchPeers(req *ddmv1.WatchPeersRequest, stream grpc.ServerStreamingServer[ddmv1.WatchPeersResponse]) error {
	if err := parseWatch(req); err != nil {
		return err
	}
	w, peers, err := s.reg.watch(time.Now())
	if err != nil {
		return err
	}
	defer s.reg.unwatch(w)
	sent := make(chan error, 1)
	s.senders.Go(func() { sent <- send(stream, w, peers) })
	select {
	case err := <-sent:
		return err
	case <-w.over:
		return w.err()
	}
}

// send sends the snapshot and then changes as they come, until the stream ends.
func send(stream grpc.ServerStreamingServer[ddmv1.WatchPeersResponse], w *watcher, peers []*record) error {
	ctx := stream.Context()
	_, reached := ends(ctx)
	var last []*ddmv1.PeerChange // goes out with the mark that closes the snapshot
	for batch := range batches(joins(peers), reached) {
		if last != nil {
			if err := stream.Send(&ddmv1.WatchPeersResponse{Changes: last}); err != nil {
				return err
			}
		}
		last = batch
	}
	if err := stream.Send(&ddmv1.WatchPeersResponse{Changes: last, Synced: true}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		for batch := range batches(w.take(), reached) {
			if err := stream.Send(&ddmv1.WatchPeersResponse{Changes: batch}); err != nil {
				return err
			}
		}
	}
}

// ends gives the two addresses of a call's connection: where the caller dialled
// from, and the address of ours that it reached.
func ends(ctx context.Context) (from, reached netip.Addr) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return from, reached
	}
	return ipOf(p.Addr), ipOf(p.LocalAddr)
}
