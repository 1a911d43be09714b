//go:build unix

package store_test

import (
	"os"
	"syscall"
)

// blocks is the room that a file takes.
func blocks(st os.FileInfo) int64 {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return st.Size()
	}
	return sys.Blocks * 512
}
