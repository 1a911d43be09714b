package peer_test

import (
	"strings"
	"testing"
	"time"

	"ddm/internal/origin/origintest"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

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
