package lines

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"ddm/internal/errdefs"
	"ddm/internal/netif"
)

func (s *Set) routed() ([]string, error) {
	if s.cfg.Network.Routed != nil {
		return s.cfg.Network.Routed()
	}
	return netif.Routed()
}

// usable returns why an interface or address cannot be used now.
func (s *Set) usable(bind string) error {
	if s.cfg.Network.Check != nil {
		return s.cfg.Network.Check(bind)
	}
	name := bind
	if addr, err := netip.ParseAddr(bind); err == nil {
		if name = netif.Owner(addr); name == "" {
			return bindable(addr)
		}
	}
	i, err := net.InterfaceByName(name)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %.40q is neither an interface nor an address of this machine", errdefs.Invalid, bind)
	case i.Flags&net.FlagUp == 0:
		return fmt.Errorf("%w: interface %s is down", errdefs.Unavailable, name)
	case i.Flags&net.FlagRunning == 0:
		return fmt.Errorf("%w: interface %s has no link", errdefs.Unavailable, name)
	}
	return nil
}

// bindable judges an address that no interface lists: it may be this machine's
// all the same, as all of 127.0.0.0/8 and of local routes is.
func bindable(addr netip.Addr) error {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(context.Background(), "udp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return fmt.Errorf("%w: %s is no address of this machine", errdefs.Invalid, addr)
	}
	return c.Close()
}
