package peer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"ddm/internal/byterange"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/pipenet"
	"ddm/internal/rpc"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	// Where the test's origin answers, a public address that nobody dials, and
	// one that only an operator may allow.
	originHost  = "93.184.216.34"
	silentHost  = "93.184.216.35"
	privateHost = "10.1.2.3"
)

// world is a whole peer over memory: real gRPC, real HTTP, a client's stream.
type world struct {
	t      *testing.T
	origin *origintest.Server
	peer   *peer.Server
	client ddmv1.PeerServiceClient
	conn   *grpc.ClientConn
	dial   func(rpc.Options) // makes conn and client anew
	log    *logBuffer
	end    func() error // ends the peer and returns what Run did
}

// logBuffer collects what the peer logs.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// inBubble runs do with a world on fake time.
func inBubble(t *testing.T, cfg peer.Config, files map[string]origintest.File, do func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		do(t, newWorld(t, cfg, files))
	})
}

func newWorld(t *testing.T, cfg peer.Config, files map[string]origintest.File) *world {
	t.Helper()
	w := &world{t: t, log: new(logBuffer)}
	originLis := pipenet.Listen()
	w.origin = origintest.Serve(t, originLis, origintest.Options{Files: files})
	cfg.DialOrigin = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(addr); host != originHost {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		return originLis.DialContext(ctx)
	}
	lis := pipenet.Listen()
	cfg.Listener = lis
	cfg.Log = hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: w.log})
	var err error
	if w.peer, err = peer.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- w.peer.Run(ctx) }()
	w.end = sync.OnceValue(func() error {
		cancel()
		return <-ran
	})
	t.Cleanup(func() {
		if err := w.end(); err != nil {
			t.Errorf("run: %v", err)
		}
	})
	w.dial = func(opts rpc.Options) {
		conn, err := rpc.Dial("passthrough:///peer", opts,
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return lis.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		w.conn, w.client = conn, ddmv1.NewPeerServiceClient(conn)
	}
	w.dial(rpc.Options{Role: rpc.Bulk})
	return w
}

func newFile() origintest.File { return origintest.NewFile(1<<20, 1) }

func urlOf(path string) string { return "http://" + originHost + path }

// stream is a Fetch stream and what came over it.
type stream struct {
	ddmv1.PeerService_FetchClient
	t      testing.TB
	file   origintest.File
	opened *ddmv1.Opened
	cancel context.CancelFunc

	started  map[uint64]*ddmv1.Started
	got      map[uint64]int64 // bytes, all of them right
	off      map[uint64]int64 // where an assignment begins
	frames   map[uint64]int
	ended    map[uint64]*ddmv1.Failed // nil: Done
	draining *ddmv1.Draining
	held     byterange.Set // what the peer said it holds
	news     int           // messages about that, after the first
}

// start opens a stream without saying anything.
func (w *world) start() *stream {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	w.t.Cleanup(cancel)
	fetch, err := w.client.Fetch(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return &stream{
		PeerService_FetchClient: fetch, t: w.t, cancel: cancel,
		started: map[uint64]*ddmv1.Started{}, got: map[uint64]int64{}, off: map[uint64]int64{},
		frames: map[uint64]int{}, ended: map[uint64]*ddmv1.Failed{},
	}
}

func openOf(url string, f origintest.File) *ddmv1.Open {
	gen := origin.Generation{Size: f.Size, ETag: f.ETag}
	return &ddmv1.Open{Resource: &ddmv1.Resource{Url: url, Generation: origin.GenerationToProto(gen)}}
}

// open opens a stream for a URL that holds f.
func (w *world) open(url string, f origintest.File) *stream {
	w.t.Helper()
	s := w.start()
	s.file = f
	s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Open{Open: openOf(url, f)}})
	if err := s.next(); err != nil || s.opened == nil {
		w.t.Fatalf("opened %v, error %v", s.opened, err)
	}
	return s
}

// follow is open for a client that wants to hear of what comes to be held.
func (w *world) follow(url string, f origintest.File) *stream {
	w.t.Helper()
	s := w.start()
	s.file = f
	open := openOf(url, f)
	open.Hello = &ddmv1.Hello{Capabilities: []string{"holdings"}}
	s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Open{Open: open}})
	s.until(func() bool { return s.opened != nil })
	return s
}

func (s *stream) hold(came, gone []*ddmv1.Run) {
	s.t.Helper()
	for _, r := range came {
		if n := s.held.Add(byterange.Range{Off: r.GetOffset(), Len: r.GetLength()}); n != r.GetLength() {
			s.t.Errorf("told again of %v", r)
		}
	}
	for _, r := range gone {
		if n := s.held.Subtract(byterange.Range{Off: r.GetOffset(), Len: r.GetLength()}); n != r.GetLength() {
			s.t.Errorf("%v is said to be gone, and was not there", r)
		}
	}
}

func (s *stream) say(req *ddmv1.FetchRequest) {
	s.t.Helper()
	if err := s.Send(req); err != nil && !errors.Is(err, io.EOF) {
		s.t.Fatal(err)
	}
}

func (s *stream) assign(id uint64, lane uint32, off, length int64) {
	s.t.Helper()
	s.off[id] = off
	s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Assign{Assign: &ddmv1.Assign{
		AssignmentId: id, Lane: lane, Offset: off, Length: length,
	}}})
}

// assignLine is assign for another line than the first, on its lane 0.
func (s *stream) assignLine(id uint64, line uint32, off, length int64) {
	s.t.Helper()
	s.off[id] = off
	s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Assign{Assign: &ddmv1.Assign{
		AssignmentId: id, LineId: line, Offset: off, Length: length,
	}}})
}

// assignMirror is assign on lane 0 for another URL than Open's.
func (s *stream) assignMirror(id uint64, mirror uint32, off, length int64) {
	s.t.Helper()
	s.off[id] = off
	s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Assign{Assign: &ddmv1.Assign{
		AssignmentId: id, Mirror: mirror, Offset: off, Length: length,
	}}})
}

func (s *stream) mirror(index uint32, url string, f origintest.File) {
	s.t.Helper()
	s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Mirror{Mirror: &ddmv1.Mirror{Index: index, Resource: openOf(url, f).GetResource()}}})
}

func (s *stream) shrink(id uint64, end int64) {
	s.t.Helper()
	s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Shrink{Shrink: &ddmv1.Shrink{AssignmentId: id, End: end}}})
}

func (s *stream) stop(id uint64) {
	s.t.Helper()
	s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Cancel{Cancel: &ddmv1.Cancel{AssignmentId: id}}})
}

// next takes one event and checks what can be checked at once.
func (s *stream) next() error {
	var ev rpc.Event
	if err := s.RecvMsg(&ev); err != nil {
		return err
	}
	if ev.Frame != nil {
		return s.frame(ev.Frame)
	}
	switch e := ev.Message.GetEvent().(type) {
	case *ddmv1.FetchResponse_Opened:
		s.opened = e.Opened
		s.hold(e.Opened.GetHeld(), nil)
	case *ddmv1.FetchResponse_HeldChanged:
		s.news++
		s.hold(e.HeldChanged.GetCame(), e.HeldChanged.GetGone())
	case *ddmv1.FetchResponse_Started:
		if s.started[e.Started.GetAssignmentId()] != nil {
			return fmt.Errorf("assignment %d started twice", e.Started.GetAssignmentId())
		}
		s.started[e.Started.GetAssignmentId()] = e.Started
	case *ddmv1.FetchResponse_Done:
		return s.finish(e.Done.GetAssignmentId(), nil)
	case *ddmv1.FetchResponse_Failed:
		return s.finish(e.Failed.GetAssignmentId(), e.Failed)
	case *ddmv1.FetchResponse_Draining:
		s.draining = e.Draining
	default:
		return fmt.Errorf("unexpected event %v", ev.Message)
	}
	return nil
}

func (s *stream) finish(id uint64, failure *ddmv1.Failed) error {
	if _, twice := s.ended[id]; twice {
		return fmt.Errorf("assignment %d ended twice", id)
	}
	s.ended[id] = failure
	return nil
}

func (s *stream) frame(f *rpc.Frame) error {
	defer f.Payload.Free()
	payload := f.Payload.Materialize()
	_, ended := s.ended[f.Assignment]
	switch {
	case ended || s.started[f.Assignment] == nil:
		return fmt.Errorf("assignment %d: data before its start or after its end", f.Assignment)
	case f.Offset != s.off[f.Assignment]+s.got[f.Assignment]:
		return fmt.Errorf("assignment %d: data at %d after %d bytes", f.Assignment, f.Offset, s.got[f.Assignment])
	case crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)) != f.CRC32C:
		return fmt.Errorf("assignment %d: wrong CRC at %d", f.Assignment, f.Offset)
	case !s.file.Verify(payload, f.Offset):
		return fmt.Errorf("assignment %d: wrong bytes at %d", f.Assignment, f.Offset)
	case len(payload) == 0 || len(payload) > 256<<10:
		return fmt.Errorf("assignment %d: frame of %d bytes", f.Assignment, len(payload))
	}
	s.got[f.Assignment] += int64(len(payload))
	s.frames[f.Assignment]++
	return nil
}

// until takes events until cond holds.
func (s *stream) until(cond func() bool) {
	s.t.Helper()
	for !cond() {
		if err := s.next(); err != nil {
			s.t.Fatalf("stream: %v", err)
		}
	}
}

// await takes events until the assignments named have ended.
func (s *stream) await(ids ...uint64) {
	s.t.Helper()
	for _, id := range ids {
		s.until(func() bool {
			_, ok := s.ended[id]
			return ok
		})
	}
}

// rest takes events until the stream ends and returns how.
func (s *stream) rest() error {
	for {
		if err := s.next(); err != nil {
			return err
		}
	}
}

// want checks how an assignment ended.
func (s *stream) want(id uint64, kind ddmv1.FailureKind, n int64) {
	s.t.Helper()
	failure, ok := s.ended[id]
	if !ok || failure.GetFailure().GetKind() != kind || s.got[id] != n {
		s.t.Errorf("assignment %d: ended %v with %v after %d bytes, want %v and %d", id, ok, failure, s.got[id], kind, n)
	}
}

// wait lets fake time pass and everything settle.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
