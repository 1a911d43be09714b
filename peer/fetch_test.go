package peer_test

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/origin/origintest"
	"ddm/internal/rpc"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	none        = ddmv1.FailureKind_FAILURE_KIND_UNSPECIFIED
	refused     = ddmv1.FailureKind_FAILURE_KIND_REFUSED
	unavailable = ddmv1.FailureKind_FAILURE_KIND_UNAVAILABLE
	busy        = ddmv1.FailureKind_FAILURE_KIND_BUSY
	invalid     = ddmv1.FailureKind_FAILURE_KIND_INVALID
	badReply    = ddmv1.FailureKind_FAILURE_KIND_BAD_REPLY
)

func one(f origintest.File) map[string]origintest.File {
	return map[string]origintest.File{"/f": f}
}

func TestFetch(t *testing.T) {
	file := origintest.NewFile(20<<20, 1)
	inBubble(t, peer.Config{Version: "v1"}, one(file), func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		if o := s.opened; len(o.GetLines()) != 1 || o.GetLines()[0].GetName() != "default" || o.GetMaxLanes() != 16 || o.GetHello().GetVersion() != "v1" {
			t.Errorf("opened %v", s.opened)
		}
		s.assign(1, 0, 0, 8<<20)
		s.assign(2, 0, 8<<20, 3)
		s.assign(3, 15, 8<<20+3, 12<<20-3)
		s.await(1, 2, 3)
		s.want(1, none, 8<<20)
		s.want(2, none, 3)
		s.want(3, none, 12<<20-3)
		if g := s.started[3].GetGeneration(); g.GetEtag() != file.ETag || g.GetSize() != file.Size {
			t.Errorf("started with generation %v", g)
		}
		if err := s.CloseSend(); err != nil {
			t.Error(err)
		}
		if err := s.rest(); err == nil || !strings.Contains(err.Error(), "EOF") {
			t.Errorf("the stream ends with %v", err)
		}
		if n := w.origin.Total(); n != 3 {
			t.Errorf("%d requests at the origin, want 3", n)
		}
	})
}

// TestMirrors: an assignment goes to the URL that it names, held to that
// one's own generation; that one is out of reach says nothing of another.
func TestMirrors(t *testing.T) {
	file := origintest.NewFile(4<<20, 1)
	tagged := file
	tagged.ETag = `"elsewhere"`
	files := map[string]origintest.File{"/f": file, "/g": tagged}
	inBubble(t, peer.Config{}, files, func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		if !slices.Contains(s.opened.GetHello().GetCapabilities(), "mirrors") {
			t.Error("the peer does not say that it takes mirrors")
		}
		s.mirror(1, urlOf("/g"), tagged)
		s.mirror(2, "http://"+privateHost+"/f", file)
		s.assign(1, 0, 0, 1<<20)
		s.assignMirror(2, 1, 1<<20, 3<<20)
		s.assignMirror(3, 2, 0, 1<<20)
		s.assignMirror(4, 3, 0, 1<<20)
		s.await(1, 2, 3, 4)
		s.want(1, none, 1<<20)
		s.want(2, none, 3<<20)
		s.want(3, refused, 0)
		s.want(4, invalid, 0)
		if g := s.started[2].GetGeneration(); g.GetEtag() != tagged.ETag {
			t.Errorf("the mirror started with generation %v", g)
		}
		s.assignMirror(5, 1, 0, 1<<20)
		s.assignMirror(6, 2, 0, 1<<20)
		s.await(5, 6)
		s.want(5, none, 1<<20)
		s.want(6, refused, 0)
		s.mirror(4, urlOf("/f"), file) // 3 is missing
		if err := s.rest(); errdefs.KindOf(err) != errdefs.Invalid {
			t.Errorf("a gap in the numbers ends the stream with %v", err)
		}
	})
}

func TestHalfClosedStreamFinishesItsWork(t *testing.T) {
	file := origintest.NewFile(1<<20, 1).With(origintest.Fault{Rate: 100 << 10})
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		s.assign(1, 0, 0, 1<<20)
		if err := s.CloseSend(); err != nil {
			t.Error(err)
		}
		s.await(1)
		s.want(1, none, 1<<20)
	})
}

// Bytes leave as they come: nobody waits for the end of a range.
func TestBytesArriveAsTheyCome(t *testing.T) {
	file := origintest.NewFile(64<<20, 1).With(origintest.Fault{After: 5000, End: origintest.Stall})
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		begin := time.Now()
		s := w.open(urlOf("/f"), file)
		s.assign(1, 0, 1<<20, 32<<20)
		s.until(func() bool { return s.got[1] == 5000 })
		if took := time.Since(begin); took > 110*time.Millisecond {
			t.Errorf("the first bytes took %v", took)
		}
		s.await(1)
		s.want(1, unavailable, 5000)
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("the stall was noticed after %v", took)
		}
	})
}

func TestShrinkAndCancel(t *testing.T) {
	file := origintest.NewFile(64<<20, 1).With(origintest.Fault{Rate: 1 << 20})
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		s.assign(1, 0, 0, 16<<20)
		s.assign(2, 0, 16<<20, 1<<20)
		s.assign(3, 0, 32<<20, 1<<20)
		s.assign(4, 1, 40<<20, 16<<20)
		s.until(func() bool { return s.got[1] > 1<<20 && s.got[4] > 0 })
		s.shrink(1, 3<<20)
		s.shrink(1, 5<<20) // upwards: ignored
		s.shrink(99, 0)
		s.stop(99)
		s.stop(2)
		s.stop(4)
		s.await(1, 2, 3, 4)
		s.want(1, none, 3<<20)
		s.want(2, unavailable, 0)
		s.want(3, none, 1<<20)
		s.want(4, unavailable, s.got[4])
		s.shrink(1, 0) // crossed its Done
		s.stop(1)
		s.assign(5, 0, 0, 10)
		s.await(5)
		s.want(5, none, 10)
		if n := w.origin.Total(); n != 4 {
			t.Errorf("%d requests, want 4: a shrink restarts nothing", n)
		}
	})
}

// TestCutWhileWaiting: what a client that reads slowly does not want any more is
// not sent, although it was read.
func TestCutWhileWaiting(t *testing.T) {
	file := origintest.NewFile(64<<20, 1)
	for cut := int64(0); cut < 1<<20; cut += 100 << 10 { // 0: cancelled
		inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
			w.dial(rpc.Options{Role: rpc.Bulk, ReadRate: 1}) // the narrowest window
			s := w.open(urlOf("/f"), file)
			s.assign(1, 0, 0, 16<<20)
			s.assign(2, 1, 32<<20, 16<<20)
			wait(time.Second)
			for id := uint64(1); id <= 2; id++ {
				if cut == 0 {
					s.stop(id)
				} else {
					s.shrink(id, s.off[id]+cut)
				}
			}
			wait(time.Second)
			s.await(1, 2)
			if got := s.got[1] + s.got[2]; got > 3<<18+2*cut { // what gRPC has taken: a window, and two frames
				t.Errorf("%d bytes came all the same, cut after %d", got, cut)
			}
			s.assign(3, 0, 0, 1<<20)
			s.await(3)
			s.want(3, none, 1<<20)
		})
	}
}

// The stream is the requester's heartbeat.
func TestRequestsEndWithTheStream(t *testing.T) {
	for name, fault := range map[string]origintest.Fault{
		"flowing":       {Rate: 100 << 10},
		"stalled":       {After: 1000, End: origintest.Stall},
		"before a byte": {HeaderDelay: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			file := origintest.NewFile(64<<20, 1).With(fault)
			inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
				s := w.open(urlOf("/f"), file)
				for id := range uint64(8) {
					s.assign(id, uint32(id%4), int64(id)<<20, 1<<20)
				}
				wait(3 * time.Second)
				if n := w.origin.Live(""); n != 4 {
					t.Fatalf("%d requests run, want 4", n)
				}
				s.cancel()
				wait(time.Second)
				if n := w.origin.Live(""); n != 0 {
					t.Errorf("%d requests outlive their stream by a second", n)
				}
			})
		})
	}
}

func TestBadOrders(t *testing.T) {
	file := origintest.NewFile(1<<20, 1).With(origintest.Fault{Rate: 1 << 10})
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		for id, test := range []struct {
			assign *ddmv1.Assign
			want   ddmv1.FailureKind
		}{
			{&ddmv1.Assign{Offset: -1, Length: 1}, invalid},
			{&ddmv1.Assign{Length: 0}, invalid},
			{&ddmv1.Assign{Offset: math.MaxInt64, Length: math.MaxInt64}, invalid},
			{&ddmv1.Assign{Offset: 1 << 20, Length: 1}, ddmv1.FailureKind_FAILURE_KIND_BAD_RANGE},
			{&ddmv1.Assign{Length: 1, LineId: 1}, invalid},
			{&ddmv1.Assign{Length: 1, LineId: math.MaxUint32}, invalid},
			{&ddmv1.Assign{Length: 1, Lane: 16}, busy},
			{&ddmv1.Assign{Length: 1, Lane: math.MaxUint32}, busy},
		} {
			test.assign.AssignmentId = uint64(id)
			s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Assign{Assign: test.assign}})
			s.await(uint64(id))
			s.want(uint64(id), test.want, 0)
		}
		if n := w.origin.Total(); n != 0 {
			t.Errorf("%d requests were made for bad orders", n)
		}
		for name, last := range map[string]*ddmv1.FetchRequest{
			"none":       {},
			"open twice": {Order: &ddmv1.FetchRequest_Open{Open: openOf(urlOf("/f"), file)}},
			"id twice":   {Order: &ddmv1.FetchRequest_Assign{Assign: &ddmv1.Assign{AssignmentId: 1, Length: 10, Lane: 1}}},
		} {
			s := w.open(urlOf("/f"), file)
			s.assign(1, 0, 0, 1<<20)
			s.say(last)
			if err := s.rest(); !errors.Is(err, errdefs.Invalid) {
				t.Errorf("%s: the stream ends with %v, want %v", name, err, errdefs.Invalid)
			}
		}
		wait(time.Second)
		if n := w.origin.Live(""); n != 0 {
			t.Errorf("%d requests outlive their streams", n)
		}
	})
}

func TestHeadersPassOn(t *testing.T) {
	file := origintest.NewFile(1<<20, 1)
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		s := w.start()
		open := openOf(urlOf("/f"), file)
		open.Resource.Headers = []*ddmv1.Header{{Name: "user-agent", Value: "tester"}, {Name: "Referer", Value: "http://example.com/"}}
		s.file = file
		s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Open{Open: open}})
		s.assign(1, 0, 0, 100)
		s.await(1)
		seen := w.origin.Requests()[0]
		if seen.Method != http.MethodGet || seen.Header.Get("User-Agent") != "tester" || seen.Header.Get("Referer") != "http://example.com/" {
			t.Errorf("the origin saw %v", seen)
		}
		if names := []string{"Authorization", "Cookie", "X-Forwarded-For", "Via"}; slices.ContainsFunc(names, func(n string) bool { return seen.Header.Get(n) != "" }) {
			t.Errorf("the origin saw %v", seen.Header)
		}
	})
}
