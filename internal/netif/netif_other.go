//go:build !linux

package netif

import "net"

func leadingOut(ifaces []net.Interface) (map[int]bool, error) { return withGlobalAddress(ifaces), nil }
