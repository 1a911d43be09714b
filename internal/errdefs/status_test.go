package errdefs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// kinds are all of them, with the code each has on the wire and the kind it
// arrives as inside a Failure.
var kinds = []struct {
	kind    errdefs.Kind
	code    codes.Code
	failure errdefs.Kind
}{
	{errdefs.Invalid, codes.InvalidArgument, errdefs.Invalid},
	{errdefs.NotFound, codes.NotFound, errdefs.NotFound},
	{errdefs.LeaseExpired, codes.NotFound, errdefs.Internal},
	{errdefs.Unauthorized, codes.PermissionDenied, errdefs.Unauthorized},
	{errdefs.Refused, codes.PermissionDenied, errdefs.Refused},
	{errdefs.Changed, codes.Aborted, errdefs.Changed},
	{errdefs.BadRange, codes.OutOfRange, errdefs.BadRange},
	{errdefs.NoRanges, codes.FailedPrecondition, errdefs.NoRanges},
	{errdefs.Busy, codes.ResourceExhausted, errdefs.Busy},
	{errdefs.Unavailable, codes.Unavailable, errdefs.Unavailable},
	{errdefs.BadReply, codes.DataLoss, errdefs.BadReply},
	{errdefs.Unresolved, codes.Unavailable, errdefs.Unresolved},
	{errdefs.Redirects, codes.FailedPrecondition, errdefs.Redirects},
	{errdefs.Timeout, codes.Unavailable, errdefs.Timeout},
	{errdefs.Corrupt, codes.DataLoss, errdefs.BadReply},
	{errdefs.NoSpace, codes.ResourceExhausted, errdefs.Unavailable},
	{errdefs.Exists, codes.AlreadyExists, errdefs.Internal},
	{errdefs.Locked, codes.Aborted, errdefs.Internal},
	{errdefs.OpenFile, codes.FailedPrecondition, errdefs.Internal},
	{errdefs.CreateFile, codes.FailedPrecondition, errdefs.Internal},
	{errdefs.WriteFile, codes.FailedPrecondition, errdefs.Internal},
	{errdefs.MakeDir, codes.FailedPrecondition, errdefs.Internal},
	{errdefs.Internal, codes.Internal, errdefs.Internal},
}

func TestEveryKindSurvivesAStatus(t *testing.T) {
	for _, c := range kinds {
		t.Run(string(c.kind), func(t *testing.T) {
			sent := fmt.Errorf("read range: %w: because: %w", c.kind, errdefs.RetryAfter(3*time.Second))
			st := errdefs.ToStatus(sent)
			if got := status.Code(st); got != c.code {
				t.Errorf("code %v, want %v", got, c.code)
			}
			got := errdefs.FromStatus(st)
			if errdefs.KindOf(got) != c.kind {
				t.Errorf("arrived as %q: %v", errdefs.KindOf(got), got)
			}
			wait, ok := errdefs.RetryAfterOf(got)
			if c.kind == errdefs.Internal {
				if ok || got.Error() != "internal error" {
					t.Errorf("an internal error told %q", got)
				}
				return
			}
			if !ok || wait != 3*time.Second {
				t.Errorf("wait %v, %v", wait, ok)
			}
			if !strings.Contains(got.Error(), sent.Error()) {
				t.Errorf("text %q lost %q", got, sent)
			}
		})
	}
}

func TestEveryKindSurvivesAFailure(t *testing.T) {
	for _, c := range kinds {
		t.Run(string(c.kind), func(t *testing.T) {
			sent := fmt.Errorf("%w: because: %w", c.kind, errdefs.RetryAfter(1500*time.Millisecond))
			got := errdefs.FromFailure(errdefs.ToFailure(sent))
			if errdefs.KindOf(got) != c.failure {
				t.Errorf("arrived as %q, want %q", errdefs.KindOf(got), c.failure)
			}
			if c.failure == errdefs.Internal {
				if got.Error() != "internal error" {
					t.Errorf("an internal error told %q", got)
				}
				return
			}
			if wait, ok := errdefs.RetryAfterOf(got); !ok || wait != 1500*time.Millisecond {
				t.Errorf("wait %v, %v", wait, ok)
			}
		})
	}
}

func TestToStatusWithoutAKind(t *testing.T) {
	tests := []struct {
		name string
		err  error
		code codes.Code
		is   error // what the far side finds
	}{
		{"caller cancelled", fmt.Errorf("read: %w", context.Canceled), codes.Canceled, context.Canceled},
		{"caller's deadline", fmt.Errorf("read: %w", context.DeadlineExceeded), codes.DeadlineExceeded, context.DeadlineExceeded},
		{
			"our own deadline is not the caller's",
			fmt.Errorf("%w: dial: %w", errdefs.Timeout, context.DeadlineExceeded),
			codes.Unavailable, errdefs.Timeout,
		},
		{
			"our own cancellation is not the caller's",
			fmt.Errorf("%w: going away: %w", errdefs.Unavailable, context.Canceled),
			codes.Unavailable, errdefs.Unavailable,
		},
		{"no kind", errors.New("secret of this machine"), codes.Internal, errdefs.Internal},
		{"kind of nobody", errdefs.Kind("made up"), codes.Internal, errdefs.Internal},
		{"unimplemented", status.Error(codes.Unimplemented, "no such method"), codes.Unimplemented, errdefs.Invalid},
	}
	for _, c := range tests {
		t.Run(c.name, func(t *testing.T) {
			st := errdefs.ToStatus(c.err)
			if got := status.Code(st); got != c.code {
				t.Errorf("code %v, want %v", got, c.code)
			}
			got := errdefs.FromStatus(st)
			if !errors.Is(got, c.is) {
				t.Errorf("arrived as %v, want %v", got, c.is)
			}
			if strings.Contains(got.Error(), "secret") {
				t.Errorf("told %q", got)
			}
		})
	}
	if errdefs.ToStatus(nil) != nil || errdefs.FromStatus(nil) != nil {
		t.Error("nil must stay nil")
	}
}

func TestRemoteErrorIsNotPassedOn(t *testing.T) {
	// A deadline of the far side, seen by a program that serves somebody
	// else: wrapped in a kind it must not look like that somebody's deadline.
	far := errdefs.FromStatus(status.Error(codes.DeadlineExceeded, "too late"))
	if status.Code(far) != codes.Unknown {
		t.Fatalf("%v still carries the status of the far side", far)
	}
	near := errdefs.ToStatus(fmt.Errorf("%w: ask tracker: %w", errdefs.Unavailable, far))
	if status.Code(near) != codes.Unavailable {
		t.Errorf("passed on as %v", near)
	}
	if errors.Is(errdefs.FromStatus(near), context.DeadlineExceeded) {
		t.Error("the caller sees a deadline that was never its own")
	}
}

func TestFromStatusLeavesOthersAlone(t *testing.T) {
	if got := errdefs.FromStatus(io.EOF); got != io.EOF { //nolint:errorlint // identity is the point
		t.Errorf("EOF became %v", got)
	}
	kind := fmt.Errorf("%w: once", errdefs.Busy)
	if got := errdefs.FromStatus(kind); got != kind { //nolint:errorlint // identity is the point
		t.Errorf("%v became %v", kind, got)
	}
}

func TestFromStatusReadsBareCodes(t *testing.T) {
	want := map[codes.Code]error{
		codes.Canceled: context.Canceled, codes.DeadlineExceeded: context.DeadlineExceeded,
		codes.Unavailable: errdefs.Unavailable, codes.ResourceExhausted: errdefs.Busy,
		codes.Unauthenticated: errdefs.Refused, codes.PermissionDenied: errdefs.Refused,
		codes.InvalidArgument: errdefs.Invalid, codes.Unimplemented: errdefs.Invalid,
		codes.NotFound: errdefs.NotFound, codes.OutOfRange: errdefs.BadRange, codes.DataLoss: errdefs.Corrupt,
		codes.Unknown: errdefs.Internal, codes.Internal: errdefs.Internal, codes.Code(99): errdefs.Internal,
	}
	for code, is := range want {
		if got := errdefs.FromStatus(status.Error(code, "x")); !errors.Is(got, is) {
			t.Errorf("%v became %v, want %v", code, got, is)
		}
	}
}

func TestFromStatusUndressesDials(t *testing.T) {
	for text, want := range map[string]string{
		`connection error: desc = "transport: Error while dialing: dial tcp 10.0.0.1:7: connect: connection refused"`: "unavailable: dial tcp 10.0.0.1:7: connect: connection refused",
		`connection error: desc = "else"`: `unavailable: connection error: desc = "else"`,
	} {
		if got := errdefs.FromStatus(status.Error(codes.Unavailable, text)); got.Error() != want {
			t.Errorf("%s became %q, want %q", text, got, want)
		}
	}
}

func TestTextIsBoundedAndPrintable(t *testing.T) {
	dirty := fmt.Errorf("%w: \x1b[31m\xff\n%s", errdefs.Unavailable, strings.Repeat("ä", 5000))
	for name, got := range map[string]string{
		"status":       status.Convert(errdefs.ToStatus(dirty)).Message(),
		"failure":      errdefs.ToFailure(dirty).GetMessage(),
		"from status":  errdefs.FromStatus(status.Error(codes.Unavailable, dirty.Error())).Error(),
		"from failure": errdefs.FromFailure(&ddmv1.Failure{Message: dirty.Error()}).Error(),
	} {
		if len(got) > 1100 || !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\n") {
			t.Errorf("%s: %d bytes, %.40q", name, len(got), got)
		}
	}
}

func TestFailureEdges(t *testing.T) {
	if errdefs.ToFailure(nil) != nil {
		t.Error("no error, no failure")
	}
	if got := errdefs.FromFailure(nil); errdefs.KindOf(got) != errdefs.Internal {
		t.Errorf("an absent failure is %v", got)
	}
	newer := &ddmv1.Failure{Kind: 99, Message: "from the future", RetryAfter: durationpb.New(-time.Second)}
	got := errdefs.FromFailure(newer)
	if errdefs.KindOf(got) != errdefs.Internal || got.Error() != "internal error: from the future" {
		t.Errorf("a newer kind is %v", got)
	}
	if _, ok := errdefs.RetryAfterOf(got); ok {
		t.Error("a negative wait counts as none")
	}
	for err, kind := range map[error]ddmv1.FailureKind{
		context.Canceled:         ddmv1.FailureKind_FAILURE_KIND_UNAVAILABLE,
		context.DeadlineExceeded: ddmv1.FailureKind_FAILURE_KIND_TIMEOUT,
		errors.New("secret"):     ddmv1.FailureKind_FAILURE_KIND_INTERNAL,
	} {
		f := errdefs.ToFailure(err)
		if f.GetKind() != kind || strings.Contains(f.GetMessage(), "secret") {
			t.Errorf("%v became %v", err, f)
		}
		if _, err := proto.Marshal(f); err != nil {
			t.Error(err)
		}
	}
}
