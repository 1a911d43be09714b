// Command ddm-client downloads files by all the lines of its LAN at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"ddm/client"
	"ddm/internal/command"
	"ddm/internal/config"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

func main() { os.Exit(command.Main(run)) }

// session is one run of the program.
type session struct {
	std     command.Std
	program *config.Program
	cfg     config.Client
	log     hclog.Logger
}

// run is the program; it gives the exit status.
func run(ctx context.Context, std command.Std) int {
	s := &session{std: std}
	s.program = config.ClientProgram(&s.cfg)
	loaded, status, end := command.Configure(std, s.program, command.Version(version))
	if end {
		return status
	}
	verb, args := "get", loaded.Args
	if len(args) > 0 && slices.Contains([]string{"get", "peers", "plan", "verify", "share", "ls", "push"}, args[0]) {
		verb, args = args[0], args[1:]
	}
	if err := inapplicable(s.program, verb, loaded.Flags); err != nil {
		return s.refuse(err)
	}
	switch verb {
	case "peers":
		return s.peers(ctx, args)
	case "plan":
		return s.plan(ctx, args)
	case "verify":
		return s.verify(ctx, args)
	case "share":
		return s.share(ctx, args)
	case "ls":
		return s.ls(ctx, args)
	case "push":
		return s.push(ctx, args)
	}
	return s.get(ctx, args)
}

// startLog makes the log; w is where the display has it.
func (s *session) startLog(w io.Writer) {
	std := s.std
	std.Stderr = w
	s.log = command.Logger(std, s.program.Name, s.cfg.Common)
	command.Plaintext(s.log, hclog.Debug, s.cfg.Common)
}

// refuse is for a command line that makes no sense.
func (s *session) refuse(err error) int { return command.Refuse(s.std, s.program, err) }

// problem blames a flag, or with "" the command line.
func problem(flag, format string, args ...any) error {
	if flag != "" {
		flag = "--" + flag
	}
	return &config.SettingError{Where: flag, Text: fmt.Sprintf(format, args...)}
}

// open makes the engine. What it has is offered through share, unless that is
// nil.
func (s *session) open(share *client.Sharing) (*client.Client, error) {
	proxy, err := proxies(s.cfg.Proxy, s.std.Lookup)
	if err != nil {
		return nil, err
	}
	retry := s.cfg.Retry
	if retry == 0 {
		retry = -1 // the engine's zero is its default
	}
	return client.New(client.Options{
		Trackers:       s.cfg.Trackers,
		Lines:          s.cfg.Specs(),
		StateDir:       stateDir(s.cfg.StateDir, s.std.Lookup),
		NoLocal:        s.cfg.NoLocal,
		LocalOnly:      s.cfg.LocalOnly,
		Insecure:       s.cfg.Insecure,
		Connections:    s.cfg.Connections,
		LimitRate:      s.cfg.LimitRate,
		Retry:          retry,
		RetryWait:      s.cfg.RetryWait,
		ConnectTimeout: s.cfg.ConnectTimeout,
		Timeout:        s.cfg.Timeout,
		Share:          share,
		Proxy:          proxy,
		Log:            s.log,
		Version:        command.Version(version),
	})
}

// inapplicable names the flags that mean nothing to a verb.
func inapplicable(program *config.Program, verb string, flags []string) error {
	own := []string{"metalink", "against", "samples", "mend", "peer"}
	applies := func(name string) bool { return !slices.Contains(own, name) }
	switch verb {
	case "share":
		own = []string{"tracker", "json", "quiet", "share-listen"}
		applies = func(name string) bool { return slices.Contains(own, name) }
	case "push":
		own = []string{"tracker", "json", "quiet", "peer", "share-listen", "connect-timeout", "timeout"}
		applies = func(name string) bool { return slices.Contains(own, name) }
	case "peers", "ls":
		own = []string{"tracker", "json", "quiet", "connect-timeout", "timeout"}
		applies = func(name string) bool { return slices.Contains(own, name) }
	case "plan":
		others := []string{"digest", "overwrite", "dry-run", "timeline", "checksum", "checksum-url", "no-origin-digest", "require-identity", "quorum", "no-metalink", "jobs", "no-share", "share-for", "share-listen"}
		applies = func(name string) bool { return !slices.Contains(append(others, own...), name) }
	case "verify":
		others := []string{
			"output", "dir", "input-file", "jobs", "mirror", "no-origin-digest", "require-identity", "quorum", "no-metalink", "digest", "overwrite",
			"dry-run", "tracker", "no-local", "local-only", "timeline", "no-share", "share-for", "share-listen", "peer",
		}
		applies = func(name string) bool { return !slices.Contains(others, name) }
	}
	var problems []error
	for _, name := range flags {
		i := slices.IndexFunc(program.Settings, func(s config.Setting) bool { return s.Name == name })
		if !applies(name) && program.Settings[i].Group != config.CommonGroup {
			problems = append(problems, problem(name, "means nothing to %s", verb))
		}
	}
	return errors.Join(problems...)
}

// credentials reads --netrc, --load-cookies and --user into a job.
func (s *session) credentials(job *client.Job) error {
	if user, password, ok := strings.Cut(s.cfg.User, ":"); ok {
		job.User = url.UserPassword(user, password)
	}
	if s.cfg.Netrc {
		find, err := s.loadNetrc()
		if err != nil {
			return err
		}
		job.Netrc = find
	}
	if s.cfg.LoadCookies != "" {
		jar, err := loadFile(s.cfg.LoadCookies, "--load-cookies", parseCookies)
		if err != nil {
			return err
		}
		job.Cookies = jar
	}
	return nil
}

// stateDir is where the client keeps what outlives it: the folder that was
// named, else the user's; "" if there is none.
func stateDir(named string, lookup func(string) (string, bool)) string {
	if named != "" {
		return named
	}
	if dir, _ := lookup("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "ddm")
	}
	if home, _ := lookup("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "ddm")
	}
	if dir, err := os.UserCacheDir(); err == nil && runtime.GOOS == "windows" {
		return filepath.Join(dir, "ddm", "state")
	}
	return ""
}
