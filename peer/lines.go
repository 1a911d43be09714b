package peer

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

// openLines opens this peer's lines, which share one limit and one policy.
func openLines(cfg Config, log hclog.Logger) (*lines.Set, error) {
	base := origin.LineConfig{
		Policy: origin.PublicOnly(cfg.Allow, cfg.Local),
		Dial:   cfg.DialOrigin,
	}
	if cfg.LimitRate > 0 {
		base.Limits = []*rate.Limiter{lines.Limiter(cfg.LimitRate)}
	}
	return lines.Open(lines.Config{Specs: cfg.Lines, StateDir: cfg.StateDir, Base: base, Network: cfg.Network, Log: log})
}

// protoLines is what trackers and clients are told of the lines; limit is that
// of all together.
func protoLines(all []lines.Line, limit int64) []*ddmv1.Line {
	out := make([]*ddmv1.Line, 0, len(all))
	for _, l := range all {
		own := l.Spec.LimitRate
		if own <= 0 || limit > 0 && limit < own {
			own = limit
		}
		line := &ddmv1.Line{
			Id: l.ID, Name: l.Name, LimitBytesPerSecond: max(own, 0), Closed: l.Closed != nil,
			Metered: l.Spec.Metered > 0, MeteredShare: l.Spec.Metered,
		}
		if line.Closed {
			line.ClosedBecause = errdefs.ToFailure(closed(l))
		}
		out = append(out, line)
	}
	return out
}

// named returns the line of that id if it may be used, or why it may not.
func named(all []lines.Line, id uint32) (lines.Line, error) {
	for _, l := range all {
		if l.ID == id {
			return l, closed(l)
		}
	}
	return lines.Line{}, fmt.Errorf("%w: no line %d", errdefs.Invalid, id)
}

// closed is why a line may not be used, for clients.
func closed(l lines.Line) error {
	switch {
	case l.Closed == nil:
		return nil
	case errdefs.KindOf(l.Closed) == errdefs.Refused:
		return l.Closed
	}
	return fmt.Errorf("%w: line %s is closed", errdefs.Unavailable, l.Name)
}

// cheapest returns the line to probe by: an open one, one that nobody pays for
// if there is one.
func cheapest(all []lines.Line) (lines.Line, error) {
	best, err := lines.Line{}, fmt.Errorf("%w: this peer lends no line", errdefs.Refused)
	for _, l := range all {
		switch {
		case l.Closed != nil:
			err = closed(l)
		case best.Origin == nil || best.Spec.Metered > l.Spec.Metered:
			best = l
		}
	}
	if best.Origin != nil {
		err = nil
	}
	return best, err
}
