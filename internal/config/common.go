package config

import "time"

// CommonGroup is the heading of what every program has.
const CommonGroup = "Common"

// The other headings of the help.
const (
	networkGroup  = "Network"
	saveGroup     = "What is saved, and where"
	verifyGroup   = "Existing files (verify)"
	sourceGroup   = "Sources"
	requestGroup  = "Requests"
	patienceGroup = "Patience"
	outputGroup   = "Output"
)

// The bounds of every time that a user may set.
const (
	shortestTime = 50 * time.Millisecond
	longestTime  = time.Hour
)

// Common holds the settings of every program.
type Common struct {
	LogLevel string // trace, debug, info, warn, error
	LogJSON  bool   // one JSON object a line
	Insecure bool   // plaintext, no identity
}

func (c *Common) settings(level string) []Setting {
	return []Setting{
		{
			Name: "log-level", Arg: "LEVEL", Group: CommonGroup,
			Help:  "least important messages to log: trace, debug, info, warn, error",
			value: choice(&c.LogLevel, level, "trace", "debug", "info", "warn", "error"),
		},
		{
			Name: "log-json", Group: CommonGroup,
			Help:  "log one JSON object a line",
			value: toggle(&c.LogJSON),
		},
		{
			Name: "insecure", Group: CommonGroup,
			Help: "speak plaintext, without identity, on the LAN; the only way " +
				"there is until TLS comes, so say it already",
			value: toggle(&c.Insecure),
		},
	}
}
