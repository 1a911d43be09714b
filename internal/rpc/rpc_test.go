package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"ddm/internal/errdefs"
	"ddm/internal/rpc"
	"ddm/internal/rpc/rpctest"
	ddmv1 "ddm/proto/ddm/v1"
)

// peer is a PeerService of two functions.
type peer struct {
	ddmv1.UnimplementedPeerServiceServer
	fetch func(grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error
	probe func(context.Context) error
}

func (p peer) Fetch(s grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
	return p.fetch(s)
}

func (p peer) Probe(ctx context.Context, _ *ddmv1.ProbeRequest) (*ddmv1.ProbeResponse, error) {
	return &ddmv1.ProbeResponse{}, p.probe(ctx)
}

func (p peer) register(s *grpc.Server) { ddmv1.RegisterPeerServiceServer(s, p) }

// outcomes are ways for a handler to end, and what the caller finds.
var outcomes = []struct {
	name    string
	handler func() error
	is      error
}{
	{"kind", func() error { return fmt.Errorf("%w: full: %w", errdefs.Busy, errdefs.RetryAfter(time.Minute)) }, errdefs.Busy},
	{"no kind", func() error { return errors.New("secret") }, errdefs.Internal},
	{"panic", func() error { panic("secret") }, errdefs.Internal},
	{"own deadline", func() error { return fmt.Errorf("dial: %w", context.DeadlineExceeded) }, errdefs.Timeout},
	{"own cancellation", func() error { return context.Canceled }, errdefs.Unavailable},
	{"own status", func() error { return status.Error(codes.Unimplemented, "nothing here") }, errdefs.Invalid},
}

func checkOutcome(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("caller got %v, want %v", err, want)
	}
	if strings.Contains(fmt.Sprint(err), "secret") {
		t.Errorf("caller learned %v", err)
	}
	for _, not := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, not) {
			t.Errorf("caller takes %v for its own %v", err, not)
		}
	}
	if wait, ok := errdefs.RetryAfterOf(err); ok != (want == errdefs.Busy) || ok && wait != time.Minute { //nolint:errorlint // a kind by itself
		t.Errorf("wait %v, %v", wait, ok)
	}
}

func TestErrorsOfUnaryCalls(t *testing.T) {
	for _, c := range outcomes {
		t.Run(c.name, func(t *testing.T) {
			conn := rpctest.Pair(t, peer{probe: func(context.Context) error { return c.handler() }}.register, rpc.Options{})
			_, err := ddmv1.NewPeerServiceClient(conn).Probe(t.Context(), &ddmv1.ProbeRequest{})
			checkOutcome(t, err, c.is)
		})
	}
}

func TestErrorsOfStreams(t *testing.T) {
	for _, c := range outcomes {
		t.Run(c.name, func(t *testing.T) {
			conn := rpctest.Pair(t, peer{
				fetch: func(grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error { return c.handler() },
			}.register, rpc.Options{Role: rpc.Bulk})
			stream, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var ev rpc.Event
			checkOutcome(t, stream.RecvMsg(&ev), c.is)
		})
	}
}

func TestPanicIsLoggedWithItsStack(t *testing.T) {
	var out bytes.Buffer
	o := rpc.Options{Log: hclog.New(&hclog.LoggerOptions{Output: &out})}
	conn := rpctest.Pair(t, peer{probe: func(context.Context) error { panic("boom") }}.register, o)
	if _, err := ddmv1.NewPeerServiceClient(conn).Probe(t.Context(), &ddmv1.ProbeRequest{}); err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"boom", "PeerService/Probe", "rpc_test.go"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("log lacks %q: %s", want, out.String())
		}
	}
}

func TestContextErrorsOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan error, 2)
		wait := func(ctx context.Context) error {
			<-ctx.Done()
			seen <- ctx.Err()
			return ctx.Err()
		}
		conn := rpctest.Pair(t, peer{
			probe: wait,
			fetch: func(s grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
				_, err := s.Recv()
				seen <- err
				return err
			},
		}.register, rpc.Options{})
		client := ddmv1.NewPeerServiceClient(conn)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Probe(ctx, &ddmv1.ProbeRequest{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("past its deadline the caller got %v", err)
		}
		if err := <-seen; err == nil {
			t.Error("the handler went on")
		}

		ctx, cancel = context.WithCancel(t.Context())
		stream, err := client.Fetch(ctx)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		if _, err := stream.Recv(); !errors.Is(err, context.Canceled) {
			t.Errorf("having cancelled, the caller got %v", err)
		}
		if err := <-seen; !errors.Is(err, context.Canceled) {
			t.Errorf("the handler's Recv ended with %v", err)
		}
	})
}

// TestBulkWithPoisonedPool sends frames and messages in turn through buffers
// that are overwritten once freed, and looks at each payload late.
func TestBulkWithPoisonedPool(t *testing.T) {
	const frames, size = 40, 256 << 10
	pool := new(rpctest.Poison)
	payload := func(i, size int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, size) }
	send := func(s grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
		for i := range frames {
			if i%2 == 0 {
				f := &rpc.Frame{Assignment: uint64(i), Offset: -1, CRC32C: 5}
				for _, part := range []int{size - 1000, 1000} {
					f.Payload = append(f.Payload, mem.Copy(payload(i, part), pool))
				}
				err := s.SendMsg(f)
				f.Payload.Free()
				if err != nil {
					return err
				}
				continue
			}
			d := &ddmv1.Data{AssignmentId: uint64(i), Offset: -1, Crc32C: 5, Payload: payload(i, size)}
			if err := s.Send(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Data{Data: d}}); err != nil {
				return err
			}
		}
		return s.Send(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Done{Done: &ddmv1.Done{AssignmentId: 7}}})
	}
	synctest.Test(t, func(t *testing.T) {
		conn := rpctest.Pair(t, peer{fetch: send}.register, rpc.Options{Role: rpc.Bulk, Pool: pool})
		stream, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var kept []*rpc.Frame
		for i := range frames {
			var ev rpc.Event
			if err := stream.RecvMsg(&ev); err != nil {
				t.Fatal(err)
			}
			if ev.Frame == nil || ev.Frame.Assignment != uint64(i) || ev.Frame.Offset != -1 || ev.Frame.CRC32C != 5 {
				t.Fatalf("frame %d is %+v", i, ev.Frame)
			}
			if kept = append(kept, ev.Frame); len(kept) == 5 {
				for _, f := range kept {
					if !bytes.Equal(f.Payload.Materialize(), payload(int(f.Assignment), size)) {
						t.Errorf("frame %d was overwritten", f.Assignment)
					}
					f.Payload.Free()
				}
				kept = nil
			}
		}
		var ev rpc.Event
		if err := stream.RecvMsg(&ev); err != nil || ev.Message.GetDone().GetAssignmentId() != 7 {
			t.Errorf("last event %v, %v", ev.Message, err)
		}
		if err := stream.RecvMsg(&ev); err != io.EOF { //nolint:errorlint // the contract of streams
			t.Errorf("end of stream is %v", err)
		}
		synctest.Wait()
		if n := pool.Lent(); n != 0 {
			t.Errorf("%d buffers were never given back", n)
		}
	})
}

func TestMessageLimits(t *testing.T) {
	big := func(n int) func(grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
		return func(s grpc.BidiStreamingServer[ddmv1.FetchRequest, ddmv1.FetchResponse]) error {
			return s.SendMsg(&rpc.Frame{Payload: mem.BufferSlice{mem.SliceBuffer(make([]byte, n))}})
		}
	}
	for _, c := range []struct {
		name string
		o    rpc.Options
		size int
		ok   bool
	}{
		{"bulk takes the largest payload", rpc.Options{Role: rpc.Bulk}, 1 << 20, true},
		{"bulk refuses more", rpc.Options{Role: rpc.Bulk}, 2 << 20, false},
		{"control refuses bulk", rpc.Options{}, 1 << 20, false},
		{"a limit of one's own", rpc.Options{MaxRecv: 1000}, 2000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := rpctest.Pair(t, peer{fetch: big(c.size)}.register, c.o)
			stream, err := ddmv1.NewPeerServiceClient(conn).Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var ev rpc.Event
			if err := stream.RecvMsg(&ev); (err == nil) != c.ok {
				t.Errorf("%d bytes: %v", c.size, err)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	h := health.NewServer()
	conn := rpctest.Pair(t, func(*grpc.Server) {}, rpc.Options{Health: h})
	client := grpc_health_v1.NewHealthClient(conn)
	check := func(want grpc_health_v1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		resp, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if err != nil || resp.GetStatus() != want {
			t.Errorf("health %v, %v; want %v", resp.GetStatus(), err, want)
		}
	}
	check(grpc_health_v1.HealthCheckResponse_SERVING)
	h.Shutdown()
	check(grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{Service: "nobody"})
	if !errors.Is(err, errdefs.NotFound) {
		t.Errorf("unknown service: %v", err)
	}
}
