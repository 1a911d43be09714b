package config

import (
	"errors"
	"fmt"
	"strings"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

// Peerd holds the settings of peerd.
type Peerd struct {
	Common
	Lines
	Trackers       []string // HOST:PORT
	Listen         string   // for gRPC; port 0: any
	HTTP           string   // for metrics and health; "": none
	Advertise      string   // HOST:PORT told to clients; "": what the tracker sees
	Name           string   // "": the host's name
	StateDir       string   // "": a new identity with every start, and no quotas
	AllowOrigin    []string // CIDR or HOST[:PORT] that may be fetched from though not public
	LimitRate      int64    // bytes per second of all lines together; 0: none
	MaxAssignments int      // at once
	Share          []string // files and folders to offer
	Receive        string   // folder for what others push; "": nothing is taken
	ReceiveLimit   int64    // bytes of one such file; 0: no limit
	StoreSize      int64    // bytes kept of what was fetched; 0: nothing; negative: by the free disk
}

// PeerdProgram describes peerd; loading it fills p.
func PeerdProgram(p *Peerd) *Program {
	settings := []Setting{
		{
			Name: "tracker", Arg: "HOST:PORT", Group: networkGroup,
			Help:  "tracker to register with; port 7420 may be left out",
			value: list(&p.Trackers, []string{"127.0.0.1:7420"}, ",", trackerAddress),
		},
		{
			Name: "listen", Arg: "ADDRESS", Group: networkGroup,
			Help:  "where clients connect; port 0 takes any",
			value: text(&p.Listen, ":7430", listenAddress),
		},
		{
			Name: "http", Arg: "ADDRESS", Group: networkGroup,
			Help:  `where /metrics, /healthz and /readyz are served, or "off"`,
			value: text(&p.HTTP, "127.0.0.1:7431", listenOrOff),
		},
		{
			Name: "advertise", Arg: "HOST:PORT", Group: networkGroup,
			Help:  "where clients are told to connect, if not where the tracker sees this peer",
			value: text(&p.Advertise, "", advertised),
		},
		{
			Name: "name", Arg: "NAME", Group: networkGroup,
			Help:  "what people call this peer; at most 64 bytes; the host's name if not given",
			value: text(&p.Name, "", peerName),
		},
		{
			Name: "state-dir", Arg: "DIR", Group: networkGroup,
			Help:  "folder that keeps this peer's identity and quotas over restarts; not shared between peers",
			value: text(&p.StateDir, "", nil),
		},
		{
			Name: "allow-origin", Arg: "RULE", Group: sourceGroup,
			Help:  "CIDR or HOST[:PORT] to fetch from though it is not public",
			value: list(&p.AllowOrigin, nil, ",", allowRule),
		},
		{
			Name: "limit-rate", Arg: "RATE", Group: sourceGroup,
			Help:  "most bytes per second fetched, all lines together, such as 5MiB; 0 is no limit",
			value: rate(&p.LimitRate),
		},
		{
			Name: "max-assignments", Arg: "N", Group: sourceGroup,
			Help:  "most ranges fetched at once, over all clients",
			value: count(&p.MaxAssignments, 256, 1, 4096),
		},
		{
			Name: "store-size", Arg: "SIZE", Group: sourceGroup,
			Help:  "most that is kept in --state-dir of what was fetched, for whoever wants it next; 0 keeps nothing, auto is a tenth of the free disk, at most 50GiB",
			value: scalar(&p.StoreSize, -1, unitKind, `"auto" or "5GiB"`, readStoreSize, showStoreSize),
		},
	}
	settings = append(settings, Setting{
		Name: "share", Arg: "PATH", Group: sourceGroup,
		Help:  "file or folder to offer to the LAN by what it hashes to, watched for changes; see ddm-client ls",
		value: list(&p.Share, nil, ",", sharedPath),
	})
	settings = append(settings, Setting{
		Name: "receive", Arg: "DIR", Group: sourceGroup,
		Help:  "folder for files that others push to this machine, which are offered to the LAN then; nothing is taken without it",
		value: text(&p.Receive, "", nil),
	}, Setting{
		Name: "receive-limit", Arg: "SIZE", Group: sourceGroup,
		Help:  "largest file that is taken, such as 20GiB; 0 is no limit",
		value: size(&p.ReceiveLimit),
	})
	settings = append(settings, p.Lines.settings()...)
	return &Program{
		Name: "peerd",
		Key:  "peerd",
		Usage: []string{
			"[--tracker HOST:PORT]... [flags]",
			"store list|verify|prune|clear --state-dir DIR [--store-size SIZE]",
		},
		About:    "peerd lends this machine's lines to the downloads of its LAN.",
		Settings: append(settings, p.Common.settings("info")...),
		Check:    p.check,
	}
}

func (p *Peerd) check(report func(string, string, ...any)) {
	if p.hasQuota() && p.StateDir == "" {
		report("quota", "needs a folder that keeps over restarts what was fetched: set state-dir")
	}
	if p.ReceiveLimit > 0 && p.Receive == "" {
		report("receive-limit", "nothing is taken without a folder for it: set receive")
	}
}

func readStoreSize(s string) (int64, error) {
	if s == "auto" {
		return -1, nil
	}
	return readSize(s)
}

func showStoreSize(n int64) string {
	if n < 0 {
		return "auto"
	}
	return showBytes(n)
}

// maxName is the tracker's limit for names, in bytes.
const maxName = 64

func peerName(s string) (string, error) {
	if len(s) > maxName {
		return "", fmt.Errorf("%d bytes are more than %d", len(s), maxName)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return "", fmt.Errorf("%q holds a control character", s)
	}
	return s, nil
}

func sharedPath(s string) (string, error) {
	if s == "" {
		return "", errors.New("a path must be named")
	}
	return s, nil
}

func allowRule(s string) (string, error) {
	if _, err := origin.ParseAllow(s); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), string(errdefs.Invalid)+": "))
	}
	return s, nil
}
