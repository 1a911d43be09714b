package config

import (
	"errors"
	"time"
)

// Client holds the settings of ddm-client.
type Client struct {
	Common
	Lines

	Output    string // "-": stdout; "": from the origin
	Dir       string
	InputFile string // "-": stdin; "": none
	Jobs      int    // downloads at once
	Mirror    bool   // all URLs name one resource
	Checksum  string // ALGO:HEX, not judged yet; "": none

	ChecksumURL    string // of a checksum file, not judged yet; "": none
	NoOriginDigest bool
	Require        string // word of an identity level
	Quorum         int    // machines that must have brought each byte: 1 or 2
	NoMetalink     bool

	Digest    bool
	Overwrite bool
	DryRun    bool

	Metalink string // verify: file or URL; "": none
	Against  string // verify: URL to compare with, not judged yet; "": none
	Samples  int    // verify: pieces to compare; 0: all
	Mend     bool   // verify: fetch what is bad again

	Trackers    []string // HOST:PORT
	StateDir    string   // keeps quotas; "": the user's
	NoLocal     bool
	LocalOnly   bool
	Connections int   // per source and origin; 0: found out
	LimitRate   int64 // bytes per second over all sources; 0: none
	NoShare     bool
	ShareFor    time.Duration // what is finished is given for so long
	ShareListen string        // "[HOST]:PORT"
	Peers       []string      // who is to get a copy, by name or id; none: all

	Headers     []string // "Name: value"
	UserAgent   string   // "": the program's own
	Referer     string
	User        string // user:password; "": none
	Netrc       bool
	NetrcFile   string // "": ~/.netrc
	LoadCookies string // file; "": none
	Proxy       string // URL; "none"; "": by the environment

	Retry          int
	RetryWait      time.Duration
	ConnectTimeout time.Duration
	Timeout        time.Duration

	Quiet    bool
	JSON     bool
	Timeline string // file for a picture of the download; "": none
}

func receiverName(s string) (string, error) {
	if s == "" {
		return "", errors.New("a peer must be named")
	}
	return s, nil
}

// longestShare is how long a program waits for others at most.
const longestShare = 24 * time.Hour

// ClientProgram describes ddm-client; loading it fills c.
func ClientProgram(c *Client) *Program {
	settings := c.saveSettings()
	settings = append(settings, c.sourceSettings()...)
	settings = append(settings, c.Lines.settings()...)
	settings = append(settings, c.verifySettings()...)
	settings = append(settings, c.requestSettings()...)
	settings = append(settings, c.patienceSettings()...)
	settings = append(settings, c.outputSettings()...)
	return &Program{
		Name: "ddm-client",
		Key:  "client",
		Usage: []string{
			"[get] [flags] URL...", "peers [--json] [flags]", "plan [--json] [flags] URL",
			"verify --checksum|--metalink|--against WHAT [--mend] [flags] FILE",
			"share [flags] PATH...", "ls [--json] [flags]", "[get] [flags] ddm:NAME|sha256:HEX",
			"push [--peer NAME]... [flags] FILE...",
		},
		About:    "ddm-client downloads files by all the lines of its LAN at once.",
		Settings: append(settings, c.Common.settings("warn")...),
		Check:    c.check,
	}
}

func (c *Client) check(report func(string, string, ...any)) {
	if c.NoShare && c.ShareFor > 0 {
		report("share-for", "with --no-share nothing is given")
	}
	if c.NoLocal && c.LocalOnly {
		report("no-local", "together with --local-only no source would be left")
	}
	if c.JSON && c.Output == "-" {
		report("json", "cannot be combined with --output -: both would write to stdout")
	}
	if c.Quorum > 1 && c.Output == "-" {
		report("quorum", "cannot be combined with --output -: what went out could not be taken back")
	}
	if c.Timeline != "" && c.DryRun {
		report("timeline", "with --dry-run there is nothing to draw")
	}
	if c.NetrcFile != "" && !c.Netrc {
		c.Netrc = true
	}
}

func (c *Client) saveSettings() []Setting {
	return []Setting{
		{
			Name: "output", Short: "o", Arg: "FILE", Group: saveGroup, Scope: FlagOnly,
			Help:  "save under this name; - writes to stdout, in order",
			value: text(&c.Output, "", nil),
		},
		{
			Name: "dir", Short: "d", Arg: "DIR", Group: saveGroup,
			Help:  "folder to save in; the current one if not given",
			value: text(&c.Dir, "", nil),
		},
		{
			Name: "input-file", Short: "i", Arg: "FILE", Group: saveGroup, Scope: FlagOnly,
			Help:  "take URLs from a file, one a line, - for stdin; several on a line, separated by tabs, are mirrors",
			value: text(&c.InputFile, "", nil),
		},
		{
			Name: "jobs", Short: "j", Arg: "N", Group: saveGroup,
			Help:  "downloads at once",
			value: count(&c.Jobs, 3, 1, 256),
		},
		{
			Name: "mirror", Group: saveGroup, Scope: FlagOnly,
			Help:  "the URLs are mirrors of one file, used together, not several downloads",
			value: toggle(&c.Mirror),
		},
		{
			Name: "checksum", Arg: "ALGO:HEX", Group: saveGroup, Scope: FlagOnly,
			Help:  "what the file must hash to, by sha256, sha512, sha1 or md5",
			value: text(&c.Checksum, "", nil),
		},
		{
			Name: "checksum-url", Arg: "URL", Group: saveGroup, Scope: FlagOnly,
			Help:  "take what the file must hash to from a checksum file such as SHA256SUMS, fetched over an own line",
			value: text(&c.ChecksumURL, "", nil),
		},
		{
			Name: "no-origin-digest", Group: saveGroup,
			Help:  "do not check what the origin's header says that the file hashes to",
			value: toggle(&c.NoOriginDigest),
		},
		{
			Name: "require-identity", Arg: "LEVEL", Group: saveGroup,
			Help:  "refuse less evidence that the bytes belong together: digest, strong, weak, sampled, none",
			value: choice(&c.Require, "none", "digest", "strong", "weak", "sampled", "none"),
		},
		{
			Name: "quorum", Arg: "N", Group: saveGroup,
			Help:  "2 fetches everything from two machines and compares; end with 41 if there are not two",
			value: count(&c.Quorum, 1, 1, 2),
		},
		{
			Name: "no-metalink", Group: saveGroup,
			Help:  "save Metalink documents instead of what they describe",
			value: toggle(&c.NoMetalink),
		},
		{
			Name: "digest", Group: saveGroup,
			Help:  "compute and print the SHA-256 of what was saved",
			value: toggle(&c.Digest),
		},
		{
			Name: "overwrite", Group: saveGroup,
			Help:  "replace an existing file instead of refusing to start",
			value: toggle(&c.Overwrite),
		},
		{
			Name: "dry-run", Group: saveGroup, Scope: FlagOnly,
			Help:  "say size, identity, name and who would help; fetch nothing else",
			value: toggle(&c.DryRun),
		},
	}
}

func (c *Client) verifySettings() []Setting {
	return []Setting{
		{
			Name: "metalink", Arg: "FILE|URL", Group: verifyGroup, Scope: FlagOnly,
			Help:  "hold the file against the size and digests of a Metalink document",
			value: text(&c.Metalink, "", nil),
		},
		{
			Name: "against", Arg: "URL", Group: verifyGroup, Scope: FlagOnly,
			Help:  "compare the file with what the URL serves, over an own line",
			value: text(&c.Against, "", nil),
		},
		{
			Name: "samples", Arg: "N", Group: verifyGroup, Scope: FlagOnly,
			Help:  "compare that many pieces only, chosen at random; 0 compares every byte",
			value: count(&c.Samples, 0, 0, 1<<20),
		},
		{
			Name: "mend", Group: verifyGroup, Scope: FlagOnly,
			Help:  "fetch bad pieces again and write them in their place",
			value: toggle(&c.Mend),
		},
	}
}

func (c *Client) sourceSettings() []Setting {
	return []Setting{
		{
			Name: "tracker", Arg: "HOST:PORT", Group: sourceGroup,
			Help:  "tracker to ask for peers; port 7420 may be left out",
			value: list(&c.Trackers, []string{"127.0.0.1:7420"}, ",", trackerAddress),
		},
		{
			Name: "state-dir", Arg: "DIR", Group: sourceGroup,
			Help:  "folder that keeps what quotas allow; the user's own if not given",
			value: text(&c.StateDir, "", nil),
		},
		{
			Name: "no-local", Group: sourceGroup,
			Help:  "leave this machine's own lines unused",
			value: toggle(&c.NoLocal),
		},
		{
			Name: "local-only", Group: sourceGroup,
			Help:  "use no peers",
			value: toggle(&c.LocalOnly),
		},
		{
			Name: "connections", Short: "x", Arg: "N", Group: sourceGroup,
			Help:  "most connections per source and origin; 0 finds the best number",
			value: count(&c.Connections, 0, 0, 256),
		},
		{
			Name: "limit-rate", Arg: "RATE", Group: sourceGroup,
			Help:  "most bytes per second, all sources together, such as 5MiB; 0 is no limit",
			value: rate(&c.LimitRate),
		},
		{
			Name: "no-share", Group: sourceGroup,
			Help:  "do not give other clients what is here already of a public download",
			value: toggle(&c.NoShare),
		},
		{
			Name: "peer", Arg: "NAME", Group: sourceGroup, Scope: FlagOnly,
			Help:  "with push: who is to get a copy, by name or id; everybody if none is named",
			value: list(&c.Peers, nil, ",", receiverName),
		},
		{
			Name: "share-for", Arg: "TIME", Group: sourceGroup,
			Help:  "go on giving finished downloads for so long before the program ends",
			value: duration(&c.ShareFor, 0, 0, longestShare),
		},
		{
			Name: "share-listen", Arg: "ADDRESS", Group: sourceGroup,
			Help:  "where others reach what is shared, [HOST]:PORT; port 0 is any free one",
			value: text(&c.ShareListen, ":0", listenAddress),
		},
	}
}

func (c *Client) requestSettings() []Setting {
	return []Setting{
		{
			Name: "header", Short: "H", Arg: "'K: V'", Group: requestGroup,
			Help:  "request header; in the environment one a line",
			value: list(&c.Headers, nil, "\n", header),
		},
		{
			Name: "user-agent", Short: "U", Arg: "TEXT", Group: requestGroup,
			Help:  "what to call itself; ddm/VERSION if not given",
			value: text(&c.UserAgent, "", headerValue),
		},
		{
			Name: "referer", Arg: "URL", Group: requestGroup,
			Help:  "value of the Referer header",
			value: text(&c.Referer, "", headerValue),
		},
		{
			Name: "user", Arg: "USER:PASSWORD", Group: requestGroup, Scope: NotInFile,
			Help:  "credentials for the origin; in the environment they stay out of the process list",
			value: text(&c.User, "", userPassword),
		},
		{
			Name: "netrc", Group: requestGroup,
			Help:  "take credentials from ~/.netrc",
			value: toggle(&c.Netrc),
		},
		{
			Name: "netrc-file", Arg: "FILE", Group: requestGroup,
			Help:  "take credentials from this file instead",
			value: text(&c.NetrcFile, "", nil),
		},
		{
			Name: "load-cookies", Arg: "FILE", Group: requestGroup,
			Help:  "send the cookies of a file in Netscape's format",
			value: text(&c.LoadCookies, "", nil),
		},
		{
			Name: "proxy", Arg: "URL", Group: requestGroup,
			Help: "proxy for own lines: http, https, socks5, socks5h, or none; by HTTP_PROXY, HTTPS_PROXY " +
				"and NO_PROXY if not given",
			value: text(&c.Proxy, "", ProxyURL),
		},
	}
}

func (c *Client) patienceSettings() []Setting {
	return []Setting{
		{
			Name: "retry", Arg: "N", Group: patienceGroup,
			Help:  "attempts after a request that failed in a way worth repeating",
			value: count(&c.Retry, 5, 0, 1000),
		},
		{
			Name: "retry-wait", Arg: "TIME", Group: patienceGroup,
			Help:  "first wait between them, doubled each time",
			value: duration(&c.RetryWait, time.Second, shortestTime, longestTime),
		},
		{
			Name: "connect-timeout", Arg: "TIME", Group: patienceGroup,
			Help:  "longest wait for a connection",
			value: duration(&c.ConnectTimeout, 10*time.Second, shortestTime, longestTime),
		},
		{
			Name: "timeout", Arg: "TIME", Group: patienceGroup,
			Help:  "longest wait for an answer to begin",
			value: duration(&c.Timeout, 15*time.Second, shortestTime, longestTime),
		},
	}
}

func (c *Client) outputSettings() []Setting {
	return []Setting{
		{
			Name: "quiet", Short: "q", Group: outputGroup,
			Help:  "print errors only",
			value: toggle(&c.Quiet),
		},
		{
			Name: "json", Group: outputGroup,
			Help:  "print one JSON object a line on stdout",
			value: toggle(&c.JSON),
		},
		{
			Name: "timeline", Arg: "FILE", Group: outputGroup, Scope: FlagOnly,
			Help:  "draw a picture (SVG) of who fetched which range when",
			value: text(&c.Timeline, "", nil),
		},
	}
}
