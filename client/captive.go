package client

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	ddmv1 "ddm/proto/ddm/v1"
)

// A peer that sees other content than this machine does from one origin may be
// served by another node of it. One that does so from two is behind something
// that answers in the origins' place, such as a captive portal.

const (
	captiveAfter = 2 // origins
	captiveFor   = time.Minute
)

// errCaptive ends the stream to such a peer.
var errCaptive = fmt.Errorf("%w: it sees other content than this machine from %d origins, as behind a captive portal; looked at again in a minute", errdefs.BadReply, captiveAfter)

// captives is which peers are left alone for that, in all downloads of a
// Client. It is safe for concurrent use.
type captives struct {
	mu    sync.Mutex
	peers map[string]*captive // by id
}

type captive struct {
	origins map[string]bool // of which it showed something else
	until   time.Time       // it is left alone till then; zero: it is not
}

// struck enters that a peer sees something else at an origin. It reports
// whether the peer is to be left alone.
func (c *captives) struck(id, at string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[id]
	if p == nil {
		if len(c.peers) >= maxRoster {
			return false
		}
		if c.peers == nil {
			c.peers = map[string]*captive{}
		}
		p = &captive{origins: map[string]bool{}}
		c.peers[id] = p
	}
	if len(p.origins) < captiveAfter {
		p.origins[at] = true
	}
	if len(p.origins) < captiveAfter {
		return false
	}
	p.until = time.Now().Add(captiveFor)
	return true
}

// cleared enters that a peer sees what this machine sees.
func (c *captives) cleared(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.peers, id)
}

// wait returns how long a peer is to be left alone before it is looked at
// again; false: it may be used.
func (c *captives) wait(id string) (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.peers[id]
	if p == nil || p.until.IsZero() {
		return 0, false
	}
	return time.Until(p.until), true
}

// suspect judges what a peer's assignment met: what it is shown in place of
// the resource that this machine sees.
func (l *loop) suspect(r *row, err error) {
	switch errdefs.KindOf(err) {
	case errdefs.Changed, errdefs.BadRange, errdefs.NoRanges, errdefs.BadReply:
	default:
		return
	}
	u, parseErr := url.Parse(r.mirror.ask.url)
	if parseErr == nil && l.d.c.captives.struck(r.peer.info.GetId(), originOf(u)) {
		r.peer.end(errCaptive)
	}
}

// released waits until a peer may be used. One that was left alone is looked
// at each minute. The error says why it is not to be waited for any more.
func (d *download) released(ctx context.Context, info *ddmv1.PeerInfo, crowded *atomic.Bool) error {
	for {
		wait, held := d.c.captives.wait(info.GetId())
		if !held {
			return nil
		}
		if wait > 0 {
			if sleep(ctx, wait) != nil || crowded.Load() || !d.roster.lists(info) {
				return errCaptive
			}
			continue // another download may have looked meanwhile
		}
		answer, err := d.askPeer(ctx, info, d.req.asks[0])
		switch {
		case err == nil && answer.GetRanges() && agree(d.gen, origin.GenerationFromProto(answer.GetGeneration())) >= origin.Weak:
			d.c.captives.cleared(info.GetId())
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			d.c.captives.again(info.GetId())
		}
	}
}

// again leaves a peer alone for another minute.
func (c *captives) again(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.peers[id]; p != nil {
		p.until = time.Now().Add(captiveFor)
	}
}
