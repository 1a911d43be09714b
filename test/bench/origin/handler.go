package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"ddm/test/bench/content"
)

const (
	kib = 1 << 10
	mib = 1 << 20

	slow = 32 * kib // bytes per second of a request that has bad luck
)

// conduct says how the files of one kind are served.
type conduct struct {
	perConn float64 // bytes per second of each connection; 0: no limit
	live    int     // requests at a time for each client address, 503 above; 0: any number
	every   int64   // each so manieth request is slow; 0: none
	at      float64 // this share of the file sent, something befalls one request
	freeze  bool    // it freezes; else it becomes slow
}

// conducts by kind, the first element of a path.
func conducts() map[string]conduct {
	return map[string]conduct{
		"plain":  {},
		"conn":   {perConn: 2 * mib},
		"limit":  {perConn: 2 * mib, live: 4},
		"freeze": {perConn: 2 * mib, at: 0.4, freeze: true},
		"drop":   {perConn: 2 * mib, at: 0.4},
		"fifth":  {perConn: 2 * mib, every: 5},
	}
}

// Stats is what the origin counted of one file.
type Stats struct {
	Requests int64 `json:"requests"`
	Refused  int64 `json:"refused"` // of them, with 503
	Sent     int64 `json:"sent"`    // body bytes handed to the system
	Peak     int   `json:"peak"`    // requests at a time from one address
}

// file is the state of one file: every run of the bench names its own.
type file struct {
	requests, refused, sent atomic.Int64
	struck                  atomic.Bool // what befalls one request has happened

	mu   sync.Mutex
	live map[string]int // by client address
	peak int
}

type handler struct {
	block    content.Block
	conducts map[string]conduct
	modified time.Time

	mu    sync.Mutex
	files map[string]*file // by path
}

func newHandler() *handler {
	return &handler{
		block: content.NewBlock(), conducts: conducts(), files: make(map[string]*file),
		modified: time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC),
	}
}

// paceKey finds the pace of a connection in the context of its requests.
type paceKey struct{}

// withPace is the server's ConnContext: a limiter for each connection, so that
// short requests gain nothing.
func withPace(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, paceKey{}, rate.NewLimiter(rate.Inf, 32*kib))
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, stats := strings.CutPrefix(r.URL.Path, "/stats")
	c, err := content.Parse(path)
	how, known := h.conducts[c.Kind]
	if err != nil || !known {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	f := h.file(path)
	if stats {
		f.mu.Lock()
		s := Stats{f.requests.Load(), f.refused.Load(), f.sent.Load(), f.peak}
		f.mu.Unlock()
		_ = json.NewEncoder(w).Encode(s) // the asker sees what is missing
		return
	}
	nth := f.requests.Add(1)
	leave, ok := f.enter(r.RemoteAddr, how.live)
	if !ok {
		f.refused.Add(1)
		http.Error(w, "too many connections", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	pace, ok := r.Context().Value(paceKey{}).(*rate.Limiter)
	if !ok {
		http.Error(w, "connection without a pace", http.StatusInternalServerError)
		return
	}
	pace.SetLimit(limit(how, nth))
	off, end, ok := h.header(w, r, c)
	if ok && r.Method == http.MethodGet {
		h.body(r.Context(), w, c, f, how, pace, off, end)
	}
}

func limit(how conduct, nth int64) rate.Limit {
	switch {
	case how.every > 0 && nth%how.every == 0:
		return slow
	case how.perConn > 0:
		return rate.Limit(how.perConn)
	default:
		return rate.Inf
	}
}

func (h *handler) file(path string) *file {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.files[path]
	if f == nil {
		f = &file{live: make(map[string]int)}
		h.files[path] = f
	}
	return f
}

// enter counts a request in, if its client has not too many.
func (f *file) enter(remote string, most int) (leave func(), ok bool) {
	client, _, err := net.SplitHostPort(remote)
	if err != nil {
		client = remote
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if most > 0 && f.live[client] >= most {
		return nil, false
	}
	f.live[client]++
	f.peak = max(f.peak, f.live[client])
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.live[client]--
	}, true
}

// header answers and gives the range that the body is to hold.
func (h *handler) header(w http.ResponseWriter, r *http.Request, c content.Content) (off, end int64, ok bool) {
	head := w.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("Accept-Ranges", "bytes")
	head.Set("ETag", c.ETag())
	head.Set("Last-Modified", h.modified.Format(http.TimeFormat))
	field := r.Header.Get("Range")
	if field == "" {
		head.Set("Content-Length", strconv.FormatInt(c.Size, 10))
		w.WriteHeader(http.StatusOK)
		return 0, c.Size, true
	}
	off, end, ok = parseRange(field, c.Size)
	if !ok {
		head.Set("Content-Range", "bytes */"+strconv.FormatInt(c.Size, 10))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return 0, 0, false
	}
	head.Set("Content-Range", "bytes "+strconv.FormatInt(off, 10)+"-"+strconv.FormatInt(end-1, 10)+"/"+strconv.FormatInt(c.Size, 10))
	head.Set("Content-Length", strconv.FormatInt(end-off, 10))
	w.WriteHeader(http.StatusPartialContent)
	return off, end, true
}

// parseRange understands one range of RFC 9110, section 14.1.2.
func parseRange(field string, size int64) (off, end int64, ok bool) {
	first, last, found := strings.Cut(strings.TrimPrefix(field, "bytes="), "-")
	if !found || !strings.HasPrefix(field, "bytes=") {
		return 0, 0, false
	}
	a, errA := strconv.ParseInt(first, 10, 64)
	b, errB := strconv.ParseInt(last, 10, 64)
	switch {
	case first == "" && errB == nil && b > 0:
		return max(0, size-b), size, size > 0
	case errA != nil || a < 0 || a >= size:
		return 0, 0, false
	case last == "":
		return a, size, true
	case errB != nil || b < a:
		return 0, 0, false
	default:
		return a, min(size, b+1), true
	}
}

// body sends a range at the pace of its connection.
func (h *handler) body(ctx context.Context, w http.ResponseWriter, c content.Content, f *file, how conduct, pace *rate.Limiter, off, end int64) {
	step := int64(mib)
	if how.perConn > 0 {
		step = 16 * kib
	}
	for off < end {
		if how.at > 0 && float64(f.sent.Load()) >= how.at*float64(c.Size) && f.struck.CompareAndSwap(false, true) {
			if how.freeze {
				<-ctx.Done()
				return
			}
			pace.SetLimit(slow)
		}
		p := c.Slice(h.block, off, min(step, end-off))
		if how.perConn > 0 && pace.WaitN(ctx, len(p)) != nil {
			return
		}
		n, err := w.Write(p)
		off += int64(n)
		f.sent.Add(int64(n))
		if err != nil {
			return
		}
	}
}
