package rpc_test

import (
	"testing"

	"ddm/internal/rpc"
)

func TestPoolRoundsUpToPowersOfTwo(t *testing.T) {
	for _, c := range []struct{ length, capacity int }{
		{0, 4 << 10},
		{1, 4 << 10},
		{4 << 10, 4 << 10},
		{4<<10 + 1, 8 << 10},
		{256 << 10, 256 << 10},
		{256<<10 + 1, 512 << 10},
		{4 << 20, 4 << 20},
		{4<<20 + 1, 4<<20 + 1},
	} {
		buf := rpc.Pool().Get(c.length)
		if len(*buf) != c.length || cap(*buf) < c.capacity {
			t.Errorf("Get(%d): length %d, capacity %d", c.length, len(*buf), cap(*buf))
		}
		if c.length <= 4<<20 && cap(*buf) != c.capacity {
			t.Errorf("Get(%d): capacity %d, want %d", c.length, cap(*buf), c.capacity)
		}
		rpc.Pool().Put(buf)
	}
}

func TestPoolLeavesStrangersAlone(t *testing.T) {
	for _, size := range []int{0, 100, 5000, 8 << 20} {
		buf := make([]byte, size)
		rpc.Pool().Put(&buf)
	}
	// A tier lends only buffers of its own size.
	for range 100 {
		if buf := rpc.Pool().Get(5000); cap(*buf) != 8<<10 {
			t.Fatalf("a stranger came back with capacity %d", cap(*buf))
		}
	}
}

func TestPoolTakesBackAPrefix(t *testing.T) {
	buf := rpc.Pool().Get(6000)
	*buf = (*buf)[:10]
	rpc.Pool().Put(buf)
	if got := rpc.Pool().Get(7000); len(*got) != 7000 {
		t.Errorf("length %d", len(*got))
	}
}
