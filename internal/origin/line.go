package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/time/rate"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

const (
	defaultConnectTimeout = 10 * time.Second
	defaultHeaderTimeout  = 15 * time.Second
	defaultStallTimeout   = 10 * time.Second
	tlsTimeout            = 10 * time.Second
	idleTimeout           = 30 * time.Second
	maxIdlePerHost        = 64
	maxHeaderBytes        = 64 << 10
	defaultProbe          = 1 << 20 // bytes
)

// LineConfig describes a Line. The zero value is the system's own way to the
// public internet.
type LineConfig struct {
	Name string // for people; "": Bind, else "default"
	Bind string // "": the system's choice; else an interface's name or a local address

	// Policy judges every dialled address; nil: PublicOnly(nil, nil).
	// Redirected, if not nil, takes its place from the first redirect on
	// that a public address (or a proxy) sent: what a user may name, a
	// stranger's server may not. The address of a proxy is always judged by
	// Policy; what the proxy dials is out of sight.
	Policy     Policy
	Redirected Policy

	Proxy   func(*http.Request) (*url.URL, error) // nil: none, whatever the environment says
	Limits  []*rate.Limiter                       // bytes of bodies per second, over all requests; every one binds
	Budget  Budget                                // what may be read at all; nil: anything
	RootCAs *x509.CertPool                        // nil: the system's

	ConnectTimeout time.Duration // 0: 10 s
	HeaderTimeout  time.Duration // from the request to the end of the reply's header; 0: 15 s
	StallTimeout   time.Duration // without a byte while a Read of the body waits; 0: 10 s

	// Dial takes the place of the network, for tests; Bind is then a name
	// only, and Policy judges only URLs that hold an address. nil: TCP from
	// Bind.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Budget is asked for every body byte before it is read, those that nobody
// wants included. Its errors are of kind errdefs.Refused and end the request.
type Budget interface {
	// Take grants at least 1 and at most n bytes.
	Take(n int) (int, error)
	// Give returns what was granted and not read.
	Give(n int)
	// Err says why nothing would be granted.
	Err() error
}

// Line is one way to the internet. It is safe for concurrent use.
type Line struct {
	cfg     LineConfig
	plain   *http.Transport // dials under cfg.Policy
	guarded *http.Transport // dials under cfg.Redirected; plain if that is nil
	public  *classifier
	targets targets
}

// NewLine makes a line. A Bind that is neither an interface nor an address of
// this machine is errdefs.Invalid.
func NewLine(cfg LineConfig) (*Line, error) {
	var bind binding
	if cfg.Dial == nil {
		var err error
		if bind, err = newBinding(cfg.Bind); err != nil {
			return nil, err
		}
	}
	if cfg.Name == "" {
		cfg.Name = cfg.Bind
	}
	if cfg.Name == "" {
		cfg.Name = "default"
	}
	if cfg.Policy == nil {
		cfg.Policy = PublicOnly(nil, nil)
	}
	if cfg.ConnectTimeout <= 0 {
		cfg.ConnectTimeout = defaultConnectTimeout
	}
	if cfg.HeaderTimeout <= 0 {
		cfg.HeaderTimeout = defaultHeaderTimeout
	}
	if cfg.StallTimeout <= 0 {
		cfg.StallTimeout = defaultStallTimeout
	}
	l := &Line{cfg: cfg, public: newClassifier(nil)}
	l.plain = newTransport(cfg, newDialer(cfg, bind, cfg.Policy))
	l.guarded = l.plain
	if cfg.Redirected != nil {
		// A transport of its own: a pooled connection is not judged again.
		l.guarded = newTransport(cfg, newDialer(cfg, bind, cfg.Redirected))
	}
	return l, nil
}

func newTransport(cfg LineConfig, d *dialer) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  cfg.Proxy,
		DialContext:            d.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.RootCAs},
		TLSHandshakeTimeout:    tlsTimeout,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  cfg.HeaderTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              protocols,
	}
}

// Name is what people call the line.
func (l *Line) Name() string { return l.cfg.Name }

// Close drops the idle connections. Running requests end by their contexts.
func (l *Line) Close() {
	l.plain.CloseIdleConnections()
	l.guarded.CloseIdleConnections()
}

// Probe asks for the first bytes of a resource with a ranged GET (never HEAD,
// never trusting Accept-Ranges) and returns what the origin says of the whole,
// with those bytes as the body. A reply that leaves the length open asks for
// one further GET without a range, and then is a Whole.
func (l *Line) Probe(ctx context.Context, req ProbeRequest) (*Reply, error) {
	u, err := parseURL(req.URL)
	if err != nil {
		return nil, err
	}
	if req.First <= 0 {
		req.First = defaultProbe
	}
	want := byterange.Range{Off: req.From, Len: req.First}
	if req.From < 0 || want.End() < want.Off {
		return nil, fmt.Errorf("%w: probe of %v", errdefs.Invalid, want)
	}
	q := request{url: u, header: req.Header, jar: req.Jar, rng: byterange.FormatRange(want), guarded: req.Guarded, probe: true, undigested: req.Undigested}
	if req.Whole {
		return l.whole(ctx, q)
	}
	a, err := l.get(ctx, q)
	if err != nil {
		return nil, err
	}
	p, err := acceptProbe(a.resp.StatusCode, a.resp.Header, a.resp.ContentLength, a.chunked(), want)
	if errors.Is(err, errAskWhole) {
		a.discard()
		return l.whole(ctx, q)
	}
	if err != nil {
		a.discard()
		return nil, err
	}
	return l.reply(ctx, a, p.Verdict, p.whole), nil
}

// whole asks for everything in one reply.
func (l *Line) whole(ctx context.Context, q request) (*Reply, error) {
	q.rng = ""
	a, err := l.get(ctx, q)
	if err != nil {
		return nil, err
	}
	p, err := acceptWhole(a.resp.StatusCode, a.resp.Header, a.resp.ContentLength, a.chunked())
	if err != nil {
		a.discard()
		return nil, err
	}
	return l.reply(ctx, a, p.Verdict, p.whole), nil
}

// Open asks for a range of a pinned resource. The reply passed the accept
// test; see Accept for what fails and how.
func (l *Line) Open(ctx context.Context, res Resource, r byterange.Range) (*Reply, error) {
	u, err := parseURL(res.URL)
	if err != nil {
		return nil, err
	}
	if r.Empty() || r.Off < 0 || r.End() < r.Off || r.End() > res.Gen.Size {
		return nil, fmt.Errorf("%w: range %v of a resource of %d bytes", errdefs.Invalid, r, res.Gen.Size)
	}
	a, err := l.get(ctx, request{url: u, header: res.Header, jar: res.Jar, rng: byterange.FormatRange(r), guarded: res.Guarded, undigested: res.Undigested})
	if err != nil {
		return nil, err
	}
	v, err := Accept(a.resp.StatusCode, a.resp.Header, a.resp.ContentLength, a.chunked(), r, res.Gen)
	if err != nil {
		a.discard()
		return nil, err
	}
	return l.reply(ctx, a, v, false), nil
}

// reply wraps an accepted answer; the Reply's body owns it from here on.
func (l *Line) reply(ctx context.Context, a *answer, v Verdict, whole bool) *Reply {
	h := a.resp.Header
	r := &Reply{
		Gen: v.Gen, Level: v.Level, Range: v.Range, Whole: whole,
		FinalURL:    a.trail.at.String(),
		Disposition: h.Get("Content-Disposition"),
		Header:      h,
		Links:       a.trail.linked(h).links,
		Guarded:     a.trail.guarded,
		FirstByte:   a.firstByte,
	}
	if t, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		r.Modified = t
	}
	if v.Range.Empty() {
		a.discard() // an empty file, or a 416 whose text is no content
		r.Body = http.NoBody
		return r
	}
	left := v.Range.Len
	if v.Gen.Size < 0 {
		left = -1
	}
	b := newBody(ctx, a, left, l.cfg.StallTimeout, l.cfg.Limits)
	if !whole && !a.undigested { // the digest of a whole is the caller's to check
		b.promise(h)
	}
	r.Body = b
	return r
}

// request is one GET before redirects.
type request struct {
	url    *url.URL
	header http.Header
	jar    http.CookieJar
	rng    string // Range field; "": the whole

	guarded bool // a public server named the URL
	probe   bool // a digest of the whole is welcome

	undigested bool // a Content-Digest is left unchecked
}

// answer is a reply that is no redirect.
type answer struct {
	resp      *http.Response
	trail     trail
	firstByte time.Duration
	cancel    context.CancelFunc // ends the exchange

	undigested bool
}

func (a *answer) chunked() bool { return len(a.resp.TransferEncoding) > 0 }

// discard ends an answer nobody reads, keeping its connection if that is cheap.
func (a *answer) discard() {
	n := a.resp.ContentLength
	if n >= 0 && n <= maxDrain && a.resp.StatusCode != http.StatusMisdirectedRequest {
		drain(a.resp.Body, n, a.cancel)
	}
	_ = a.resp.Body.Close()
	a.cancel()
}

// get follows redirects from where the last request for the URL ended, or
// from the URL itself. A remembered target that no longer serves is resolved
// anew once: signed ones expire.
func (l *Line) get(ctx context.Context, q request) (*answer, error) {
	key := q.key()
	if t, ok := l.targets.get(key); ok {
		a, err := l.follow(ctx, q, t)
		if err != nil {
			l.targets.drop(key)
			return nil, err
		}
		if !expiredTarget(a.resp.StatusCode) {
			return a, nil
		}
		l.targets.drop(key)
		a.discard()
	}
	a, err := l.follow(ctx, q, trail{at: q.url, guarded: q.guarded})
	if err != nil {
		return nil, err
	}
	ok := a.resp.StatusCode == http.StatusOK || a.resp.StatusCode == http.StatusPartialContent
	if ok && len(a.trail.seen) > 0 {
		l.targets.put(key, a.trail)
	}
	return a, nil
}

func (l *Line) follow(ctx context.Context, q request, t trail) (*answer, error) {
	for {
		a, cookies, err := l.exchange(ctx, q, t)
		if err != nil {
			return nil, err
		}
		if !isRedirect(a.resp.StatusCode) {
			return a, nil
		}
		next, err := a.trail.linked(a.resp.Header).follow(a.resp.Header.Values("Location"), cookies)
		a.discard()
		if err != nil {
			return nil, err
		}
		t = next
	}
}

// exchange sends one request and reads its reply's header. The returned
// cookies are those that were sent.
func (l *Line) exchange(ctx context.Context, q request, t trail) (_ *answer, cookies string, err error) {
	if l.cfg.Budget != nil {
		if err := l.cfg.Budget.Err(); err != nil {
			return nil, "", err
		}
	}
	var remote net.Addr
	hop, cancel := context.WithCancel(ctx)
	traced := httptrace.WithClientTrace(hop, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { remote = info.Conn.RemoteAddr() },
	})
	req, err := http.NewRequestWithContext(traced, http.MethodGet, t.at.String(), nil)
	if err != nil {
		cancel()
		return nil, "", fmt.Errorf("%w: malformed URL", errdefs.Invalid)
	}
	req.Header = requestHeader(q.header, t.crossed, q.rng)
	if q.probe {
		req.Header.Set("Want-Repr-Digest", "sha-256=10, sha-512=9") // RFC 9530, section 4
	}
	if q.jar != nil {
		for _, c := range q.jar.Cookies(t.at) {
			req.AddCookie(c)
		}
	}
	cookies = req.Header.Get("Cookie")
	if t.loops(cookies) {
		cancel()
		return nil, "", fmt.Errorf("%w: they lead in a circle", errdefs.Redirects)
	}
	proxied := false
	if l.cfg.Proxy != nil {
		proxy, err := l.cfg.Proxy(req)
		proxied = err == nil && proxy != nil
	}
	transport := l.plain
	if t.guarded && !proxied {
		transport = l.guarded
	}
	start := time.Now()
	resp, err := transport.RoundTrip(req) //nolint:bodyclose // the answer owns it
	if err != nil {
		cancel()
		return nil, "", transportError(ctx, canonicalHost(t.at.Hostname()), err)
	}
	if l.cfg.Budget != nil {
		resp.Body = &budgeted{resp.Body, l.cfg.Budget}
	}
	if q.jar != nil {
		q.jar.SetCookies(t.at, resp.Cookies())
	}
	t.guarded = t.guarded || proxied || l.isPublic(t.at, remote)
	return &answer{resp: resp, trail: t, firstByte: time.Since(start), cancel: cancel, undigested: q.undigested}, cookies, nil
}

// isPublic reports whether a reply came from a public address.
func (l *Line) isPublic(u *url.URL, remote net.Addr) bool {
	if l.cfg.Dial == nil && remote != nil {
		if ap, err := netip.ParseAddrPort(remote.String()); err == nil {
			return l.public.refuses(ap.Addr()) == ""
		}
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && l.public.refuses(addr) == ""
}
