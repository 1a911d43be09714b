package peer

import (
	"errors"
	"fmt"
	"net"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// conceal makes of err what a client may see. An address that the policy
// refuses and one that does not answer look alike, or a client could map the
// networks behind this machine: both are Refused as long as the origin was
// never reached (fetch it otherwise), and Unavailable once it was (try again
// later). Everything else passes unchanged.
func conceal(err error, reached bool) (shown error, hidden bool) {
	if !refusedAddress(err) && !unreachable(err) {
		return err, false
	}
	kind := errdefs.Refused
	if reached {
		kind = errdefs.Unavailable
	}
	return fmt.Errorf("%w: this peer may not or cannot connect to the origin, fetch it another way", kind), true
}

func refusedAddress(err error) bool {
	_, ok := errors.AsType[*origin.RefusedError](err)
	return ok
}

// unreachable reports whether no connection came about. A name that does not
// resolve is told as such: it says nothing about this machine's networks.
func unreachable(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && !errors.Is(err, errdefs.Unresolved)
}

// detail is err for this machine's own log.
func detail(err error) string {
	if refused, ok := errors.AsType[*origin.RefusedError](err); ok {
		return refused.Detail()
	}
	return err.Error()
}
