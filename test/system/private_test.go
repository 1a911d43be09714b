package system_test

import (
	"bytes"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"

	"ddm/client"
	"ddm/internal/origin/origintest"
)

const canary = "c4n4ry-5ecret"

// spy keeps everything that the client writes to tracker and peers.
type spy struct {
	mu   sync.Mutex
	seen bytes.Buffer
}

func (s *spy) tap(c net.Conn) net.Conn { return spiedConn{c, s} }

func (s *spy) heard(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.seen.Bytes(), []byte(text))
}

type spiedConn struct {
	net.Conn
	s *spy
}

func (c spiedConn) Write(p []byte) (int, error) {
	c.s.mu.Lock()
	c.s.seen.Write(p)
	c.s.mu.Unlock()
	return c.Conn.Write(p)
}

// TestSecretsStayHome: nothing that is or may be a credential reaches a
// tracker, a peer or the report; requests without one are shared.
func TestSecretsStayHome(t *testing.T) {
	f := origintest.NewFile(3*mib, 70)
	plain := "http://" + originHost + "/f.bin"
	jar := func() http.CookieJar {
		j, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(plain)
		if err != nil {
			t.Fatal(err)
		}
		j.SetCookies(u, []*http.Cookie{{Name: "session", Value: canary}})
		return j
	}
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	for _, tc := range []struct {
		name   string
		job    client.Job
		shared bool
	}{
		{name: "nothing to hide", shared: true, job: client.Job{URLs: []string{plain}}},
		{name: "an ordinary query", shared: true, job: client.Job{URLs: []string{plain + "?version=7&lang=en"}}},
		{name: "user agent and language", shared: true, job: client.Job{URLs: []string{plain}, Header: http.Header{"User-Agent": {"x"}, "Accept-Language": {"en"}}}},
		{name: "fragment", shared: true, job: client.Job{URLs: []string{plain + "#" + canary}}},
		{name: "user", job: client.Job{URLs: []string{plain}, User: url.UserPassword("me", canary)}},
		{name: "user in the URL", job: client.Job{URLs: []string{"http://me:" + canary + "@" + originHost + "/f.bin"}}},
		{name: "netrc", job: client.Job{URLs: []string{plain}, Netrc: func(string) *url.Userinfo { return url.UserPassword("me", canary) }}},
		{name: "authorization", job: client.Job{URLs: []string{plain}, Header: header("Authorization", "Bearer "+canary)}},
		{name: "cookie field", job: client.Job{URLs: []string{plain}, Header: header("Cookie", "a="+canary)}},
		{name: "cookie jar", job: client.Job{URLs: []string{plain}, Cookies: jar()}},
		{name: "lower case field", job: client.Job{URLs: []string{plain}, Header: header("x-api-key", canary)}},
		{name: "signed query", job: client.Job{URLs: []string{plain + "?X-Amz-Signature=" + canary}}},
		{name: "token in the query", job: client.Job{URLs: []string{plain + "?a=1&private_token=" + canary}}},
		{name: "semicolons", job: client.Job{URLs: []string{plain + "?a=1;token=" + canary}}},
		{name: "a bad escape beside it", job: client.Job{URLs: []string{plain + "?%zz&Sig=" + canary}}},
		{name: "escaped name", job: client.Job{URLs: []string{plain + "?%74oken=" + canary}}},
		{name: "in a mirror", job: client.Job{URLs: []string{plain, "http://me:" + canary + "@93.184.216.35/f.bin"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				s := &spy{}
				w.tap = s.tap
				w.tracker()
				w.peer("a", mib)
				a := &account{}
				if err := w.user(mib, nil).do(tc.job, a); err != nil {
					w.t.Fatal(err)
				}
				w.holds("f.bin", f)
				if s.heard(canary) {
					w.t.Error("the secret crossed the LAN")
				}
				if s.heard("/f.bin") != tc.shared || (a.done.LAN > 0) != tc.shared {
					w.t.Errorf("shared with peers: %v, want %v; %v", !tc.shared, tc.shared, a)
				}
				if a.noted("own lines only") == tc.shared {
					w.t.Errorf("notes: %q", a.notes)
				}
				if told := strings.Join(append(a.notes, a.start.URL, a.done.URL), " "); strings.Contains(told, canary) {
					w.t.Errorf("the report tells the secret: %s", told)
				}
			})
		})
	}
}

// TestSecretsAndMirrors: a secret goes to the origin that it was given for.
func TestSecretsAndMirrors(t *testing.T) {
	f := origintest.NewFile(3*mib, 71)
	const other = "93.184.216.35"
	bubble(t, map[string]origintest.File{"/f.bin": f.With(origintest.Fault{Status: 500})}, func(w *world) {
		second := origintest.Serve(w.t, w.net.listen(other+":80"), origintest.Options{Files: map[string]origintest.File{"/f.bin": f}})
		a := &account{}
		job := client.Job{
			URLs: []string{"http://" + originHost + "/f.bin", "http://" + other + "/f.bin"},
			User: url.UserPassword("me", canary), Header: http.Header{"X-Api-Key": {canary}, "User-Agent": {"mine"}},
			Netrc: func(host string) *url.Userinfo { return map[string]*url.Userinfo{originHost: url.User(canary)}[host] },
		}
		if err := w.user(mib, nil).do(job, a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		for _, r := range second.Requests() {
			for name, values := range r.Header {
				if strings.Contains(strings.Join(values, " "), canary) || name == "Authorization" {
					w.t.Errorf("the mirror got %s: %q", name, values)
				}
			}
			if r.Header.Get("User-Agent") != "mine" {
				w.t.Errorf("the mirror was asked as %q", r.Header.Get("User-Agent"))
			}
		}
		if r := w.origin.Requests()[0]; r.Header.Get("Authorization") == "" || r.Header.Get("X-Api-Key") == "" {
			w.t.Errorf("the origin did not get what it needs: %v", r.Header)
		}
	})
}

// TestMirrors: the first that answers is used, and another takes over when it
// dies.
func TestMirrors(t *testing.T) {
	f := origintest.NewFile(8*mib, 72)
	newer := origintest.NewFile(8*mib, 73)
	const other = "93.184.216.35"
	fault := func(skip int, fault origintest.Fault) origintest.File {
		fault.Skip = skip
		return f.With(fault)
	}
	for _, tc := range []struct {
		name        string
		first       origintest.File
		second      origintest.File
		goesOn      bool // it does not begin again
		want        origintest.File
		firstServes bool
	}{
		{name: "the first is gone", first: fault(0, origintest.Fault{Status: 404}), second: f, want: f},
		{name: "the first is silent", first: fault(0, origintest.Fault{HeaderDelay: 1e15}), second: f, want: f},
		{name: "the first dies", first: fault(4, origintest.Fault{Status: 404}), second: f, want: f, goesOn: true, firstServes: true},
		{name: "the first falls silent", first: fault(4, origintest.Fault{End: origintest.Stall}), second: f, want: f, goesOn: true, firstServes: true},
		{name: "the second is another version", first: fault(4, origintest.Fault{Status: 404}), second: newer, want: newer, firstServes: true},
		{name: "the second is gone", first: f, second: fault(0, origintest.Fault{Status: 404}), want: f, firstServes: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": tc.first}, func(w *world) {
				second := origintest.Serve(w.t, w.net.listen(other+":80"), origintest.Options{Files: map[string]origintest.File{"/f.bin": tc.second}})
				w.tracker()
				w.peer("a", mib)
				a := &account{}
				job := client.Job{URLs: []string{"http://" + originHost + "/f.bin", "http://" + other + "/f.bin"}}
				if err := w.user(mib, nil).do(job, a); err != nil {
					w.t.Fatal(err, a.notes)
				}
				w.t.Log(a, a.notes)
				w.contains("f.bin", tc.want)
				if tc.goesOn && (a.noted("another mirror") || second.Sent()+w.origin.Sent() > f.Size+4*mib) {
					w.t.Errorf("the mirrors sent %d and %d bytes, notes %q", w.origin.Sent(), second.Sent(), a.notes)
				}
				if served := w.origin.Sent() > 0; served != tc.firstServes {
					w.t.Errorf("the first mirror sent %d bytes", w.origin.Sent())
				}
			})
		})
	}
}
