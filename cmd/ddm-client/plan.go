package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"ddm/client"
	"ddm/internal/command"
)

// plan explains a download without doing it: who would bring what, how long it
// would take, and why not less.
func (s *session) plan(ctx context.Context, args []string) int {
	orders, err := s.orders(args)
	if err == nil && len(orders) != 1 {
		err = problem("", "plan explains one download, not %d", len(orders))
	}
	if err != nil {
		return s.fail(err)
	}
	s.startLog(s.std.Stderr)
	engine, err := s.open(nil)
	if err != nil {
		return s.fail(err)
	}
	defer engine.Close() //nolint:errcheck // nothing is kept
	o, err := engine.Outlook(ctx, orders[0].job)
	if err != nil {
		end := judge(err, ctx.Err() != nil)
		fmt.Fprintf(s.std.Stderr, "%s: %s\n", s.program.Name, command.Sentence(err)) //nolint:errcheck // nobody is left to tell
		return end.status
	}
	show := showOutlook
	if s.cfg.JSON {
		show = showOutlookJSON
	}
	if err := show(s.std.Stdout, &o, time.Now()); err != nil {
		fmt.Fprintf(s.std.Stderr, "%s: stdout: %v\n", s.program.Name, err) //nolint:errcheck // as above
		return exitWriteFile
	}
	return command.StatusOK
}

// outlookJSON is the line of `plan --json`. Rates are bytes per second; what is
// not known is null.
type outlookJSON struct {
	Event      string         `json:"event"`
	Time       time.Time      `json:"time"`
	URL        string         `json:"url"`
	Name       string         `json:"name"`
	Size       int64          `json:"size"`
	Identity   string         `json:"identity"`
	Expected   *float64       `json:"expected_seconds"`
	Bounds     boundsJSON     `json:"bounds"`
	Bottleneck bottleneckJSON `json:"bottleneck"`
	Sources    []prospectJSON `json:"sources"`
	Notes      []string       `json:"notes"`
}

type boundsJSON struct {
	ClientServer *float64 `json:"client_server_seconds"`
	PeerToPeer   *float64 `json:"peer_to_peer_seconds"`
	OneCopy      *float64 `json:"one_copy_seconds"`
}

type bottleneckJSON struct {
	Sources  []string `json:"sources"`
	Receiver bool     `json:"receiver"`
	Bytes    int64    `json:"bytes"`
	Seconds  *float64 `json:"seconds"`
}

type prospectJSON struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Rate    *float64 `json:"rate"`
	Basis   string   `json:"basis"`
	Bytes   int64    `json:"bytes"`
	Seconds *float64 `json:"seconds"`
}

func showOutlookJSON(w io.Writer, o *client.Outlook, now time.Time) error {
	known := func(v float64) *float64 {
		if v <= 0 {
			return nil
		}
		return &v
	}
	seconds := func(d time.Duration) *float64 { return known(d.Seconds()) }
	row := outlookJSON{
		Event: "outlook", Time: now, URL: o.URL, Name: o.Name, Size: o.Size, Identity: o.Identity, Expected: seconds(o.Expected),
		Bounds:     boundsJSON{seconds(o.Bounds.ClientServer), seconds(o.Bounds.PeerToPeer), seconds(o.Bounds.OneCopy)},
		Bottleneck: bottleneckJSON{append([]string{}, o.Bottleneck.Sources...), o.Bottleneck.Receiver, o.Bottleneck.Bytes, seconds(o.Bottleneck.Needs)},
		Sources:    make([]prospectJSON, 0, len(o.Sources)),
		Notes:      append([]string{}, o.Notes...),
	}
	for _, s := range o.Sources {
		row.Sources = append(row.Sources, prospectJSON{s.Name, s.Kind, known(s.Rate), s.Basis, s.Bytes, seconds(s.Time)})
	}
	return json.NewEncoder(w).Encode(row)
}

func showOutlook(w io.Writer, o *client.Outlook, _ time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	say := func(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) } //nolint:errcheck // Flush tells
	say("%s\t%s, identity %s", plain(o.Name), bytesOf(o.Size), o.Identity)
	say("expected\t%s", span(o.Expected))
	say("bottleneck\t%s", narrow(o))
	say("bounds\tbest own line alone %s, one copy over all lines %s, peer to peer %s",
		span(o.Bounds.ClientServer), span(o.Bounds.OneCopy), span(o.Bounds.PeerToPeer))
	for _, note := range o.Notes {
		say("note\t%s", plain(note))
	}
	say("")
	say("SOURCE\tKIND\tRATE\tFROM\tWOULD BRING\tIN")
	for _, s := range o.Sources {
		rate := "-"
		if s.Rate > 0 {
			rate = bytesOf(int64(s.Rate)) + "/s"
		}
		say("%s\t%s\t%s\t%s\t%s\t%s", plain(s.Name), s.Kind, rate, basis(s.Basis), bytesOf(s.Bytes), span(s.Time))
	}
	return t.Flush()
}

// narrow says what it cannot be faster for.
func narrow(o *client.Outlook) string {
	b := o.Bottleneck
	switch {
	case b.Receiver:
		return fmt.Sprintf("this machine's own limit: %s for %s", span(b.Needs), bytesOf(b.Bytes))
	case len(b.Sources) == 0:
		return "unknown: no rate is known"
	}
	who := "all lines together"
	if len(b.Sources) < len(o.Sources) || len(o.Sources) == 1 {
		who = plain(strings.Join(b.Sources, ", "))
	}
	return fmt.Sprintf("%s: %s for %s", who, span(b.Needs), bytesOf(b.Bytes))
}

// basis says where a rate is from.
func basis(word string) string {
	switch word {
	case "measured":
		return "measured now, over one connection"
	case "limit":
		return "its owner's limit"
	case "assumed":
		return "not known: assumed like the own line"
	}
	return "not known"
}

func bytesOf(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

func span(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < 100*time.Millisecond:
		return "less than 0.1 s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
