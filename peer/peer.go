// Package peer lends a machine's lines: it serves clients that want byte
// ranges of HTTP resources fetched, and keeps itself registered with trackers
// so that they find it.
//
//	trackers <--register, heartbeat, deregister-- registrar (one per tracker)
//	                                                 `-- what the store holds
//
//	client --Fetch--> admission --> transfer.Runner --> store.Opener --> disk
//	client <--frames-- outbox <------------'   |             `--> origin.Line --> origin
//	                                           `--> offer.Shelf
//	                                                                  |
//	                                                      policy, judged at each dial
//	pusher --Push--> Receiver --path--> shares.Files --> offer.Shelf
//
// Everything that a client sends is checked by the pure functions of order.go
// before it has any effect, and everything that it can hold has a bound.
// Nothing in a request chooses an address family, a proxy, a method or a
// credential. Kept on disk are the peer's id, its quotas and, within a bound,
// what it fetched.
//
// A Server owns its listeners, its lines and every goroutine that it starts:
// none of them outlives Run.
package peer

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"

	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/internal/monitor"
	"ddm/internal/offer"
	"ddm/internal/origin"
	"ddm/internal/rpc"
	"ddm/internal/shares"
	"ddm/internal/store"
	ddmv1 "ddm/proto/ddm/v1"
)

// drainGrace is how long running assignments may go on after the end began, if
// nothing else is said.
const drainGrace = 10 * time.Second

// Config says how a peer is run. The zero value of a field means what its
// comment says.
type Config struct {
	Trackers       []string                // host:port; none: serve, and register nowhere
	Listen         string                  // where clients connect; "": :7430
	HTTP           string                  // metrics and health; "": not served
	Advertise      string                  // host:port for clients; "": the listening port, the tracker completes the host
	Name           string                  // for people; "": the host's name
	StateDir       string                  // keeps the peer's id and its quotas; "": a new id for each run, no quotas
	Lines          []lines.Spec            // to fetch by; none: the system's choice
	Allow          []origin.Allowed        // origins that are not public and may be fetched from all the same
	LimitRate      int64                   // bytes per second of all lines together; 0: none
	MaxAssignments int                     // that run at once, over all clients; 0: 256
	NoLines        bool                    // lend none: give only what is in Store or on Shelf
	Store          *store.Store            // what was fetched, for the next who wants it; the caller's; nil: nothing is kept
	Shelf          *offer.Shelf            // what this process has besides; the caller's; nil: nothing
	Share          []string                // files and folders to offer by their digests, without any origin
	Hashing        func(done, total int64) // told how far the hashing of a file of Share is; must not block; nil: not told
	Receiver       Receiver                // keeps files that others push, which are offered then; nil: none are taken
	MaxConns       int                     // of clients; more are closed at once, or more than 64 of one address; 0, or more: 1,024
	Grace          time.Duration           // for running assignments at the end; 0: 10 s
	Version        string                  // for people and logs
	Log            hclog.Logger            // nil: discards

	// For tests and labs; nil: the real network.
	Listener    net.Listener                                             // in place of Listen
	DialTracker func(ctx context.Context, addr string) (net.Conn, error) // in place of TCP
	DialOrigin  lines.DialFunc                                           // in place of TCP; the policy judges all the same
	Network     lines.Network                                            // in place of this machine's interfaces
	Local       func() []netip.Prefix                                    // this machine's prefixes; nil: asked of the system
}

// Server is one peer.
type Server struct {
	cfg      Config
	log      hclog.Logger
	id       string
	lis      net.Listener
	http     net.Listener       // nil: not served
	trackers []*grpc.ClientConn // for registrars
	listings []*grpc.ClientConn // for what is shared: registrars reset the backoff of theirs, which nobody else may use meanwhile
	service  *service
	files    *shares.Files // nil: none are shared
	shelf    *offer.Shelf  // for files; nil: the caller's
}

// service is what clients reach.
type service struct {
	ddmv1.UnimplementedPeerServiceServer

	lines     *lines.Set   // nil: none
	store     *store.Store // nil: none
	shelf     *offer.Shelf // nil: none
	limit     int64
	grace     time.Duration
	version   string
	admission *admission
	metrics   *metrics
	log       hclog.Logger
	draining  chan struct{}  // closed: no new assignments
	streams   sync.WaitGroup // goroutines of streams
}

func (s *service) hello() *ddmv1.Hello {
	return &ddmv1.Hello{Version: s.version, Capabilities: []string{"mirrors", holdingsCapability}}
}
func (s *service) protoLines() []*ddmv1.Line { return protoLines(s.lines.Lines(), s.limit) }

// New opens the listeners and the lines and reads the peer's id. Nothing is
// served before Run, which must be called to release what New opened. Errors
// carry the kind of what failed: Invalid, Unavailable or one of files.
func New(cfg Config) (_ *Server, err error) {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	if cfg.MaxAssignments <= 0 {
		cfg.MaxAssignments = defaultAssignments
	}
	if cfg.Grace <= 0 {
		cfg.Grace = drainGrace
	}
	if cfg.MaxConns <= 0 || cfg.MaxConns > maxConns {
		cfg.MaxConns = maxConns
	}
	s := &Server{cfg: cfg, log: cfg.Log}
	defer func() {
		if err != nil {
			s.release()
		}
	}()
	if err := s.listen(); err != nil {
		return nil, err
	}
	if s.id, err = loadID(cfg.StateDir); err != nil {
		return nil, err
	}
	var set *lines.Set
	if !cfg.NoLines {
		if set, err = openLines(cfg, s.log); err != nil {
			return nil, err
		}
	}
	if len(cfg.Share) > 0 || cfg.Receiver != nil {
		if cfg.Shelf == nil {
			s.shelf = offer.NewShelf()
			cfg.Shelf = s.shelf
		}
		s.files = shares.New(shares.Config{Paths: cfg.Share, Shelf: cfg.Shelf, Hashing: cfg.Hashing, Log: s.log.Named("shares")})
	}
	adm := newAdmission(cfg.MaxAssignments)
	s.service = &service{
		lines: set, store: cfg.Store, shelf: cfg.Shelf, limit: cfg.LimitRate, grace: cfg.Grace, version: cfg.Version,
		admission: adm, metrics: newMetrics(adm), log: s.log,
		draining: make(chan struct{}),
	}
	for _, target := range cfg.Trackers {
		conn, err := s.dialTracker(target)
		if err != nil {
			return nil, err
		}
		s.trackers = append(s.trackers, conn)
		if s.files == nil {
			continue
		}
		if conn, err = s.dialTracker(target); err != nil {
			return nil, err
		}
		s.listings = append(s.listings, conn)
	}
	return s, nil
}

// listen opens every socket, so that a peer that cannot serve never starts.
func (s *Server) listen() (err error) {
	var lc net.ListenConfig
	s.lis = s.cfg.Listener
	if s.lis == nil {
		addr := s.cfg.Listen
		if addr == "" {
			addr = ":7430"
		}
		if s.lis, err = lc.Listen(context.Background(), "tcp", addr); err != nil {
			return fmt.Errorf("%w: %w", errdefs.Unavailable, err)
		}
	}
	if s.cfg.HTTP != "" {
		if s.http, err = lc.Listen(context.Background(), "tcp", s.cfg.HTTP); err != nil {
			return fmt.Errorf("%w: %w", errdefs.Unavailable, err)
		}
	}
	return nil
}

// dialTracker prepares a connection. A tracker is sought again often: nobody
// should wait for a peer longer than for the tracker.
func (s *Server) dialTracker(target string) (*grpc.ClientConn, error) {
	extra := []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           grpcbackoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
		MinConnectTimeout: time.Second,
	})}
	if s.cfg.DialTracker != nil {
		extra = append(extra, grpc.WithContextDialer(s.cfg.DialTracker))
	}
	conn, err := rpc.Dial(target, rpc.Options{Role: rpc.Control, Log: s.log}, extra...)
	if err != nil {
		return nil, fmt.Errorf("tracker %q: %w", target, err)
	}
	return conn, nil
}

// Addr is where clients connect.
func (s *Server) Addr() net.Addr { return s.lis.Addr() }

// HTTPAddr is where metrics and health are served; nil: nowhere.
func (s *Server) HTTPAddr() net.Addr {
	if s.http == nil {
		return nil
	}
	return s.http.Addr()
}

// ID names this peer for trackers.
func (s *Server) ID() string { return s.id }

// Run serves until ctx is done, then leaves in order: it deregisters, takes no
// new assignments, lets those that run go on for at most 10 s, and returns nil.
// It returns an error if a listener breaks. It is called once.
func (s *Server) Run(ctx context.Context) error {
	defer s.release()
	g, gctx := errgroup.WithContext(ctx)
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	g.Go(func() error {
		s.keepRegistered(gctx)
		close(s.service.draining)
		stop()
		return nil
	})
	monitoring, stopMonitor := context.WithCancel(context.WithoutCancel(ctx))
	g.Go(func() error {
		defer stopMonitor()
		guard := rpc.NewGuard(rpc.Limits{PerAddress: maxConnsPerAddress, Total: s.cfg.MaxConns, Streams: streamsPerAddress}, s.log)
		srv := rpc.NewServer(rpc.Options{Role: rpc.Bulk, Log: s.log, Guard: guard})
		ddmv1.RegisterPeerServiceServer(srv, s.service)
		ddmv1.RegisterPushServiceServer(srv, newPushService(s.service, s.cfg.Receiver, s.files))
		if s.files != nil {
			ddmv1.RegisterPieceServiceServer(srv, &shares.Server{Files: s.files})
		}
		return rpc.Serve(serving, srv, guard.Listen(s.lis), s.cfg.Grace)
	})
	if s.files != nil {
		g.Go(func() error {
			s.files.Run(monitoring)
			return nil
		})
	}
	if s.service.lines != nil {
		g.Go(func() error {
			s.service.lines.Run(monitoring)
			return nil
		})
	}
	if s.http != nil {
		g.Go(func() error {
			return monitor.Run(monitoring, s.http, monitor.Options{
				Metrics: s.service.metrics.registry, Ready: s.service.ready, Log: s.log.Named("http"),
			})
		})
	}
	s.log.Info("ready", s.readyFields()...)
	err := g.Wait()
	s.service.streams.Wait()
	if s.shelf != nil {
		s.shelf.Close()
	}
	return err
}

// readyFields say where this peer is reached and who it is.
func (s *Server) readyFields() []any {
	fields := []any{"address", s.Addr().String()}
	if s.http != nil {
		fields = append(fields, "http", s.http.Addr().String())
	}
	return append(fields, "id", s.id, "lines", len(s.service.lines.Lines()))
}

// Shared is what Config.Share and the Receiver brought on offer; nil: there are
// neither.
func (s *Server) Shared() *shares.Files { return s.files }

// ready is the answer to /readyz.
func (s *service) ready() error {
	select {
	case <-s.draining:
		return errGoing
	default:
		return nil
	}
}

// keepRegistered runs one registrar per tracker until ctx is done, or waits
// for that if there is no tracker. Shared files are told beside it.
func (s *Server) keepRegistered(ctx context.Context) {
	info := &ddmv1.PeerInfo{
		Id: s.id, Name: nameOr(s.cfg.Name), Address: s.Advertised(), Version: s.cfg.Version,
		BootId: rand.Text(),
	}
	var wg sync.WaitGroup
	for i, conn := range s.trackers {
		if s.files != nil {
			a := &shares.Announcement{
				Tracker: ddmv1.NewShareServiceClient(s.listings[i]), Files: s.files,
				Begin: &ddmv1.OfferRequest_Begin{Hello: s.service.hello(), Id: info.GetId(), Name: info.GetName(), Address: info.GetAddress()},
				Log:   s.log.Named("shares").With("tracker", s.cfg.Trackers[i]),
			}
			wg.Go(func() { a.Run(ctx) })
		}
		if s.cfg.NoLines {
			continue // there is nothing to lend
		}
		r := &registrar{
			tracker: ddmv1.NewTrackerServiceClient(conn), conn: conn,
			hello: s.service.hello(), info: info, service: s.service, metrics: s.service.metrics,
			log:    s.log.Named("registrar").With("tracker", s.cfg.Trackers[i]),
			report: report{store: s.cfg.Store},
		}
		wg.Go(func() { r.run(ctx) })
	}
	<-ctx.Done()
	wg.Wait()
}

// Advertised is the address that trackers are told: without a host if they are to
// complete it.
func (s *Server) Advertised() string {
	if s.cfg.Advertise != "" {
		return s.cfg.Advertise
	}
	addr, err := netip.ParseAddrPort(s.lis.Addr().String())
	if err != nil || !addr.Addr().IsUnspecified() {
		return s.lis.Addr().String() // the operator chose it, or whoever handed the listener in
	}
	return ":" + strconv.Itoa(int(addr.Port()))
}

// load is how busy this peer is now.
func (s *service) load() *ddmv1.Load {
	running, streams := s.admission.counts()
	return &ddmv1.Load{
		RunningAssignments:  uint32(running),
		MaxAssignments:      uint32(s.admission.maxRunning),
		Streams:             uint32(streams),
		FetchBytesPerSecond: s.metrics.meter.rate(time.Now()),
	}
}

// release closes what New opened. Closing twice is harmless, and nobody is
// left whom an error would help.
func (s *Server) release() {
	for _, lis := range []net.Listener{s.lis, s.http} {
		if lis != nil {
			_ = lis.Close()
		}
	}
	for _, conn := range slices.Concat(s.trackers, s.listings) {
		_ = conn.Close()
	}
	if s.service != nil && s.service.lines != nil {
		s.service.lines.Close()
	}
}
