package origin

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bindToDevice sends and receives through one interface only, whatever the
// routes say. Kernels before 5.7 ask for CAP_NET_RAW.
func bindToDevice(c syscall.RawConn, name string) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = unix.BindToDevice(int(fd), name)
	}); cerr != nil {
		return cerr
	}
	return err
}
