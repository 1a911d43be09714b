// Package blockconn makes TCP connections wait where their bytes come from: in
// the system's read, not in the runtime's poller.
//
//	net:       packet -> epoll wakes a thread -> nobody waits: it sleeps again   (for each packet)
//	           read: EAGAIN -> goroutine parks -> epoll -> thread -> goroutine -> read
//	blockconn: read: the thread sleeps until there is something
//
// The poller is told of every packet that reaches a socket of package net, even
// while its goroutine is busy writing what came before. With a timer anywhere
// in the program a thread always waits there, and wakes for nothing some 12,000
// times per GiB: a seventh of all the processor time of a download. The price
// is a thread for each connection that waits: this is for the few that bring
// the bulk.
package blockconn

import (
	"net"
	"sync"
	"sync/atomic"
)

// Few makes connections of this kind, so many at a time at most. The zero value
// makes none. It is safe for concurrent use.
type Few struct {
	Most int32 // not to be changed once New was called

	live atomic.Int32
}

// New takes over a TCP connection and returns what is to be used in its place.
// What is one too many, what is no TCP connection, and what the system cannot
// do so, comes back as it was. The caller closes what it got.
//
// One thing differs from package net: a deadline that passes ends the
// connection, in that direction, for good.
func (f *Few) New(c net.Conn) net.Conn {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	if f.live.Add(1) > f.Most {
		f.live.Add(-1)
		return c
	}
	return block(tcp, sync.OnceFunc(func() { f.live.Add(-1) }))
}
