package origin_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

func prefixes(list ...string) func() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return func() []netip.Prefix { return out }
}

func TestPublicOnly(t *testing.T) {
	p := origin.PublicOnly(nil, prefixes("93.184.216.34/32", "2a01:db0:1:2::/64", "81.2.69.0/24"))
	refused := []string{
		"127.0.0.1", "127.0.0.2", "0.0.0.0", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254",
		"100.64.0.1", "100.100.100.200", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1",
		"203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
		"::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1",
		"2001:db8::1", "3fff::1", "5f00::1", "2001::1", "2001:0:102:304::1", "2001:20::1", "2002:7f00:1::", "2002:101:101::1",
		"::127.0.0.1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:10.1.2.3", "::1.1.1.1",
		"64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "64:ff9b:1:a00:1::",
		"2606:4700::5efe:a00:1", "2606:4700::200:5efe:a00:1", "2606:4700::1111%eth0",
		// by position: own address, on-link neighbour, gateway
		"93.184.216.34", "2a01:db0:1:2:aaaa::1", "81.2.69.1", "::ffff:81.2.69.1", "64:ff9b::5102:4501",
	}
	for _, s := range refused {
		addr := netip.AddrPortFrom(netip.MustParseAddr(s), 443)
		err := p.Allow("example.com", addr)
		if !errors.Is(err, errdefs.Refused) {
			t.Errorf("%s: %v, want refused", s, err)
			continue
		}
		detail, ok := errors.AsType[*origin.RefusedError](err)
		if !ok || !strings.Contains(detail.Detail(), addr.Addr().String()) || strings.Contains(err.Error(), addr.Addr().String()) {
			t.Errorf("%s: text %q, detail %q: only the detail names the address", s, err, detail.Detail())
		}
	}
	for _, s := range []string{
		"1.1.1.1", "8.8.8.8", "93.184.216.35", "192.31.196.1", "2606:4700::1111", "2a01:db0:1:3::1",
		"64:ff9b::101:101", "64:ff9b:1::101:101", "::ffff:1.1.1.1", "2606:4700::5efe:101:101",
	} {
		if err := p.Allow("example.com", netip.AddrPortFrom(netip.MustParseAddr(s), 443)); err != nil {
			t.Errorf("%s: %v, want allowed", s, err)
		}
	}
}

func TestPublicOnlyPorts(t *testing.T) {
	p := origin.PublicOnly(nil, prefixes())
	for port, ok := range map[uint16]bool{
		0: false, 22: false, 25: false, 79: false, 80: true, 81: false, 443: true, 853: false, 1023: false, 1024: true,
		2049: false, 5060: false, 6000: false, 6667: false, 10080: false, 8080: true, 65535: true,
		7420: false, 7421: false, 7430: false, 7431: false, 7432: true,
	} {
		addr := netip.AddrPortFrom(netip.MustParseAddr("1.1.1.1"), port)
		if err := p.Allow("x", addr); (err == nil) != ok {
			t.Errorf("port %d: %v", port, err)
		}
		if err := origin.PublicAddress(prefixes()).Allow("x", addr); err != nil {
			t.Errorf("PublicAddress, port %d: %v", port, err)
		}
	}
}

func TestAllowList(t *testing.T) {
	for _, tt := range []struct {
		entry, host, addr string
		ok                bool
	}{
		{"10.0.0.0/8", "nas", "10.1.2.3:80", true},
		{"10.0.0.0/8", "nas", "[::ffff:10.1.2.3]:80", true},
		{"::ffff:10.0.0.0/104", "nas", "10.1.2.3:80", true},
		{"10.0.0.0/8", "nas", "10.1.2.3:22", false},
		{"10.0.0.0/8", "nas", "10.1.2.3:7420", false},
		{"10.0.0.0/8", "nas", "11.1.2.3:80", true}, // public by itself
		{"10.0.0.0/8", "nas", "192.168.1.1:80", false},
		{"10.0.0.0/8:22", "nas", "10.1.2.3:22", true},
		{"10.0.0.0/8:22", "nas", "10.1.2.3:80", false},
		{"10.1.2.3", "nas", "10.1.2.3:8080", true},
		{"10.1.2.3:8080", "10.1.2.3", "10.1.2.3:8081", false},
		{"10.1.2.3", "nas", "10.1.2.4:80", false},
		{"fd00::/8", "nas", "[fd00::1]:80", true},
		{"[fd00::/8]:81", "nas", "[fd00::1]:81", true},
		{"[::1]:8080", "nas", "[::1]:8080", true},
		{"::1", "localhost", "[::1]:8080", true},
		{"fe80::/10", "nas", "[fe80::1%eth0]:80", false},
		{"NAS.lan", "nas.lan", "192.168.1.9:80", true},
		{"nas.lan", "NAS.LAN.", "192.168.1.9:80", true},
		{"nas.lan", "evil.example", "192.168.1.9:80", false},
		{"nas.lan", "nas.lan.evil.example", "192.168.1.9:80", false},
		{"nas.lan:8080", "nas.lan", "127.0.0.1:8080", true},
		{"nas.lan:8080", "nas.lan", "127.0.0.1:80", false},
		{"nas.lan", "nas.lan", "192.168.1.9:22", false},
	} {
		a, err := origin.ParseAllow(tt.entry)
		if err != nil {
			t.Errorf("ParseAllow(%q): %v", tt.entry, err)
			continue
		}
		err = origin.PublicOnly([]origin.Allowed{a}, prefixes()).Allow(tt.host, netip.MustParseAddrPort(tt.addr))
		if (err == nil) != tt.ok {
			t.Errorf("%q: %s at %s: %v", tt.entry, tt.host, tt.addr, err)
		}
	}
	for _, s := range []string{"", ":80", "nas:", "nas:0", "nas:65536", "nas:http", "[::1", "[::1]80", "10.0.0.0/33", "a b", "http://nas", "user@nas", "fe80::1%eth0"} {
		if _, err := origin.ParseAllow(s); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("ParseAllow(%q): %v, want Invalid", s, err)
		}
	}
}

// FuzzClassifier: no dress makes a refused IPv4 address acceptable, and NAT64
// hides no public one.
func FuzzClassifier(f *testing.F) {
	f.Add(uint32(0x7f000001), uint64(0x2606470000000000))
	f.Add(uint32(0x0a000001), uint64(0))
	f.Add(uint32(0x01010101), uint64(0x20010000)<<32)
	p := origin.PublicOnly(nil, prefixes("81.2.69.0/24"))
	allowed := func(a netip.Addr) bool { return p.Allow("x", netip.AddrPortFrom(a, 443)) == nil }
	f.Fuzz(func(t *testing.T, v4 uint32, top uint64) {
		var four [4]byte
		binary.BigEndian.PutUint32(four[:], v4)
		plain := netip.AddrFrom4(four)
		ok := allowed(plain)
		if ok && (plain.IsPrivate() || plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsMulticast() || plain.IsUnspecified()) {
			t.Fatalf("%v is allowed", plain)
		}
		if got := allowed(netip.AddrFrom16(plain.As16())); got != ok {
			t.Fatalf("::ffff:%v: %v, plain: %v", plain, got, ok)
		}
		six := func(hi uint64, mid uint32) netip.Addr {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], hi)
			binary.BigEndian.PutUint32(b[8:], mid)
			copy(b[12:], four[:])
			return netip.AddrFrom16(b)
		}
		const wellKnown = 0x0064ff9b_00000000
		if got := allowed(six(wellKnown, 0)); got != ok {
			t.Fatalf("NAT64 of %v: %v, plain: %v", plain, got, ok)
		}
		for _, a := range []netip.Addr{six(0, 0), six(0, 0xffff), six(top, 0x5efe), six(top, 0x0200_5efe), six(wellKnown|1<<16, 0)} {
			if !ok && allowed(a) {
				t.Fatalf("%v is allowed, %v is not", a, plain)
			}
		}
		if a := six(0x2002_0000_0000_0000|uint64(v4)<<16, 1); allowed(a) {
			t.Fatalf("6to4 %v is allowed", a)
		}
		if a := six(0x2001_0000_0000_0000|top>>32, 1); allowed(a) {
			t.Fatalf("Teredo %v is allowed", a)
		}
	})
}
