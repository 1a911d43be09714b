// Package rpc builds the gRPC servers and connections of all programs, so that
// limits, timeouts, error kinds and the handling of bulk bytes are decided in
// one place.
//
//	handler -- error --> ToStatus --> wire --> FromStatus -- error kind --> caller
//	           panic --> Internal
//
//	*Frame --> codec: header + payload by reference --> wire --> codec --> Event.Frame
//	others --> the standard protobuf codec           --> wire --> standard codec
//
// A role chooses windows and buffers. Bulk bytes flow from a peer to a client
// only: a client's bulk connection has wide receive windows, and everything
// else has narrow ones, which bounds the memory that a stalled or hostile other
// side can hold.
package rpc

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/mem"
)

// Role says what a server or connection is for.
type Role int

// The roles.
const (
	// Control carries small messages: registrations, watches.
	Control Role = iota
	// Bulk carries Data messages from a peer's server to a client.
	Bulk
)

// Options are common to servers and connections. The zero value is a plaintext
// control server or connection that logs nothing.
type Options struct {
	// Role chooses windows, buffers and limits.
	Role Role
	// Log receives panics of handlers; nil: nobody.
	Log hclog.Logger
	// Creds secure the connection; nil: plaintext, no identity.
	Creds credentials.TransportCredentials
	// ReadRate is how many bytes per second will be read of a bulk connection at
	// most, which narrows its windows: what nobody takes waits at its source. 0: as
	// many as come.
	ReadRate int64
	// MaxRecv is the most bytes of one received message; 0: by role and side.
	MaxRecv int
	// Health is the health service that NewServer registers, for owners who
	// change its answers; nil: one that always says serving. Its Shutdown
	// belongs before the end of Serve's context.
	Health *health.Server
	// Guard is the server's, whose listener it watches too; nil: none.
	Guard *Guard
	// Pool provides and takes back buffers of messages; nil: Pool().
	Pool mem.BufferPool
}

const (
	kib = 1 << 10
	mib = 1 << 20

	// A vanished machine is noticed after keepaliveTime+keepaliveTimeout.
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second
	// minPingInterval is the most often that a client may ping: half of what
	// ours do, so that jitter never counts as abuse.
	minPingInterval = 5 * time.Second
	// handshakeTimeout ends a connection that was opened and says nothing.
	handshakeTimeout = 5 * time.Second

	maxHeaderList     = 16 * kib
	controlStreams    = 128 // of a connection: one watch or one heartbeat is common
	bulkStreams       = 128
	controlMaxMessage = 512 * kib
	// bulkMaxMessage is the largest payload of Data, 1 MiB, with room for
	// fields to come.
	bulkMaxMessage = mib + mib/4

	// The narrow window is HTTP/2's own, and the least that gRPC accepts.
	narrowWindow = 64 * kib
	// 1 Gbit/s over 30 ms keeps 3.75 MB under way, 10 Gbit/s over 1 ms a third
	// of that; gRPC opens a window again when a quarter of it was read, so that
	// three quarters have to do. 4 MiB bring 650 Mbit/s there, 6 MiB 840, 16 MiB
	// 870, raw TCP 945. A stream that nobody reads holds its window in memory.
	bulkStreamWindow = 6 * mib
	bulkConnWindow   = 2 * bulkStreamWindow
	// windowShare of what is read in a second is a window for a round trip of
	// 60 ms: no LAN's is longer.
	windowShare = 16

	// Thousands of control connections end at one tracker, and each holds a
	// read buffer.
	controlBuffer = 4 * kib
	bulkBuffer    = 256 * kib
	// A frame of 256 KiB and the headers of its HTTP/2 frames leave in one
	// write; with less, the last 200 bytes of most have one of their own.
	bulkWriteBuffer = bulkBuffer + 8*kib
)

func (o Options) logger() hclog.Logger {
	if o.Log == nil {
		return hclog.NewNullLogger()
	}
	return o.Log
}

func (o Options) pool() mem.BufferPool {
	if o.Pool == nil {
		return Pool()
	}
	return o.Pool
}

// maxRecv is the message limit of a receiver that gets bulk bytes or does not.
func (o Options) maxRecv(bulk bool) int {
	switch {
	case o.MaxRecv > 0:
		return o.MaxRecv
	case bulk:
		return bulkMaxMessage
	}
	return controlMaxMessage
}
