// Package command is what the three programs do alike: read their settings,
// answer --help, --version and --check-config, log, and end on a signal.
//
//	main --Main--> run(ctx, Std) --Configure--> settings, or a status to end with
//	 signals: ctx         |------Logger-------> hclog on stderr, gRPC's own log bridged
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc/grpclog"

	"ddm/internal/config"
	"ddm/internal/errdefs"
)

// Exit statuses that every program has.
const (
	StatusOK      = 0
	StatusFailed  = 1
	StatusInvalid = 28 // bad flag or configuration
)

// Std is what a program is given by the one who starts it.
type Std struct {
	Args   []string // without the program's name
	Lookup func(name string) (string, bool)
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	process bool // they are the process's own: what is global may be set
}

// sameWish is how long further signals count as the first one.
const sameWish = 300 * time.Millisecond

// Main runs a program with the process's own surroundings and gives its exit
// status. The first SIGINT or SIGTERM cancels ctx, a second one ends the
// process at once.
func Main(run func(context.Context, Std) int) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Nobody needs to wait for it: it gives the signals back, and runs once. A
	// moment later, because timeout(1) and shells signal a process and then its
	// group: that is one wish, not two.
	context.AfterFunc(ctx, func() { time.AfterFunc(sameWish, stop) })
	return run(ctx, Std{
		Args: os.Args[1:], Lookup: os.LookupEnv,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		process: true,
	})
}

// Configure loads the program's settings. If there is nothing to run, because
// of a problem or since --help, --version or --check-config was given, it has
// said all there is to say, end is true, and status is the one to end with.
func Configure(std Std, p *config.Program, version string) (loaded config.Loaded, status int, end bool) {
	loaded, err := p.Load(std.Args, config.Environment{Lookup: std.Lookup})
	if err != nil {
		return loaded, Refuse(std, p, err), true
	}
	switch loaded.Mode {
	case config.Run:
		return loaded, StatusOK, false
	case config.ShowHelp:
		err = p.Help(std.Stdout)
	case config.ShowVersion:
		_, err = fmt.Fprintf(std.Stdout, "%s %s (%s, %s/%s)\n", p.Name, version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	case config.CheckOnly:
		read := "no file was read"
		if len(loaded.Files) > 0 {
			read = "read " + strings.Join(loaded.Files, ", ")
		}
		_, err = fmt.Fprintf(std.Stdout, "%s: the configuration is valid (%s)\n", p.Name, read)
	}
	if err != nil {
		return loaded, StatusFailed, true
	}
	return loaded, StatusOK, true
}

// NoArguments refuses what stands on the command line besides flags.
func NoArguments(loaded config.Loaded) error {
	if len(loaded.Args) == 0 {
		return nil
	}
	return &config.SettingError{Text: fmt.Sprintf("%q is not understood: there are flags only", loaded.Args[0])}
}

// Refuse prints every problem of a command line or configuration, each on a
// line of its own, and gives StatusInvalid.
func Refuse(std Std, p *config.Program, err error) int {
	for _, problem := range problems(err) {
		fmt.Fprintf(std.Stderr, "%s: %s\n", p.Name, Sentence(problem)) //nolint:errcheck // nobody is left to tell
	}
	fmt.Fprintf(std.Stderr, "Try \"%s --help\".\n", p.Name) //nolint:errcheck // as above
	return StatusInvalid
}

// problems takes joined errors apart; an error that wraps several in one
// sentence is left whole.
func problems(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, problems(e)...)
	}
	return all
}

// Logger gives the program's log, on stderr. Under Main gRPC's own goes there
// too; it must therefore be made before anything of gRPC is.
func Logger(std Std, name string, c config.Common) hclog.Logger {
	log := hclog.New(&hclog.LoggerOptions{
		Name:       name,
		Level:      hclog.LevelFromString(c.LogLevel),
		Output:     std.Stderr,
		JSONFormat: c.LogJSON,
	})
	if std.process {
		grpclog.SetLoggerV2(bridge{log.Named("grpc")})
	}
	return log
}

// Plaintext says that nothing is encrypted yet where the user did not say so.
func Plaintext(log hclog.Logger, level hclog.Level, c config.Common) {
	if !c.Insecure {
		log.Log(level, "traffic on the LAN is plaintext, without identity, until TLS comes: --insecure says that you know")
	}
}

// Failed prints why a program ends and gives its status: 28 where a setting is
// to blame, else 1. An error of a listening socket says which address and what
// to do.
func Failed(std Std, name string, err error) int {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "; another program listens there: end it, or choose another address by --listen or --http"
	case errors.Is(err, syscall.EACCES) && isListen(err):
		hint = "; ports below 1024 are for root: choose a higher one"
	case errors.Is(err, syscall.EADDRNOTAVAIL) && isListen(err):
		hint = "; no interface of this machine has that address"
	}
	fmt.Fprintf(std.Stderr, "%s: %s%s\n", name, Sentence(err), hint) //nolint:errcheck // nobody is left to tell
	if errors.Is(err, errdefs.Invalid) {
		return StatusInvalid
	}
	return StatusFailed
}

// Sentence gives an error without the kind at its front, which is for programs.
func Sentence(err error) string {
	text := err.Error()
	if k, ok := errors.AsType[errdefs.Kind](err); ok {
		text = strings.TrimPrefix(text, string(k)+": ")
	}
	return text
}

func isListen(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "listen"
}

// Version gives what the linker set, else what the build knows of itself.
func Version(linked string) string {
	if linked != "" {
		return linked
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = "-" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return "devel" + revision + dirty
}
