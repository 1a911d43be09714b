//go:build !linux

package origin

import (
	"errors"
	"syscall"
)

// bindToDevice is not there: lines bind by source address.
func bindToDevice(syscall.RawConn, string) error { return errors.ErrUnsupported }
