package config

import "time"

// Tracker holds the settings of the tracker.
type Tracker struct {
	Common
	Listen    string        // for gRPC; port 0: any
	HTTP      string        // for metrics and health; "": none
	StateDir  string        // "": none
	Heartbeat time.Duration // period asked of peers
	Lease     time.Duration // without a heartbeat, a peer is gone after it
}

// TrackerProgram describes the tracker; loading it fills t.
func TrackerProgram(t *Tracker) *Program {
	settings := []Setting{
		{
			Name: "listen", Arg: "ADDRESS", Group: networkGroup,
			Help:  "where peers and clients connect; port 0 takes any",
			value: text(&t.Listen, ":7420", listenAddress),
		},
		{
			Name: "http", Arg: "ADDRESS", Group: networkGroup,
			Help:  `where /metrics, /healthz and /readyz are served, or "off"`,
			value: text(&t.HTTP, "127.0.0.1:7421", listenOrOff),
		},
		{
			Name: "state-dir", Arg: "DIR", Group: networkGroup,
			Help:  "folder for what outlives a restart; membership does not need it",
			value: text(&t.StateDir, "", nil),
		},
		{
			Name: "heartbeat", Arg: "TIME", Group: patienceGroup,
			Help:  "period at which peers say that they are alive",
			value: duration(&t.Heartbeat, 2*time.Second, shortestTime, longestTime),
		},
		{
			Name: "lease", Arg: "TIME", Group: patienceGroup,
			Help:  "a peer that said nothing for so long is gone; at least two heartbeats",
			value: duration(&t.Lease, 6*time.Second, 2*shortestTime, 2*longestTime),
		},
	}
	return &Program{
		Name:     "tracker",
		Key:      "tracker",
		Usage:    []string{"[flags]"},
		About:    "tracker knows which peers of a LAN are there, and tells clients.",
		Settings: append(settings, t.settings("info")...),
		Check: func(report func(string, string, ...any)) {
			if t.Lease < 2*t.Heartbeat {
				report("lease", "%s is less than two heartbeats of %s: one lost packet would end a membership",
					shortDuration(t.Lease), shortDuration(t.Heartbeat))
			}
		},
	}
}
