package netif_test

import (
	"net"
	"net/netip"
	"testing"

	"ddm/internal/netif"
)

func TestRouted(t *testing.T) {
	t.Parallel()
	names, err := netif.Routed()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ways out: %q", names)
	for _, name := range names {
		i, err := net.InterfaceByName(name)
		if err != nil || i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 {
			t.Errorf("%s: %v, %v", name, i, err)
		}
	}
}

func TestOwner(t *testing.T) {
	t.Parallel()
	name := netif.Owner(netip.MustParseAddr("127.0.0.1"))
	if i, err := net.InterfaceByName(name); err != nil || i.Flags&net.FlagLoopback == 0 {
		t.Errorf("127.0.0.1 is owned by %q: %v", name, err)
	}
	if netif.Owner(netip.MustParseAddr("::ffff:127.0.0.1")) != name {
		t.Error("the same address in another form has another owner")
	}
	if name := netif.Owner(netip.MustParseAddr("203.0.113.99")); name != "" {
		t.Errorf("an address for documents is owned by %q", name)
	}
}
