package origin

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
)

// settled is how much older than its reply a Last-Modified must be before it
// is taken for a validator. RFC 9110, section 8.8.2.2, asks for one second;
// the rest is for clocks of origins that are not one clock.
const settled = time.Minute

// Verdict is what an accepted reply holds.
type Verdict struct {
	Range byterange.Range // bytes of the body; starts where asked, may end sooner
	Gen   Generation      // as this reply said
	Level Level           // how well Gen agrees with the pinned generation
}

// ChangedError says that the resource is not the pinned one. Its kind is
// errdefs.Changed.
type ChangedError struct {
	Seen Generation // what the origin said instead
	Why  string     // what differs
}

// Error names what differs.
func (e *ChangedError) Error() string {
	return errdefs.Changed.Error() + ": " + e.Why + " differs from the one pinned"
}

// Unwrap gives the kind.
func (e *ChangedError) Unwrap() error { return errdefs.Changed }

// Accept is the accept test: body bytes of a reply to the request for want
// may be used only if it returns no error. It is pure. contentLength is -1 if
// the reply named none; chunked says that the body is framed by chunks.
//
// A reply is accepted if it is a 206 with exactly one valid Content-Range
// that starts at want.Off and ends within want, a complete length equal to
// the pinned one ("*" passes, for the pinned one is known), a Content-Length
// (unless chunked) equal to the range's span, no multipart body, the pinned
// content coding, and no identity field repeated with another value. Then its
// generation is graded against the pinned one:
//
//	strong ETags     Last-Modified        level
//	equal            any                  Strong
//	differ           equal, a minute old  Weak (nodes that tag by inode)
//	differ           equal, younger       Sampled
//	differ           one missing, differ  error: Changed
//	missing, weak    equal, a minute old  Weak
//	missing, weak    equal, younger       Sampled
//	missing, weak    differ               error: Changed
//	missing, weak    one missing          Sampled; weak tags that differ: Changed
//	no validator on either side           None
//
// "A minute old" is measured by the reply's own Date. Other statuses fail
// with the kind that tells what to do: 200 NoRanges, 416 Changed or BadRange,
// 401, 403, 407 Unauthorized, 404, 410 NotFound, 408 Timeout, 429, 503 Busy
// with errdefs.RetryAfter, 421, 425, 500, 502, 504, 522, 524 Unavailable,
// everything else BadReply.
func Accept(status int, h http.Header, contentLength int64, chunked bool, want byterange.Range, pinned Generation) (Verdict, error) {
	switch status {
	case http.StatusPartialContent:
	case http.StatusOK:
		return Verdict{}, fmt.Errorf("%w: the origin answers a range request with the whole", errdefs.NoRanges)
	case http.StatusRequestedRangeNotSatisfiable:
		return Verdict{}, unsatisfied(h, want, pinned)
	default:
		return Verdict{}, statusError(status, h)
	}
	v, err := readPartial(h, contentLength, chunked, want)
	if err != nil {
		return Verdict{}, err
	}
	if v.Gen.Size < 0 {
		v.Gen.Size = pinned.Size
		if pinned.Size < v.Range.End() {
			return Verdict{}, fmt.Errorf("%w: the origin does not say how long the whole is", errdefs.BadReply)
		}
	}
	v.Level, err = grade(pinned, v.Gen, h.Get("Date"))
	if err != nil {
		return Verdict{}, err
	}
	return v, nil
}

// readPartial judges a 206 by itself; the Size of its Gen is -1 for "*".
func readPartial(h http.Header, contentLength int64, chunked bool, want byterange.Range) (Verdict, error) {
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.Get("Content-Type"))), "multipart/byteranges") {
		return Verdict{}, fmt.Errorf("%w: multipart reply to a single range", errdefs.BadReply)
	}
	fields := h.Values("Content-Range")
	if len(fields) != 1 {
		return Verdict{}, fmt.Errorf("%w: 206 with %d Content-Range fields", errdefs.BadReply, len(fields))
	}
	cr, err := byterange.ParseContentRange(strings.TrimSpace(fields[0]))
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: %w", errdefs.BadReply, err)
	}
	if cr.Unsatisfied || cr.Range.Off != want.Off || !want.Contains(cr.Range) {
		return Verdict{}, fmt.Errorf("%w: asked for %v, got %v", errdefs.BadReply, want, cr.Range)
	}
	if !chunked && contentLength >= 0 && contentLength != cr.Range.Len {
		return Verdict{}, fmt.Errorf("%w: Content-Length %d for a range of %d bytes", errdefs.BadReply, contentLength, cr.Range.Len)
	}
	gen, err := readGeneration(h, cr.Complete)
	if err != nil {
		return Verdict{}, err
	}
	return Verdict{Range: cr.Range, Gen: gen}, nil
}

// readGeneration takes the identity fields of a reply.
func readGeneration(h http.Header, size int64) (Generation, error) {
	for _, name := range []string{"Etag", "Last-Modified", "Content-Length", "Content-Encoding"} {
		values := h.Values(name)
		for _, v := range values {
			if v != values[0] {
				return Generation{}, fmt.Errorf("%w: %s given twice with different values", errdefs.BadReply, name)
			}
		}
	}
	coding := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding")))
	if coding == "identity" {
		coding = ""
	}
	return Generation{
		Size:         size,
		ETag:         strings.TrimSpace(h.Get("Etag")),
		LastModified: strings.TrimSpace(h.Get("Last-Modified")),
		Coding:       coding,
	}, nil
}

// grade compares two generations; date is the Date field beside seen.
func grade(pinned, seen Generation, date string) (Level, error) {
	changed := func(why string) (Level, error) { return None, &ChangedError{Seen: seen, Why: why} }
	if pinned.Size >= 0 && pinned.Size != seen.Size {
		return changed("length")
	}
	if pinned.Coding != seen.Coding {
		return changed("content coding")
	}
	if pinned.StrongETag() && pinned.ETag == seen.ETag {
		return Strong, nil
	}
	if pinned.LastModified != "" && seen.LastModified != "" {
		if !sameTime(pinned.LastModified, seen.LastModified) {
			return changed("Last-Modified")
		}
		return modifiedLevel(seen.LastModified, date), nil
	}
	tags := pinned.ETag != "" && seen.ETag != ""
	if tags && strings.TrimPrefix(pinned.ETag, "W/") != strings.TrimPrefix(seen.ETag, "W/") {
		return changed("ETag")
	}
	if pinned.ETag+pinned.LastModified+seen.ETag+seen.LastModified == "" {
		return None, nil
	}
	return Sampled, nil
}

// ownLevel is the best level that a second reply like this one could reach.
func ownLevel(g Generation, date string) Level {
	if g.Size < 0 {
		return None
	}
	level, err := grade(g, g, date)
	if err != nil {
		return None // a generation does not differ from itself
	}
	return level
}

// modifiedLevel is what an agreeing Last-Modified proves.
func modifiedLevel(modified, date string) Level {
	m, err := http.ParseTime(modified)
	if err != nil {
		return Sampled
	}
	d, err := http.ParseTime(date)
	if err != nil || d.Sub(m) < settled {
		return Sampled
	}
	return Weak
}

// sameTime compares two HTTP dates, whatever their format.
func sameTime(a, b string) bool {
	if a == b {
		return true
	}
	ta, errA := http.ParseTime(a)
	tb, errB := http.ParseTime(b)
	return errA == nil && errB == nil && ta.Equal(tb)
}

// unsatisfied reads a 416: it never means that a download is done.
func unsatisfied(h http.Header, want byterange.Range, pinned Generation) error {
	size, ok := unsatisfiedSize(h)
	if ok && size != pinned.Size {
		return &ChangedError{Seen: Generation{Size: size}, Why: "length"}
	}
	return fmt.Errorf("%w: the origin has no bytes %v", errdefs.BadRange, want)
}

// unsatisfiedSize takes N out of the "bytes */N" of a 416.
func unsatisfiedSize(h http.Header) (int64, bool) {
	fields := h.Values("Content-Range")
	if len(fields) != 1 {
		return 0, false
	}
	cr, err := byterange.ParseContentRange(strings.TrimSpace(fields[0]))
	if err != nil || !cr.Unsatisfied {
		return 0, false
	}
	return cr.Complete, true
}

// statusError gives the error for a status that carries no bytes for us.
func statusError(status int, h http.Header) error {
	err := fmt.Errorf("%w: the origin answers %d %s", statusKind(status), status, http.StatusText(status))
	if !errors.Is(err, errdefs.Busy) {
		return err
	}
	if wait, ok := ParseRetryAfter(h.Get("Retry-After"), h.Get("Date")); ok {
		return fmt.Errorf("%w: %w", err, errdefs.RetryAfter(wait))
	}
	return err
}

// statusKind sorts a status by what to do about it.
func statusKind(status int) errdefs.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired:
		return errdefs.Unauthorized
	case http.StatusNotFound, http.StatusGone:
		return errdefs.NotFound
	case http.StatusRequestTimeout:
		return errdefs.Timeout
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return errdefs.Busy
	case http.StatusMisdirectedRequest, http.StatusTooEarly, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusGatewayTimeout, 522, 524:
		return errdefs.Unavailable
	default:
		return errdefs.BadReply
	}
}

// errAskWhole says that a probe should be asked again without a range.
var errAskWhole = errors.New("the answer to a range says too little")

// probed is what a probe's reply holds.
type probed struct {
	Verdict
	whole bool
}

// acceptProbe judges the reply to a probe, for which nothing is pinned yet.
func acceptProbe(status int, h http.Header, contentLength int64, chunked bool, want byterange.Range) (probed, error) {
	switch status {
	case http.StatusOK:
		return acceptWhole(status, h, contentLength, chunked)
	case http.StatusRequestedRangeNotSatisfiable:
		size, ok := unsatisfiedSize(h)
		switch {
		case !ok:
			return probed{}, errAskWhole
		case size > want.Off:
			return probed{}, fmt.Errorf("%w: 416 for byte %d of %d", errdefs.BadReply, want.Off, size)
		}
		gen, err := readGeneration(h, size)
		return probed{Verdict: Verdict{Gen: gen, Range: byterange.Range{Off: size}, Level: ownLevel(gen, h.Get("Date"))}}, err
	case http.StatusPartialContent:
		v, err := readPartial(h, contentLength, chunked, want)
		if err == nil && v.Gen.Size < 0 || err != nil && contentLength == 0 {
			return probed{}, errAskWhole // "*", or an empty file's nonsense
		}
		v.Level = ownLevel(v.Gen, h.Get("Date"))
		return probed{Verdict: v}, err
	default:
		return probed{}, statusError(status, h)
	}
}

// acceptWhole judges a reply whose body is the whole resource.
func acceptWhole(status int, h http.Header, contentLength int64, chunked bool) (probed, error) {
	if status == http.StatusPartialContent {
		return probed{}, fmt.Errorf("%w: 206 though no range was asked for", errdefs.BadReply)
	}
	if status != http.StatusOK {
		return probed{}, statusError(status, h)
	}
	size, span := contentLength, contentLength
	if chunked || contentLength < 0 {
		size, span = -1, math.MaxInt64
	}
	gen, err := readGeneration(h, size)
	if err != nil {
		return probed{}, err
	}
	v := Verdict{Range: byterange.Range{Len: span}, Gen: gen, Level: ownLevel(gen, h.Get("Date"))}
	return probed{Verdict: v, whole: true}, nil
}
