package netif_test

import (
	"testing"

	"ddm/internal/netif"
)

// FuzzNextHops: no list of the kernel's form or any other leads outside of it.
func FuzzNextHops(f *testing.F) {
	f.Add([]byte{8, 0, 0, 0, 3, 0, 0, 0, 16, 0, 16, 0, 4, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1, 9, 0, 0, 0, 7, 0, 0, 0, 0})
	f.Add([]byte{8, 0, 0, 0, 3, 0, 0})
	f.Add([]byte{255, 255, 0, 0, 3, 0, 0, 0})
	f.Fuzz(func(t *testing.T, list []byte) {
		if n := len(netif.NextHops(list)); n > len(list)/8 {
			t.Errorf("%d next hops in %d bytes", n, len(list))
		}
	})
}

func TestNextHops(t *testing.T) {
	t.Parallel()
	list := []byte{
		8, 0, 0, 0, 3, 0, 0, 0,
		16, 0, 16, 0, 4, 0, 0, 0, 8, 0, 5, 0, 10, 0, 0, 1, // its link is down
		8, 0, 0, 0, 7, 0, 0, 0,
	}
	if got := netif.NextHops(list); len(got) != 2 || got[0] != 3 || got[1] != 7 {
		t.Errorf("interfaces %v, want 3 and 7", got)
	}
}
