package main

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"ddm/client"
	"ddm/internal/command"
	"ddm/internal/offer"
	"ddm/peer"
)

// sharingGrace is how long the program stays for those who are being given
// something when it ends.
const sharingGrace = time.Second

// sharing serves what this run's downloads have to other clients, from the
// moment when the first download wants to be found. It lends no line, and
// registers nowhere: downloads tell trackers where it is.
type sharing struct {
	shelf *offer.Shelf
	log   hclog.Logger
	start func() (string, error)

	mu      sync.Mutex // guards what follows
	end     context.CancelFunc
	running sync.WaitGroup
}

// newSharing prepares it; listen is where it will be, ":0" for any free port.
func newSharing(listen string, log hclog.Logger) *sharing {
	s := &sharing{shelf: offer.NewShelf(), log: log}
	s.start = sync.OnceValues(func() (string, error) { return s.serve(listen) })
	return s
}

// sharing is for downloads that others may find; nil: they are not to be.
func (s *session) sharing() *sharing {
	if s.cfg.NoShare || s.cfg.LocalOnly || len(s.cfg.Trackers) == 0 {
		return nil
	}
	return newSharing(s.cfg.ShareListen, s.log.Named("share"))
}

// options is what the engine is told; nil if it is not to share.
func (s *sharing) options(lasting time.Duration) *client.Sharing {
	if s == nil {
		return nil
	}
	name, _ := os.Hostname() // "": they will call it something
	name = name[:min(len(name), 64)]
	return &client.Sharing{Shelf: s.shelf, Serve: s.start, For: lasting, Name: name}
}

// serve begins to listen. An address without a host gets it from trackers, who
// see it.
func (s *sharing) serve(listen string) (string, error) {
	conns := 0
	if free := command.Descriptors(); free > 0 {
		conns = max(1, free/4) // the rest is for the downloads themselves
	}
	server, err := peer.New(peer.Config{
		Listen: listen, NoLines: true, Shelf: s.shelf, Grace: sharingGrace,
		MaxConns: conns, Version: command.Version(version), Log: s.log,
	})
	if err != nil {
		s.log.Warn("nothing is shared", "error", err)
		return "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.mu.Lock()
	s.end = cancel
	s.mu.Unlock()
	s.running.Go(func() {
		if err := server.Run(ctx); err != nil {
			s.log.Warn("nothing is shared any more", "error", err)
		}
	})
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(server.Addr().String())
	return net.JoinHostPort(host, port), err
}

// close ends what serve began. No download may be running.
func (s *sharing) close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	if s.end != nil {
		s.end()
	}
	s.mu.Unlock()
	s.running.Wait()
	s.shelf.Close()
}
