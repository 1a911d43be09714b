package client

import (
	"context"
	"fmt"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

// Where the origin names nothing that shows that two replies belong together,
// nothing is mixed, but for peers whose samples are equal: before a peer brings
// anything, blocks chosen in secret, other ones for each peer, are fetched by
// it and over the own line. The identity is sampled then, and each source keeps
// to one lane.
//
//	listed --vet--> same: stream, source --arrived--> lift: sampled
//	            '-> another: left out, and named

const (
	leastVetted = 4 << 20 // bytes of a file that is worth it
	moreVetted  = 2       // blocks by chance, besides those of samples
)

// mayVet reports whether samples can make up for what the origin does not say.
func (d *download) mayVet(p *probed) bool {
	return d.level < origin.Weak && p.ranges && p.reply != nil && d.gen.Size >= leastVetted && d.job.Stdout == nil && d.roster != nil
}

// vet compares blocks that a peer brings with those of the own line, once.
func (d *download) vet(ctx context.Context, info *ddmv1.PeerInfo, done *bool) error {
	if !d.vetting || *done {
		return nil
	}
	own, ok := d.ownWitness()
	if !ok {
		return fmt.Errorf("%w: no own line is open to compare with", errdefs.Unavailable)
	}
	list := samples(d.gen.Size, secret)
	for range moreVetted {
		r := list[0]
		r.Off = secret(d.gen.Size - r.Len)
		list = append(list, r)
	}
	theirs := d.peerWitness(info)
	for _, r := range list {
		mine, err := d.block(ctx, own, r)
		if err != nil {
			return err
		}
		content, err := d.block(ctx, theirs, r)
		if err != nil {
			return err
		}
		if content != mine {
			d.note(fmt.Sprintf("the peer %s is left out: its bytes %v are not those of the own line, and the origin names nothing to tell versions by", info.GetName(), r))
			return fmt.Errorf("%w: its bytes %v differ from the own line's", errdefs.Refused, r)
		}
	}
	*done = true
	return nil
}

// lift enters that samples of a peer were equal: it joins.
func (l *loop) lift() {
	if l.d.vetting {
		l.d.mixed, l.d.lifted = true, true
	}
}

// unlifted refuses a download that needs samples once there is nobody to take
// them from.
func (l *loop) unlifted() error {
	d := l.d
	if !d.vetting || d.lifted || d.provable() || l.peersMayCome() || l.now() < loneliness {
		return nil
	}
	return d.insist(d.level)
}

// agree is agree with what is pinned, where equal samples may count.
func (d *download) agree(pinned, seen origin.Generation) origin.Level {
	level := agree(pinned, seen)
	if d.vetting && pinned == seen {
		level = max(level, origin.Sampled)
	}
	return level
}
