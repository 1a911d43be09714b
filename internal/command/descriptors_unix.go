//go:build unix

package command

import "golang.org/x/sys/unix"

// descriptorLimit is how many files and connections this process may have
// open; 0: not known. Go has raised the soft limit to the hard one already.
func descriptorLimit() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur > 1<<30 {
		return 0
	}
	return int(r.Cur)
}
