package rpc

import (
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"ddm/internal/errdefs"
)

// Connecting is tried again soon and often: the other side is one hop away, and
// somebody who restarts it expects to see it back.
const (
	firstRetry     = 100 * time.Millisecond
	lastRetry      = time.Second
	connectTimeout = 5 * time.Second
)

// Dial makes a connection to "host:port", or to a target with a gRPC scheme. It
// does not wait: the first call connects, and fails with Unavailable if that
// does not work; the name is resolved anew at every attempt. A bad target is
// Invalid. Proxies of the environment are for the internet and not used.
// Options in extra come last and win. The caller closes the connection.
func Dial(target string, o Options, extra ...grpc.DialOption) (*grpc.ClientConn, error) {
	if !strings.Contains(target, "://") && !strings.HasPrefix(target, "passthrough:") && !strings.HasPrefix(target, "dns:") {
		host, port, err := net.SplitHostPort(target)
		if err != nil {
			return nil, fmt.Errorf("%w: address %q: write host:port: %w", errdefs.Invalid, target, err)
		}
		if host == "" || port == "" {
			return nil, fmt.Errorf("%w: address %q: host and port must be named", errdefs.Invalid, target)
		}
		target = "passthrough:///" + target
	}
	conn, err := grpc.NewClient(target, append(dialOptions(o), extra...)...)
	if err != nil {
		return nil, fmt.Errorf("%w: address %q: %w", errdefs.Invalid, target, err)
	}
	return conn, nil
}

func dialOptions(o Options) []grpc.DialOption {
	stream, conn, readBuffer := int32(narrowWindow), int32(narrowWindow), controlBuffer
	if o.Role == Bulk {
		stream, conn, readBuffer = bulkStreamWindow, bulkConnWindow, bulkBuffer
		if o.ReadRate > 0 {
			stream = int32(min(max(o.ReadRate/windowShare, narrowWindow), bulkStreamWindow))
			conn = 2 * stream
		}
	}
	creds := o.Creds
	if creds == nil {
		creds = insecure.NewCredentials()
	} else {
		readBuffer = 0 // TLS buffers already
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodecV2(newCodec()),
			grpc.MaxCallRecvMsgSize(o.maxRecv(o.Role == Bulk)),
			grpc.WaitForReady(false),
		),
		clientPool(o.pool()),
		grpc.WithChainUnaryInterceptor(unaryClient),
		grpc.WithChainStreamInterceptor(streamClient),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout, PermitWithoutStream: true,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: firstRetry, Multiplier: 1.6, Jitter: 0.2, MaxDelay: lastRetry},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithMaxHeaderListSize(maxHeaderList),
		grpc.WithStaticStreamWindowSize(stream),
		grpc.WithStaticConnWindowSize(conn),
		grpc.WithReadBufferSize(readBuffer),
		grpc.WithWriteBufferSize(controlBuffer),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(), // retries are decided where the kinds are known
	}
}
