package tracker

import (
	"fmt"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// Bounds of what a message about swarms may hold.
const (
	maxResource = 1 << 60 // bytes: sums of a few of them do not overflow
	maxInsist   = 64      // runs
	maxHoldings = 1000    // of one message
)

// generationKey names what a swarm downloads. Who disagrees about the size is
// in another swarm, whatever the tag says.
type generationKey struct {
	key  catalogue.Key
	tag  catalogue.Tag
	size int64
}

// entry is an Enter that was found good.
type entry struct {
	key      catalogue.Key
	id, name string
	shares   bool
	host     string // "": where the member dialled from
	port     uint16
}

// binding is a Bind that was found good.
type binding struct {
	tag            catalogue.Tag
	size           int64
	held, fetching byterange.Set
}

// holding is a Holding that was found good.
type holding struct {
	generationKey
	set byterange.Set
}

func parseEnter(m *ddmv1.Enter) (e entry, err error) {
	if err := checkHello(m.GetHello()); err != nil {
		return e, err
	}
	if e.key, err = parseHash("enter.key", m.GetKey()); err != nil {
		return e, err
	}
	if err := checkOpaque("enter.id", m.GetId()); err != nil {
		return e, err
	}
	e.id = m.GetId()
	if e.name, err = cleanText("enter.name", m.GetName()); err != nil {
		return e, err
	}
	if e.name == "" {
		e.name = e.id
	}
	if e.shares = m.GetAddress() != ""; e.shares {
		e.host, e.port, err = parseAddress(m.GetAddress())
	}
	return e, err
}

func parseBind(m *ddmv1.Bind) (b binding, err error) {
	if b.tag, err = parseHash("bind.generation", m.GetGeneration()); err != nil {
		return b, err
	}
	if b.size, err = parseSize("bind.size", m.GetSize()); err != nil {
		return b, err
	}
	if b.held, err = parseRuns("bind.held", m.GetHeld(), b.size, catalogue.MaxRuns); err != nil {
		return b, err
	}
	b.fetching, err = parseRuns("bind.fetching", m.GetFetching(), b.size, catalogue.MaxRuns)
	return b, err
}

func parseReport(m *ddmv1.Report, size int64) (held, lost byterange.Set, err error) {
	if held, err = parseRuns("report.held", m.GetHeld(), size, catalogue.MaxRuns); err != nil {
		return held, lost, err
	}
	lost, err = parseRuns("report.lost", m.GetLost(), size, catalogue.MaxRuns)
	return held, lost, err
}

func parseWant(m *ddmv1.Want, size int64) (bytes int64, insist byterange.Set, err error) {
	if m.GetBytes() < 0 {
		return 0, insist, fmt.Errorf("%w: want.bytes: %d is negative", errdefs.Invalid, m.GetBytes())
	}
	insist, err = parseRuns("want.insist", m.GetInsist(), size, maxInsist)
	return min(m.GetBytes(), size), insist, err
}

func parseRelease(m *ddmv1.Release, size int64) (byterange.Set, error) {
	return parseRuns("release.runs", m.GetRuns(), size, catalogue.MaxRuns)
}

func parseHoldings(field string, all []*ddmv1.Holding) (out []holding, err error) {
	if len(all) > maxHoldings {
		return nil, fmt.Errorf("%w: %s: %d, at most %d are allowed", errdefs.Invalid, field, len(all), maxHoldings)
	}
	for i, m := range all {
		var h holding
		if h.key, err = parseHash(field+".key", m.GetKey()); err != nil {
			return nil, err
		}
		if h.tag, err = parseHash(field+".generation", m.GetGeneration()); err != nil {
			return nil, err
		}
		if h.size, err = parseSize(field+".size", m.GetSize()); err != nil {
			return nil, err
		}
		if h.set, err = parseRuns(fmt.Sprintf("%s[%d].runs", field, i), m.GetRuns(), h.size, catalogue.MaxRuns); err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, nil
}

func parseHash(field string, b []byte) (h [32]byte, err error) {
	if len(b) != len(h) {
		return h, fmt.Errorf("%w: %s: %d bytes, a hash has %d", errdefs.Invalid, field, len(b), len(h))
	}
	return [32]byte(b), nil
}

func parseSize(field string, size int64) (int64, error) {
	if size <= 0 || size > maxResource {
		return 0, fmt.Errorf("%w: %s: %d is no size of a resource", errdefs.Invalid, field, size)
	}
	return size, nil
}

func parseRuns(field string, runs []*ddmv1.Run, size int64, most int) (byterange.Set, error) {
	set, err := catalogue.Set(runs, size, most)
	if err != nil {
		return set, fmt.Errorf("%s: %w", field, err)
	}
	return set, nil
}
