package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/go-hclog"

	"ddm/client"
	"ddm/cmd/peerd/receive"
	"ddm/internal/command"
	"ddm/internal/config"
	"ddm/internal/errdefs"
	"ddm/internal/offer"
	"ddm/peer"
)

// receiving takes files that others push, and holds out what has arrived of them
// on the peer's own shelf. The nil one takes none.
type receiving struct {
	folder *receive.Folder
	shelf  *offer.Shelf
	server *peer.Server
}

// openReceiving makes the one that the settings ask for; nil: nothing is taken.
func openReceiving(cfg config.Peerd, log hclog.Logger) (*receiving, error) {
	if cfg.Receive == "" {
		return nil, nil
	}
	dir, err := filepath.Abs(cfg.Receive)
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: --receive: %w", errdefs.MakeDir, err)
	}
	var list *receive.List
	if cfg.StateDir != "" {
		if list, err = receive.OpenList(cfg.StateDir, dir); err != nil {
			return nil, err
		}
	}
	name, _ := os.Hostname() // "": others will call it something
	r := &receiving{shelf: offer.NewShelf()}
	engine, err := client.New(client.Options{
		Trackers: cfg.Trackers, NoLocal: true, Insecure: cfg.Insecure, Version: command.Version(version), Log: log.Named("receive"),
		Share: &client.Sharing{Shelf: r.shelf, Name: cmp.Or(cfg.Name, name), Serve: func() (string, error) { return r.server.Advertised(), nil }},
	})
	if err != nil {
		return nil, err
	}
	r.folder = &receive.Folder{Dir: dir, Most: cfg.ReceiveLimit, List: list, Engine: engine, Log: log.Named("receive")}
	log.Info("files that others push are taken", "folder", dir)
	return r, nil
}

// into tells a peer of it, and of what was received before.
func (r *receiving) into(cfg *peer.Config) {
	if r != nil {
		cfg.Receiver, cfg.Shelf = r.folder, r.shelf
		cfg.Share = slices.Concat(cfg.Share, r.folder.List.Paths())
	}
}

// by says which peer serves the shelf, before that runs.
func (r *receiving) by(server *peer.Server) {
	if r != nil {
		r.server = server
	}
}

// close ends what is still handed out of what was received. The peer must not
// run.
func (r *receiving) close() {
	if r != nil {
		_ = r.folder.Engine.Close() // it keeps nothing
		r.shelf.Close()
	}
}
