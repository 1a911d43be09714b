package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"ddm/internal/backoff"
	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// What is needed beside a download - checksum files, Metalinks, pieces to
// compare or to mend - comes over the own lines, one request at a time. Peers
// are not asked: this is what they are judged by.

// Document is a small file that says something about a download.
type Document struct {
	Text    []byte
	Guarded bool // it came from a public server: so do the URLs that it names
}

// Document fetches the job's first URL that answers, over an own line, whole
// and at most limit bytes of it. A longer one is errdefs.Invalid. Note, if not
// nil, is told why it takes longer.
func (c *Client) Document(ctx context.Context, job Job, limit int64, note func(string)) (Document, error) {
	req, err := newRequest(job)
	if err != nil {
		return Document{}, err
	}
	var doc Document
	err = c.persist(ctx, note, func(ctx context.Context) (bool, error) {
		var failure error
		for _, a := range req.asks {
			err := c.overLines(func(line *origin.Line) (err error) {
				doc, err = c.document(ctx, line, a, req.jar, limit)
				return err
			})
			if err == nil {
				return true, nil
			}
			err = fmt.Errorf("%s: %w", shown(a.url), err)
			if failure == nil || !worthRetrying(failure) && worthRetrying(err) {
				failure = err
			}
		}
		return false, failure
	})
	return doc, err
}

func (c *Client) document(ctx context.Context, line *origin.Line, a ask, jar http.CookieJar, limit int64) (Document, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	reply, err := line.Probe(ctx, origin.ProbeRequest{URL: a.url, Header: a.header, Jar: jar, First: limit + 1, Guarded: a.guarded})
	if err != nil {
		return Document{}, err
	}
	defer func() { stop(); _ = reply.Body.Close() }() // it was read to its end, or is not wanted
	tooLong := fmt.Errorf("%w: larger than %d MiB", errdefs.Invalid, limit>>20)
	if reply.Gen.Size > limit {
		return Document{}, tooLong
	}
	if reply.Gen.Coding != "" {
		return Document{}, fmt.Errorf("%w: it is sent in the coding %.20q, which nobody asked for", errdefs.BadReply, reply.Gen.Coding)
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, limit+1))
	switch {
	case err != nil:
		return Document{}, err
	case int64(len(text)) > limit:
		return Document{}, tooLong
	case reply.Gen.Size >= 0 && int64(len(text)) < reply.Gen.Size:
		return Document{}, fmt.Errorf("%w: %d of %d bytes came", errdefs.BadReply, len(text), reply.Gen.Size)
	}
	return Document{Text: text, Guarded: reply.Guarded}, nil
}

// overLines has one own line after the other try, until one succeeds. The
// error is one worth retrying, if any was.
func (c *Client) overLines(try func(*origin.Line) error) error {
	if c.own != nil {
		c.own.Refresh()
	}
	var failure error
	for _, line := range c.open() {
		err := try(line.Origin)
		if err == nil {
			return nil
		}
		if failure == nil || !worthRetrying(failure) && worthRetrying(err) {
			failure = err
		}
	}
	if failure == nil {
		failure = c.closed()
	}
	if failure == nil {
		failure = fmt.Errorf("%w: only an own line can fetch this, and --no-local forbids those", errdefs.Refused)
	}
	return failure
}

// persist has try run until it succeeds, fails in a way not worth repeating,
// or as often as the options allow since it last advanced.
func (c *Client) persist(ctx context.Context, note func(string), try func(context.Context) (advanced bool, err error)) error {
	waits := backoff.Policy{Base: c.opts.RetryWait, Max: 30 * time.Second, Factor: 2}
	end := time.Now().Add(c.opts.Patience)
	for attempt := 0; ; attempt++ {
		advanced, err := try(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case advanced:
			attempt, end = 0, time.Now().Add(c.opts.Patience)
		}
		if !worthRetrying(err) || attempt >= c.opts.Retry {
			return err
		}
		wait := max(waits.Ceiling(attempt), 0)
		wait -= time.Duration(rand.Int64N(int64(wait)/4 + 1))
		if asked, ok := errdefs.RetryAfterOf(err); ok {
			wait = max(wait, asked)
		}
		if time.Now().Add(wait).After(end) {
			return err
		}
		if note != nil {
			note(fmt.Sprintf("%v; trying again in %s", err, wait.Round(100*time.Millisecond)))
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// site is one URL whose generation is pinned.
type site struct {
	c      *Client
	ask    ask
	jar    http.CookieJar
	note   func(string)
	gen    origin.Generation
	level  origin.Level // that its replies can reach
	least  origin.Level // that they must
	ranges bool
	wait   time.Duration // for the first byte of its reply
}

// pin asks what the site has; once only, if there are others to ask.
func (s *site) pin(ctx context.Context, once bool) error {
	try := func(ctx context.Context) (bool, error) {
		return false, s.c.overLines(func(line *origin.Line) error {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			reply, err := line.Probe(ctx, origin.ProbeRequest{URL: s.ask.url, Header: s.ask.header, Jar: s.jar, First: 1, Guarded: s.ask.guarded})
			if err != nil {
				return fmt.Errorf("%s: %w", shown(s.ask.url), err)
			}
			stop()
			_ = reply.Body.Close() // its header was wanted
			s.gen, s.level, s.ranges, s.wait = reply.Gen, reply.Level, !reply.Whole, reply.FirstByte
			return nil
		})
	}
	if once {
		_, err := try(ctx)
		return err
	}
	return s.c.persist(ctx, s.note, try)
}

// read gives the bytes of r to take, in order and once, whatever breaks on the
// way. What take returns ends it. The slice is read's again on return.
func (s *site) read(ctx context.Context, r byterange.Range, take func(off int64, p []byte) error) error {
	buf := make([]byte, min(r.Len, 256<<10))
	res := origin.Resource{URL: s.ask.url, Header: s.ask.header, Jar: s.jar, Gen: s.gen, Guarded: s.ask.guarded}
	return s.c.persist(ctx, s.note, func(ctx context.Context) (advanced bool, err error) {
		err = s.c.overLines(func(line *origin.Line) error {
			for !r.Empty() {
				ctx, stop := context.WithCancel(ctx)
				n, err := s.pour(ctx, line, res, r, buf, take)
				stop()
				advanced = advanced || n > 0
				r = byterange.Between(r.Off+n, r.End())
				if err != nil {
					return fmt.Errorf("%s: %w", shown(s.ask.url), err)
				}
			}
			return nil
		})
		return advanced, err
	})
}

// pour takes one reply and returns how many bytes were taken.
func (s *site) pour(ctx context.Context, line *origin.Line, res origin.Resource, r byterange.Range, buf []byte, take func(int64, []byte) error) (int64, error) {
	reply, err := line.Open(ctx, res, r)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	if reply.Level < s.least {
		return 0, fmt.Errorf("%w: nothing shows that it is of the same resource", errdefs.BadReply)
	}
	return s.drain(ctx, reply, r.Off, buf, take)
}

// drain takes a reply's body to its end.
func (s *site) drain(ctx context.Context, reply *origin.Reply, off int64, buf []byte, take func(int64, []byte) error) (n int64, err error) {
	for {
		got, err := readSome(reply.Body, buf)
		if got > 0 {
			if err := throttle(ctx, s.c.limit, int64(got)); err != nil {
				return n, err
			}
			if err := take(off+n, buf[:got]); err != nil {
				return n, err
			}
			n += int64(got)
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// whole gives everything that a site without ranges has to take. When it has
// to begin again, take sees bytes again.
func (s *site) whole(ctx context.Context, take func(off int64, p []byte) error) error {
	return s.c.persist(ctx, s.note, func(ctx context.Context) (bool, error) {
		return false, s.c.overLines(func(line *origin.Line) error {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			reply, err := line.Probe(ctx, origin.ProbeRequest{URL: s.ask.url, Header: s.ask.header, Jar: s.jar, First: 1, Guarded: s.ask.guarded})
			if err != nil {
				return fmt.Errorf("%s: %w", shown(s.ask.url), err)
			}
			defer func() { stop(); _ = reply.Body.Close() }() // it was read to its end, or is given up
			if reply.Gen != s.gen {
				return fmt.Errorf("%w: between two requests", errdefs.Changed)
			}
			_, err = s.drain(ctx, reply, 0, make([]byte, 256<<10), take)
			return err
		})
	})
}
