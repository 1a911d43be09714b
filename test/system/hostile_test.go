package system_test

import (
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ddm/internal/origin/origintest"
	ddmv1 "ddm/proto/ddm/v1"
)

// TestHostilePeers: whatever a peer says, the file is right, in about the time
// that the own line needs, and the peer is not asked for ever.
func TestHostilePeers(t *testing.T) {
	f := origintest.NewFile(4*mib, 20)
	other := origintest.NewFile(4*mib, 21)
	assign := twist
	for _, tc := range []struct {
		name   string
		liar   *liar
		banned bool
		honest bool  // brings bytes that count
		asks   int32 // most assignments; 0: 20
	}{
		{name: "honest", honest: true, asks: 1000, liar: &liar{}},
		{name: "bytes of an unknown assignment", banned: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			return s.data(a.GetAssignmentId()+1000, a.GetOffset(), s.file.Bytes(a.GetOffset(), 100))
		})}},
		{name: "bytes before the range", banned: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, s.file)
			return s.data(a.GetAssignmentId(), a.GetOffset()-1, s.file.Bytes(a.GetOffset()-1, 100))
		})}},
		{name: "bytes beyond the range", banned: true, honest: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, s.file)
			return s.bytes(a, a.GetLength()+1)
		})}},
		{name: "bytes twice", banned: true, honest: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, s.file)
			_ = s.bytes(a, 1000)
			return s.bytes(a, 1000)
		})}},
		{name: "no bytes in a frame", banned: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, s.file)
			return s.data(a.GetAssignmentId(), a.GetOffset(), nil)
		})}},
		{name: "negative offset", banned: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, s.file)
			return s.data(a.GetAssignmentId(), -1<<62, s.file.Bytes(0, 100))
		})}},
		{name: "wrong CRC", banned: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, s.file)
			return s.stream.Send(&ddmv1.FetchResponse{Event: &ddmv1.FetchResponse_Data{Data: &ddmv1.Data{
				AssignmentId: a.GetAssignmentId(), Offset: a.GetOffset(), Crc32C: 1, Payload: s.file.Bytes(a.GetOffset(), 100),
			}}})
		})}},
		{name: "bytes without Started", banned: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.bytes(a, a.GetLength())
			return s.done(a)
		})}},
		{name: "huge frame", liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, s.file)
			return s.data(a.GetAssignmentId(), a.GetOffset(), make([]byte, 3*mib))
		})}},
		{name: "Done without bytes", liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error { return s.done(a) })}},
		{name: "Done after half", honest: true, asks: 60, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, s.file)
			_ = s.bytes(a, a.GetLength()/2)
			return s.done(a)
		})}},
		{name: "another generation", liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			_ = s.started(a, other)
			_ = s.bytes(a, a.GetLength())
			return s.done(a)
		})}},
		{name: "no generation", liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			return s.send(&ddmv1.Started{AssignmentId: a.GetAssignmentId()})
		})}},
		{name: "first message is bytes", banned: true, liar: &liar{open: func(s *lies) error { return s.data(0, 0, make([]byte, 10)) }}},
		{name: "first message is empty", banned: true, liar: &liar{open: func(s *lies) error { return s.stream.Send(&ddmv1.FetchResponse{}) }}},
		{name: "no line granted", banned: true, liar: &liar{open: func(s *lies) error { return s.send(&ddmv1.Opened{MaxLanes: 3}) }}},
		{name: "all lines closed", liar: &liar{open: func(s *lies) error {
			return s.send(&ddmv1.Opened{Lines: []*ddmv1.Line{{Closed: true}}})
		}}},
		{name: "a hundred thousand lines", banned: true, liar: &liar{open: func(s *lies) error {
			return s.send(&ddmv1.Opened{Lines: make([]*ddmv1.Line, 100_000), MaxLanes: 1 << 31})
		}}},
		{name: "no grant", liar: &liar{open: func(s *lies) error { <-s.stream.Context().Done(); return nil }}},
		{name: "ends at once", liar: &liar{open: func(*lies) error { return nil }}},
		{name: "fails strangely", liar: &liar{open: func(*lies) error { return status.Error(codes.Canceled, "no") }}},
		{name: "silent", liar: &liar{order: assign(func(*lies, *ddmv1.Assign) error { return nil })}},
		{name: "does not read orders", liar: &liar{order: func(s *lies, _ any) error { <-s.stream.Context().Done(); return nil }}},
		{name: "fails everything", liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			return s.fail(a, ddmv1.FailureKind_FAILURE_KIND_UNAVAILABLE)
		})}},
		{name: "busy for ever", liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			return s.fail(a, ddmv1.FailureKind_FAILURE_KIND_BUSY)
		})}},
		{name: "fails what nobody asked for", banned: true, liar: &liar{open: func(s *lies) error {
			_ = s.grant()
			for id := range uint64(1 << 20) {
				if err := s.send(&ddmv1.Failed{AssignmentId: id * 1000}); err != nil {
					return err
				}
			}
			return nil
		}}},
		{name: "refuses by policy", asks: 4, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			return s.fail(a, ddmv1.FailureKind_FAILURE_KIND_REFUSED)
		})}},
		{name: "bad replies for ever", liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			return s.fail(a, ddmv1.FailureKind_FAILURE_KIND_BAD_REPLY)
		})}},
		{name: "endless LinesChanged", banned: true, liar: &liar{open: func(s *lies) error {
			_ = s.grant()
			for range 1 << 20 {
				if err := s.send(&ddmv1.LinesChanged{}); err != nil {
					return err
				}
			}
			return nil
		}}},
		{name: "endless Started", banned: true, liar: &liar{order: assign(func(s *lies, a *ddmv1.Assign) error {
			for range 1 << 20 {
				if err := s.started(a, s.file); err != nil {
					return err
				}
			}
			return nil
		})}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				l := tc.liar
				l.file, l.rate = f, mib
				w.book(trackerAddr).join(w.liar("liar", l))
				a := &account{}
				if err := w.user(mib, nil).get("/f.bin", a); err != nil {
					w.t.Fatal(err, a.moves)
				}
				w.holds("f.bin", f)
				w.t.Log(a, a.moves, l.begun.Load(), "streams", l.asked.Load(), "asked")
				if a.done.Elapsed > 8*time.Second {
					w.t.Errorf("took %v: alone it is 4 s", a.done.Elapsed)
				}
				if tc.banned != a.moved("liar", "banned") {
					w.t.Errorf("banned: %v, want %v: %v", !tc.banned, tc.banned, a.moves)
				}
				if tc.banned && l.begun.Load() != 1 {
					w.t.Errorf("a banned peer was asked for %d streams", l.begun.Load())
				}
				if got := a.brought("liar"); (got > 0) != tc.honest {
					w.t.Errorf("%d bytes of it are in the file", got)
				}
				most := tc.asks
				if most == 0 {
					most = 20
				}
				if n := l.asked.Load(); n > most {
					w.t.Errorf("it was asked %d times", n)
				}
			})
		})
	}
}

func TestPeerOfGarbage(t *testing.T) {
	f := origintest.NewFile(3*mib, 22)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.book(trackerAddr).join(w.garbler("garbler"))
		a := &account{}
		if err := w.user(mib, nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
	})
}
