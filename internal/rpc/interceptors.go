package rpc

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"ddm/internal/errdefs"
)

// asStatus is the last thing that happens to a handler's error. A context error
// is the caller's only if the call's own context ended; otherwise it comes from
// a limit or a shutdown on this side.
func asStatus(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		err = ownContextError(err, true)
	}
	return errdefs.ToStatus(err)
}

// asKind is the first thing that happens to an error of gRPC. A context error
// is kept only if it can be that of the call's own context: the other side may
// have run into limits of its own.
func asKind(ctx context.Context, err error) error {
	err = errdefs.FromStatus(err)
	if ctx.Err() != nil {
		return err
	}
	// The other side watches the same deadline and can be a moment ahead.
	_, hasDeadline := ctx.Deadline()
	return ownContextError(err, !hasDeadline)
}

// ownContextError gives a context error without a kind the kind of a failure
// that is not the caller's doing.
func ownContextError(err error, deadlines bool) error {
	if _, ok := errors.AsType[errdefs.Kind](err); ok {
		return err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: cancelled on the way: %s", errdefs.Unavailable, err.Error())
	case deadlines && errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %s", errdefs.Timeout, err.Error())
	}
	return err
}

// rescue makes a panic of a handler an Internal error and logs the stack, so
// that one bad request does not end every other one.
func rescue(log hclog.Logger, method string, err *error) {
	if p := recover(); p != nil {
		log.Error("handler panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("%w: %s panicked", errdefs.Internal, method)
	}
}

func unaryServer(log hclog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		resp, err := func() (resp any, err error) {
			defer rescue(log, info.FullMethod, &err)
			return handle(ctx, req)
		}()
		if err != nil {
			return nil, asStatus(ctx, err)
		}
		return resp, nil
	}
}

func streamServer(log hclog.Logger) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		return asStatus(stream.Context(), func() (err error) {
			defer rescue(log, info.FullMethod, &err)
			return handle(srv, serverStream{stream})
		}())
	}
}

// serverStream gives a handler error kinds for what happens to its stream.
type serverStream struct{ grpc.ServerStream }

func (s serverStream) SendMsg(m any) error {
	return asKind(s.Context(), s.ServerStream.SendMsg(m))
}

func (s serverStream) RecvMsg(m any) error {
	return asKind(s.Context(), s.ServerStream.RecvMsg(m))
}

func unaryClient(
	ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption,
) error {
	return asKind(ctx, invoke(ctx, method, req, reply, cc, opts...))
}

func streamClient(
	ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption,
) (grpc.ClientStream, error) {
	stream, err := open(ctx, desc, cc, method, opts...)
	if err != nil {
		return nil, asKind(ctx, err)
	}
	// The stream's own context ends with the stream; the caller's tells who
	// ended it.
	kind := func(err error) error { return asKind(ctx, err) }
	return clientStream{ClientStream: stream, kind: kind}, nil
}

// clientStream gives a caller error kinds for what happens to its stream.
type clientStream struct {
	grpc.ClientStream
	kind func(error) error
}

func (s clientStream) SendMsg(m any) error { return s.kind(s.ClientStream.SendMsg(m)) }

func (s clientStream) RecvMsg(m any) error { return s.kind(s.ClientStream.RecvMsg(m)) }

func (s clientStream) CloseSend() error { return s.kind(s.ClientStream.CloseSend()) }

func (s clientStream) Header() (metadata.MD, error) {
	md, err := s.ClientStream.Header()
	return md, s.kind(err)
}
