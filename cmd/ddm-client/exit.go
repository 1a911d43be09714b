package main

import (
	"context"
	"errors"
	"fmt"

	"ddm/internal/command"
	"ddm/internal/errdefs"
)

// The exit statuses of the contract: aria2's numbers, and two of our own.
const (
	exitTimeout      = 2
	exitNotFound     = 3
	exitNetwork      = 6
	exitInterrupted  = 7
	exitNoSpace      = 9
	exitLocked       = 11
	exitExists       = 13
	exitOpenFile     = 15
	exitCreateFile   = 16
	exitWriteFile    = 17
	exitMakeDir      = 18
	exitUnresolved   = 19
	exitBadReply     = 22
	exitRedirects    = 23
	exitUnauthorized = 24
	exitBusy         = 29
	exitCorrupt      = 32
	exitChanged      = 40
	exitRefused      = 41
)

// errInterrupted is the cause that a signal gives.
var errInterrupted = errors.New("interrupted")

// outcome is what an error means to whoever called the program.
type outcome struct {
	kind   string // for --json
	status int
	hint   string // what a flag can do about it; "": nothing
}

// judge sorts an error into the contract's table. Interrupted tells that the
// user ended the program: then everything that the end alone explains is 7.
func judge(err error, interrupted bool) outcome {
	const resumes = "the same command goes on where this one ended"
	kind, named := errors.AsType[errdefs.Kind](err)
	switch {
	case err == nil:
		return outcome{}
	case interrupted && (!named || errors.Is(err, context.Canceled) || kind == errdefs.Unavailable || kind == errdefs.Timeout):
		return outcome{errInterrupted.Error(), exitInterrupted, "what arrived is kept: " + resumes}
	case !named && errors.Is(err, context.DeadlineExceeded):
		kind = errdefs.Timeout
	case !named:
		kind = errdefs.Internal
	}
	o := outcome{kind: string(kind), status: statusOf(kind)}
	switch kind {
	case errdefs.Unavailable, errdefs.Timeout, errdefs.Busy, errdefs.NoSpace:
		o.hint = resumes
	case errdefs.Exists:
		o.hint = "that is --output FILE, or --overwrite"
	case errdefs.Unauthorized:
		o.hint = "give credentials by --user, --netrc or --header"
	case errdefs.Locked:
		o.hint = "wait for it, or choose another name by --output"
	case errdefs.Unresolved:
		o.hint = "check the name, and the network"
	default:
	}
	return o
}

// statusOf is the table.
func statusOf(k errdefs.Kind) int {
	switch k {
	case errdefs.Timeout:
		return exitTimeout
	case errdefs.NotFound:
		return exitNotFound
	case errdefs.Unavailable:
		return exitNetwork
	case errdefs.NoSpace:
		return exitNoSpace
	case errdefs.Locked:
		return exitLocked
	case errdefs.Exists:
		return exitExists
	case errdefs.OpenFile:
		return exitOpenFile
	case errdefs.CreateFile:
		return exitCreateFile
	case errdefs.WriteFile:
		return exitWriteFile
	case errdefs.MakeDir:
		return exitMakeDir
	case errdefs.Unresolved:
		return exitUnresolved
	case errdefs.BadReply, errdefs.BadRange, errdefs.NoRanges:
		return exitBadReply
	case errdefs.Redirects:
		return exitRedirects
	case errdefs.Unauthorized:
		return exitUnauthorized
	case errdefs.Invalid:
		return command.StatusInvalid
	case errdefs.Busy:
		return exitBusy
	case errdefs.Corrupt:
		return exitCorrupt
	case errdefs.Changed:
		return exitChanged
	case errdefs.Refused:
		return exitRefused
	case errdefs.LeaseExpired, errdefs.Internal:
	}
	return command.StatusFailed
}

// message is the one sentence for the user: what happened, and what to do.
func (o outcome) message(err error) string {
	text := command.Sentence(err)
	if o.status == exitInterrupted {
		text = o.kind
	}
	if o.hint != "" {
		text = fmt.Sprintf("%s; %s", text, o.hint)
	}
	return text
}
