// Command peerd lends this machine's lines to the downloads of its LAN.
package main

import (
	"context"
	"os"

	"github.com/hashicorp/go-hclog"

	"ddm/internal/command"
	"ddm/internal/config"
	"ddm/internal/origin"
	"ddm/peer"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

func main() { os.Exit(command.Main(run)) }

// run is the program; it gives the exit status.
func run(ctx context.Context, std command.Std) int {
	var cfg config.Peerd
	program := config.PeerdProgram(&cfg)
	loaded, status, end := command.Configure(std, program, command.Version(version))
	if end {
		return status
	}
	log := command.Logger(std, program.Name, cfg.Common)
	if len(loaded.Args) > 0 && loaded.Args[0] == "store" {
		return storeCommand(std, program, cfg, log, loaded)
	}
	if err := command.NoArguments(loaded); err != nil {
		return command.Refuse(std, program, err)
	}
	command.Plaintext(log, hclog.Info, cfg.Common)

	allow := make([]origin.Allowed, 0, len(cfg.AllowOrigin))
	for _, rule := range cfg.AllowOrigin {
		a, err := origin.ParseAllow(rule)
		if err != nil {
			return command.Refuse(std, program, err)
		}
		allow = append(allow, a)
	}
	// Half of the descriptors are for clients, half for connections to origins.
	assignments, conns := cfg.MaxAssignments, 0
	if free := command.Descriptors(); free > 0 {
		conns, assignments = max(1, free/2), min(assignments, max(1, free/2))
	}
	if assignments < cfg.MaxAssignments {
		log.Warn("fewer ranges are fetched at once than --max-assignments says, as few files may be open: raise the limit (ulimit -n)",
			"ranges", assignments)
	}

	memory, err := openStore(cfg, log)
	if err != nil {
		return command.Failed(std, program.Name, err)
	}
	if memory != nil {
		defer func() { _ = memory.Close() }() // it lost nothing that it had
	}
	received, err := openReceiving(cfg, log)
	if err != nil {
		return command.Failed(std, program.Name, err)
	}
	peering := peer.Config{
		Trackers:       cfg.Trackers,
		Listen:         cfg.Listen,
		HTTP:           cfg.HTTP,
		Advertise:      cfg.Advertise,
		Name:           cfg.Name,
		StateDir:       cfg.StateDir,
		Lines:          cfg.Specs(),
		Allow:          allow,
		LimitRate:      cfg.LimitRate,
		MaxAssignments: assignments,
		MaxConns:       conns,
		Store:          memory,
		Share:          cfg.Share,
		Version:        command.Version(version),
		Log:            log,
	}
	received.into(&peering)
	server, err := peer.New(peering)
	if err != nil {
		return command.Failed(std, program.Name, err)
	}
	received.by(server)
	err = server.Run(ctx)
	received.close()
	if err != nil {
		return command.Failed(std, program.Name, err)
	}
	return command.StatusOK
}
