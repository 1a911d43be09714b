package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/filename"
	"ddm/internal/origin"
	"ddm/internal/shares"
	ddmv1 "ddm/proto/ddm/v1"
)

// Files that machines of the LAN offer by themselves have no origin: trackers
// say who holds them, all bytes come out of memories, and the name of the
// content is what it must hash to. Several who want one at once are a swarm:
// whoever has all of it is leased like an origin, so that each byte leaves it
// about once.

const (
	maxShares    = 100_000 // that trackers can make a client list
	holdersEvery = 2 * time.Second
)

// Shared is a file that machines of the LAN offer.
type Shared struct {
	SHA256 [sha256.Size]byte
	Size   int64
	Name   string // one component, made safe
	Count  int    // machines that have it
}

// Digest is what it must hash to.
func (s *Shared) Digest() digest.Digest {
	return digest.Digest{Algorithm: digest.SHA256, Sum: s.SHA256[:]}
}

func (s *Shared) item() shares.Item {
	return shares.Item{SHA256: s.SHA256, Size: s.Size, Name: s.Name}
}

// Shares lists what is offered, ordered by name. Of trackers some may be away.
func (c *Client) Shares(ctx context.Context) ([]Shared, error) {
	return c.shares(ctx, &ddmv1.ListSharesRequest{})
}

// Find looks for a file by "ddm:NAME" or by "sha256:HEX", with or without
// "ddm:" in front. Errors: errdefs.Invalid if the word is neither, or several
// files are called so; errdefs.NotFound if nobody offers it.
func (c *Client) Find(ctx context.Context, word string) (*Shared, error) {
	name := strings.TrimPrefix(word, "ddm:")
	req := &ddmv1.ListSharesRequest{}
	if sum, err := digest.Parse(name); err == nil && sum.Algorithm == digest.SHA256 {
		req.Sha256 = sum.Sum
	} else if req.Name = filename.Sanitize(name); name == word || req.GetName() != name {
		return nil, fmt.Errorf("%w: %q: a shared file is called ddm:NAME or sha256:HEX", errdefs.Invalid, word)
	}
	list, err := c.shares(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: nobody offers %s; ddm-client ls shows what there is", errdefs.NotFound, word)
	}
	most := slices.MaxFunc(list, func(a, b Shared) int { return cmp.Compare(a.Count, b.Count) })
	if req.GetName() == "" {
		return &most, nil // of several sizes one is a lie: the commit says so
	}
	for _, o := range list {
		if o.SHA256 != most.SHA256 {
			return nil, fmt.Errorf("%w: several files are called %s: name one by sha256:%x or sha256:%x", errdefs.Invalid, name, most.SHA256, o.SHA256)
		}
	}
	return &most, nil
}

// shares asks every tracker and merges what they say.
func (c *Client) shares(ctx context.Context, req *ddmv1.ListSharesRequest) ([]Shared, error) {
	byItem := map[shares.Item]int{}
	var errs []error
	for _, tracker := range c.opts.Trackers {
		err := c.eachShare(ctx, tracker, req, func(s *ddmv1.Share) {
			i, ok := itemOf(s)
			if n := int(s.GetCount()); ok && len(byItem) < maxShares {
				byItem[i] = max(byItem[i], n, len(s.GetHolders()))
			}
		})
		if err != nil {
			errs = append(errs, ofTracker(tracker, err))
		}
	}
	if len(errs) == len(c.opts.Trackers) {
		return nil, cmp.Or(errors.Join(errs...), fmt.Errorf("%w: without a --tracker nobody knows what is shared", errdefs.Invalid))
	}
	list := make([]Shared, 0, len(byItem))
	for i, n := range byItem {
		list = append(list, Shared{SHA256: i.SHA256, Size: i.Size, Name: i.Name, Count: n})
	}
	slices.SortFunc(list, func(a, b Shared) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.SHA256[:], b.SHA256[:]), cmp.Compare(a.Size, b.Size))
	})
	return list, nil
}

// itemOf judges what a tracker says.
func itemOf(s *ddmv1.Share) (i shares.Item, ok bool) {
	f := s.GetFile()
	if len(f.GetSha256()) != sha256.Size || f.GetSize() < 1 || s.GetCount() < 0 {
		return i, false
	}
	i = shares.Item{SHA256: [sha256.Size]byte(f.GetSha256()), Size: f.GetSize(), Name: filename.Sanitize(f.GetName())}
	return i, i.Name != ""
}

// eachShare calls f for what one tracker lists.
func (c *Client) eachShare(ctx context.Context, tracker string, req *ddmv1.ListSharesRequest, f func(*ddmv1.Share)) error {
	conn, err := c.dial(tracker, false)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // a read-only connection: nothing to lose
	ctx, cancel := context.WithTimeout(ctx, c.opts.ConnectTimeout+c.opts.Timeout)
	defer cancel()
	req = &ddmv1.ListSharesRequest{Sha256: req.GetSha256(), Name: req.GetName()}
	for n := 0; n < maxShares; {
		page, err := ddmv1.NewShareServiceClient(conn).ListShares(ctx, req)
		if err != nil {
			return errdefs.FromStatus(err)
		}
		for _, s := range page.GetShares() {
			f(s)
		}
		n += len(page.GetShares())
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" || len(page.GetShares()) == 0 {
			return nil
		}
	}
	return nil
}

// forShared completes a job for a shared file, and gives the client that runs
// it: one without own lines, which lead nowhere then.
func (c *Client) forShared(job Job) (*Client, Job, error) {
	if len(job.URLs) > 0 {
		return nil, job, fmt.Errorf("%w: a shared file has no URL", errdefs.Invalid)
	}
	if c.opts.LocalOnly || len(c.opts.Trackers) == 0 {
		return nil, job, fmt.Errorf("%w: a shared file comes from peers: name a --tracker, and do not use --local-only", errdefs.Invalid)
	}
	if job.Size > 0 && job.Size != job.Shared.Size {
		return nil, job, fmt.Errorf("%w: %s has %d bytes, not %d as it should", errdefs.Corrupt, job.Shared.Name, job.Shared.Size, job.Size)
	}
	job.Size, job.Header, job.User, job.Cookies, job.Netrc = job.Shared.Size, nil, nil, nil, nil
	job.Checksums = append(slices.Clone(job.Checksums), job.Shared.Digest())
	opts := c.opts
	opts.NoLocal = true
	return &Client{opts: opts, log: c.log, limit: c.limit, lan: c.lan, dir: c.dir, id: c.id, lingers: c.lingers, joins: c.joins}, job, nil
}

// probed is what is known of a shared file before it is fetched.
func (s *Shared) probed(output string) *probed {
	return &probed{
		gen: s.item().Generation(), level: origin.Strong, ranges: true,
		name: cmp.Or(output, filename.Sanitize(s.Name), hex.EncodeToString(s.SHA256[:])),
	}
}

// holders follows who holds a shared file, as one tracker says it.
func (d *download) holders(ctx context.Context, tracker string) {
	file := d.job.Shared
	var known map[string]bool
	for {
		now, news := map[string]bool{}, []*ddmv1.PeerChange(nil)
		err := d.c.eachShare(ctx, tracker, &ddmv1.ListSharesRequest{Sha256: file.SHA256[:]}, func(s *ddmv1.Share) {
			if i, ok := itemOf(s); !ok || i.Size != file.Size {
				return
			}
			for _, h := range s.GetHolders() {
				if !now[h.GetId()] && len(now) < maxRoster {
					now[h.GetId()] = true
					news = append(news, &ddmv1.PeerChange{Kind: ddmv1.PeerChange_KIND_JOINED, Peer: &ddmv1.PeerInfo{
						Id: h.GetId(), Name: h.GetName(), Address: h.GetAddress(),
					}})
				}
			}
		})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.c.log.Debug("tracker is away", "tracker", tracker, "error", err)
		} else {
			for id := range known {
				if !now[id] {
					news = append(news, &ddmv1.PeerChange{Kind: ddmv1.PeerChange_KIND_LEFT, Peer: &ddmv1.PeerInfo{Id: id}})
				}
			}
			known = now
			d.roster.apply(tracker, news)
		}
		d.roster.mark(tracker)
		if sleep(ctx, holdersEvery) != nil {
			return
		}
	}
}
