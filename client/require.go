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
	if d.vetting && d.job.Require <= origin.Sampled {
		return nil // samples decide
	}
	return d.insist(d.level)
}

// atLeast is the evidence that bytes of an earlier run must have come under, for
// them to be used.
func (d *download) atLeast() origin.Level {
	if d.provable() {
		return origin.None // the check before the commit decides
	}
	return d.job.Require
}

// lower records that bytes of a reply are about to be used that agrees with the
// pinned generation to that level only.
func (d *download) lower(level origin.Level) {
	if d.file != nil {
		d.file.Lower(level)
	}
}

// worth is what a level of the replies is worth.
func (d *download) worth(level origin.Level) origin.Level {
	switch {
	case d.lifted:
		return max(level, origin.Sampled)
	case level < origin.Weak && !d.mixed:
		return origin.None // one source says nothing about others
	}
	return level
}

// insist is the verdict on the evidence that was reached.
func (d *download) insist(reached origin.Level) error {
	want := d.job.Require
	reached = d.worth(reached)
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

// alike reports whether a reply names the validator that its mirror did, though
// that be a weak one: less will not do even for a single source.
func alike(pinned, seen origin.Generation) bool {
	return pinned == seen || pinned.ETag != "" && seen.ETag == pinned.ETag || pinned.LastModified != "" && seen.LastModified == pinned.LastModified
}

// fits reports whether a reply may be used that agrees with its mirror to one
// level and, through that, with the rest of the content to another.
func (d *download) fits(seen, agreed origin.Level, mixed bool) bool {
	return (!mixed || seen >= origin.Weak || d.vetting && seen >= origin.Sampled) && min(seen, agreed) >= d.least
}
