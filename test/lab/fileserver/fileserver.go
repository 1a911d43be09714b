// Package fileserver is the origin of the outside tests: an HTTP server whose
// files are computed, whose lines can be throttled and whose log tells tests
// when each request began and ended.
//
//	request -> Content (from the path) -> http.ServeContent -> line of the
//	client's address (token bucket) -> socket
//	   |                                                          |
//	   +-- log: start ------------------------------ log: end, ---+
//	                                                 bytes, error
package fileserver

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

const (
	lineBurst = 64 << 10 // bytes that an idle line may send at once
	lineWrite = 16 << 10 // bytes per write on a throttled line
)

// Entry is one line of the log.
type Entry struct {
	Time   time.Time `json:"time"`
	Event  string    `json:"event"` // "start" or "end"
	ID     int64     `json:"id"`    // the same for the two entries of a request
	Client string    `json:"client"`
	Path   string    `json:"path"`
	Range  string    `json:"range,omitempty"` // the Range header as it came
	Status int       `json:"status,omitempty"`
	Bytes  int64     `json:"bytes"` // of the body, handed to the system so far
	Error  string    `json:"error,omitempty"`
}

// Server serves Content. Make one with New.
type Server struct {
	perClient float64 // bytes per second for each client address; 0: no limit
	modified  time.Time

	ids atomic.Int64

	mu    sync.Mutex
	log   io.Writer
	lines map[string]*line // by client address
}

type line struct {
	bucket *rate.Limiter // nil: no limit
	bytes  atomic.Int64
}

// New makes a server that gives each client address perClient bytes per second
// (0: no limit) and writes its log, one JSON object a line, to log (nil: none).
func New(perClient float64, log io.Writer) *Server {
	return &Server{
		perClient: perClient,
		modified:  time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC),
		log:       log,
		lines:     make(map[string]*line),
	}
}

// Served says how many body bytes each client address was sent.
func (s *Server) Served() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := make(map[string]int64, len(s.lines))
	for client, l := range s.lines {
		sent[client] = l.bytes.Load()
	}
	return sent
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = r.RemoteAddr
	}
	if r.URL.Path == "/healthz" {
		w.WriteHeader(http.StatusOK)
		return
	}
	body := &body{ResponseWriter: w, ctx: r.Context(), line: s.line(client)}
	entry := Entry{ID: s.ids.Add(1), Client: client, Path: r.URL.Path, Range: r.Header.Get("Range")}
	entry.Event, entry.Time = "start", time.Now()
	s.write(entry)
	defer func() {
		entry.Event, entry.Time = "end", time.Now()
		entry.Status, entry.Bytes = body.status, body.sent
		if body.err != nil {
			entry.Error = body.err.Error()
		}
		s.write(entry)
	}()
	s.serve(body, r)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	c, err := Parse(r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if c.Plain {
		r.Header.Del("Range")
	}
	w.Header().Set("ETag", c.ETag())
	if c.Plain {
		w = &rangeless{w}
	}
	http.ServeContent(w, r, c.Name, s.modified, c.Reader())
}

func (s *Server) line(client string) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[client]
	if l == nil {
		l = &line{}
		if s.perClient > 0 {
			l.bucket = rate.NewLimiter(rate.Limit(s.perClient), lineBurst)
		}
		s.lines[client] = l
	}
	return l
}

func (s *Server) write(e Entry) {
	if s.log == nil {
		return
	}
	text, err := json.Marshal(e)
	if err != nil {
		return // an Entry always marshals
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A test that finds an entry missing fails by itself.
	_, _ = s.log.Write(append(text, '\n'))
}

// rangeless hides that the server could serve ranges.
type rangeless struct{ http.ResponseWriter }

func (w *rangeless) WriteHeader(status int) {
	w.Header().Del("Accept-Ranges")
	w.ResponseWriter.WriteHeader(status)
}

// body counts and throttles what one request is sent.
type body struct {
	http.ResponseWriter
	ctx    context.Context //nolint:containedctx // lives as long as its request
	line   *line
	status int
	sent   int64
	err    error
}

func (b *body) WriteHeader(status int) {
	b.status = status
	b.ResponseWriter.WriteHeader(status)
}

func (b *body) Write(p []byte) (int, error) {
	if b.status == 0 {
		b.status = http.StatusOK
	}
	done := 0
	for done < len(p) {
		n := len(p) - done
		if b.line.bucket != nil {
			n = min(n, lineWrite)
			if b.err = b.line.bucket.WaitN(b.ctx, n); b.err != nil {
				return done, b.err
			}
		}
		var wrote int
		wrote, b.err = b.ResponseWriter.Write(p[done : done+n])
		done += wrote
		b.sent += int64(wrote)
		b.line.bytes.Add(int64(wrote))
		if b.err != nil {
			return done, b.err
		}
	}
	return done, nil
}
