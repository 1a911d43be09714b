// Package progress shows downloads to people and to programs.
//
//	client engine --Reporter--> UI --state, pending text--> one writing goroutine
//	                                                          |        |
//	                                                        stderr   stdout
//	                              terminal: live block, summary        plans, or
//	                              else: plain lines, summary           JSON lines
//
// An engine reports into a Reporter, one per download; a UI draws all of them.
// A call stores what it brings and returns: snapshots replace each other, texts
// wait in a bounded queue, and a slow terminal or pipe holds up nobody but the
// goroutine that writes. What a display says is made by pure functions (live.go,
// plain.go, summary.go, json.go); only paint.go and ui.go touch a file.
//
// Rates and times left are the engine's arithmetic; here they are only spelled.
// Bytes are shown in IEC units, names from the network without control characters.
package progress

import "time"

// Reporter is told what happens to one download. Its calls are safe for
// concurrent use and return at once. Start comes at most once; Plan, Done or
// Fail comes last, and what is reported after it is dropped.
type Reporter interface {
	// Start says that the resource is known and bytes are about to come.
	Start(Start)
	// Progress replaces what was known of the download. The slice stays the caller's.
	Progress(Snapshot)
	// Source says that a source came, went or changed for the worse.
	Source(SourceChange)
	// Note is one sentence that the user should read.
	Note(string)
	// Plan ends a dry run.
	Plan(Plan)
	// Done ends a download that is complete under its final name.
	Done(Done)
	// Fail ends a download that is not.
	Fail(Failure)
}

// Start is what is known of a download when its first bytes are about to come.
type Start struct {
	URL      string
	Path     string // where the file will be; "-" for stdout
	Size     int64  // bytes; -1 unknown
	Identity string // digest, strong, weak, sampled, none
	Resumed  int64  // bytes that were here already
}

// Source is one giver of bytes: as it is now in a Snapshot, over the whole
// download in a Done. Where copies are handed out, it is one who gets them.
type Source struct {
	Name  string
	Size  int64   // bytes that it is to have; 0: it gives
	Kind  string  // local, peer, tunnel
	Bytes int64   // brought by it to this download
	Rate  float64 // bytes per second; in a Done its mean, 0: Bytes over Elapsed
	State string  // idle, running, stalled, cooling, left, banned, ...
	Note  string  // a few words for people; may be empty
}

// Snapshot is how far a download is.
type Snapshot struct {
	Size    int64         // bytes; -1 unknown
	Bytes   int64         // of the file that are here, resumed ones included
	Rate    float64       // bytes per second, all sources
	ETA     time.Duration // time left; negative: unknown
	Elapsed time.Duration
	Sources []Source
	Phase   string // "" while bytes come, else checking, finishing, waiting
}

// SourceChange is an event in the life of a source.
type SourceChange struct {
	Name   string
	Change string // joined, left, stalled, failed, banned
	Reason string
}

// Done is the account of a complete download.
type Done struct {
	URL        string
	Path       string // "-" for stdout
	Size       int64  // bytes
	Elapsed    time.Duration
	Identity   string // digest, strong, weak, sampled, none
	Digest     string // "sha256:HEX" if one was computed, else ""
	Sources    []Source
	Reassigned int     // ranges that went from one source to another
	Duplicate  int64   // bytes that came twice
	Origin     int64   // body bytes fetched from the origin by all sources
	Verify     int64   // those of them spent on checks
	LAN        int64   // bytes that crossed the LAN
	Stored     int64   // those of them that peers had stored: the origin was not asked for them
	OwnRate    float64 // bytes per second of the own line, measured alone; 0 unknown
	Notes      []string
}

// Plan is what a dry run found out.
type Plan struct {
	URL      string
	Name     string // the name it would be saved under
	Size     int64  // bytes; -1 unknown
	Identity string // digest, strong, weak, sampled, none
	Ranges   bool   // the origin serves ranges
	Helpers  []Source
	Notes    []string
}

// Failure is why a download is not complete.
type Failure struct {
	URL     string
	Kind    string // one of internal/errdefs, or of the caller ("interrupted")
	Message string // one sentence that says what to do next
	Exit    int    // exit status of the contract
}
