package rpc

import (
	"math/bits"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

// The pool options are experimental in grpc; this file is the only one that
// uses them.

const (
	minTier = 12 // 4 KiB
	maxTier = 22 // 4 MiB
)

//nolint:gochecknoglobals // one pool per process is what makes reuse work; it holds no state but free memory
var shared tieredPool

// Pool is the buffer pool of the process: powers of two from 4 KiB to 4 MiB,
// other lengths rounded up, larger ones not pooled. It is safe for concurrent
// use. Unlike grpc's own it never clears a buffer: grpc, and everything here,
// writes each byte of the length it asked for before it reads one, and clearing
// a quarter MiB per frame costs more than receiving it. A buffer from Get
// therefore holds garbage.
func Pool() mem.BufferPool { return &shared }

type tieredPool struct {
	tiers [maxTier - minTier + 1]sync.Pool // of *[]byte with cap 1<<(minTier+i)
}

// Get returns a buffer of the given length with any content.
func (p *tieredPool) Get(length int) *[]byte {
	tier := tierOf(length)
	if tier > maxTier {
		buf := make([]byte, length)
		return &buf
	}
	if buf, ok := p.tiers[tier-minTier].Get().(*[]byte); ok {
		*buf = (*buf)[:length]
		return buf
	}
	buf := make([]byte, length, 1<<tier)
	return &buf
}

// Put takes back a buffer that came from Get; one that did not is left to the
// garbage collector.
func (p *tieredPool) Put(buf *[]byte) {
	size := cap(*buf)
	tier := tierOf(size)
	if tier > maxTier || size != 1<<tier {
		return
	}
	p.tiers[tier-minTier].Put(buf)
}

// tierOf is the exponent of the smallest tier that holds size bytes.
func tierOf(size int) int {
	return max(minTier, bits.Len(uint(max(size, 1)-1)))
}

func serverPool(p mem.BufferPool) grpc.ServerOption { return experimental.BufferPool(p) }

func clientPool(p mem.BufferPool) grpc.DialOption { return experimental.WithBufferPool(p) }
