package tracker_test

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
	"ddm/tracker"
)

func TestNilMessages(t *testing.T) {
	if _, err := tracker.ParseRegister(nil); !errors.Is(err, errdefs.Invalid) {
		t.Errorf("register: %v", err)
	}
	if _, err := tracker.ParseRegister(&ddmv1.RegisterRequest{}); !errors.Is(err, errdefs.Invalid) {
		t.Errorf("register without a peer: %v", err)
	}
	if _, _, err := tracker.ParseHeartbeat(nil); !errors.Is(err, errdefs.Invalid) {
		t.Errorf("heartbeat: %v", err)
	}
	if _, err := tracker.ParseDeregister(nil); !errors.Is(err, errdefs.Invalid) {
		t.Errorf("deregister: %v", err)
	}
	if _, _, err := tracker.ParseList(nil); err != nil {
		t.Errorf("list: %v", err)
	}
	if err := tracker.ParseWatch(nil); err != nil {
		t.Errorf("watch: %v", err)
	}
}

func TestParseRegister(t *testing.T) {
	long := strings.Repeat("x", 65)
	for _, test := range []struct {
		name string
		edit func(r *ddmv1.RegisterRequest, p *ddmv1.PeerInfo)
		ok   bool
	}{
		{"as it should be", func(*ddmv1.RegisterRequest, *ddmv1.PeerInfo) {}, true},
		{"no hello", func(r *ddmv1.RegisterRequest, _ *ddmv1.PeerInfo) { r.Hello = nil }, true},
		{"no name", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Name = "" }, true},
		{"no boot id", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.BootId = "" }, true},
		{"64 bytes of id", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Id = long[:64] }, true},
		{"64 lines", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines = lines(64) }, true},
		{"nil line", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines = []*ddmv1.Line{nil} }, true},
		{"no id", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Id = "" }, false},
		{"long id", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Id = long }, false},
		{"id with a line break", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Id = "a\nb" }, false},
		{"id not UTF-8", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Id = "a\xff" }, false},
		{"long boot id", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.BootId = long }, false},
		{"long name", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Name = long }, false},
		{"long version", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Version = long }, false},
		{"no port", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Address = "host" }, false},
		{"no line", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines = nil }, false},
		{"65 lines", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines = lines(65) }, false},
		{"two lines of one id", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines = append(lines(3), lines(1)...) }, false},
		{"negative limit", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines[0].LimitBytesPerSecond = -1 }, false},
		{"a metered line's share", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines[0].MeteredShare = 0.3 }, true},
		{"metered share above 1", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines[0].MeteredShare = 1.1 }, false},
		{"metered share is no number", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines[0].MeteredShare = math.NaN() }, false},
		{"long line name", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Lines[0].Name = long }, false},
		{"negative load", func(_ *ddmv1.RegisterRequest, p *ddmv1.PeerInfo) { p.Load = &ddmv1.Load{FetchBytesPerSecond: -1} }, false},
		{"long hello", func(r *ddmv1.RegisterRequest, _ *ddmv1.PeerInfo) { r.Hello.Version = long }, false},
		{"65 capabilities", func(r *ddmv1.RegisterRequest, _ *ddmv1.PeerInfo) {
			r.Hello.Capabilities = strings.Split(strings.Repeat("a,", 64)+"a", ",")
		}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := request("peer-1")
			test.edit(req, req.GetPeer())
			got, err := tracker.ParseRegister(req)
			if test.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !test.ok && !errors.Is(err, errdefs.Invalid) {
				t.Errorf("accepted: %+v, %v", got, err)
			}
		})
	}
}

func TestNamesAreSanitised(t *testing.T) {
	req := request("peer-1")
	req.Peer.Name = " \x1b[31mevil\u202e\u0000 box\r\n"
	got, err := tracker.ParseRegister(req)
	if err != nil || got.Name != "[31mevil box" {
		t.Errorf("%q, %v", got.Name, err)
	}
	req.Peer.Name = "\x00\n"
	if got, err = tracker.ParseRegister(req); err != nil || got.Name != "peer-1" {
		t.Errorf("a name of nothing: %q, %v; want the id", got.Name, err)
	}
}

func TestParseList(t *testing.T) {
	for _, test := range []struct {
		size  int32
		token string
		want  int // 0: Invalid
	}{
		{0, "", 500},
		{1, "", 1},
		{1000, "", 1000},
		{1001, "", 1000},
		{7, "cGVlci0x", 7},
		{-1, "", 0},
		{0, "!", 0},
		{0, "cGVlci1", 0}, // trailing bits
		{0, "Cg", 0},      // a line break
		{0, strings.Repeat("A", 1000), 0},
	} {
		got, _, err := tracker.ParseList(&ddmv1.ListPeersRequest{PageSize: test.size, PageToken: test.token})
		if test.want > 0 && (err != nil || got != test.want) || test.want == 0 && !errors.Is(err, errdefs.Invalid) {
			t.Errorf("size %d, token %q: %d, %v; want %d", test.size, test.token, got, err, test.want)
		}
	}
}

func FuzzRegister(f *testing.F) {
	add := func(m *ddmv1.RegisterRequest, from []byte) {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, from)
	}
	add(&ddmv1.RegisterRequest{}, nil)
	add(request("peer-1"), []byte{192, 168, 1, 5})
	odd := request("\u00e4\u202e")
	odd.Peer.Address, odd.Peer.Lines, odd.Peer.Load = "[fe80::1%eth0]:7430", lines(64), &ddmv1.Load{Streams: 1}
	add(odd, []byte{127, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data, fromBytes []byte) {
		m := &ddmv1.RegisterRequest{}
		if proto.Unmarshal(data, m) != nil {
			return
		}
		reg, err := tracker.ParseRegister(m)
		if err != nil {
			if !errors.Is(err, errdefs.Invalid) || !utf8.ValidString(err.Error()) {
				t.Errorf("%+q", err)
			}
			return
		}
		for _, s := range []string{reg.ID, reg.Name, reg.Version, reg.Boot} {
			if len(s) > 64 || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("let through %q", s)
			}
		}
		if reg.ID == "" || reg.Name == "" || reg.Port == 0 || reg.Load == nil || len(reg.Lines) == 0 || len(reg.Lines) > 64 {
			t.Errorf("let through %+v", reg)
		}
		from, _ := netip.AddrFromSlice(fromBytes)
		address, err := tracker.Complete(m.GetPeer().GetAddress(), from.Unmap(), netip.Addr{})
		if err != nil {
			return
		}
		checkListed(t, address, reg.Port)
	})
}

// checkListed wants an address that a client can hand to a dialler as it is.
func checkListed(t *testing.T, address string, port uint16) {
	t.Helper()
	host, digits, err := net.SplitHostPort(address)
	if err != nil || host == "" || digits != strconv.Itoa(int(port)) || len(address) > 260 || strings.ContainsAny(address, "%/@ \n") {
		t.Errorf("listed under %q: %v", address, err)
	}
	if a, err := netip.ParseAddr(host); err == nil && (a.IsUnspecified() || a.IsMulticast() || a.Is4In6()) {
		t.Errorf("listed under %q", address)
	}
}

func FuzzSmallMessages(f *testing.F) {
	f.Add([]byte{})
	b, err := proto.Marshal(&ddmv1.HeartbeatRequest{LeaseId: "L", Load: &ddmv1.Load{Streams: 3}, Lines: lines(2)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, data []byte) {
		kind := func(err error) {
			if err != nil && !errors.Is(err, errdefs.Invalid) {
				t.Errorf("not Invalid: %v", err)
			}
		}
		if m := (&ddmv1.HeartbeatRequest{}); proto.Unmarshal(data, m) == nil {
			lease, lines, err := tracker.ParseHeartbeat(m)
			kind(err)
			if err == nil && (lease == "" || len(lease) > 64 || len(lines) > 64) {
				t.Errorf("let through %v", m)
			}
		}
		if m := (&ddmv1.DeregisterRequest{}); proto.Unmarshal(data, m) == nil {
			_, err := tracker.ParseDeregister(m)
			kind(err)
		}
		if m := (&ddmv1.ListPeersRequest{}); proto.Unmarshal(data, m) == nil {
			size, after, err := tracker.ParseList(m)
			kind(err)
			if err == nil && (size < 1 || size > 1000 || len(after) > 64) {
				t.Errorf("let through %v", m)
			}
		}
		if m := (&ddmv1.WatchPeersRequest{}); proto.Unmarshal(data, m) == nil {
			kind(tracker.ParseWatch(m))
		}
	})
}
