package errdefs

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// domain marks the ErrorInfo details that are ours.
const domain = "ddm"

// maxText bounds an error's text on the wire, in bytes: a status travels in
// trailers, whose size receivers limit, and some of it travels twice.
const maxText = 1024

// ToStatus makes err a gRPC status for the other side, to be called once, where
// a handler's error leaves. The first kind in the chain decides the code and
// travels as the reason of an ErrorInfo; a RetryAfter travels as RetryInfo. A
// kind wins over a context error in the same chain: what ran out there was a
// limit of our own, not the caller's. Without a kind, context errors keep their
// meaning, a status made on this side stays as it is, and everything else is
// Internal with a fixed text, since its details are nobody else's business.
func ToStatus(err error) error {
	if err == nil {
		return nil
	}
	kind, ok := errors.AsType[Kind](err)
	if !ok {
		switch {
		case errors.Is(err, context.Canceled):
			return status.Error(codes.Canceled, context.Canceled.Error())
		case errors.Is(err, context.DeadlineExceeded):
			return status.Error(codes.DeadlineExceeded, context.DeadlineExceeded.Error())
		}
		// Errors of other programs lost their status in FromStatus, so this
		// one is of our own gRPC machinery: an unimplemented method, say.
		if st, ok := status.FromError(err); ok {
			return st.Err()
		}
		kind = Internal
	}
	code, known := codeOf(kind)
	msg := clean(err.Error())
	if !known || kind == Internal {
		kind, code, msg = Internal, codes.Internal, Internal.Error()
	}
	st := status.New(code, msg)
	info := &errdetails.ErrorInfo{Domain: domain, Reason: strings.ReplaceAll(string(kind), " ", "_")}
	detailed, derr := st.WithDetails(info)
	if wait, ok := RetryAfterOf(err); ok && kind != Internal {
		detailed, derr = st.WithDetails(info, &errdetails.RetryInfo{RetryDelay: durationpb.New(wait)})
	}
	if derr != nil { // only for codes.OK, which no kind has
		return st.Err()
	}
	return detailed.Err()
}

// FromStatus makes the status of a failed call an error of this package: its
// kind and RetryAfter are found by errors.Is and AsType, and the status itself
// is gone, so that it cannot be passed on by accident. Canceled and
// DeadlineExceeded without a kind become the context errors. What is no status,
// such as io.EOF, comes back unchanged.
func FromStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[Kind](err); ok {
		return err
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	far := &remote{text: clean(undressed(st.Message()))}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			kind := Kind(strings.ReplaceAll(d.GetReason(), "_", " "))
			if _, known := codeOf(kind); known && d.GetDomain() == domain {
				far.cause = kind
			}
		case *errdetails.RetryInfo:
			far.wait = max(0, d.GetRetryDelay().AsDuration())
		}
	}
	if far.cause == nil {
		far.cause = causeOf(st.Code())
	}
	return far
}

// undressed is what a failed dial says, without what grpc wraps it in.
func undressed(text string) string {
	const before, after = `connection error: desc = "transport: Error while dialing: `, `"`
	if inner, ok := strings.CutPrefix(text, before); ok {
		return strings.TrimSuffix(inner, after)
	}
	return text
}

// remote is an error of the other side.
type remote struct {
	cause error         // a Kind or a context error
	text  string        // what the other side said
	wait  time.Duration // 0: it named none
}

// Error gives the cause and what the other side said, without repeating the
// one where the other opens with it.
func (r *remote) Error() string {
	cause := r.cause.Error()
	switch {
	case r.text == "":
		return cause
	case strings.HasPrefix(r.text, cause):
		return r.text
	}
	return cause + ": " + r.text
}

// Unwrap makes the cause and the wait visible to errors.Is and errors.AsType.
func (r *remote) Unwrap() []error {
	if r.wait > 0 {
		return []error{r.cause, RetryAfter(r.wait)}
	}
	return []error{r.cause}
}

// codeOf gives the gRPC code of a kind; known is false for a kind of a newer
// program. Unavailable: retry this call; Aborted: retry higher up;
// FailedPrecondition: something must change first.
func codeOf(k Kind) (code codes.Code, known bool) {
	switch k {
	case Invalid:
		return codes.InvalidArgument, true
	case NotFound, LeaseExpired:
		return codes.NotFound, true
	case Unauthorized, Refused:
		return codes.PermissionDenied, true
	case Changed:
		return codes.Aborted, true
	case BadRange:
		return codes.OutOfRange, true
	case NoRanges, Redirects, OpenFile, CreateFile, WriteFile, MakeDir:
		return codes.FailedPrecondition, true
	case Busy, NoSpace:
		return codes.ResourceExhausted, true
	case Unavailable, Unresolved, Timeout:
		return codes.Unavailable, true
	case BadReply, Corrupt:
		return codes.DataLoss, true
	case Exists:
		return codes.AlreadyExists, true
	case Locked:
		return codes.Aborted, true
	case Internal:
		return codes.Internal, true
	}
	return codes.Internal, false
}

// causeOf reads a code that came without a kind: from gRPC itself or from a
// stranger. Our own certificates and admission are behind PermissionDenied and
// Unauthenticated then, never an origin.
func causeOf(c codes.Code) error {
	switch c {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.InvalidArgument, codes.Unimplemented:
		return Invalid
	case codes.NotFound:
		return NotFound
	case codes.PermissionDenied, codes.Unauthenticated:
		return Refused
	case codes.OutOfRange:
		return BadRange
	case codes.ResourceExhausted:
		return Busy
	case codes.Unavailable:
		return Unavailable
	case codes.DataLoss:
		return Corrupt
	default:
		return Internal
	}
}

// clean bounds text that crosses machines and takes out what could garble a
// terminal or a log: control characters and broken UTF-8, which a protobuf
// string may not hold either.
func clean(text string) string {
	if len(text) > maxText {
		cut := maxText
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " "))
}
