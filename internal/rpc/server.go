package rpc

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"ddm/internal/errdefs"
)

// NewServer makes a server with the limits of its role: error kinds and panics
// become statuses, dead and silent connections are cut, health and reflection
// are registered. The caller registers its services and hands the server to
// Serve. Options in extra come last and win.
func NewServer(o Options, extra ...grpc.ServerOption) *grpc.Server {
	streams, readBuffer, writeBuffer := uint32(controlStreams), controlBuffer, controlBuffer
	if o.Role == Bulk {
		streams, writeBuffer = bulkStreams, bulkWriteBuffer
	}
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		serverPool(o.pool()),
		grpc.ChainUnaryInterceptor(unaryServer(o.logger())),
		grpc.ChainStreamInterceptor(streamServer(o.logger())),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPingInterval, PermitWithoutStream: true}),
		grpc.ConnectionTimeout(handshakeTimeout),
		// Bounds running handlers too: a flood of resets waits for them.
		grpc.MaxConcurrentStreams(streams),
		grpc.MaxHeaderListSize(maxHeaderList),
		grpc.MaxRecvMsgSize(o.maxRecv(false)),
		// No server receives bulk bytes.
		grpc.StaticStreamWindowSize(narrowWindow),
		grpc.StaticConnWindowSize(narrowWindow),
		grpc.ReadBufferSize(readBuffer),
		grpc.WriteBufferSize(writeBuffer),
		grpc.WaitForHandlers(true),
	}
	if o.Guard != nil {
		opts = append(opts, grpc.InTapHandle(o.Guard.tap))
	}
	if o.Creds != nil {
		opts = append(opts, grpc.Creds(o.Creds))
	}
	s := grpc.NewServer(append(opts, extra...)...)
	h := o.Health
	if h == nil {
		h = health.NewServer()
	}
	grpc_health_v1.RegisterHealthServer(s, h)
	reflection.RegisterV1(s)
	return s
}

// Serve runs s on lis until ctx ends, then lets running calls go on for the
// grace and cuts what is left; it returns when every handler has returned. The
// error is nil after an orderly end, Unavailable if the listener failed. Long
// streams should end by themselves when ctx does, or each stop takes the whole
// grace. It closes lis.
func Serve(ctx context.Context, s *grpc.Server, lis net.Listener, grace time.Duration) error {
	served := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { served <- s.Serve(lis) })
	select {
	case err := <-served:
		s.Stop()
		if err == nil { // the owner stopped it
			return nil
		}
		return fmt.Errorf("%w: serve on %v: %w", errdefs.Unavailable, lis.Addr(), err)
	case <-ctx.Done():
	}
	graceful := make(chan struct{})
	wg.Go(func() {
		defer close(graceful)
		s.GracefulStop()
	})
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-graceful:
	case <-timer.C:
		s.Stop()
	}
	return nil
}
