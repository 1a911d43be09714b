package client

import (
	"fmt"

	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// provable reports whether a digest is known that will prove the content when
// it is complete.
func (d *download) provable() bool {
	return d.sums.proof() || d.job.Pieces != nil && digest.Secure(d.job.Pieces.Algorithm)
}

// demand refuses a download that cannot reach the evidence that the job asks
// for, as far as that is known before its bytes come.
func (d *download) demand() error {
	if d.provable() {
		return nil // the check before the commit decides
	}
	if d.job.Require >= origin.Weak {
		d.least = d.job.Require
	}
	return d.insist(d.level)
}

// insist is the verdict on the evidence that was reached.
func (d *download) insist(reached origin.Level) error {
	want := d.job.Require
	if reached < origin.Weak && !d.mixed {
		reached = origin.None // one source says nothing about others
	}
	if reached >= want {
		return nil
	}
	hint := "name a digest by --checksum or --checksum-url, or ask for less by --require-identity " + reached.String()
	return fmt.Errorf("%w: the evidence is %s (%s), and --require-identity asks for %s; %s", errdefs.Refused, reached, lacking(want), want, hint)
}

// lacking says what would have been evidence of a level.
func lacking(want origin.Level) string {
	switch want {
	case origin.Digest:
		return "no digest of the content is known"
	case origin.Strong:
		return "no strong ETag that all replies agree on"
	case origin.Weak:
		return "no Last-Modified a minute old that all replies agree on"
	default:
		return "nothing that shows that the bytes of several sources belong together"
	}
}

// fits reports whether a reply may be used that agrees with its mirror to one
// level and, through that, with the rest of the content to another.
func (d *download) fits(seen, agreed origin.Level, mixed bool) bool {
	return (!mixed || seen >= origin.Weak) && min(seen, agreed) >= d.least
}
