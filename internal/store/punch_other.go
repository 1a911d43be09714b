//go:build !linux

package store

import (
	"errors"
	"os"

	"ddm/internal/byterange"
)

func punch(*os.File, byterange.Range) error { return errors.ErrUnsupported }
