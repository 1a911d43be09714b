package store

import (
	"os"

	"golang.org/x/sys/unix"

	"ddm/internal/byterange"
)

func punch(f *os.File, r byterange.Range) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, r.Off, r.Len)
}
