package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"ddm/client"
	"ddm/internal/command"
	"ddm/internal/errdefs"
	"ddm/internal/shares"
	"ddm/peer"
)

// share offers files to the LAN until it is interrupted.
func (s *session) share(ctx context.Context, paths []string) int {
	switch {
	case len(paths) == 0:
		return s.refuse(problem("", "share needs files or folders to offer"))
	case len(s.cfg.Trackers) == 0:
		return s.refuse(problem("tracker", "without one nobody learns what is shared"))
	}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			return s.fail(fmt.Errorf("%w: %w", errdefs.OpenFile, err))
		}
	}
	s.startLog(s.std.Stderr)
	server, err := peer.New(peer.Config{
		Listen: s.cfg.ShareListen, NoLines: true, Share: paths, Trackers: s.cfg.Trackers, Grace: sharingGrace,
		Version: command.Version(version), Log: s.log,
	})
	if err != nil {
		return s.fail(err)
	}
	ctx, stop := context.WithCancel(ctx)
	told := make(chan error, 1)
	go func() {
		err := s.showShared(ctx, server.Shared())
		if err != nil {
			stop() // nobody sees what is shared
		}
		told <- err
	}()
	err = server.Run(ctx)
	stop()
	if tellErr := <-told; tellErr != nil {
		fmt.Fprintf(s.std.Stderr, "%s: stdout: %v\n", s.program.Name, tellErr) //nolint:errcheck // nobody is left to tell
		return exitWriteFile
	}
	if err != nil {
		return s.fail(err)
	}
	return command.StatusOK
}

// showShared prints what is offered, and each change.
func (s *session) showShared(ctx context.Context, files *shares.Files) error {
	select {
	case <-files.Ready():
	case <-ctx.Done():
		return nil
	}
	told := map[shares.Item]bool{}
	for first := true; ; first = false {
		changed := files.Changed()
		var err error
		now := map[shares.Item]bool{}
		for _, i := range files.Items() {
			if now[i] = true; !told[i] {
				err = s.line(err, "shared", i)
			}
		}
		for i := range told {
			if !now[i] {
				err = s.line(err, "withdrawn", i)
			}
		}
		if first && len(now) == 0 && err == nil {
			s.log.Warn("there is nothing to share yet: files of a folder are taken once nobody writes to them")
		}
		if told = now; err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *session) line(before error, what string, i shares.Item) error {
	if before != nil || s.cfg.Quiet {
		return before
	}
	if s.cfg.JSON {
		return json.NewEncoder(s.std.Stdout).Encode(struct {
			Event  string `json:"event"`
			Name   string `json:"name"`
			Size   int64  `json:"size"`
			SHA256 string `json:"sha256"`
		}{what, i.Name, i.Size, fmt.Sprintf("%x", i.SHA256)})
	}
	_, err := fmt.Fprintf(s.std.Stdout, "%s %s (%s) as sha256:%x\n", what, plain(i.Name), humanize.IBytes(uint64(i.Size)), i.SHA256)
	return err
}

// ls lists what the LAN offers.
func (s *session) ls(ctx context.Context, args []string) int {
	if len(args) > 0 {
		return s.refuse(problem("", "ls takes flags only"))
	}
	s.startLog(s.std.Stderr)
	s.cfg.NoLocal = true // no line is needed for asking
	engine, err := s.open(nil)
	if err != nil {
		return s.fail(err)
	}
	defer engine.Close() //nolint:errcheck // nothing is kept
	list, err := engine.Shares(ctx)
	if err != nil {
		o := judge(err, ctx.Err() != nil)
		fmt.Fprintf(s.std.Stderr, "%s: %s\n", s.program.Name, command.Sentence(err)) //nolint:errcheck // nobody is left to tell
		return o.status
	}
	show := showShares
	if s.cfg.JSON {
		show = showSharesJSON
	}
	if err := show(s.std.Stdout, list); err != nil {
		fmt.Fprintf(s.std.Stderr, "%s: stdout: %v\n", s.program.Name, err) //nolint:errcheck // as above
		return exitWriteFile
	}
	return command.StatusOK
}

func showShares(w io.Writer, list []client.Shared) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "nothing is shared")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSIZE\tDIGEST\tHOLDERS") //nolint:errcheck // Flush tells
	for _, f := range list {
		fmt.Fprintf(t, "%s\t%s\tsha256:%x\t%d\n", plain(f.Name), humanize.IBytes(uint64(f.Size)), f.SHA256, f.Count) //nolint:errcheck // Flush tells
	}
	return t.Flush()
}

func showSharesJSON(w io.Writer, list []client.Shared) error {
	out := json.NewEncoder(w)
	for _, f := range list {
		err := out.Encode(struct {
			Name    string `json:"name"`
			Size    int64  `json:"size"`
			SHA256  string `json:"sha256"`
			Holders int    `json:"holders"`
		}{f.Name, f.Size, fmt.Sprintf("%x", f.SHA256), f.Count})
		if err != nil {
			return err
		}
	}
	return nil
}

// sharedOf tells arguments that name files of the LAN from the others.
func sharedOf(args []string) (offered, others []string) {
	for _, arg := range args {
		if isShared(arg) {
			offered = append(offered, arg)
		} else {
			others = append(others, arg)
		}
	}
	return offered, others
}

// isShared reports whether an argument names a file that the LAN offers.
func isShared(arg string) bool {
	return strings.HasPrefix(arg, "ddm:") || strings.HasPrefix(arg, "sha256:")
}
