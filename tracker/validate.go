package tracker

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// Bounds of what a message may hold.
const (
	maxText         = 64 // bytes of an id, a name, a version
	maxLines        = 64
	maxCapabilities = 64
	defaultPage     = 500
	maxPage         = 1000
)

// registration is a RegisterRequest that was found good. Nothing in it changes
// or aliases the message.
type registration struct {
	id, name, version, boot string
	host                    string // "": where the peer dialled from
	port                    uint16
	lines                   []*ddmv1.Line
	load                    *ddmv1.Load
	holdings                []holding
}

// beat is a HeartbeatRequest that was found good.
type beat struct {
	lease string
	load  *ddmv1.Load
	lines []*ddmv1.Line // nil: unchanged

	holdings []holding
}

// The parse functions judge one message each. Their errors are of kind Invalid
// and name the field. Messages, and messages inside messages, may be nil.

func parseRegister(m *ddmv1.RegisterRequest) (registration, error) {
	var reg registration
	if err := checkHello(m.GetHello()); err != nil {
		return reg, err
	}
	p := m.GetPeer()
	if p == nil {
		return reg, fmt.Errorf("%w: peer: missing", errdefs.Invalid)
	}
	if err := checkOpaque("peer.id", p.GetId()); err != nil {
		return reg, err
	}
	reg.id, reg.boot = p.GetId(), p.GetBootId()
	if reg.boot != "" {
		if err := checkOpaque("peer.boot_id", reg.boot); err != nil {
			return reg, err
		}
	}
	var err error
	if reg.name, err = cleanText("peer.name", p.GetName()); err != nil {
		return reg, err
	}
	if reg.name == "" {
		reg.name = reg.id
	}
	if reg.version, err = cleanText("peer.version", p.GetVersion()); err != nil {
		return reg, err
	}
	if reg.host, reg.port, err = parseAddress(p.GetAddress()); err != nil {
		return reg, err
	}
	if len(p.GetLines()) == 0 {
		return reg, fmt.Errorf("%w: peer.lines: a peer has at least one line", errdefs.Invalid)
	}
	if reg.lines, err = copyLines("peer.lines", p.GetLines()); err != nil {
		return reg, err
	}
	if reg.load, err = copyLoad("peer.load", p.GetLoad()); err != nil {
		return reg, err
	}
	reg.holdings, err = parseHoldings("holdings", m.GetHoldings())
	return reg, err
}

func parseHeartbeat(m *ddmv1.HeartbeatRequest) (beat, error) {
	if err := checkOpaque("lease_id", m.GetLeaseId()); err != nil {
		return beat{}, err
	}
	load, err := copyLoad("load", m.GetLoad())
	if err != nil {
		return beat{}, err
	}
	lines, err := copyLines("lines", m.GetLines())
	if err != nil {
		return beat{}, err
	}
	holdings, err := parseHoldings("holdings", m.GetHoldings())
	return beat{lease: m.GetLeaseId(), load: load, lines: lines, holdings: holdings}, err
}

func parseDeregister(m *ddmv1.DeregisterRequest) (lease string, err error) {
	return m.GetLeaseId(), checkOpaque("lease_id", m.GetLeaseId())
}

// parseList gives the most peers of the page and the id after which it starts.
func parseList(m *ddmv1.ListPeersRequest) (size int, after string, err error) {
	size = int(m.GetPageSize())
	switch {
	case size < 0:
		return 0, "", fmt.Errorf("%w: page_size: %d is negative", errdefs.Invalid, size)
	case size == 0:
		size = defaultPage
	}
	after, err = parseToken(m.GetPageToken())
	return min(size, maxPage), after, err
}

func parseWatch(m *ddmv1.WatchPeersRequest) error { return checkHello(m.GetHello()) }

// pageToken names the page after the peer id; parseToken is its inverse.
func pageToken(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }

func parseToken(token string) (after string, err error) {
	if token == "" {
		return "", nil
	}
	if len(token) > base64.RawURLEncoding.EncodedLen(maxText) {
		return "", fmt.Errorf("%w: page_token: not one of this tracker's", errdefs.Invalid)
	}
	id, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || checkOpaque("page_token", string(id)) != nil {
		return "", fmt.Errorf("%w: page_token: not one of this tracker's", errdefs.Invalid)
	}
	return string(id), nil
}

func checkHello(h *ddmv1.Hello) error {
	if _, err := cleanText("hello.version", h.GetVersion()); err != nil {
		return err
	}
	if n := len(h.GetCapabilities()); n > maxCapabilities {
		return fmt.Errorf("%w: hello.capabilities: %d, at most %d are allowed", errdefs.Invalid, n, maxCapabilities)
	}
	for _, c := range h.GetCapabilities() {
		if err := checkOpaque("hello.capabilities", c); err != nil {
			return err
		}
	}
	return nil
}

// checkOpaque accepts an identifier: short, not empty, and of characters that
// can be logged and printed.
func checkOpaque(field, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: %s: empty", errdefs.Invalid, field)
	case len(s) > maxText:
		return fmt.Errorf("%w: %s: %d bytes, at most %d are allowed", errdefs.Invalid, field, len(s), maxText)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: %s: not UTF-8", errdefs.Invalid, field)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return fmt.Errorf("%w: %s: holds a control character", errdefs.Invalid, field)
	}
	return nil
}

// cleanText accepts short text for people, without what could garble a
// terminal: control characters and those that turn the direction of writing.
func cleanText(field, s string) (string, error) {
	if len(s) > maxText {
		return "", fmt.Errorf("%w: %s: %d bytes, at most %d are allowed", errdefs.Invalid, field, len(s), maxText)
	}
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: %s: not UTF-8", errdefs.Invalid, field)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)), nil
}

func copyLines(field string, lines []*ddmv1.Line) ([]*ddmv1.Line, error) {
	if len(lines) > maxLines {
		return nil, fmt.Errorf("%w: %s: %d, at most %d are allowed", errdefs.Invalid, field, len(lines), maxLines)
	}
	var out []*ddmv1.Line
	for i, line := range lines {
		name, err := cleanText(field+".name", line.GetName())
		if err != nil {
			return nil, err
		}
		limit, id := line.GetLimitBytesPerSecond(), line.GetId()
		if limit < 0 {
			return nil, fmt.Errorf("%w: %s[%d].limit_bytes_per_second: %d is negative", errdefs.Invalid, field, i, limit)
		}
		share := line.GetMeteredShare()
		if !(share >= 0 && share <= 1) {
			return nil, fmt.Errorf("%w: %s[%d].metered_share: %v is not between 0 and 1", errdefs.Invalid, field, i, share)
		}
		if slices.ContainsFunc(out, func(l *ddmv1.Line) bool { return l.GetId() == id }) {
			return nil, fmt.Errorf("%w: %s[%d].id: %d is taken", errdefs.Invalid, field, i, id)
		}
		out = append(out, &ddmv1.Line{
			Id: id, Name: name, LimitBytesPerSecond: limit, Metered: line.GetMetered(), Closed: line.GetClosed(),
			MeteredShare: share,
		})
	}
	return out, nil
}

// copyLoad gives an idle load for nil.
func copyLoad(field string, l *ddmv1.Load) (*ddmv1.Load, error) {
	if rate := l.GetFetchBytesPerSecond(); rate < 0 {
		return nil, fmt.Errorf("%w: %s.fetch_bytes_per_second: %d is negative", errdefs.Invalid, field, rate)
	}
	return &ddmv1.Load{
		RunningAssignments:  l.GetRunningAssignments(),
		MaxAssignments:      l.GetMaxAssignments(),
		Streams:             l.GetStreams(),
		FetchBytesPerSecond: l.GetFetchBytesPerSecond(),
	}, nil
}

// sameLines compares two lists of lines of one peer.
func sameLines(a, b []*ddmv1.Line) bool {
	return slices.EqualFunc(a, b, func(x, y *ddmv1.Line) bool {
		return x.GetId() == y.GetId() && x.GetName() == y.GetName() && x.GetMetered() == y.GetMetered() &&
			x.GetMeteredShare() == y.GetMeteredShare() &&
			x.GetClosed() == y.GetClosed() && x.GetLimitBytesPerSecond() == y.GetLimitBytesPerSecond()
	})
}
