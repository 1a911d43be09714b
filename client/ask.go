package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

const (
	mostAsked  = 16 // peers that are asked what a resource is
	askAtATime = 4
)

// probePeers asks peers what the resource is, by one of its URLs.
func (d *download) probePeers(ctx context.Context, a ask) (*probed, error) {
	answer, err := d.askPeers(ctx, a)
	if err != nil {
		return nil, err
	}
	p := &probed{gen: origin.GenerationFromProto(answer.GetGeneration()), ranges: answer.GetRanges()}
	p.modified, _ = parseTime(p.gen.LastModified)
	p.name = nameSource{d.job.Output}.name(answer.GetContentDisposition(), answer.GetFinalUrl(), a.url)
	switch {
	case p.gen.StrongETag():
		p.level = origin.Strong
	case !p.modified.IsZero() && time.Since(p.modified) > time.Minute:
		p.level = origin.Weak
	}
	switch {
	case p.gen.Size == 0:
	case !p.ranges || p.gen.Size < 0:
		return nil, fmt.Errorf("%w: only an own line can fetch from an origin without ranges: %w", errdefs.Refused, errdefs.NoRanges)
	case p.level < origin.Weak:
		return nil, fmt.Errorf("%w: only an own line can fetch what has no validator", errdefs.Refused)
	}
	return p, nil
}

// askPeers asks some of the peers in the roster, a few at a time, until one
// answers.
func (d *download) askPeers(ctx context.Context, a ask) (*ddmv1.ProbeResponse, error) {
	if d.roster == nil {
		return nil, fmt.Errorf("%w: no peers to ask", errdefs.Unavailable)
	}
	peers := d.roster.wait(ctx, time.Second)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	peers = peers[:min(len(peers), mostAsked)]
	failure := fmt.Errorf("%w: there is no peer to ask", errdefs.Unavailable)

	type reply struct {
		answer *ddmv1.ProbeResponse
		err    error
	}
	replies := make(chan reply, len(peers))
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithTimeout(ctx, d.c.opts.Patience)
	defer cancel()
	for next, running := 0, 0; ; {
		for ; running < askAtATime && next < len(peers); running, next = running+1, next+1 {
			info := peers[next]
			asking.Go(func() {
				answer, err := d.askPeer(ctx, info, a)
				if err != nil {
					err = fmt.Errorf("peer %s: %w", info.GetName(), hearsay(err))
				}
				replies <- reply{answer, err}
			})
		}
		if running == 0 {
			return nil, failure
		}
		r := <-replies
		if r.err == nil {
			return r.answer, nil
		}
		if running--; worthRetrying(failure) { // what is definite says more
			failure = r.err
		}
	}
}

func (d *download) askPeer(ctx context.Context, info *ddmv1.PeerInfo, a ask) (*ddmv1.ProbeResponse, error) {
	conn, err := d.c.dial(info.GetAddress(), false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // the answer is all that was wanted
	ctx, cancel := context.WithTimeout(ctx, d.c.opts.ConnectTimeout+d.c.opts.Timeout)
	defer cancel()
	return ddmv1.NewPeerServiceClient(conn).Probe(ctx, &ddmv1.ProbeRequest{Resource: a.wire(nil)})
}
