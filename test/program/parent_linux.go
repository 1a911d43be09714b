package program

import "syscall"

// dieWithParent lets nothing stay behind should the test binary die.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
