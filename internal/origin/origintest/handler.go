package origintest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"

	"ddm/internal/byterange"
)

// Options describe an origin.
type Options struct {
	Files     map[string]File // by path; "/bytes/SIZE/NAME" is there without
	Throttle  Throttle        // rates; used by New and Serve
	MaxLive   int             // requests of one client at once, 503 above; 0: any
	TLS       bool            // serve https; used by New
	RetryHint string          // Retry-After of that 503
}

// Handler serves files, well or badly, and remembers who asked for what.
type Handler struct {
	record
	opts  Options
	mu    sync.Mutex
	files map[string]File
	done  chan struct{}
	once  sync.Once
}

// NewHandler makes an origin's handler.
func NewHandler(o Options) *Handler {
	h := &Handler{opts: o, files: make(map[string]File), done: make(chan struct{})}
	maps.Copy(h.files, o.Files)
	return h
}

// Set puts a file under a path, in place of what was there.
func (h *Handler) Set(path string, f File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[path] = f
}

// Release ends every stall and delay, now and from here on.
func (h *Handler) Release() { h.once.Do(func() { close(h.done) }) }

func (h *Handler) lookup(path string) (File, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f, ok := h.files[path]; ok {
		return f, true
	}
	rest, ok := strings.CutPrefix(path, "/bytes/")
	if !ok {
		return File{}, false
	}
	text, _, _ := strings.Cut(rest, "/")
	size, err := humanize.ParseBytes(text)
	if err != nil || size > 10<<40 {
		return File{}, false
	}
	return NewFile(int64(size), 0), true
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, nth, running := h.begin(r)
	defer h.end(e)
	f, ok := h.lookup(r.URL.Path)
	if !ok {
		h.fail(w, e, http.StatusNotFound)
		return
	}
	if h.opts.MaxLive > 0 && running > h.opts.MaxLive {
		if h.opts.RetryHint != "" {
			w.Header().Set("Retry-After", h.opts.RetryHint)
		}
		h.fail(w, e, http.StatusServiceUnavailable)
		return
	}
	var bad Fault
	for _, fault := range f.Faults {
		if fault.matches(nth, e.Client) {
			bad = bad.merge(fault)
		}
	}
	if bad.Become != nil {
		f = *bad.Become
	}
	if bad.HeaderDelay > 0 && !sleep(bad.HeaderDelay, r.Context().Done(), h.done) {
		panic(http.ErrAbortHandler)
	}
	x := &exchange{h: h, w: w, r: r, e: e, file: f, bad: bad}
	x.serve()
}

func (h *Handler) fail(w http.ResponseWriter, e *Request, status int) {
	h.status(e, status)
	http.Error(w, http.StatusText(status), status)
}

// exchange is one request being answered.
type exchange struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	e    *Request
	file File
	bad  Fault
}

func (x *exchange) serve() {
	head := x.w.Header()
	if x.bad.RetryAfter != "" {
		head.Set("Retry-After", x.bad.RetryAfter)
	}
	if x.bad.Location != "" {
		head.Set("Location", x.bad.Location)
		set(&x.bad.Status, max(x.bad.Status, http.StatusFound))
	}
	if s := x.bad.Status; s != 0 && s != http.StatusOK && s != http.StatusPartialContent {
		x.override()
		x.h.fail(x.w, x.e, s)
		return
	}
	x.identity()
	status, span := x.choose()
	if status == http.StatusRequestedRangeNotSatisfiable {
		head.Set("Content-Range", fmt.Sprintf("bytes */%d", x.file.Size))
		x.contentRange()
		x.override()
		x.h.fail(x.w, x.e, status)
		return
	}
	if status == http.StatusPartialContent {
		head.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", span.Off, span.End()-1, x.file.Size))
	}
	x.contentRange()
	span.Len += x.bad.Excess
	switch {
	case x.bad.NoLength:
		head.Set("Transfer-Encoding", "identity") // net/http: close-delimited
	case !x.bad.Chunked:
		head.Set("Content-Length", strconv.FormatInt(span.Len, 10))
	}
	head.Set("Content-Type", "application/octet-stream")
	if x.bad.Multipart {
		head.Set("Content-Type", "multipart/byteranges; boundary=b")
	}
	x.digest(span)
	x.override()
	x.h.status(x.e, status)
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		x.body(span)
	}
}

// identity sets what names the generation.
func (x *exchange) identity() {
	head := x.w.Header()
	etag := x.file.ETag
	if x.bad.ETag != nil {
		etag = *x.bad.ETag
	}
	if etag != "" {
		head.Set("Etag", etag)
	}
	if !x.file.Modified.IsZero() {
		head.Set("Last-Modified", x.file.Modified.UTC().Format(http.TimeFormat))
	}
	head.Set("Accept-Ranges", "bytes")
	maps.Copy(head, x.file.Header)
}

// digest names the digest of the body (RFC 9530).
func (x *exchange) digest(span byterange.Range) {
	if x.bad.ContentDigest == Undigested {
		return
	}
	sum := sha256.Sum256(x.file.Bytes(span.Off, int(span.Len)))
	if x.bad.ContentDigest == WrongDigest {
		sum[0]++
	}
	x.w.Header().Set("Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
}

func (x *exchange) contentRange() {
	if x.bad.ContentRange == nil {
		return
	}
	x.w.Header().Del("Content-Range")
	for _, v := range x.bad.ContentRange {
		x.w.Header().Add("Content-Range", v)
	}
}

// override lays the fault's header fields over all others.
func (x *exchange) override() {
	for _, field := range x.bad.Set {
		name, value, _ := strings.Cut(field, ":")
		if value = strings.TrimSpace(value); value == "" {
			x.w.Header().Del(name)
		} else {
			x.w.Header().Add(name, value)
		}
	}
}

// choose finds the status and the bytes to send.
func (x *exchange) choose() (int, byterange.Range) {
	whole := byterange.Range{Len: x.file.Size}
	asked, ok := parseRange(x.e.Range, x.file.Size)
	if !ok || x.bad.Status == http.StatusOK {
		if x.bad.Status == http.StatusPartialContent {
			return http.StatusPartialContent, whole
		}
		return http.StatusOK, whole
	}
	if asked.Empty() {
		return http.StatusRequestedRangeNotSatisfiable, asked
	}
	asked = byterange.Between(asked.Off+x.bad.Shift, asked.End()+x.bad.Shift)
	if x.bad.Short > 0 {
		asked.Len = min(asked.Len, x.bad.Short)
	}
	return http.StatusPartialContent, asked
}

// parseRange reads one range of a Range field; ok is false if there is none
// that is understood, and the range is empty if nothing satisfies it.
func parseRange(field string, size int64) (r byterange.Range, ok bool) {
	spec, ok := strings.CutPrefix(field, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash {
		return r, false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		return byterange.Between(max(size-n, 0), size), err == nil
	}
	a, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return r, false
	}
	if last == "" {
		return byterange.Between(a, size), true
	}
	b, err := strconv.ParseInt(last, 10, 64)
	return byterange.Between(a, min(b, size-1)+1), err == nil && b >= a
}

// body sends the bytes, up to where the fault ends them.
func (x *exchange) body(span byterange.Range) {
	page := make([]byte, min(pageSize, max(span.Len, 1)))
	if x.bad.Rate > 0 {
		page = page[:min(len(page), max(1, int(x.bad.Rate/20)))]
	}
	stop := span.Len
	if x.bad.End != Whole {
		stop = min(stop, x.bad.After)
	}
	for at := int64(0); at < stop; {
		p := page[:min(int64(len(page)), stop-at)]
		x.file.Fill(p, span.Off+at)
		n, err := x.w.Write(p)
		x.h.add(x.e, n)
		if err != nil {
			return
		}
		at += int64(n)
		if x.bad.Rate > 0 {
			x.flush()
			if !sleep(time.Duration(float64(n)/x.bad.Rate*float64(time.Second)), x.r.Context().Done(), x.h.done) {
				return
			}
		}
	}
	x.finish()
}

func (x *exchange) flush() { _ = http.NewResponseController(x.w).Flush() }

// finish ends the body as the fault says.
func (x *exchange) finish() {
	switch x.bad.End {
	case Whole:
	case Truncate:
		x.flush()
		panic(http.ErrAbortHandler)
	case Stall:
		x.flush()
		select {
		case <-x.r.Context().Done():
		case <-x.h.done:
		}
		panic(http.ErrAbortHandler)
	case Reset:
		x.flush()
		conn, _, err := http.NewResponseController(x.w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		_ = setLinger(conn, 0)
		_ = conn.Close()
	}
}
