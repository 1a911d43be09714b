//go:build linux

package netlab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Far is a cable between two hosts that takes time, in both directions alike:
// two TUN devices whose packets are carried over by this process.
//
//	host A: far0 10.96.1.1 --> read --> queue (rate, then delay) --> write --> far0 10.96.1.2 :host B
//	                       <-- write <-- queue <-- read <--
//
// The kernel hands over packets of up to 64 KiB, cut into segments by nobody
// (as between two ends of a veth), so that a gigabit is a few thousand system
// calls a second.
type Far struct {
	A, B string // addresses of the two ends
}

const (
	vnetHeader = 10            // bytes of struct virtio_net_hdr before each packet
	largest    = 64<<10 + 1<<9 // packet with its header, bytes
)

// AddFar lays a cable between two hosts: so long each way, with a queue as
// that of a shaped line (0: a rate as fast as the machine).
func (l *Lab) AddFar(t testing.TB, a, b string, delay time.Duration, rate Rate) *Far {
	t.Helper()
	l.cables++
	f := &Far{A: fmt.Sprintf("10.96.%d.1", l.cables), B: fmt.Sprintf("10.96.%d.2", l.cables)}
	device := fmt.Sprintf("far%d", l.cables)
	ends := make([]*os.File, 2)
	for i, host := range []string{a, b} {
		end, err := openTUN(l.hosts[host].ns, device)
		if err != nil {
			t.Fatalf("a TUN device on %s: %v", host, err)
		}
		ends[i] = end
		l.ip(t, host, "addr", "add", []string{f.A, f.B}[i]+"/30", "dev", device)
		l.ip(t, host, "link", "set", device, "up", "txqueuelen", "10000")
	}
	there, back := newCable(delay, rate), newCable(delay, rate)
	var carriers sync.WaitGroup
	for _, carry := range []func() error{
		func() error { return there.take(ends[0]) }, func() error { return there.give(ends[1]) },
		func() error { return back.take(ends[1]) }, func() error { return back.give(ends[0]) },
	} {
		carriers.Go(func() {
			if err := carry(); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Errorf("cable between %s and %s: %v", a, b, err)
			}
		})
	}
	t.Cleanup(func() {
		for _, end := range ends {
			_ = end.Close() // the device goes with it
		}
		carriers.Wait()
	})
	return f
}

// openTUN makes a TUN device in a namespace. It is gone when the file is closed.
func openTUN(namespace, device string) (tun *os.File, err error) {
	err = Inside(namespace, func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		req, err := unix.NewIfreq(device)
		if err == nil {
			req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
		if err == nil {
			err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
		}
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		tun = os.NewFile(uintptr(fd), "/dev/net/tun") // non-blocking: a Close ends its reads
		return nil
	})
	return tun, err
}

// Inside calls f on a thread inside a network namespace of that name: sockets
// and processes that f makes are born inside.
func Inside(namespace string, f func() error) error {
	runtime.LockOSThread() // unlocked only once the thread is back
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + namespace)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil { //nolint:gosec // a small number
		return fmt.Errorf("enter namespace %s: %w", namespace, err)
	}
	failed := f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil { //nolint:gosec // a small number
		return fmt.Errorf("leave namespace %s: %w", namespace, err)
	}
	runtime.UnlockOSThread()
	return failed
}

// cable is one direction.
type cable struct {
	delay time.Duration
	rate  Rate
	way   chan packet // on their way; closed when nothing comes any more
	free  sync.Pool   // of *[]byte
	done  chan struct{}
}

type packet struct {
	buf *[]byte
	n   int
	due time.Time
}

func newCable(delay time.Duration, rate Rate) *cable {
	return &cable{
		delay: delay, rate: rate, way: make(chan packet, 16<<10), done: make(chan struct{}),
		free: sync.Pool{New: func() any { b := make([]byte, largest); return &b }},
	}
}

// take reads packets at one end, until that is closed. What finds the queue
// full is dropped, as by a router.
func (c *cable) take(from io.Reader) error {
	defer close(c.way)
	var clear time.Time // when the packets taken so far have left
	for {
		buf, ok := c.free.Get().(*[]byte)
		if !ok {
			return errors.New("not a buffer")
		}
		n, err := from.Read(*buf)
		if err != nil {
			return err
		}
		now := time.Now()
		if clear.Before(now) {
			clear = now
		}
		if clear.Sub(now) > queueDelay {
			c.free.Put(buf)
			continue
		}
		if c.rate > 0 {
			clear = clear.Add(time.Duration(float64(n-vnetHeader) * 8 / float64(c.rate) * float64(time.Second)))
		}
		select {
		case c.way <- packet{buf, n, clear.Add(c.delay)}:
		case <-c.done:
			return nil
		}
	}
}

// give writes packets at the other end when they are due.
func (c *cable) give(to io.Writer) error {
	defer close(c.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for p := range c.way {
		if wait := time.Until(p.due); wait > 0 {
			timer.Reset(wait)
			<-timer.C
		}
		_, err := to.Write((*p.buf)[:p.n])
		c.free.Put(p.buf)
		if err != nil && errors.Is(err, unix.EIO) || errors.Is(err, unix.EINVAL) {
			continue // the device is down, or the kernel cannot use this one: lost
		}
		if err != nil {
			return err
		}
	}
	return nil
}
