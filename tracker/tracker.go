// Package tracker is the engine of the tracker: it knows which peers are here.
//
//	peer  --Register, Heartbeat, Deregister--> service --> registry: records by id,
//	                                                         |   leases by time
//	                      one timer: the earliest end of a --+
//	                      lease; what is over goes out       |
//	                                                         v
//	client <--ListPeers (pages)-------------- service <-- records
//	client <--WatchPeers (snapshot, changes)- sender  <-- bounded queue per watcher
//
//	client --Join: held, wanted-------------> swarms: who downloads, who holds,
//	peer --Register, Heartbeat: holdings----->   |   who fetches what (originlease)
//	client <--Join (members, leases)-------- sender  <-- bounded queue per member
//
// The registry and the swarms are small structs with one mutex each; handlers
// run in gRPC's goroutines and hold it for moments. Each watcher has one
// goroutine that sends, each member one more that reads, and Run waits for all
// of them. Records never change once they are
// listed, so that nothing is copied under the lock but pointers.
//
// All state is soft: nothing is written down, and a tracker that restarts
// learns of everybody again within two heartbeats.
package tracker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"ddm/internal/errdefs"
	"ddm/internal/monitor"
	"ddm/internal/rpc"
	ddmv1 "ddm/proto/ddm/v1"
)

// Defaults of Config.
const (
	DefaultListen    = ":7420"
	DefaultHeartbeat = 2 * time.Second
	DefaultLease     = 6 * time.Second

	defaultMaxPeers    = 20_000
	defaultMaxWatchers = 4_000
	// More than the changes of every peer leaving at once, so that only a
	// client that does not read is called slow.
	defaultWatchQueue = 32_768
	defaultMaxMembers = 4_000
	// More than a swarm coming and leaving at once, in runs.
	defaultMemberQueue = 8_192
	// Every peer and every watcher has a connection.
	defaultMaxConns = defaultMaxPeers + defaultMaxWatchers
)

// What one address may hold: many containers and machines behind one address
// are served, and one machine's misbehaviour is not felt by the others. A peer
// or client has one connection; a peer calls once a heartbeat.
const (
	connsPerAddress   = 256
	streamsPerAddress = 1000 // begun per second
)

// stopGrace is how long calls may go on after the end was asked for. Watches
// are ended at once; nothing else takes long.
const stopGrace = 500 * time.Millisecond

// Config says how a tracker runs. The zero value of a field means its default.
type Config struct {
	Listen    string        // host:port for gRPC; "": DefaultListen; port 0: any
	HTTP      string        // host:port for metrics and health; "": off
	Heartbeat time.Duration // longest period between heartbeats that peers are told
	Lease     time.Duration // how long a peer lives without one; longer than Heartbeat
	Version   string        // the program's, for Hello and metrics
	Log       hclog.Logger  // nil: discards

	MaxConns    int // more connections are closed at once, or more than 256 of one address; 0, or more: 24,000
	MaxPeers    int // more registrations are refused as Busy; 0: 20,000
	MaxWatchers int // more watches are refused as Busy; 0: 4,000
	WatchQueue  int // changes held for one watcher before it is ended; 0: 32,768
	MaxMembers  int // more members of swarms are refused as Busy; 0: 4,000
	MemberQueue int // runs and changes held for one member before it is ended; 0: 8,192
}

// Server is a tracker.
type Server struct {
	cfg       Config
	log       hclog.Logger
	lis, http net.Listener
	metrics   *metrics
	reg       *registry
	swarms    *swarms
	ready     atomic.Bool
}

// New opens the listeners of a tracker that serves once Run is called. An
// error is of kind errdefs.Invalid for a bad Config and errdefs.Unavailable for
// an address that cannot be listened on.
func New(cfg Config) (*Server, error) {
	if cfg.Listen == "" {
		cfg.Listen = DefaultListen
	}
	if _, err := cfg.complete(); err != nil {
		return nil, err
	}
	lis, err := listen("listen", cfg.Listen)
	if err != nil {
		return nil, err
	}
	var http net.Listener
	if cfg.HTTP != "" {
		if http, err = listen("http", cfg.HTTP); err != nil {
			return nil, errors.Join(err, lis.Close())
		}
	}
	return NewOn(cfg, lis, http)
}

// NewOn is New with listeners that are open already; http may be nil. Run
// takes them over and closes them; after an error they stay the caller's.
func NewOn(cfg Config, lis, http net.Listener) (*Server, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	m := newMetrics(cfg.Version)
	swarms := newSwarms(cfg, m)
	s := &Server{
		cfg: cfg, log: cfg.Log, lis: lis, http: http, metrics: m, swarms: swarms,
		reg: newRegistry(cfg, cfg.Log.Named("registry"), m, swarms),
	}
	m.observe(s.reg, swarms)
	return s, nil
}

func listen(key, address string) (net.Listener, error) {
	lis, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: another program has this address, or it is not this machine's; choose another: %w",
			errdefs.Unavailable, key, err)
	}
	return lis, nil
}

// complete gives c with its defaults, or says what is wrong with it.
func (c Config) complete() (Config, error) {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&c.MaxPeers, defaultMaxPeers)
	set(&c.MaxWatchers, defaultMaxWatchers)
	set(&c.WatchQueue, defaultWatchQueue)
	set(&c.MaxMembers, defaultMaxMembers)
	set(&c.MemberQueue, defaultMemberQueue)
	if c.MaxConns == 0 || c.MaxConns > defaultMaxConns {
		c.MaxConns = defaultMaxConns
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = DefaultHeartbeat
	}
	if c.Lease == 0 {
		c.Lease = max(DefaultLease, 3*c.Heartbeat)
	}
	if c.Log == nil {
		c.Log = hclog.NewNullLogger()
	}
	switch {
	case c.Heartbeat < time.Millisecond:
		return c, fmt.Errorf("%w: heartbeat: %v is too short, at least 1ms", errdefs.Invalid, c.Heartbeat)
	case c.Lease <= c.Heartbeat:
		return c, fmt.Errorf("%w: lease: %v must be longer than the heartbeat of %v, better three times as long",
			errdefs.Invalid, c.Lease, c.Heartbeat)
	case c.MaxConns < 0 || c.MaxPeers < 0 || c.MaxWatchers < 0 || c.WatchQueue < 0,
		c.MaxMembers < 0 || c.MemberQueue < 0:
		return c, fmt.Errorf("%w: a limit is negative", errdefs.Invalid)
	}
	return c, nil
}

// Addr is where gRPC is served.
func (s *Server) Addr() net.Addr { return s.lis.Addr() }

// HTTPAddr is where metrics and health are served; nil if they are not.
func (s *Server) HTTPAddr() net.Addr {
	if s.http == nil {
		return nil
	}
	return s.http.Addr()
}

// Run serves until ctx is done, then ends every watch with "tracker is going
// away", lets calls finish for a moment and returns nil. It is called once. An
// error is of kind errdefs.Unavailable: a listener broke.
func (s *Server) Run(ctx context.Context) error {
	state := health.NewServer()
	for _, name := range []string{ddmv1.TrackerService_ServiceDesc.ServiceName, ddmv1.SwarmService_ServiceDesc.ServiceName, ddmv1.ShareService_ServiceDesc.ServiceName} {
		state.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_SERVING)
	}
	guard := rpc.NewGuard(rpc.Limits{PerAddress: connsPerAddress, Total: s.cfg.MaxConns, Streams: streamsPerAddress}, s.log)
	srv := rpc.NewServer(rpc.Options{Role: rpc.Control, Log: s.log.Named("rpc"), Health: state, Guard: guard}, s.metrics.interceptors()...)
	service := &service{cfg: s.cfg, reg: s.reg}
	ddmv1.RegisterTrackerServiceServer(srv, service)
	joins := &swarmService{cfg: s.cfg, swarms: s.swarms}
	ddmv1.RegisterSwarmServiceServer(srv, joins)
	sharing := &shareService{hello: service.hello(), shares: newShares(), over: make(chan struct{})}
	ddmv1.RegisterShareServiceServer(srv, sharing)

	s.ready.Store(true)
	g, running := errgroup.WithContext(ctx)
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	g.Go(func() error { return rpc.Serve(serving, srv, guard.Listen(s.lis), stopGrace) })
	if s.http != nil {
		g.Go(func() error {
			return monitor.Run(running, s.http, monitor.Options{
				Metrics: s.metrics.registry, Ready: s.isReady, Log: s.log.Named("monitor"),
			})
		})
	}
	g.Go(func() error { s.reg.run(running); return nil })
	g.Go(func() error { s.swarms.run(running); return nil })
	g.Go(func() error {
		<-running.Done()
		s.ready.Store(false)
		state.Shutdown()
		s.reg.close()
		s.swarms.close()
		close(sharing.over)
		stopServing()
		return nil
	})
	s.logReady()
	err := g.Wait()
	service.senders.Wait()
	joins.streams.Wait()
	sharing.receivers.Wait()
	s.log.Info("tracker ended")
	return err
}

func (s *Server) logReady() {
	args := []any{"address", s.Addr().String()}
	if s.http != nil {
		args = append(args, "http", s.HTTPAddr().String())
	}
	s.log.Info("tracker ready", append(args, "version", s.cfg.Version)...)
}

func (s *Server) isReady() error {
	if !s.ready.Load() {
		return errGoing()
	}
	return nil
}
