package client

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path"
	"slices"

	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/filename"
	"ddm/internal/metalink"
)

// ErrMetalink is what Download fails with when the job's URL leads to a
// Metalink document: Follow gives the jobs that it describes.
var ErrMetalink = fmt.Errorf("%w: this is a Metalink document", errdefs.Invalid)

// Follow fetches the Metalink document at the job's URL over an own line and
// returns the downloads that it describes, each as the job would do it.
func (c *Client) Follow(ctx context.Context, job Job, note func(string)) ([]Job, error) {
	doc, err := c.Document(ctx, job, metalink.MaxSize, note)
	if err != nil {
		return nil, err
	}
	files, err := metalink.Parse(bytes.NewReader(doc.Text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown(job.URLs[0]), err)
	}
	job.Home = cmp.Or(job.Home, job.URLs[0])
	job.Guarded = job.Guarded || doc.Guarded
	jobs, err := Described(files, job)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown(job.URLs[0]), err)
	}
	return jobs, nil
}

// Described returns the downloads that a Metalink document describes, each as
// the job would do it: URLs, size and digests are the document's, and so is
// the name unless the job has one. What cannot be is errdefs.Invalid.
func Described(files []metalink.File, job Job) ([]Job, error) {
	one := job.Output != "" || job.Stdout != nil || len(job.Checksums) > 0
	if one && len(files) > 1 {
		return nil, fmt.Errorf("%w: one name or checksum cannot serve the %d files that it describes", errdefs.Invalid, len(files))
	}
	var jobs []Job
	for _, f := range files {
		j := job
		j.URLs = nil
		for _, u := range f.URLs[:min(len(f.URLs), maxMirrors)] {
			j.URLs = append(j.URLs, u.URL)
		}
		if len(j.URLs) == 0 {
			return nil, fmt.Errorf("%w: no URL of http or https is named for %q", errdefs.Invalid, filename.Sanitize(f.Name))
		}
		if j.Stdout == nil {
			j.Output = cmp.Or(job.Output, filename.Sanitize(f.Name))
		}
		if slices.ContainsFunc(jobs, func(o Job) bool { return o.Stdout == nil && o.Output == j.Output }) {
			return nil, fmt.Errorf("%w: two of its files would be saved as %q", errdefs.Invalid, j.Output)
		}
		j.Size, j.Pieces, j.NoMetalink = max(f.Size, 0), f.Pieces, true
		if d, ok := digest.Strongest(f.Digests); ok {
			j.Checksums = append(slices.Clone(job.Checksums), d)
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// isMetalink reports whether what the own line found describes downloads,
// rather than being one.
func (d *download) isMetalink(p *probed) bool {
	if d.job.NoMetalink || p.reply == nil {
		return false
	}
	u, err := url.Parse(d.req.url())
	return metalink.IsMediaType(p.reply.Header.Get("Content-Type")) || err == nil && metalink.IsName(u.Path)
}

// consult follows what the replies to the probe link to (RFC 6249): a Metalink
// document for digests of the whole and its pieces; mirrors, where a digest
// shows that they have the same content.
func (d *download) consult(ctx context.Context, p *probed) error {
	var mirrors []metalink.URL
	var documents []string
	for _, l := range p.reply.Links {
		links := metalink.ReadLinks(l.Fields, l.URL)
		mirrors = append(mirrors, links.Mirrors...)
		documents = append(documents, links.Described...)
	}
	if len(documents) > 0 && d.job.Pieces == nil && !d.job.NoMetalink {
		f, err := d.describe(ctx, p, documents[0])
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			d.c.log.Debug("what the origin links to is of no use", "error", err)
		} else if err := d.adopt(f); err != nil {
			return err
		} else if len(mirrors) == 0 {
			mirrors = f.URLs
		}
	}
	if !slices.ContainsFunc(d.sums.want, func(e expectation) bool { return e.Secure() }) {
		return nil // nothing would show that a mirror has the same content
	}
	d.req.learned = learned{want: slices.Clone(d.sums.want), pieces: d.job.Pieces, from: d.piecesFrom}
	n := 0
	for _, m := range mirrors {
		if d.req.learn(m.URL, p.reply.Guarded) {
			n++
		}
	}
	if n > 0 {
		d.note(fmt.Sprintf("the origin names %s besides", plural(n, "mirror")))
	}
	return nil
}

// learned is what an origin said of content that mirrors may have too.
type learned struct {
	want   []expectation
	pieces *digest.Pieces
	from   string // who named the pieces; "": the user
}

// recall holds a mirror that an origin named to what that origin said. A
// further URL of the content itself says nothing of the kind.
func (d *download) recall() error {
	if !d.req.asks[0].named {
		return nil
	}
	known := d.req.learned
	if known.pieces != nil && d.gen.Size >= 0 {
		if err := known.pieces.Fits(d.gen.Size); err != nil {
			return fmt.Errorf("%w: the mirror has another file: %w", errdefs.BadReply, err)
		}
	}
	d.job.Pieces, d.piecesFrom = known.pieces, known.from
	for _, e := range known.want {
		if err := d.sums.expect(e.Digest, e.from); err != nil {
			return err
		}
	}
	return nil
}

// describe fetches a Metalink document and finds in it what was asked for.
func (d *download) describe(ctx context.Context, p *probed, at string) (metalink.File, error) {
	job := Job{
		URLs: []string{at}, Home: d.req.url(), Header: d.req.asks[0].header,
		Cookies: d.job.Cookies, Guarded: p.reply.Guarded,
	}
	doc, err := d.c.Document(ctx, job, metalink.MaxSize, nil)
	if err != nil {
		return metalink.File{}, err
	}
	files, err := metalink.Parse(bytes.NewReader(doc.Text))
	if err != nil {
		return metalink.File{}, err
	}
	names := p.names(d.req)
	for _, f := range files {
		named := slices.ContainsFunc(names, func(n string) bool { return path.Base(n) == path.Base(f.Name) })
		if (f.Size < 0 || f.Size == d.gen.Size) && (named || len(files) == 1) && (f.Pieces == nil || d.gen.Size >= 0 && f.Pieces.Fits(d.gen.Size) == nil) {
			return f, nil
		}
	}
	return metalink.File{}, fmt.Errorf("%w: it describes another file", errdefs.Invalid)
}

// adopt takes over what the origin's own Metalink says.
func (d *download) adopt(f metalink.File) error {
	d.job.Pieces, d.piecesFrom = f.Pieces, "the origin's Metalink"
	known := func(x digest.Digest) bool {
		return slices.ContainsFunc(d.sums.want, func(e expectation) bool { return !(digest.ByStrength(x, e.Digest) < 0) })
	}
	if x, ok := digest.Strongest(f.Digests); ok && !known(x) && !d.sums.secure() {
		return d.sums.expect(x, "the origin's Metalink")
	}
	return nil
}
