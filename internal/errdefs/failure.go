package errdefs

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/durationpb"

	ddmv1 "ddm/proto/ddm/v1"
)

// ToFailure makes err the error as data that a Fetch stream carries; nil for
// nil. A kind that the message has no value for becomes the nearest one by
// reaction: broken bytes are a bad reply, a full disk makes this peer
// unavailable, and so does a cancellation; a deadline is a timeout. Everything
// else is internal, with a fixed text.
func ToFailure(err error) *ddmv1.Failure {
	if err == nil {
		return nil
	}
	f := &ddmv1.Failure{Kind: failureKind(err), Message: clean(err.Error())}
	if f.GetKind() == ddmv1.FailureKind_FAILURE_KIND_INTERNAL {
		f.Message = Internal.Error()
		return f
	}
	if wait, ok := RetryAfterOf(err); ok {
		f.RetryAfter = durationpb.New(wait)
	}
	return f
}

// FromFailure makes a failure that a peer sent an error with its kind, and a
// RetryAfter if it named one. It is never nil: an absent failure and a kind of
// a newer peer are Internal.
func FromFailure(f *ddmv1.Failure) error {
	return &remote{
		cause: kindOfFailure(f.GetKind()),
		text:  clean(f.GetMessage()),
		wait:  max(0, f.GetRetryAfter().AsDuration()),
	}
}

func failureKind(err error) ddmv1.FailureKind {
	kind, ok := errors.AsType[Kind](err)
	if !ok {
		switch {
		case errors.Is(err, context.Canceled):
			return ddmv1.FailureKind_FAILURE_KIND_UNAVAILABLE
		case errors.Is(err, context.DeadlineExceeded):
			return ddmv1.FailureKind_FAILURE_KIND_TIMEOUT
		}
		return ddmv1.FailureKind_FAILURE_KIND_INTERNAL
	}
	switch kind {
	case Invalid:
		return ddmv1.FailureKind_FAILURE_KIND_INVALID
	case NotFound:
		return ddmv1.FailureKind_FAILURE_KIND_NOT_FOUND
	case Unauthorized:
		return ddmv1.FailureKind_FAILURE_KIND_UNAUTHORIZED
	case Refused:
		return ddmv1.FailureKind_FAILURE_KIND_REFUSED
	case Changed:
		return ddmv1.FailureKind_FAILURE_KIND_CHANGED
	case BadRange:
		return ddmv1.FailureKind_FAILURE_KIND_BAD_RANGE
	case NoRanges:
		return ddmv1.FailureKind_FAILURE_KIND_NO_RANGES
	case Busy:
		return ddmv1.FailureKind_FAILURE_KIND_BUSY
	case Unavailable, NoSpace:
		return ddmv1.FailureKind_FAILURE_KIND_UNAVAILABLE
	case BadReply, Corrupt:
		return ddmv1.FailureKind_FAILURE_KIND_BAD_REPLY
	case Unresolved:
		return ddmv1.FailureKind_FAILURE_KIND_UNRESOLVED
	case Redirects:
		return ddmv1.FailureKind_FAILURE_KIND_REDIRECTS
	case Timeout:
		return ddmv1.FailureKind_FAILURE_KIND_TIMEOUT
	case LeaseExpired, Exists, Locked, OpenFile, CreateFile, WriteFile, MakeDir, Internal:
	}
	return ddmv1.FailureKind_FAILURE_KIND_INTERNAL
}

func kindOfFailure(k ddmv1.FailureKind) Kind {
	switch k {
	case ddmv1.FailureKind_FAILURE_KIND_INVALID:
		return Invalid
	case ddmv1.FailureKind_FAILURE_KIND_NOT_FOUND:
		return NotFound
	case ddmv1.FailureKind_FAILURE_KIND_UNAUTHORIZED:
		return Unauthorized
	case ddmv1.FailureKind_FAILURE_KIND_REFUSED:
		return Refused
	case ddmv1.FailureKind_FAILURE_KIND_CHANGED:
		return Changed
	case ddmv1.FailureKind_FAILURE_KIND_BAD_RANGE:
		return BadRange
	case ddmv1.FailureKind_FAILURE_KIND_NO_RANGES:
		return NoRanges
	case ddmv1.FailureKind_FAILURE_KIND_BUSY:
		return Busy
	case ddmv1.FailureKind_FAILURE_KIND_UNAVAILABLE:
		return Unavailable
	case ddmv1.FailureKind_FAILURE_KIND_BAD_REPLY:
		return BadReply
	case ddmv1.FailureKind_FAILURE_KIND_UNRESOLVED:
		return Unresolved
	case ddmv1.FailureKind_FAILURE_KIND_REDIRECTS:
		return Redirects
	case ddmv1.FailureKind_FAILURE_KIND_TIMEOUT:
		return Timeout
	case ddmv1.FailureKind_FAILURE_KIND_UNSPECIFIED, ddmv1.FailureKind_FAILURE_KIND_INTERNAL:
	}
	return Internal
}
