package blockconn

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a socket that the runtime's poller does not know.
type conn struct {
	file          *os.File // blocking
	local, remote net.Addr
	done          func() // told of each Close

	closed      atomic.Bool
	read, write deadline
}

// block moves the socket of tcp into a conn: a second descriptor of it is
// opened, the first one is closed, and with it the poller's entry.
func block(tcp *net.TCPConn, done func()) net.Conn {
	fd, err := duplicate(tcp)
	if err != nil {
		done()
		return tcp
	}
	c := &conn{local: tcp.LocalAddr(), remote: tcp.RemoteAddr(), done: done}
	_ = tcp.Close() // of the first descriptor: the connection is open
	// Both share one flag. A descriptor that cannot block is one that package os
	// gives to the poller: slower, and as good.
	_ = unix.SetNonblock(fd, false)
	c.file = os.NewFile(uintptr(fd), "tcp")
	c.read.pass = func() { c.shutdown(unix.SHUT_RD) }
	c.write.pass = func() { c.shutdown(unix.SHUT_WR) }
	return c
}

func duplicate(tcp *net.TCPConn) (fd int, err error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return -1, err
	}
	controlErr := raw.Control(func(was uintptr) {
		fd, err = unix.FcntlInt(was, unix.F_DUPFD_CLOEXEC, 0)
	})
	return fd, errors.Join(controlErr, err)
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.file.Read(p)
	if err != nil {
		err = c.judge("read", &c.read, err)
	}
	return n, err
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.file.Write(p)
	if err != nil {
		err = c.judge("write", &c.write, err)
	}
	return n, err
}

// judge says what package net would say.
func (c *conn) judge(op string, d *deadline, err error) error {
	switch {
	case c.closed.Load():
		err = net.ErrClosed
	case d.passed():
		err = os.ErrDeadlineExceeded
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = os.NewSyscallError(op, inner.Err)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Close wakes whoever waits in Read or Write.
func (c *conn) Close() error {
	c.closed.Store(true)
	c.read.set(time.Time{})
	c.write.set(time.Time{})
	c.shutdown(unix.SHUT_RDWR)
	c.done()
	if err := c.file.Close(); err != nil {
		return &net.OpError{Op: "close", Net: "tcp", Source: c.local, Addr: c.remote, Err: net.ErrClosed}
	}
	return nil
}

// shutdown is how a thread is woken that sleeps in a system call of the socket.
func (c *conn) shutdown(how int) {
	if raw, err := c.file.SyscallConn(); err == nil {
		// Neither error says more than that the connection has ended already.
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), how) })
	}
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.read, t) }

func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.write, t) }

func (c *conn) setDeadline(d *deadline, t time.Time) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	d.set(t)
	return nil
}

// deadline is that of one direction.
type deadline struct {
	pass func() // ends the direction

	mu    sync.Mutex
	timer *time.Timer // nil: none is set
	past  bool
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	switch {
	case t.IsZero() || d.past:
	case time.Until(t) <= 0:
		d.past = true
		d.pass()
	default:
		var mine *time.Timer
		mine = time.AfterFunc(time.Until(t), func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.timer == mine { // not one that was replaced while it fired
				d.timer, d.past = nil, true
				d.pass()
			}
		})
		d.timer = mine
	}
}

func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.past
}
