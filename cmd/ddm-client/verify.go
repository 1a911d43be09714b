package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"ddm/client"
	"ddm/internal/command"
	"ddm/internal/digest"
	"ddm/internal/errdefs"
	"ddm/internal/metalink"
	"ddm/internal/progress"
)

// mostShown bounds the bad ranges that are listed for people.
const mostShown = 100

// verify checks an existing file, and mends it if it is told to.
func (s *session) verify(ctx context.Context, args []string) int {
	check, err := s.check(args)
	if err != nil {
		return s.fail(err)
	}
	ui := s.display()
	s.startLog(ui.LogWriter())
	engine, err := s.open(nil)
	if err != nil {
		_ = ui.Close() // nothing was shown yet
		return s.fail(err)
	}
	rep := ui.Download(filepath.Base(check.Path))
	err = s.gather(ctx, engine, &check, rep)
	var verdict client.Verdict
	if err == nil {
		verdict, err = engine.Verify(ctx, check, rep)
	}
	if closeErr := errors.Join(engine.Close(), ui.Close()); closeErr != nil {
		s.log.Debug("what was reported may be incomplete", "error", closeErr)
	}
	return s.tell(ctx, check, verdict, err)
}

// check judges the command line. What has to be fetched first is left to
// gather.
func (s *session) check(args []string) (client.Check, error) {
	cfg := &s.cfg
	var problems []error
	report := func(flag, format string, args ...any) { problems = append(problems, problem(flag, format, args...)) }
	if len(args) != 1 {
		report("", "name one file to verify")
		args = []string{""}
	}
	check := client.Check{Path: args[0], Size: -1, Against: cfg.Against != "", Samples: cfg.Samples, Mend: cfg.Mend}
	if cfg.Checksum != "" {
		sum, err := digest.Parse(cfg.Checksum)
		if err != nil {
			report("checksum", "%v", err)
		}
		check.Digests = []digest.Digest{sum}
	}
	remote := map[string]string{"checksum-url": cfg.ChecksumURL, "against": cfg.Against}
	if strings.Contains(cfg.Metalink, "://") {
		remote["metalink"] = cfg.Metalink
	}
	for _, flag := range []string{"checksum-url", "against", "metalink"} {
		if remote[flag] == "" {
			continue
		}
		if _, err := parseURL(remote[flag]); err != nil {
			report(flag, "%v", err)
		}
	}
	switch {
	case cfg.Checksum+cfg.ChecksumURL+cfg.Metalink+cfg.Against == "":
		report("", "say what to hold the file against: --checksum, --checksum-url, --metalink or --against")
	case cfg.Samples > 0 && cfg.Against == "":
		report("samples", "says how much to compare: it needs --against")
	case cfg.Mend && cfg.Against+cfg.Metalink == "":
		report("mend", "needs --metalink or --against: a checksum does not tell which part is bad, nor where to fetch it")
	}
	if err := errors.Join(problems...); err != nil {
		return client.Check{}, err
	}
	check.Job = client.Job{Header: headers(cfg, command.Version(version))}
	return check, s.credentials(&check.Job)
}

// gather fetches the checksum file and the Metalink document, and finds in
// them what they say of the file.
func (s *session) gather(ctx context.Context, engine *client.Client, check *client.Check, rep progress.Reporter) error {
	name := filepath.Base(check.Path)
	if s.cfg.ChecksumURL != "" {
		job := check.Job
		job.ChecksumURL, job.Home = s.cfg.ChecksumURL, cmp.Or(s.cfg.Against, s.cfg.ChecksumURL)
		sum, err := engine.ChecksumFrom(ctx, job, rep.Note, name)
		if err != nil {
			return err
		}
		check.Digests = append(check.Digests, sum)
	}
	if s.cfg.Metalink != "" {
		if err := s.gatherMetalink(ctx, engine, check, rep); err != nil {
			return err
		}
	}
	if s.cfg.Against != "" {
		check.Job.URLs, check.Job.Home, check.Job.Guarded = []string{s.cfg.Against}, "", false
	}
	if check.Mend && check.Pieces == nil && !check.Against {
		return problem("mend", "the Metalink has no digests of pieces: --against says where to compare and to fetch")
	}
	return nil
}

func (s *session) gatherMetalink(ctx context.Context, engine *client.Client, check *client.Check, rep progress.Reporter) error {
	var files []metalink.File
	var err error
	if strings.Contains(s.cfg.Metalink, "://") {
		job := check.Job
		job.URLs = []string{s.cfg.Metalink}
		var doc client.Document
		if doc, err = engine.Document(ctx, job, metalink.MaxSize, rep.Note); err == nil {
			files, err = metalink.Parse(strings.NewReader(string(doc.Text)))
		}
		check.Job.Home, check.Job.Guarded = s.cfg.Metalink, doc.Guarded
	} else {
		files, err = openMetalink(s.cfg.Metalink)
	}
	if err != nil {
		return err
	}
	name := filepath.Base(check.Path)
	i := slices.IndexFunc(files, func(f metalink.File) bool {
		return f.Name[strings.LastIndexAny(f.Name, `/\`)+1:] == name
	})
	switch {
	case i < 0 && len(files) > 1:
		return problem("metalink", "none of its %d files is called %q", len(files), name)
	case i < 0:
		i = 0
	}
	f := files[i]
	check.Size, check.Pieces = f.Size, f.Pieces
	if d, ok := digest.Strongest(f.Digests); ok {
		check.Digests = append(check.Digests, d)
	}
	for _, u := range f.URLs {
		check.Job.URLs = append(check.Job.URLs, u.URL)
	}
	if len(check.Digests) == 0 && check.Pieces == nil {
		return problem("metalink", "it has no digest of %q that is known here", name)
	}
	return nil
}

// tell prints what was found out and gives the exit status.
func (s *session) tell(ctx context.Context, check client.Check, v client.Verdict, err error) int {
	end := judge(err, ctx.Err() != nil)
	if end.status != exitCorrupt {
		end.hint = ""
	} else if len(v.Left) > 0 && !check.Mend {
		end.hint = "--mend, with --against URL or a Metalink, fetches the bad pieces again"
	}
	show := s.showVerdict
	if s.cfg.JSON {
		show = s.showVerdictJSON
	}
	if writeErr := show(s.std.Stdout, check, v, err, end); writeErr != nil {
		fmt.Fprintf(s.std.Stderr, "%s: stdout: %v\n", s.program.Name, writeErr) //nolint:errcheck // nobody is left to tell
		return exitWriteFile
	}
	if err != nil {
		if errdefs.KindOf(err) == errdefs.Invalid {
			return s.refuse(err)
		}
		fmt.Fprintf(s.std.Stderr, "%s: %s\n", s.program.Name, end.message(err)) //nolint:errcheck // nobody is left to tell
	}
	return end.status
}

func (s *session) showVerdict(w io.Writer, check client.Check, v client.Verdict, err error, _ outcome) error {
	if s.cfg.Quiet {
		return nil
	}
	var b strings.Builder
	for i, r := range v.Bad {
		if i == mostShown {
			fmt.Fprintf(&b, "bad: %d ranges more\n", len(v.Bad)-i)
			break
		}
		fmt.Fprintf(&b, "bad: bytes %d-%d (%s)\n", r.Off, r.End()-1, humanize.IBytes(uint64(r.Len)))
	}
	name := plain(check.Path)
	if v.Mended > 0 {
		fmt.Fprintf(&b, "%s: %s written in place\n", name, humanize.IBytes(uint64(v.Mended)))
	}
	if err == nil {
		fmt.Fprintf(&b, "%s: right: %s\n", name, strings.Join(v.Proof, ", "))
	}
	_, writeErr := io.WriteString(w, b.String())
	return writeErr
}

// verdictJSON is what `verify --json` prints of a file.
type verdictJSON struct {
	Event   string      `json:"event"`
	Time    time.Time   `json:"time"`
	Path    string      `json:"path"`
	Size    int64       `json:"size"` // bytes, before anything was mended
	Right   bool        `json:"right"`
	Proof   []string    `json:"proof"`
	Bad     []rangeJSON `json:"bad"`
	Mended  int64       `json:"mended_bytes"`
	Fetched int64       `json:"origin_bytes"`
}

type rangeJSON struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// failureJSON is the contract's error event.
type failureJSON struct {
	Event   string    `json:"event"`
	Time    time.Time `json:"time"`
	URL     string    `json:"url"`
	Kind    string    `json:"kind"`
	Message string    `json:"message"`
	Exit    int       `json:"exit"`
}

func (s *session) showVerdictJSON(w io.Writer, check client.Check, v client.Verdict, err error, end outcome) error {
	out := json.NewEncoder(w)
	if err == nil || errors.Is(err, errdefs.Corrupt) {
		row := verdictJSON{
			Event: "verified", Time: time.Now(), Path: check.Path, Size: v.Size, Right: err == nil,
			Proof: append([]string{}, v.Proof...), Bad: []rangeJSON{}, Mended: v.Mended, Fetched: v.Fetched,
		}
		for _, r := range v.Bad {
			row.Bad = append(row.Bad, rangeJSON{r.Off, r.Len})
		}
		if err := out.Encode(row); err != nil {
			return err
		}
	}
	if err == nil {
		return nil
	}
	return out.Encode(failureJSON{
		Event: "error", Time: time.Now(), URL: s.cfg.Against, Kind: end.kind, Message: end.message(err), Exit: end.status,
	})
}
