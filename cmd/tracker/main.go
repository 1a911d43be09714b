// Command tracker knows which peers of a LAN are there, and tells clients.
package main

import (
	"context"
	"os"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/command"
	"ddm/internal/config"
	"ddm/tracker"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

func main() { os.Exit(command.Main(run)) }

// run is the program; it gives the exit status.
func run(ctx context.Context, std command.Std) int {
	var cfg config.Tracker
	program := config.TrackerProgram(&cfg)
	loaded, status, end := command.Configure(std, program, command.Version(version))
	if end {
		return status
	}
	if err := command.NoArguments(loaded); err != nil {
		return command.Refuse(std, program, err)
	}
	log := command.Logger(std, program.Name, cfg.Common)
	command.Plaintext(log, hclog.Info, cfg.Common)

	server, err := tracker.New(tracker.Config{
		Listen:    cfg.Listen,
		HTTP:      cfg.HTTP,
		Heartbeat: cfg.Heartbeat,
		Lease:     cfg.Lease,
		MaxConns:  command.Descriptors(),
		Version:   command.Version(version),
		Log:       log,
	})
	if err != nil {
		return command.Failed(std, program.Name, err)
	}
	if err := server.Run(ctx); err != nil {
		return command.Failed(std, program.Name, err)
	}
	return command.StatusOK
}
