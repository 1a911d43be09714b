package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/hashicorp/go-hclog"

	"ddm/internal/byterange"
	"ddm/internal/command"
	"ddm/internal/config"
	"ddm/internal/errdefs"
	"ddm/internal/store"
)

// openStore opens what this peer remembers; nil: it is to remember nothing, or
// has no place to.
func openStore(cfg config.Peerd, log hclog.Logger) (*store.Store, error) {
	if cfg.StoreSize == 0 {
		return nil, nil
	}
	if cfg.StateDir == "" {
		log.Info("nothing is kept of what is fetched: set --state-dir to keep it for the next who wants it")
		return nil, nil
	}
	s, err := store.Open(store.Config{Dir: store.Path(cfg.StateDir), Limit: cfg.StoreSize, Log: log.Named("store")})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	log.Info("keeping what is fetched for the next who wants it", "most", size(s.Limit()), "held", size(s.Size()))
	return s, nil
}

// storeCommand is "peerd store VERB".
func storeCommand(std command.Std, program *config.Program, cfg config.Peerd, log hclog.Logger, loaded config.Loaded) int {
	verbs := map[string]func(io.Writer, config.Peerd, hclog.Logger) error{
		"list": listStore, "verify": verifyStore, "prune": pruneStore, "clear": clearStore,
	}
	args := loaded.Args[1:]
	if len(args) != 1 || verbs[args[0]] == nil {
		return command.Refuse(std, program, &config.SettingError{
			Text: fmt.Sprintf("store wants one of list, verify, prune, clear, not %q", strings.Join(args, " ")),
		})
	}
	if cfg.StateDir == "" {
		return command.Refuse(std, program, &config.SettingError{Where: "--state-dir", Text: "say where the peer keeps its state"})
	}
	if err := verbs[args[0]](std.Stdout, cfg, log); err != nil {
		return command.Failed(std, program.Name, err)
	}
	return command.StatusOK
}

func listStore(out io.Writer, cfg config.Peerd, _ hclog.Logger) error {
	list, err := store.List(store.Path(cfg.StateDir))
	if err != nil {
		return err
	}
	if len(list) == 0 {
		_, err = fmt.Fprintln(out, "the store is empty")
		return err
	}
	var held int64
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = io.WriteString(w, strings.Join(cells, "\t")+"\n") } // into memory
	row("HELD", "OF", "USED", "URL", "ETAG")
	for _, e := range list {
		held += e.Held
		row(size(e.Held), size(e.Size), e.Used.Format(time.DateTime), strconv.Quote(e.URL), strconv.Quote(e.ETag))
	}
	row(size(held), fmt.Sprintf("in %d files", len(list)))
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = b.WriteTo(out)
	return err
}

func size(n int64) string { return humanize.IBytes(uint64(n)) }

// unbounded is larger than every disk.
const unbounded = 1 << 62

// taken opens the store for a change.
func taken(cfg config.Peerd, log hclog.Logger, do func(*store.Store) error) (err error) {
	s, err := store.Open(store.Config{Dir: store.Path(cfg.StateDir), Limit: cfg.StoreSize, Log: log.Named("store")})
	if err != nil {
		return err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	return do(s)
}

func verifyStore(out io.Writer, cfg config.Peerd, log hclog.Logger) error {
	cfg.StoreSize = unbounded // looking makes nothing smaller
	return taken(cfg, log, func(s *store.Store) error {
		var lines []string
		good, bad := s.Verify(func(e store.Entry, r byterange.Range) {
			lines = append(lines, fmt.Sprintf("damaged and dropped: %v of %q", r, e.URL))
		})
		lines = append(lines, fmt.Sprintf("%d pieces are as they were, %d were not\n", good, bad))
		if _, err := io.WriteString(out, strings.Join(lines, "\n")); err != nil {
			return err
		}
		if bad > 0 {
			return fmt.Errorf("%w: %d pieces were damaged; they are dropped and will be fetched again", errdefs.Corrupt, bad)
		}
		return nil
	})
}

func pruneStore(out io.Writer, cfg config.Peerd, log hclog.Logger) error {
	limit := cfg.StoreSize
	cfg.StoreSize = unbounded
	return taken(cfg, log, func(s *store.Store) error {
		if limit < 0 {
			limit = s.Share()
		}
		went := s.Prune(limit)
		_, err := fmt.Fprintf(out, "%s went, %s are left\n", size(went), size(s.Size()))
		return err
	})
}

func clearStore(out io.Writer, cfg config.Peerd, log hclog.Logger) error {
	cfg.StoreSize = unbounded
	return taken(cfg, log, func(s *store.Store) error {
		_, err := fmt.Fprintf(out, "%s went\n", size(s.Clear()))
		return err
	})
}
