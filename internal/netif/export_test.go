//go:build linux

package netif

// NextHops is under test.
var NextHops = nextHops
