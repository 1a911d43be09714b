package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"ddm/internal/digest"
	"ddm/internal/errdefs"
)

const (
	maxDrain  = 64 << 10    // bytes read off a body nobody wants, to keep its connection
	drainTime = time.Second // and for how long
)

// body gives exactly the bytes that a reply promised. It adds no copy: a Read
// goes to the connection with the caller's buffer.
type body struct {
	rc     io.ReadCloser
	left   int64 // bytes still to come; -1: until the end, whenever that is
	err    error // what every further Read returns
	cancel context.CancelFunc

	watch *watchdog

	said digest.Digest // what all of it must hash to
	sum  hash.Hash     // nil: nothing is said

	limits []*rate.Limiter
	due    time.Time // the next Read waits until then: what was read is over a limit
	pause  func(time.Duration) error
	cause  func() error // why the caller's context ended, if it did
}

func newBody(ctx context.Context, a *answer, left int64, stall time.Duration, limits []*rate.Limiter) *body {
	b := &body{
		rc: a.resp.Body, left: left, cancel: a.cancel, limits: limits,
		watch: newWatchdog(stall, a.cancel),
	}
	b.cause = func() error { return ctx.Err() }
	b.pause = func(d time.Duration) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return b
}

// Read fills p with what has arrived.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if b.left == 0 {
		b.err = b.finish()
		return 0, b.err
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	p = b.clip(p)
	if wait := time.Until(b.due); wait > 0 {
		if b.err = b.pause(wait); b.err != nil {
			return 0, b.err
		}
	}
	b.watch.enter()
	n, err := b.rc.Read(p)
	b.watch.leave()
	if b.left > 0 {
		b.left -= int64(n)
	}
	b.charge(n)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	if err != nil {
		b.err = b.judge(err)
	}
	if errors.Is(b.err, io.EOF) {
		b.err = b.verdict()
	}
	return n, b.err
}

// verdict is io.EOF, unless the bytes are not what the origin said they were.
func (b *body) verdict() error {
	if b.sum != nil && !bytes.Equal(b.sum.Sum(nil), b.said.Sum) {
		return fmt.Errorf("%w: the bytes do not have the %s that the reply's Content-Digest names; --no-origin-digest leaves that unchecked", errdefs.BadReply, b.said.Algorithm)
	}
	return io.EOF
}

// promise has the body compared with a reply's Content-Digest (RFC 9530) once
// it was read to its end.
func (b *body) promise(h http.Header) {
	if h.Get("Content-Digest") == "" {
		return
	}
	for _, c := range digest.FromHeader(h, true) {
		if c.Scope == digest.Body && c.Secure() {
			b.said = c.Digest
			b.sum, _ = digest.New(c.Algorithm) // FromHeader names only what there is
			return
		}
	}
}

// finish looks behind the last byte: one more makes the whole reply void. An
// origin that neither sends nor ends is let be; all its bytes are here.
func (b *body) finish() error {
	t := time.AfterFunc(min(b.watch.stall, drainTime), b.cancel)
	defer t.Stop()
	var extra [1]byte
	if n, _ := io.ReadFull(b.rc, extra[:]); n > 0 {
		return fmt.Errorf("%w: the body is longer than its range", errdefs.BadReply)
	}
	return b.verdict()
}

// judge gives an error of the body its kind.
func (b *body) judge(err error) error {
	switch {
	case errors.Is(err, io.EOF) && b.left <= 0:
		return io.EOF
	case b.watch.stalled.Load():
		return fmt.Errorf("%w: stalled: no byte for %v", errdefs.Unavailable, b.watch.stall)
	case b.cause() != nil:
		return b.cause()
	case errors.Is(err, errdefs.Refused): // the budget's word
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the body ends early, %d bytes are missing: %w", errdefs.Unavailable, max(b.left, 0), io.ErrUnexpectedEOF)
	default:
		return fmt.Errorf("%w: %w", errdefs.Unavailable, err)
	}
}

// clip keeps a Read within the bursts of the limits, so that it can be charged.
func (b *body) clip(p []byte) []byte {
	for _, limit := range b.limits {
		if limit.Limit() != rate.Inf {
			p = p[:min(len(p), max(limit.Burst(), 1))]
		}
	}
	return p
}

// charge books n bytes. They are passed on at once; the next Read waits for
// the limit that asks for the longest wait.
func (b *body) charge(n int) {
	if n == 0 || len(b.limits) == 0 {
		return
	}
	now := time.Now()
	for _, limit := range b.limits {
		if limit.Limit() == rate.Inf {
			continue
		}
		r := limit.ReserveN(now, n)
		if due := now.Add(r.DelayFrom(now)); r.OK() && due.After(b.due) {
			b.due = due
		}
	}
}

// Close ends the exchange. Little that is left is read off, so that the
// connection can serve again; else the connection is closed.
func (b *body) Close() error {
	if b.err == nil && b.left >= 0 && b.left <= maxDrain {
		drain(b.rc, b.left, b.cancel)
	}
	b.watch.stop()
	err := b.rc.Close()
	b.cancel()
	return err
}

// drain reads n bytes and the end behind them, for a second at most.
func drain(r io.Reader, n int64, cancel context.CancelFunc) {
	t := time.AfterFunc(drainTime, cancel)
	defer t.Stop()
	_, _ = io.CopyN(io.Discard, r, n+1)
}

// budgeted asks a budget before it reads.
type budgeted struct {
	io.ReadCloser
	budget Budget
}

// Read reads what the budget grants.
func (b *budgeted) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	granted, err := b.budget.Take(len(p))
	if err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p[:granted])
	b.budget.Give(granted - n)
	return n, err
}
