// Package client downloads: it pools this machine's own lines and those of the
// peers on the LAN into one file.
//
//	own line --probe--> generation, name            tracker --watch--> roster
//	    |                                                                |
//	    v                                                                v
//	local source (transfer.Runner)                       remote source (Fetch stream)
//	    |  frames                                                |  frames, CRC checked
//	    '----> receive: write in place (target) <----------------'
//	                |  counts, never bytes
//	                v
//	            the loop --events--> client/schedule --actions--> sources
//	                |
//	                '--> progress.Reporter ... complete --> verify --> commit
//
// One goroutine, the loop, owns the scheduler and the table of sources.
// Receivers run beside it: they claim, write and report. Every goroutine of a
// download ends before Download returns.
package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/internal/origin"
	"ddm/internal/partfile/disk"
	"ddm/internal/progress"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

// Client downloads files. It is safe for concurrent use: downloads share its
// lines, its rate limit and what it learns of captive peers, and nothing else.
type Client struct {
	opts  Options
	log   hclog.Logger
	own   *lines.Set                                               // nil: no own line is to be used
	limit *rate.Limiter                                            // nil: none
	lan   func(ctx context.Context, addr string) (net.Conn, error) // nil: the system's
	dir   func(path string) (disk.Dir, error)                      // nil: the system's

	captives captives
	lingers  *lingers
	joins    *atomic.Int64 // swarms, so far
	id       string        // names this run among peers and members of swarms
}

// Network replaces the real network, and the disk, for tests.
type Network struct {
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // of own lines to origins
	Own  lines.Network                                                     // this machine's interfaces
	LAN  func(ctx context.Context, addr string) (net.Conn, error)          // to tracker and peers
	Dir  func(path string) (disk.Dir, error)                               // where part files are
}

// New returns a client with its own lines open. An interface that is not there
// is left out with a warning; if none of those named is there, the error's
// kind is errdefs.Invalid.
func New(opts Options) (*Client, error) { return NewOn(opts, Network{}) }

// NewOn is New on another network.
func NewOn(opts Options, network Network) (*Client, error) {
	opts = withDefaults(opts)
	c := &Client{
		opts: opts, id: rand.Text(), log: opts.Log, lan: network.LAN, dir: network.Dir, limit: newLimit(opts.LimitRate),
		lingers: &lingers{}, joins: new(atomic.Int64),
	}
	if opts.NoLocal {
		return c, nil
	}
	var err error
	c.own, err = lines.Open(lines.Config{
		Specs: opts.Lines, StateDir: opts.StateDir, Network: network.Own, Log: c.log,
		Base: origin.LineConfig{
			Name: "own line", Proxy: opts.Proxy, Dial: network.Dial,
			Policy: origin.AllowAll(), Redirected: origin.PublicAddress(nil),
			ConnectTimeout: opts.ConnectTimeout, HeaderTimeout: opts.Timeout,
		},
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func withDefaults(o Options) Options {
	o.Connections = cmp.Or(o.Connections, 16)
	if o.Retry == 0 {
		o.Retry = 5
	}
	o.Retry = max(o.Retry, 0)
	o.RetryWait = cmp.Or(o.RetryWait, time.Second)
	o.ConnectTimeout = cmp.Or(o.ConnectTimeout, 10*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 15*time.Second)
	o.Patience = cmp.Or(o.Patience, time.Minute)
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return o
}

// dial connects to a tracker or, in bulk, to a peer.
func (c *Client) dial(target string, bulk bool) (*grpc.ClientConn, error) {
	opts := rpc.Options{Log: c.log}
	if bulk {
		opts.Role, opts.ReadRate = rpc.Bulk, c.opts.LimitRate
	}
	if c.lan == nil {
		return rpc.Dial(target, opts)
	}
	return rpc.Dial("passthrough:///"+target, opts, grpc.WithContextDialer(c.lan))
}

// Close ends what is shared and drops idle connections. No download may be
// running.
func (c *Client) Close() error {
	c.lingers.end()
	if c.own != nil {
		c.own.Close()
	}
	return nil
}

// Download fetches one resource and tells rep how it goes, except for its end
// with an error: that is for the caller to report. It returns nil only if the
// file is complete under its final name and passed every check there is; the
// error's kind (internal/errdefs) says what to do otherwise. What arrived is
// kept beside the destination, and the same job goes on from there. Start is
// reported again when a resource that changed, a mirror that took over, or a
// broken stream without ranges makes it begin anew.
func (c *Client) Download(ctx context.Context, job Job, rep progress.Reporter) error {
	if job.Shared != nil {
		var err error
		if c, job, err = c.forShared(job); err != nil {
			return err
		}
	}
	req, err := newRequest(job)
	if err != nil {
		return err
	}
	if job.Quorum < 0 || job.Quorum > 2 || job.twice() && job.Stdout != nil {
		return fmt.Errorf("%w: a quorum of %d, 1 or 2 are possible, and 2 only for a file", errdefs.Invalid, job.Quorum)
	}
	if err := vacant(job); err != nil { // before anything is asked for
		return err
	}
	if job.ChecksumURL != "" {
		if req.list, err = c.checksums(ctx, job, rep.Note); err != nil {
			return err
		}
	}
	for restarts, repairs, hunts, relists, mirrors := 0, 0, 0, 0, 1; ; {
		begun, err := c.once(ctx, job, req, rep)
		switch {
		case err == nil || !begun || ctx.Err() != nil || job.Stdout != nil:
			return err
		case errors.Is(err, errdefs.Changed) && restarts < maxRestarts:
			restarts++
			rep.Note("the resource changed while it was fetched; starting again with the new one, the old part is kept aside")
		case hunted(err) && hunts < maxHunts:
			hunts++
			rep.Note(err.Error())
		case relisted(err) && relists < maxRelists:
			relists++
			rep.Note(err.Error())
		case mayRepair(err, repairs, mirrors < len(req.asks)):
			repairs++
			rep.Note(fmt.Sprintf("%v; fetching again what is bad, from others where there are others", err))
		case mirrors < len(req.asks) && (mirrorMayHelp(err) || badPieces(err) != nil):
			mirrors++
			rep.Note(fmt.Sprintf("%s: %v; going on with another mirror", shown(req.url()), err))
			req.demote()
		default:
			return err
		}
	}
}

const (
	maxRestarts = 2 // with a new generation
	maxRepairs  = 3 // of bad pieces
	maxHunts    = 8 // for those who gave wrong bytes; each found somebody
)

// mayRepair reports whether bad pieces may be right when they come again. Own
// lines alone are tried once more, if there is no mirror to try instead.
func mayRepair(err error, repairs int, mirror bool) bool {
	bad := badPieces(err)
	switch {
	case bad == nil:
		return false
	case bad.peers:
		return repairs < maxRepairs
	}
	return repairs == 0 && !mirror && !bad.again
}

// Peers lists who is registered with the trackers, ordered by name.
func (c *Client) Peers(ctx context.Context) ([]*ddmv1.PeerInfo, error) {
	byID := map[string]*ddmv1.PeerInfo{}
	var errs []error
	for _, tracker := range c.opts.Trackers {
		if err := c.list(ctx, tracker, byID); err != nil {
			errs = append(errs, ofTracker(tracker, err))
		}
	}
	if len(errs) == len(c.opts.Trackers) && len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return sortedPeers(byID), nil
}

// ofTracker says which tracker failed and, if nobody answered, what to do.
func ofTracker(tracker string, err error) error {
	if errors.Is(err, errdefs.Unavailable) {
		return fmt.Errorf("tracker %s: %w: start one there, or name another one with --tracker", tracker, err)
	}
	return fmt.Errorf("tracker %s: %w", tracker, err)
}

func (c *Client) list(ctx context.Context, tracker string, into map[string]*ddmv1.PeerInfo) error {
	conn, err := c.dial(tracker, false)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // a read-only connection: nothing to lose
	svc := ddmv1.NewTrackerServiceClient(conn)
	req := &ddmv1.ListPeersRequest{}
	for len(into) < maxRoster {
		page, err := svc.ListPeers(ctx, req)
		if err != nil {
			return err
		}
		for _, p := range page.GetPeers() {
			into[p.GetId()] = p
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" || len(page.GetPeers()) == 0 {
			return nil
		}
	}
	return nil
}

// mirrorMayHelp reports whether another URL of the resource may serve where
// this one does no longer.
func mirrorMayHelp(err error) bool {
	if spent(err) {
		return false
	}
	switch errdefs.KindOf(err) {
	case errdefs.NotFound, errdefs.Redirects, errdefs.BadReply, errdefs.NoRanges, errdefs.Refused:
		return true
	}
	return peersMayHelp(err)
}

// peersMayHelp reports whether peers may succeed where the own line failed.
func peersMayHelp(err error) bool {
	if spent(err) {
		return true
	}
	switch errdefs.KindOf(err) {
	case errdefs.Unavailable, errdefs.Timeout, errdefs.Unresolved, errdefs.Unauthorized, errdefs.Busy:
		return true
	}
	return false
}
