// Package errdefs names the kinds of errors that cross packages and the wire.
// A kind is a class of reaction, not of cause: what the caller does next
// decides which one an error gets.
//
//	fmt.Errorf("%w: 8 of 8 slots taken: %w", errdefs.Busy, errdefs.RetryAfter(3*time.Second))
//
// ToStatus and FromStatus carry kinds over gRPC; what is wrapped around a kind
// arrives as text.
package errdefs

import (
	"errors"
	"time"
)

// Kind is a class of reaction. Wrap it with %w; test for it with errors.Is.
type Kind string

// The kinds. Behind each: what a caller does.
const (
	// Invalid: malformed URL, flag, range, message. Never retry.
	Invalid Kind = "invalid"
	// NotFound: origin 404, 410. Never retry on this source.
	NotFound Kind = "not found"
	// LeaseExpired: register again.
	LeaseExpired Kind = "lease expired"
	// Unauthorized: origin 401, 403, 407. Never retry on this source.
	Unauthorized Kind = "not authorized"
	// Refused: forbidden by a policy (address, identity, certificate).
	Refused Kind = "refused by policy"
	// Changed: validator, size or coding differ from the pinned generation.
	Changed Kind = "resource changed"
	// BadRange: 416, or a range outside the resource. Probe again once.
	BadRange Kind = "range not satisfiable"
	// NoRanges: the origin sends the whole for a range. Use one stream.
	NoRanges Kind = "ranges not served"
	// Busy: no slot, 429, 503. Another source now, this one after RetryAfter.
	Busy Kind = "overloaded"
	// Unavailable: refused, reset, cut, 5xx, stalled. Back off, other source first.
	Unavailable Kind = "unavailable"
	// BadReply: a reply that fails the accept test, or another 4xx or 5xx.
	BadReply Kind = "bad reply"
	// Unresolved: the name does not resolve.
	Unresolved Kind = "name not resolved"
	// Redirects: too many, or a loop.
	Redirects Kind = "too many redirects"
	// Timeout: no answer in the time a request may take.
	Timeout Kind = "timed out"
	// Corrupt: CRC, digest or length are wrong. Drop the bytes, distrust the giver.
	Corrupt Kind = "verification failed"
	// NoSpace: disk full or quota reached. Stop; the part file is kept.
	NoSpace Kind = "no space"
	// Exists: the destination is there and may not be replaced.
	Exists Kind = "already exists"
	// Locked: another process downloads to this name.
	Locked Kind = "in use"
	// OpenFile, CreateFile, WriteFile, MakeDir: a local file operation failed.
	OpenFile   Kind = "cannot open"
	CreateFile Kind = "cannot create"
	WriteFile  Kind = "cannot write"
	MakeDir    Kind = "cannot make directory"
	// Internal: a fault of our own.
	Internal Kind = "internal error"
)

// Error makes a Kind an error.
func (k Kind) Error() string { return string(k) }

// KindOf returns the first kind in err's chain, Internal if there is none,
// and "" for nil. Context errors have no kind: test for them first.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if k, ok := errors.AsType[Kind](err); ok {
		return k
	}
	return Internal
}

// RetryAfter is an error that says: not sooner than this. Wrap it beside a Kind.
type RetryAfter time.Duration

// Error gives the wait in words.
func (r RetryAfter) Error() string { return "retry after " + time.Duration(r).String() }

// RetryAfterOf returns the wait that err asks for; ok is false if it asks for none.
func RetryAfterOf(err error) (wait time.Duration, ok bool) {
	r, ok := errors.AsType[RetryAfter](err)
	return time.Duration(r), ok
}
