package client

import (
	"context"
	"fmt"
	"io"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	ddmv1 "ddm/proto/ddm/v1"
)

// taking is what a download does for the swarm of its resource besides the
// loop.
type taking struct {
	url       string // whose swarm was entered
	confirmed int64  // body bytes that only showed which generation it is
	content   *given // what is held out to others; nil: nothing
	withdraw  func()
	others    byterange.Set // what others held when the loop ended
}

// enter begins to take part in the swarm of the resource, if it may be fetched
// together with others, and waits a moment for what a tracker says of it.
func (d *download) enter(ctx context.Context) {
	if d.roster == nil || d.job.DryRun || d.job.twice() { // what others pass on is not a second machine's word
		return
	}
	if d.req.lied() {
		return
	}
	if d.req.member == "" {
		d.req.member = fmt.Sprintf("%s-%d", d.c.id, d.c.joins.Add(1))
	}
	url := d.req.url()
	key, err := catalogue.KeyOf(url)
	if err != nil {
		return // nobody else has a name for it either
	}
	d.taking.url = url
	d.swarm = &swarm{
		dial: d.c.joinTracker, log: d.c.log.Named("swarm"), tell: d.send,
		trackers: sortedTrackers(d.c.opts.Trackers),
		me: &ddmv1.Enter{
			Hello: d.c.hello(), Key: key[:], Id: d.req.member,
			Name: d.c.shareName(), Address: d.shareAddress(),
		},
	}
	d.swarm.enter(ctx)
	d.hint = d.swarm.wait(ctx, hintWithin)
}

// lied reports whether somebody's wrong bytes had to be sought already. Members
// pass on what they have: as long as one of them has some of it, it would come
// back, so such a download goes on without them.
func (r *request) lied() bool { return len(r.past.story) > 0 }

// shareAddress is where others get what this download brings; "": nowhere.
func (d *download) shareAddress() string {
	share := d.c.opts.Share
	if share == nil || d.job.Stdout != nil {
		return ""
	}
	address, err := share.Serve()
	if err != nil {
		d.c.log.Warn("nothing is shared: cannot serve", "error", err)
		return ""
	}
	return address
}

func (c *Client) shareName() string {
	if c.opts.Share == nil {
		return ""
	}
	return c.opts.Share.Name
}

// others reports whether somebody else holds some of the resource, or is at it.
func (d *download) others() bool {
	return d.swarm != nil && (d.hint.GetOthers() > 0 || d.hint.GetHeld())
}

// leave ends the part in the swarm before it began.
func (d *download) leave() {
	if d.swarm != nil {
		d.swarm.stop()
		d.swarm, d.hint = nil, nil
	}
}

// shareable reports whether bytes of the resource may go to and come from
// others who want the same.
func (d *download) shareable(p *probed) bool {
	_, ok := catalogue.TagOf(d.gen)
	if d.job.Shared != nil {
		return ok // whoever offers it gives it to all
	}
	return ok && p.ranges && p.reply != nil && p.reply.Shareable() && d.req.url() == d.taking.url
}

// bond is what this download is for the others.
func (d *download) bond() bond {
	tag, _ := catalogue.TagOf(d.gen)
	b := bond{tag: tag, size: d.gen.Size, have: func() byterange.Set { return byterange.Set{} }}
	if d.file != nil && d.taking.content != nil {
		b.have = d.taking.content.Have
	}
	return b
}

// offer holds what arrives out to others.
func (d *download) offer() {
	if d.swarm.me.GetAddress() == "" || d.file == nil {
		return
	}
	reading, err := d.file.Reading()
	if err == nil {
		d.taking.content = &given{Reading: reading}
		withdraw, ok := d.c.opts.Share.Shelf.Put(d.req.url(), d.gen, d.taking.content)
		if ok {
			d.taking.withdraw = withdraw
			return
		}
		d.taking.content = nil
		_ = reading.Close() // nothing was written
	}
	d.c.log.Warn("nothing of this download is shared", "error", err)
}

// depart ends what enter and offer began, now or as soon as others can do
// without it.
func (d *download) depart(err error) {
	t := &d.taking
	if d.swarm == nil {
		return
	}
	end := func() {
		d.swarm.stop()
		if t.content != nil {
			t.withdraw()
			_ = t.content.Close() // it was read only
		}
	}
	if err != nil || t.content == nil || t.withdraw == nil {
		end()
		return
	}
	d.c.lingers.add(&linger{of: d.swarm, content: t.content, size: d.gen.Size, others: t.others, least: d.c.opts.Share.For, end: end})
}

// confirm takes the byte that only showed which generation it is, so that its
// connection stays of use.
func (p *probed) confirm() (n int64) {
	if p.reply == nil {
		return 0
	}
	late := time.AfterFunc(time.Second, p.stop)
	n, _ = io.Copy(io.Discard, p.reply.Body) // the header said all that was asked
	late.Stop()
	_ = p.reply.Body.Close()
	p.stop()
	p.reply = nil
	return n
}

// fetching returns what the open reply brings, as far as it is not here.
func (p *probed) fetching(have byterange.Set) (set byterange.Set) {
	if p.reply != nil && have.Overlap(p.reply.Range) == 0 {
		set.Add(p.reply.Range)
	}
	return set
}
