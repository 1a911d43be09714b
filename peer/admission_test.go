package peer_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

func TestOperatorsAllowList(t *testing.T) {
	allow, err := origin.ParseAllow(privateHost)
	if err != nil {
		t.Fatal(err)
	}
	file := origintest.NewFile(1<<20, 1)
	inBubble(t, peer.Config{Allow: []origin.Allowed{allow}}, nil, func(t *testing.T, w *world) {
		s := w.open("http://"+privateHost+"/f", file)
		s.assign(1, 0, 0, 100)
		s.await(1)
		// The test's network has no such host, but it was tried.
		if strings.Contains(w.log.String(), "private") || !strings.Contains(w.log.String(), "connection refused") {
			t.Errorf("log:\n%s", w.log)
		}
	})
}

func TestBadOpens(t *testing.T) {
	file := origintest.NewFile(1<<20, 1)
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		end := func(req *ddmv1.FetchRequest) error {
			s := w.start()
			s.say(req)
			return s.rest()
		}
		for _, req := range []*ddmv1.FetchRequest{
			{},
			{Order: &ddmv1.FetchRequest_Open{}},
			{Order: &ddmv1.FetchRequest_Open{Open: &ddmv1.Open{}}},
			{Order: &ddmv1.FetchRequest_Assign{Assign: &ddmv1.Assign{Length: 1}}},
			{Order: &ddmv1.FetchRequest_Open{Open: openOf("file:///etc/passwd", file)}},
		} {
			if err := end(req); !errors.Is(err, errdefs.Invalid) {
				t.Errorf("first order %v: %v, want %v", req, err, errdefs.Invalid)
			}
		}
		begin := time.Now()
		if err := w.start().rest(); !errors.Is(err, errdefs.Timeout) || time.Since(begin) != 10*time.Second {
			t.Errorf("a silent stream ends after %v with %v", time.Since(begin), err)
		}
	})
}

func TestAdmission(t *testing.T) {
	file := origintest.NewFile(1<<20, 1).With(origintest.Fault{Rate: 1 << 20})
	inBubble(t, peer.Config{MaxAssignments: 2}, one(file), func(t *testing.T, w *world) {
		a, b := w.open(urlOf("/f"), file), w.open(urlOf("/f"), file)
		if a.opened.GetMaxLanes() != 2 {
			t.Errorf("%d lanes granted of 2 assignments", a.opened.GetMaxLanes())
		}
		a.assign(1, 0, 0, 1<<20)
		a.assign(2, 1, 0, 1<<20)
		a.assign(3, 1, 0, 1<<20) // waits on an admitted lane
		wait(100 * time.Millisecond)
		b.assign(1, 0, 0, 100)
		b.await(1)
		b.want(1, busy, 0)
		if b.ended[1].GetFailure().GetRetryAfter() == nil {
			t.Error("busy without a wait")
		}
		a.await(1, 2, 3)
		a.want(3, none, 1<<20)
		b.assign(2, 0, 0, 100)
		b.await(2)
		b.want(2, none, 100)
	})
}

func TestStreamsPerClientAreBounded(t *testing.T) {
	file := origintest.NewFile(1<<20, 1)
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		var streams []*stream
		for range 64 {
			streams = append(streams, w.open(urlOf("/f"), file))
		}
		if err := w.start().rest(); !errors.Is(err, errdefs.Busy) {
			t.Errorf("stream 65 ends with %v", err)
		}
		streams[0].cancel()
		wait(time.Second)
		w.open(urlOf("/f"), file)
	})
}

func TestSlowReaderIsCut(t *testing.T) {
	file := origintest.NewFile(64<<20, 1)
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		s.assign(1, 0, 0, 64<<20)
		wait(30 * time.Second)
		if n := w.origin.Sent(); n > 16<<20 || w.origin.Live("") != 1 {
			t.Errorf("the origin sent %d bytes for a client that reads nothing; %d requests live", n, w.origin.Live(""))
		}
		wait(31 * time.Second)
		if n := w.origin.Live(""); n != 0 {
			t.Errorf("%d requests for a client that reads nothing", n)
		}
		if err := s.rest(); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("the stream ends with %v", err)
		}
	})
}

func TestDraining(t *testing.T) {
	file := origintest.NewFile(4<<20, 1).With(origintest.Fault{Rate: 1 << 20})
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		s, idle := w.open(urlOf("/f"), file), w.open(urlOf("/f"), file)
		s.assign(1, 0, 0, 4<<20)
		s.until(func() bool { return s.got[1] > 0 })
		begin := time.Now()
		ended := make(chan error, 1)
		go func() { ended <- w.end() }()
		s.until(func() bool { return s.draining != nil })
		if err := idle.rest(); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("an idle stream ends with %v", err)
		}
		s.assign(2, 1, 0, 100)
		s.await(1, 2)
		s.want(1, none, 4<<20)
		s.want(2, unavailable, 0)
		if err := s.rest(); !errors.Is(err, errdefs.Unavailable) {
			t.Errorf("the stream ends with %v", err)
		}
		if err := <-ended; err != nil || time.Since(begin) > 6*time.Second {
			t.Errorf("ended after %v with %v", time.Since(begin), err)
		}
	})
	file = origintest.NewFile(64<<20, 1).With(origintest.Fault{Rate: 1 << 20})
	inBubble(t, peer.Config{}, one(file), func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		s.assign(1, 0, 0, 64<<20)
		s.until(func() bool { return s.got[1] > 0 })
		ended := make(chan error, 1)
		begin := time.Now()
		go func() { ended <- w.end() }()
		if err := s.rest(); !errors.Is(err, errdefs.Unavailable) || s.got[1] < 8<<20 {
			t.Errorf("cut with %v after %d bytes", err, s.got[1])
		}
		if err := <-ended; err != nil || time.Since(begin).Round(time.Second) != 10*time.Second {
			t.Errorf("ended after %v with %v, want the grace of 10 s", time.Since(begin), err)
		}
	})
}

func TestRateLimit(t *testing.T) {
	file := origintest.NewFile(8<<20, 1)
	inBubble(t, peer.Config{LimitRate: 1 << 20}, one(file), func(t *testing.T, w *world) {
		s := w.open(urlOf("/f"), file)
		if got := s.opened.GetLines()[0].GetLimitBytesPerSecond(); got != 1<<20 {
			t.Errorf("limit %d on the wire", got)
		}
		begin := time.Now()
		s.assign(1, 0, 0, 4<<20)
		s.assign(2, 1, 4<<20, 4<<20)
		s.await(1, 2)
		if took := time.Since(begin); took < 7*time.Second || took > 9*time.Second {
			t.Errorf("8 MiB at 1 MiB/s took %v", took)
		}
	})
}
