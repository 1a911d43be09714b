package rpc_test

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

// BenchmarkBulk moves frames of 256 KiB over loopback TCP, both ends in this
// process: with the codec of frames, and as ordinary messages.
func BenchmarkBulk(b *testing.B) {
	const size = 256 << 10
	type stream = grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]
	for name, send := range map[string]func(stream) error{
		"frames": func(s stream) error {
			buf := rpc.Pool().Get(size)
			f := &rpc.Frame{Assignment: 1, Payload: mem.BufferSlice{mem.NewBuffer(buf, rpc.Pool())}}
			defer f.Payload.Free()
			return s.SendMsg(f)
		},
		"messages": func(s stream) error {
			return s.Send(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Data{
				Data: &ddmv1.Data{AssignmentId: 1, Payload: make([]byte, size)},
			}})
		},
	} {
		b.Run(name, func(b *testing.B) {
			conn := dialLoopback(b, peer{fetch: func(s stream) error {
				for s.Context().Err() == nil {
					if err := send(s); err != nil {
						return err
					}
				}
				return nil
			}})
			s, err := ddmv1.NewPeerServiceClient(conn).Fetch(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				var ev rpc.Event
				if err := s.RecvMsg(&ev); err != nil {
					b.Fatal(err)
				}
				ev.Frame.Payload.Free()
			}
		})
	}
}

func dialLoopback(b *testing.B, p peer) *grpc.ClientConn {
	b.Helper()
	var lc net.ListenConfig
	lis, err := lc.Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := rpc.NewServer(rpc.Options{Role: rpc.Bulk})
	p.register(srv)
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = rpc.Serve(ctx, srv, lis, 0) })
	b.Cleanup(func() { stop(); served.Wait() })
	conn, err := rpc.Dial(lis.Addr().String(), rpc.Options{Role: rpc.Bulk})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	return conn
}
