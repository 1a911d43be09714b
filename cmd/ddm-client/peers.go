package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"ddm/internal/command"
	ddmv1 "ddm/proto/ddm/v1"
)

// peerJSON is one line of `peers --json`.
type peerJSON struct {
	Name          string     `json:"name"`
	ID            string     `json:"id"`
	Address       string     `json:"address"`
	Version       string     `json:"version"`
	Lines         []lineJSON `json:"lines"`
	LastHeartbeat *time.Time `json:"last_heartbeat"`
	Load          loadJSON   `json:"load"`
}

type lineJSON struct {
	ID      uint32 `json:"id"`
	Name    string `json:"name"`
	Limit   int64  `json:"limit_bytes_per_second"`
	Metered bool   `json:"metered"`
	Closed  bool   `json:"closed"`
}

type loadJSON struct {
	RunningAssignments uint32 `json:"running_assignments"`
	MaxAssignments     uint32 `json:"max_assignments"`
	Streams            uint32 `json:"streams"`
	FetchRate          int64  `json:"fetch_bytes_per_second"`
}

// peers lists who is registered with the trackers.
func (s *session) peers(ctx context.Context, args []string) int {
	var problems []error
	if len(args) > 0 {
		problems = append(problems, problem("", "%q: peers takes flags only", args[0]))
	}
	if len(s.cfg.Trackers) == 0 {
		problems = append(problems, problem("tracker", "name at least one: there is nobody to ask"))
	}
	if err := errors.Join(problems...); err != nil {
		return s.refuse(err)
	}
	s.startLog(s.std.Stderr)
	list, err := s.list(ctx)
	if err != nil {
		o := judge(err, ctx.Err() != nil)
		fmt.Fprintf(s.std.Stderr, "%s: %s\n", s.program.Name, command.Sentence(err)) //nolint:errcheck // nobody is left to tell
		return o.status
	}
	show := showPeers
	if s.cfg.JSON {
		show = showPeersJSON
	}
	if err := show(s.std.Stdout, list, time.Now()); err != nil {
		fmt.Fprintf(s.std.Stderr, "%s: stdout: %v\n", s.program.Name, err) //nolint:errcheck // as above
		return exitWriteFile
	}
	return command.StatusOK
}

func (s *session) list(ctx context.Context) ([]*ddmv1.PeerInfo, error) {
	s.cfg.NoLocal = true // no line is needed for asking
	engine, err := s.open(nil)
	if err != nil {
		return nil, err
	}
	defer engine.Close() //nolint:errcheck // nothing is kept
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ConnectTimeout+s.cfg.Timeout)
	defer cancel()
	return engine.Peers(ctx)
}

func showPeersJSON(w io.Writer, peers []*ddmv1.PeerInfo, _ time.Time) error {
	out := json.NewEncoder(w)
	for _, p := range peers {
		row := peerJSON{
			Name: p.GetName(), ID: p.GetId(), Address: p.GetAddress(), Version: p.GetVersion(),
			Lines: make([]lineJSON, 0, len(p.GetLines())),
			Load: loadJSON{
				p.GetLoad().GetRunningAssignments(), p.GetLoad().GetMaxAssignments(),
				p.GetLoad().GetStreams(), p.GetLoad().GetFetchBytesPerSecond(),
			},
		}
		for _, l := range p.GetLines() {
			row.Lines = append(row.Lines, lineJSON{l.GetId(), l.GetName(), l.GetLimitBytesPerSecond(), l.GetMetered(), l.GetClosed()})
		}
		if p.GetLastHeartbeat().IsValid() {
			at := p.GetLastHeartbeat().AsTime()
			row.LastHeartbeat = &at
		}
		if err := out.Encode(row); err != nil {
			return err
		}
	}
	return nil
}

func showPeers(w io.Writer, peers []*ddmv1.PeerInfo, now time.Time) error {
	if len(peers) == 0 {
		_, err := fmt.Fprintln(w, "no peers")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tADDRESS\tLINES\tFETCHING\tRANGES\tHEARTBEAT\tVERSION") //nolint:errcheck // Flush tells
	for _, p := range peers {
		lines := make([]string, 0, len(p.GetLines()))
		for _, l := range p.GetLines() {
			lines = append(lines, plain(l.GetName()))
		}
		load := p.GetLoad()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s/s\t%d\t%s\t%s\n", //nolint:errcheck // Flush tells
			plain(p.GetName()), plain(p.GetAddress()), strings.Join(lines, ","),
			humanize.IBytes(uint64(max(load.GetFetchBytesPerSecond(), 0))),
			load.GetRunningAssignments(), ago(p, now), plain(p.GetVersion()))
	}
	return t.Flush()
}

// ago is the time since the last heartbeat; the tracker's clock may run ahead.
func ago(p *ddmv1.PeerInfo, now time.Time) string {
	if !p.GetLastHeartbeat().IsValid() {
		return "-"
	}
	passed := max(now.Sub(p.GetLastHeartbeat().AsTime()), 0)
	return passed.Round(100*time.Millisecond).String() + " ago"
}

// plain keeps what others call themselves from steering the terminal.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s
}
