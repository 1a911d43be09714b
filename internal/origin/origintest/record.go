package origintest

import (
	"net/http"
	"sync"
)

// maxRecords is how many requests are kept; later ones are counted only.
const maxRecords = 1 << 16

// Request is what the origin saw of one request.
type Request struct {
	Client string // address without port
	Conn   string // address with port: one per connection
	Method string
	Path   string
	Range  string      // the Range field
	Header http.Header // as received
	Status int         // sent; 0: none yet
	Sent   int64       // bytes of the body so far
	Live   bool        // still being served
}

// record counts and remembers requests.
type record struct {
	mu    sync.Mutex
	all   []*Request
	sent  int64
	total int
	live  map[string]int // by client
	seen  map[string]int // by path
}

// begin returns the entry, which request of its path this is, and how many
// this client has running.
func (r *record) begin(req *http.Request) (e *Request, nth, running int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e = &Request{
		Client: clientOf(req.RemoteAddr), Conn: req.RemoteAddr, Method: req.Method,
		Path: req.URL.Path, Range: req.Header.Get("Range"), Header: req.Header.Clone(), Live: true,
	}
	if len(r.all) < maxRecords {
		r.all = append(r.all, e)
	}
	if r.live == nil {
		r.live, r.seen = make(map[string]int), make(map[string]int)
	}
	nth = r.seen[e.Path]
	r.total++
	r.seen[e.Path]++
	r.live[e.Client]++
	return e, nth, r.live[e.Client]
}

func (r *record) end(e *Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Live = false
	r.live[e.Client]--
}

func (r *record) status(e *Request, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Status = status
}

func (r *record) add(e *Request, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Sent += int64(n)
	r.sent += int64(n)
}

// Requests returns what was seen so far, oldest first.
func (r *record) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Request, len(r.all))
	for i, e := range r.all {
		out[i] = *e
	}
	return out
}

// Total returns how many requests came.
func (r *record) Total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Live returns how many requests are being served: of one client, or of all
// if client is "".
func (r *record) Live(client string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for c, live := range r.live {
		if client == "" || client == c {
			n += live
		}
	}
	return n
}

// Sent returns the bytes of all bodies.
func (r *record) Sent() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}
