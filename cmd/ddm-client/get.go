package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sync/errgroup"

	"ddm/client"
	"ddm/internal/command"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/progress"
)

// get downloads. Its status is that of the first download, in the order of the
// command line, that failed.
func (s *session) get(ctx context.Context, args []string) int {
	orders, err := s.orders(args)
	if err != nil {
		return s.fail(err)
	}
	ui := s.display()
	s.startLog(ui.LogWriter())
	shared := s.sharing()
	defer shared.close()
	engine, err := s.open(shared.options(s.cfg.ShareFor))
	if err != nil {
		_ = ui.Close() // nothing was shown yet
		return s.fail(err)
	}
	statuses := make([]int, len(orders))
	var g errgroup.Group
	g.SetLimit(s.cfg.Jobs)
	for i, o := range orders {
		g.Go(func() error {
			statuses[i] = download(ctx, engine, o, ui)
			return nil // one that fails stops no other
		})
	}
	_ = g.Wait() // nothing but nil is returned
	engine.Linger(ctx, func(text string) {
		if !s.cfg.Quiet && !s.cfg.JSON {
			fmt.Fprintf(ui.LogWriter(), "%s: %s\n", s.program.Name, text) //nolint:errcheck // it explains a wait, and nothing more
		}
	})
	if err := errors.Join(engine.Close(), ui.Close()); err != nil {
		s.log.Debug("what was reported may be incomplete", "error", err)
	}
	for _, status := range statuses {
		if status != command.StatusOK {
			return status
		}
	}
	return command.StatusOK
}

// display chooses how progress is shown.
func (s *session) display() *progress.UI {
	o := progress.Options{
		Stdout: s.std.Stdout, Stderr: s.std.Stderr,
		JSON: s.cfg.JSON, Quiet: s.cfg.Quiet, Program: s.program.Name,
	}
	if stderr, ok := s.std.Stderr.(*os.File); ok {
		stdout, _ := s.std.Stdout.(*os.File)
		o.Terminal, o.Color = progress.Detect(stdout, stderr, func(name string) string {
			v, _ := s.std.Lookup(name)
			return v
		})
	}
	return progress.New(o)
}

// download runs one download, or those that a Metalink document in its place
// describes, reports how they end and gives the status of the first that
// failed.
func download(ctx context.Context, engine *client.Client, o order, ui *progress.UI) int {
	rep := ui.Download(o.label)
	err := ctx.Err() // one that never began is interrupted too
	if err == nil && o.shared != "" {
		o.job.Shared, err = engine.Find(ctx, o.shared)
	}
	if err == nil {
		err = engine.Download(ctx, o.job, rep)
	}
	if !errors.Is(err, client.ErrMetalink) {
		return conclude(ctx, err, o, rep)
	}
	jobs, err := engine.Follow(ctx, o.job, rep.Note)
	if err != nil {
		return conclude(ctx, err, o, rep)
	}
	first := command.StatusOK
	for i, job := range jobs {
		next := described(job)
		if i > 0 {
			rep = ui.Download(next.label)
		}
		err := ctx.Err()
		if err == nil {
			err = engine.Download(ctx, job, rep)
		}
		if status := conclude(ctx, err, next, rep); first == command.StatusOK {
			first = status
		}
	}
	return first
}

// conclude reports the end of a download, unless that was done, and gives its
// status.
func conclude(ctx context.Context, err error, o order, rep progress.Reporter) int {
	if err == nil {
		return command.StatusOK
	}
	end := judge(err, ctx.Err() != nil)
	if o.job.Stdout != nil {
		end.hint = "" // nothing is kept, nothing resumes
	}
	rep.Fail(progress.Failure{URL: o.label, Kind: end.kind, Message: end.message(err), Exit: end.status})
	return end.status
}

// fail ends a run before any download began.
func (s *session) fail(err error) int {
	if errdefs.KindOf(err) == errdefs.Invalid {
		return s.refuse(err)
	}
	o := judge(err, false)
	fmt.Fprintf(s.std.Stderr, "%s: %s\n", s.program.Name, o.message(err)) //nolint:errcheck // nobody is left to tell
	return o.status
}

// order is one download that the command line asks for.
type order struct {
	label  string // for people: the URL without its query
	shared string // what the LAN is to be asked for in place of URLs; "": the job has them
	job    client.Job
}

// orders judges the command line as a whole: everything wrong with it is
// named at once.
func (s *session) orders(args []string) ([]order, error) {
	input, err := s.input()
	if err != nil {
		return nil, err
	}
	name := s.cfg.InputFile
	if name == "-" {
		name = "stdin"
	}
	offered, args := sharedOf(args)
	urls, documents := split(args)
	all, err := plans(urls, s.cfg.Mirror, name, input)
	problems := []error{err}
	total := len(all) + len(documents) + len(offered)
	if err == nil && total == 0 {
		text := "no URL to download is given"
		if name != "" {
			text = name + " holds no URL"
		}
		problems = append(problems, problem("", "%s", text))
	}
	require, _ := origin.ParseLevel(s.cfg.Require) // the configuration knows its words
	base := client.Job{
		Require: require, Quorum: s.cfg.Quorum,
		Header: headers(&s.cfg, command.Version(version)),
		Digest: s.cfg.Digest, Overwrite: s.cfg.Overwrite, DryRun: s.cfg.DryRun, Timeline: s.cfg.Timeline,
		NoMetalink: s.cfg.NoMetalink, NoOriginDigest: s.cfg.NoOriginDigest,
	}
	if s.cfg.LocalOnly && len(offered) > 0 {
		problems = append(problems, problem("local-only", "%s comes from peers alone", offered[0]))
	}
	if s.cfg.Output != "" && total > 1 {
		problems = append(problems, problem("output", "one name cannot serve %d downloads; --mirror makes their URLs one download", total))
	}
	if s.cfg.Timeline != "" && total > 1 {
		problems = append(problems, problem("timeline", "one picture cannot show %d downloads", total))
	}
	if s.cfg.Checksum != "" {
		sum, err := digest.Parse(s.cfg.Checksum)
		base.Checksums = []digest.Digest{sum}
		if err != nil {
			problems = append(problems, problem("checksum", "%v", err))
		} else if total > 1 {
			problems = append(problems, problem("checksum", "one checksum cannot serve %d downloads", total))
		}
	}
	if s.cfg.ChecksumURL != "" {
		if _, err := parseURL(s.cfg.ChecksumURL); err != nil {
			problems = append(problems, problem("checksum-url", "%v", err))
		}
		base.ChecksumURL = s.cfg.ChecksumURL
	}
	base.Dir, base.Output, err = target(s.cfg.Dir, s.cfg.Output)
	if err != nil {
		problems = append(problems, problem("output", "%v", err))
	}
	if s.cfg.Output == "-" {
		base.Stdout = s.std.Stdout
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if err := s.credentials(&base); err != nil {
		return nil, err
	}
	described, err := readMetalinks(documents, base)
	orders := append(makeOrders(all, base), described...)
	for _, word := range offered {
		orders = append(orders, order{label: word, shared: word, job: base})
	}
	return orders, err
}

// makeOrders gives each plan its job.
func makeOrders(all []plan, base client.Job) []order {
	orders := make([]order, len(all))
	for i, p := range all {
		job := base
		job.Header = base.Header.Clone()
		if p.user != nil {
			job.User = p.user
		}
		for _, u := range p.urls {
			job.URLs = append(job.URLs, u.String())
		}
		orders[i] = order{label: p.label, job: job}
	}
	return orders
}
