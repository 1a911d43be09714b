package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/dustin/go-humanize"

	"ddm/client/schedule"
	"ddm/client/schedule/sim"
)

const format = `A scenario is TOML. Sizes are written 256MiB, rates 5MiB (bytes per second) or
25Mbit, times 1.5s. Only size and one line with a rate are required.

  title = "two lines, one drops"
  size = "256MiB"
  origin = "1Gbit"          # that the origin gives all lines together
  step = "10ms"             # resolution
  limit = "1h"              # virtual time after which the run counts as stuck
  audit = true              # check the scheduler's books ten times a second

  [groups]                  # routers that lines share
  attic = "30Mbit"

  [scheduler]               # its limits, where not the defaults
  piece = "1MiB"
  target = "2s"             # work per range
  lanes = 16                # per source
  all-lanes = 64
  window = "32MiB"          # how far ahead, as when it writes to stdout
  steal = true

  [[line]]
  name = "cable"
  count = 1                 # so many of the same
  rate = "50Mbit"           # of the whole line
  per-connection = "2MiB"   # of one connection
  hog = 0.9                 # share that one connection keeps beside others
  max-connections = 4       # that the origin accepts; more are refused
  linger = "100ms"          # that a connection closed in a reply still counts
  latency = "5ms"           # from a request to its first byte
  group = "attic"
  lanes = 16                # that it grants
  local = false             # this machine's own line
  metered = 0.2             # used only if it shortens the download by more
  joins = "0s"

  [[line.change]]           # as many as wanted, in the order of their times
  at = "10s"
  does = "rate"             # see below
  rate = "500KiB"           # for rate and slow
  wait = "2s"               # for refuse: what Retry-After says
  most = 3                  # for allow

does: rate (a new rate), stall (silence), heal (ends stall, err, refuse and
deny), leave, return, cut (running requests fail), err (every request fails),
refuse (every request is refused), deny (is denied for good), slow (one running
connection gets this rate until it is closed), allow (the origin accepts so many
connections).
`

// file is a scenario as it is written.
type file struct {
	Title     string
	Size      size
	Origin    rate
	Step      time.Duration
	Limit     time.Duration
	Audit     bool
	Groups    map[string]rate
	Scheduler struct {
		Piece    size
		Target   time.Duration
		Lanes    int
		AllLanes int `toml:"all-lanes"`
		Window   size
		Steal    *bool
	}
	Line []line
}

type line struct {
	Name     string
	Count    int
	Rate     rate
	PerConn  rate `toml:"per-connection"`
	Hog      float64
	MaxConn  int `toml:"max-connections"`
	Linger   time.Duration
	Latency  time.Duration
	Group    string
	Lanes    int
	Local    bool
	Metered  float64
	Joins    time.Duration
	Change   []change
	position int
}

type change struct {
	At   time.Duration
	Does string
	Rate rate
	Wait time.Duration
	Most int
}

// kinds are the words for what happens to a line.
func kinds() map[string]sim.Kind {
	return map[string]sim.Kind{
		"rate": sim.SetRate, "stall": sim.Stall, "heal": sim.Heal, "leave": sim.Leave, "return": sim.Return,
		"cut": sim.Cut, "err": sim.Err, "refuse": sim.Refuse, "deny": sim.Deny, "slow": sim.Slow, "allow": sim.Allow,
	}
}

// read reads a scenario file strictly: an unknown key is an error.
func read(r io.Reader) (title string, sc sim.Scenario, err error) {
	var f file
	meta, err := toml.NewDecoder(r).Decode(&f)
	if parse, ok := errors.AsType[toml.ParseError](err); ok {
		return "", sc, fmt.Errorf("line %d: %s", parse.Position.Line, parse.Message)
	}
	if err != nil {
		return "", sc, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return "", sc, fmt.Errorf("unknown key %s (--help explains the format)", unknown[0])
	}
	sc, err = f.scenario()
	return f.Title, sc, err
}

func (f *file) scenario() (sim.Scenario, error) {
	sc := sim.Scenario{
		Size: int64(f.Size), Origin: float64(f.Origin), Step: f.Step, Limit: f.Limit, Audit: f.Audit,
		Groups: map[string]float64{},
		Config: schedule.Config{
			Piece: int64(f.Scheduler.Piece), Target: f.Scheduler.Target, MaxLanes: f.Scheduler.Lanes,
			AllLanes: f.Scheduler.AllLanes, Window: int64(f.Scheduler.Window),
			NoSteal: f.Scheduler.Steal != nil && !*f.Scheduler.Steal,
		},
	}
	for name, r := range f.Groups {
		sc.Groups[name] = float64(r)
	}
	if sc.Size <= 0 {
		return sc, errors.New("size is missing")
	}
	if sc.Step < 0 || sc.Limit < 0 {
		return sc, errors.New("step and limit cannot be negative")
	}
	for i := range f.Line {
		l := &f.Line[i]
		l.position = i + 1
		lines, err := l.lines(sc.Groups)
		if err != nil {
			return sc, fmt.Errorf("line %q, number %d: %w", l.Name, l.position, err)
		}
		sc.Lines = append(sc.Lines, lines...)
	}
	if len(sc.Lines) == 0 {
		return sc, errors.New("there is no [[line]]")
	}
	return sc, nil
}

// lines makes as many as are asked for.
func (l *line) lines(groups map[string]float64) ([]sim.Line, error) {
	_, known := groups[l.Group]
	switch {
	case l.Rate <= 0:
		return nil, errors.New("rate is missing")
	case l.Group != "" && !known:
		return nil, fmt.Errorf("group %q is not in [groups]", l.Group)
	case min(l.Count, l.Lanes, l.MaxConn) < 0 || min(l.Latency, l.Joins, l.Linger) < 0 || l.Metered < 0:
		return nil, errors.New("a negative value makes no sense")
	case l.Hog < 0 || l.Hog >= 1:
		return nil, errors.New("hog is a share, from 0 up to 1")
	case l.Count > 10000 || l.Lanes > 256:
		return nil, errors.New("at most 10000 lines and 256 lanes each")
	}
	made := sim.Line{
		Name: l.Name, Rate: float64(l.Rate), PerConn: float64(l.PerConn), Hog: l.Hog, MaxConn: l.MaxConn, Linger: l.Linger, Latency: l.Latency,
		Group: l.Group, Lanes: l.Lanes, Local: l.Local, Metered: l.Metered, Joins: l.Joins,
	}
	if made.Name == "" {
		made.Name = fmt.Sprintf("line %d", l.position)
	}
	for _, c := range l.Change {
		kind, ok := kinds()[c.Does]
		if !ok {
			return nil, fmt.Errorf("does = %q is none of %s", c.Does, strings.Join(slices.Sorted(maps.Keys(kinds())), ", "))
		}
		made.Changes = append(made.Changes, sim.Change{At: c.At, Kind: kind, Rate: float64(c.Rate), Wait: c.Wait, Most: c.Most})
	}
	slices.SortStableFunc(made.Changes, func(a, b sim.Change) int { return int(a.At - b.At) })
	list := []sim.Line{made}
	for n := 2; n <= l.Count; n++ {
		list = append(list, made)
	}
	if l.Count > 1 {
		for i := range list {
			list[i].Name += " " + strconv.Itoa(i+1)
		}
	}
	return list, nil
}

// size is bytes, written with a unit.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is no size: write it like 256MiB", text)
	}
	*s = size(n)
	return nil
}

// rate is bytes per second, written in bytes or bits.
type rate float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *rate) UnmarshalText(text []byte) error {
	s := strings.TrimSuffix(strings.TrimSpace(string(text)), "/s")
	for unit, factor := range map[string]float64{"kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9} {
		number, isBits := strings.CutSuffix(s, unit)
		if !isBits {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err == nil && v >= 0 && v <= 1e9 {
			*r = rate(v * factor / 8)
			return nil
		}
	}
	n, err := humanize.ParseBytes(s)
	if err != nil {
		return fmt.Errorf("%q is no rate: write it like 5MiB or 25Mbit", text)
	}
	*r = rate(n)
	return nil
}
