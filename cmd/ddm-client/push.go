package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"ddm/client"
	"ddm/internal/command"
	"ddm/internal/errdefs"
	"ddm/internal/progress"
	"ddm/internal/shares"
	"ddm/peer"
	ddmv1 "ddm/proto/ddm/v1"
)

// listedEvery is the time between two looks whether trackers list the file.
const listedEvery = 100 * time.Millisecond

// push gives every peer that takes files a copy, of one file after another. Its
// status is that of the first file that not everybody got.
func (s *session) push(ctx context.Context, paths []string) int {
	switch {
	case len(paths) == 0:
		return s.refuse(problem("", "push needs a file to hand out"))
	case len(s.cfg.Trackers) == 0:
		return s.refuse(problem("tracker", "without one nobody is known who could get a copy"))
	}
	for _, path := range paths {
		if err := pushable(path); err != nil {
			return s.fail(err)
		}
	}
	ui := s.display()
	s.startLog(ui.LogWriter())
	s.cfg.NoLocal = true // nothing is fetched
	engine, err := s.open(nil)
	if err != nil {
		_ = ui.Close() // nothing was shown yet
		return s.fail(err)
	}
	status := command.StatusOK
	for _, path := range paths {
		rep := ui.Download(filepath.Base(path))
		err := ctx.Err() // one that never began is interrupted too
		if err == nil {
			err = s.handOut(ctx, engine, path, rep)
		}
		if err != nil {
			o := judge(err, ctx.Err() != nil)
			rep.Fail(progress.Failure{URL: path, Kind: o.kind, Message: o.pushMessage(err), Exit: o.status})
			status = cmp.Or(status, o.status)
		}
	}
	if err := errors.Join(engine.Close(), ui.Close()); err != nil {
		s.log.Debug("what was reported may be incomplete", "error", err)
	}
	return status
}

// pushMessage is message, with the hints that mean something to a push.
func (o outcome) pushMessage(err error) string {
	switch o.status {
	case exitInterrupted, exitNetwork, exitTimeout, exitNoSpace:
		o.hint = "what peers have is kept: the same command goes on where this one ended"
	default:
		o.hint = ""
	}
	return o.message(err)
}

// pushable judges a path before anything is done.
func pushable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	st, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", errdefs.OpenFile, err)
	case st.IsDir():
		return problem("", "%s is a folder: push takes files", path)
	case !st.Mode().IsRegular() || st.Size() == 0:
		return problem("", "%s: only a regular file that is not empty has something to hand out", path)
	}
	return nil
}

// handOut offers a file and has the peers fetch it.
func (s *session) handOut(ctx context.Context, engine *client.Client, path string, rep progress.Reporter) error {
	began := time.Now()
	if _, err := s.receivers(ctx, engine); err != nil { // before it is read for nobody
		return err
	}
	server, err := peer.New(peer.Config{
		Listen: s.cfg.ShareListen, NoLines: true, Share: []string{path}, Trackers: s.cfg.Trackers, Grace: sharingGrace,
		Hashing: func(done, total int64) {
			rep.Progress(progress.Snapshot{Size: total, Bytes: done, ETA: -1, Elapsed: time.Since(began), Phase: "hashing"})
		},
		Version: command.Version(version), Log: s.log,
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx) }()
	err = s.toAll(ctx, stop, engine, server.Shared(), path, rep)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	stop(nil)
	return errors.Join(err, <-ran)
}

// toAll waits until the file is on offer, and pushes it.
func (s *session) toAll(ctx context.Context, stop context.CancelCauseFunc, engine *client.Client, files *shares.Files, path string, rep progress.Reporter) error {
	began := time.Now()
	file, err := s.offered(ctx, engine, files, path)
	if err != nil {
		return err
	}
	peers, err := s.receivers(ctx, engine)
	if err != nil {
		return err
	}
	watch, rest := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		if withdrawn(watch, files, file) {
			stop(fmt.Errorf("%w: %s was changed while it was handed out: push it again", errdefs.Changed, path))
		}
	})
	defer func() {
		rest()
		watching.Wait()
	}()
	rep.Start(progress.Start{URL: "ddm:" + file.Digest().String(), Path: path, Size: file.Size, Identity: "digest"})
	got := engine.Push(ctx, *file, peers, rep)
	done := account(*file, path, time.Since(began), got)
	if err := verdict(got, len(s.cfg.Peers) > 0); err != nil {
		for _, note := range done.Notes {
			rep.Note(note)
		}
		return err
	}
	rep.Done(done)
	return nil
}

// receivers are the peers that are to get a copy.
func (s *session) receivers(ctx context.Context, engine *client.Client) ([]*ddmv1.PeerInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout+s.cfg.Timeout)
	defer cancel()
	return engine.Receivers(ctx, s.cfg.Peers)
}

// offered waits until the file was hashed and a tracker lists it.
func (s *session) offered(ctx context.Context, engine *client.Client, files *shares.Files, path string) (*client.Shared, error) {
	select {
	case <-files.Ready():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	items := files.Items()
	if len(items) != 1 {
		return nil, fmt.Errorf("%w: %s could not be read, or is being written to", errdefs.OpenFile, path)
	}
	file := &client.Shared{SHA256: items[0].SHA256, Size: items[0].Size, Name: items[0].Name}
	for end := time.Now().Add(s.cfg.ConnectTimeout); ; {
		_, err := engine.Find(ctx, file.Digest().String())
		if err == nil {
			return file, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, fmt.Errorf("the tracker does not list %s: %w", path, err)
		}
		select {
		case <-time.After(listedEvery):
		case <-ctx.Done():
		}
	}
}

// withdrawn waits until a content is not on offer any more; false: ctx ended
// first.
func withdrawn(ctx context.Context, files *shares.Files, file *client.Shared) bool {
	for {
		changed := files.Changed()
		if !slices.ContainsFunc(files.Items(), func(i shares.Item) bool { return i.SHA256 == file.SHA256 }) {
			return ctx.Err() == nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// verdict is what a push came to: nil if every peer that takes files has a copy,
// and there is one. Otherwise it is the first failure, with how many have it. A
// peer that refuses counts as a failure if it was named.
func verdict(got []client.Pushed, named bool) error {
	copies := 0
	var refused, failed error
	for _, p := range got {
		if p.Err == nil {
			copies++
			continue
		}
		err := fmt.Errorf("%s: %w", p.Name, p.Err)
		if errors.Is(p.Err, errdefs.Refused) && !named {
			refused = cmp.Or(refused, err)
		} else {
			failed = cmp.Or(failed, err)
		}
	}
	if copies > 0 && failed == nil {
		return nil
	}
	return fmt.Errorf("%d of %s a copy: %w", copies, plural(len(got), "peer has", "peers have"), cmp.Or(failed, refused))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %s", n, many)
}

// account is the account of a push: who has a copy, and why the others have
// none.
func account(file client.Shared, path string, took time.Duration, got []client.Pushed) progress.Done {
	d := progress.Done{
		URL: "ddm:" + file.Digest().String(), Path: path, Size: file.Size, Elapsed: took,
		Identity: "digest", Digest: file.Digest().String(),
	}
	for _, p := range got {
		src := progress.Source{Name: p.Name, Kind: "peer", Size: file.Size, Bytes: p.Bytes, State: "complete"}
		if p.Elapsed > 0 {
			src.Rate = float64(p.Bytes) / p.Elapsed.Seconds()
		}
		switch {
		case p.Already:
			src.Note, src.Rate = "it had it already", 0
		case p.Err == nil:
			d.LAN += p.Bytes
		default:
			src.State = "failed"
			if errors.Is(p.Err, errdefs.Refused) {
				src.State = "refused"
			}
			d.Notes = append(d.Notes, fmt.Sprintf("%s has no copy: %s", p.Name, p.Err))
		}
		d.Sources = append(d.Sources, src)
	}
	slices.SortStableFunc(d.Sources, func(a, b progress.Source) int { return cmp.Compare(a.Name, b.Name) })
	return d
}
