package tracker

import (
	"net/netip"

	ddmv1 "ddm/proto/ddm/v1"
)

// Registered is what validation makes of a RegisterRequest.
type Registered struct {
	ID, Name, Version, Boot, Host string
	Port                          uint16
	Lines                         []*ddmv1.Line
	Load                          *ddmv1.Load
}

func ParseRegister(m *ddmv1.RegisterRequest) (Registered, error) {
	r, err := parseRegister(m)
	return Registered{r.id, r.name, r.version, r.boot, r.host, r.port, r.lines, r.load}, err
}

func ParseHeartbeat(m *ddmv1.HeartbeatRequest) (lease string, lines []*ddmv1.Line, err error) {
	b, err := parseHeartbeat(m)
	return b.lease, b.lines, err
}

func ParseDeregister(m *ddmv1.DeregisterRequest) (string, error) { return parseDeregister(m) }

func ParseList(m *ddmv1.ListPeersRequest) (size int, after string, err error) { return parseList(m) }

func ParseWatch(m *ddmv1.WatchPeersRequest) error { return parseWatch(m) }

// Complete is how a peer that names address and dials from there is listed for
// a client that reached the tracker at the other one.
func Complete(address string, from, reached netip.Addr) (string, error) {
	host, port, err := parseAddress(address)
	if err != nil {
		return "", err
	}
	p, err := newPlace(host, port, from)
	if err != nil {
		return "", err
	}
	return p.seenBy(reached), nil
}

// Judge reads a request of a stream, whatever step it is, as one about a
// resource of that size.
func Judge(m *ddmv1.JoinRequest, size int64) error {
	var err error
	switch msg := m.GetStep().(type) {
	case *ddmv1.JoinRequest_Enter:
		_, err = parseEnter(msg.Enter)
	case *ddmv1.JoinRequest_Bind:
		_, err = parseBind(msg.Bind)
	case *ddmv1.JoinRequest_Report:
		_, _, err = parseReport(msg.Report, size)
	case *ddmv1.JoinRequest_Want:
		_, _, err = parseWant(msg.Want, size)
	case *ddmv1.JoinRequest_Release:
		_, err = parseRelease(msg.Release, size)
	}
	return err
}
