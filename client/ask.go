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

	hearAll = 500 * time.Millisecond // from the first answer on, for the others
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

// askPeers asks some of the peers in the roster what is at a URL, a few at a
// time. What most of those say counts that answer within hearAll of the first.
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

	replies := make(chan said, len(peers))
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithTimeout(ctx, d.c.opts.Patience)
	defer cancel()
	var heard []said
	var enough <-chan time.Time
	for next, running := 0, 0; ; {
		for ; running < askAtATime && next < len(peers) && len(heard) < askAtATime; running, next = running+1, next+1 {
			info := peers[next]
			asking.Go(func() {
				answer, err := d.askPeer(ctx, info, a)
				if err != nil {
					err = fmt.Errorf("peer %s: %w", info.GetName(), hearsay(err))
				}
				replies <- said{info.GetName(), answer, err}
			})
		}
		if running == 0 && len(heard) == 0 {
			return nil, failure
		}
		if running == 0 {
			return d.most(heard), nil
		}
		select {
		case <-enough:
			return d.most(heard), nil
		case r := <-replies:
			running--
			if r.err == nil && len(heard) == 0 {
				enough = time.After(hearAll)
			}
			if r.err == nil {
				heard = append(heard, r)
			} else if worthRetrying(failure) { // what is definite says more
				failure = r.err
			}
		}
	}
}

// said is what a peer answers.
type said struct {
	name   string
	answer *ddmv1.ProbeResponse
	err    error
}

// most returns what most peers say, of equally many the first, and names those
// that say something else.
func (d *download) most(heard []said) *ddmv1.ProbeResponse {
	alike := func(a, b said) bool {
		return a.answer.GetRanges() == b.answer.GetRanges() &&
			agree(origin.GenerationFromProto(a.answer.GetGeneration()), origin.GenerationFromProto(b.answer.GetGeneration())) >= origin.Weak
	}
	best, votes := heard[0], 0
	for _, a := range heard {
		n := 0
		for _, b := range heard {
			if alike(a, b) {
				n++
			}
		}
		if n > votes {
			best, votes = a, n
		}
	}
	for _, o := range heard {
		if o.name != best.name && !alike(best, o) {
			d.note(fmt.Sprintf(differs(best.answer, o.answer), o.name, best.name))
		}
	}
	return best.answer
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

// differs is the note on two answers that do not agree: of another version, or
// without anything that could tell.
func differs(best, other *ddmv1.ProbeResponse) string {
	a, b := origin.GenerationFromProto(best.GetGeneration()), origin.GenerationFromProto(other.GetGeneration())
	if a == b && best.GetRanges() == other.GetRanges() {
		return "nothing that the origin says tells whether the peer %s sees the same version as %s"
	}
	return "the peer %s sees another version than %s; what most see is fetched"
}
