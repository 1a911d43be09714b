package peer_test

import (
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
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

func TestOriginFailures(t *testing.T) {
	file := origintest.NewFile(1<<20, 1)
	other := origintest.NewFile(1<<20, 2)
	longer := origintest.NewFile(2<<20, 1)
	weak := `W/"x"`
	for _, test := range []struct {
		name  string
		fault origintest.Fault
		want  ddmv1.FailureKind
		bytes int64
	}{
		{"404", origintest.Fault{Status: 404}, ddmv1.FailureKind_FAILURE_KIND_NOT_FOUND, 0},
		{"403", origintest.Fault{Status: 403}, ddmv1.FailureKind_FAILURE_KIND_UNAUTHORIZED, 0},
		{"500", origintest.Fault{Status: 500}, unavailable, 0},
		{"418", origintest.Fault{Status: 418}, badReply, 0},
		{"429", origintest.Fault{Status: 429, RetryAfter: "7"}, busy, 0},
		{"503", origintest.Fault{Status: 503}, busy, 0},
		{"416", origintest.Fault{Status: 416, ContentRange: []string{"bytes */1048576"}}, ddmv1.FailureKind_FAILURE_KIND_BAD_RANGE, 0},
		{"no ranges", origintest.Fault{Status: 200}, ddmv1.FailureKind_FAILURE_KIND_NO_RANGES, 0},
		{"changed", origintest.Fault{Become: &other}, none, 0}, // judged below
		{"longer", origintest.Fault{Become: &longer}, ddmv1.FailureKind_FAILURE_KIND_CHANGED, 0},
		{"weak tag", origintest.Fault{ETag: &weak}, ddmv1.FailureKind_FAILURE_KIND_CHANGED, 0},
		{"shifted", origintest.Fault{Shift: 1}, badReply, 0},
		{"no Content-Range", origintest.Fault{ContentRange: []string{}}, badReply, 0},
		{"multipart", origintest.Fault{Multipart: true}, badReply, 0},
		{"truncated", origintest.Fault{After: 1000, End: origintest.Truncate}, unavailable, 1000},
		{"stalled", origintest.Fault{After: 1000, End: origintest.Stall}, unavailable, 1000},
		{"silent", origintest.Fault{HeaderDelay: time.Hour}, ddmv1.FailureKind_FAILURE_KIND_TIMEOUT, 0},
		{"redirects for ever", origintest.Fault{Location: "/f"}, ddmv1.FailureKind_FAILURE_KIND_REDIRECTS, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, peer.Config{}, one(file.With(test.fault)), func(t *testing.T, w *world) {
				s := w.start()
				s.file = file
				open := openOf(urlOf("/f?token=secret"), file)
				open.Resource.Generation.LastModified = ""
				s.say(&ddmv1.FetchRequest{Order: &ddmv1.FetchRequest_Open{Open: open}})
				s.assign(1, 0, 0, 600_000)
				s.await(1)
				failed := s.ended[1]
				if test.name == "changed" {
					test.want = ddmv1.FailureKind_FAILURE_KIND_CHANGED
					if failed.GetSeen().GetEtag() != other.ETag {
						t.Errorf("seen %v, want %s", failed.GetSeen(), other.ETag)
					}
				}
				s.want(1, test.want, test.bytes)
				if text := failed.GetFailure().GetMessage(); text == "" || strings.Contains(text+w.log.String(), "secret") {
					t.Errorf("message %q, log:\n%s", text, w.log)
				}
				if after := failed.GetFailure().GetRetryAfter().AsDuration(); test.name == "429" && after != 7*time.Second {
					t.Errorf("retry after %v, want 7 s", after)
				}
			})
		})
	}
}

// What the policy forbids and what does not answer look alike, before and
// after the origin was reached.
func TestRefusedAndUnreachableLookAlike(t *testing.T) {
	file := origintest.NewFile(1<<20, 1)
	redirect := func(to string) origintest.File {
		return file.With(origintest.Fault{Skip: 1, Location: to})
	}
	files := map[string]origintest.File{
		"/to-private": redirect("http://" + privateHost + "/secret"),
		"/to-silent":  redirect("http://" + silentHost + "/secret"),
	}
	inBubble(t, peer.Config{}, files, func(t *testing.T, w *world) {
		run := func(url string, n int) *ddmv1.Failure {
			s := w.open(url, file)
			for id := range uint64(n) {
				s.assign(id, 0, 0, 100)
				s.await(id)
			}
			return s.ended[uint64(n-1)].GetFailure()
		}
		private, silent := run("http://"+privateHost+"/f", 1), run("http://"+silentHost+"/f", 1)
		if private.GetKind() != refused || private.String() != silent.String() {
			t.Errorf("refused by policy: %v\nunreachable: %v", private, silent)
		}
		private, silent = run(urlOf("/to-private"), 2), run(urlOf("/to-silent"), 2)
		if private.GetKind() != unavailable || private.String() != silent.String() {
			t.Errorf("after a success, refused by policy: %v\nunreachable: %v", private, silent)
		}
		if !strings.Contains(w.log.String(), privateHost) {
			t.Errorf("the log does not say what was refused:\n%s", w.log)
		}
	})
}

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

func TestProbe(t *testing.T) {
	file := origintest.NewFile(5<<20, 1)
	file.Header = map[string][]string{"Content-Disposition": {`attachment; filename="x.iso"`}}
	files := map[string]origintest.File{
		"/f":      file,
		"/moved":  file.With(origintest.Fault{Location: "/f?signature=secret#x"}),
		"/ranges": file.With(origintest.Fault{Status: 200}),
		"/gone":   file.With(origintest.Fault{Status: 410}),
	}
	inBubble(t, peer.Config{}, files, func(t *testing.T, w *world) {
		probe := func(url string) (*ddmv1.ProbeResponse, error) {
			return w.client.Probe(t.Context(), &ddmv1.ProbeRequest{Resource: &ddmv1.Resource{Url: url}})
		}
		got, err := probe(urlOf("/moved"))
		if err != nil {
			t.Fatal(err)
		}
		if g := got.GetGeneration(); g.GetSize() != file.Size || g.GetEtag() != file.ETag || !got.GetRanges() ||
			got.GetFinalUrl() != urlOf("/f") || got.GetContentDisposition() != file.Header.Get("Content-Disposition") {
			t.Errorf("probe: %v", got)
		}
		if got, err = probe(urlOf("/ranges")); err != nil || got.GetRanges() {
			t.Errorf("probe of an origin without ranges: %v, %v", got, err)
		}
		for url, want := range map[string]error{
			urlOf("/gone"):                 errdefs.NotFound,
			"http://" + privateHost + "/f": errdefs.Refused,
			"http://" + silentHost + "/f":  errdefs.Refused,
			"ftp://example.com/f":          errdefs.Invalid,
			"":                             errdefs.Invalid,
		} {
			if _, err := probe(url); !errors.Is(err, want) {
				t.Errorf("probe of %q: %v, want %v", url, err, want)
			}
		}
		synctest.Wait()
		if n := w.origin.Live(""); n != 0 {
			t.Errorf("%d requests outlive their probes", n)
		}
	})
}
