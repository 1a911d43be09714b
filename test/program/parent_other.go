//go:build unix && !linux

package program

import "syscall"

// dieWithParent would let nothing stay behind: only Linux can.
func dieWithParent() *syscall.SysProcAttr { return nil }
