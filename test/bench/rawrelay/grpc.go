//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"ddm/internal/rpc"
)

// The same relay over gRPC, with the programs' settings, codec and buffers: what
// it costs beyond raw TCP is the price of gRPC.

const (
	grpcService = "bench.Relay"
	grpcMethod  = "Get"
	urlHeader   = "url" // of the call
)

func serveGRPC(ctx context.Context, lis net.Listener) error {
	s := rpc.NewServer(rpc.Options{Role: rpc.Bulk})
	s.RegisterService(&grpc.ServiceDesc{ServiceName: grpcService, Streams: []grpc.StreamDesc{
		{StreamName: grpcMethod, Handler: relayGRPC, ServerStreams: true},
	}}, nil)
	return rpc.Serve(ctx, s, lis, 0)
}

func relayGRPC(_ any, s grpc.ServerStream) error {
	url := metadata.ValueFromIncomingContext(s.Context(), urlHeader)
	if len(url) != 1 {
		return errors.New("which URL?")
	}
	body, err := open(s.Context(), url[0])
	if err != nil {
		return err
	}
	defer body.Close()
	for off := int64(0); ; {
		buf := rpc.Pool().Get(payload)
		n, err := io.ReadFull(body, *buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		whole := mem.NewBuffer(buf, rpc.Pool())
		f := &rpc.Frame{Offset: off, CRC32C: crc32.Checksum((*buf)[:n], castagnoli()), Payload: mem.BufferSlice{whole.Slice(0, n)}}
		whole.Free()
		err = s.SendMsg(f)
		f.Payload.Free()
		if n < payload || err != nil {
			return err
		}
		off += int64(n)
	}
}

func fetchGRPC(ctx context.Context, peer, file, url string) error {
	conn, err := rpc.Dial(peer, rpc.Options{Role: rpc.Bulk})
	if err != nil {
		return err
	}
	defer conn.Close()
	s, err := conn.NewStream(metadata.AppendToOutgoingContext(ctx, urlHeader, url),
		&grpc.StreamDesc{StreamName: grpcMethod, ServerStreams: true}, "/"+grpcService+"/"+grpcMethod)
	if err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(saveGRPC(s, out), out.Close())
}

func saveGRPC(s grpc.ClientStream, out *os.File) error {
	for {
		var ev rpc.Event
		if err := s.RecvMsg(&ev); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if ev.Frame == nil {
			return errors.New("no frame")
		}
		crc, parts := uint32(0), make([][]byte, 0, len(ev.Frame.Payload))
		for _, b := range ev.Frame.Payload {
			crc = crc32.Update(crc, castagnoli(), b.ReadOnlyData())
			parts = append(parts, b.ReadOnlyData())
		}
		if crc != ev.Frame.CRC32C {
			return fmt.Errorf("a broken frame at %d", ev.Frame.Offset)
		}
		if n, err := unix.Pwritev(int(out.Fd()), parts, ev.Frame.Offset); err != nil || n != ev.Frame.Payload.Len() { //nolint:gosec // a descriptor
			return fmt.Errorf("%d bytes were written at %d: %w", n, ev.Frame.Offset, err)
		}
		ev.Frame.Payload.Free()
	}
}
