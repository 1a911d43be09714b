package tracker

import (
	"context"
	"path"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"ddm/internal/errdefs"
)

// metrics are the numbers of one tracker, in a registry of their own.
type metrics struct {
	registry      *prometheus.Registry
	registrations prometheus.Counter
	heartbeats    prometheus.Counter
	departures    prometheus.Counter
	expirations   prometheus.Counter
	slow          prometheus.Counter
	leases        prometheus.Counter
	leased        prometheus.Counter
	revoked       prometheus.Counter
	slowMembers   prometheus.Counter
	forgotten     prometheus.Counter
	calls         *prometheus.CounterVec
}

func newMetrics(version string) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "ddm_tracker_" + name, Help: help})
	}
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		registrations: counter("registrations_total", "Leases granted."),
		heartbeats:    counter("heartbeats_total", "Leases renewed."),
		departures:    counter("departures_total", "Leases ended by their peers."),
		expirations:   counter("expirations_total", "Leases ended because no heartbeat came."),
		slow:          counter("slow_watchers_total", "Watches ended because the client did not read."),
		leases:        counter("swarm_leases_total", "Leases of bytes of origins granted to members of swarms."),
		leased:        counter("swarm_leased_bytes_total", "Bytes of these leases."),
		revoked:       counter("swarm_revoked_bytes_total", "Leased bytes that were taken back since they did not come."),
		slowMembers:   counter("swarm_slow_members_total", "Memberships ended because the client did not read."),
		forgotten:     counter("holdings_forgotten_total", "Holdings of peers that there was no room for."),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ddm_tracker_rpcs_total", Help: "Calls that ended, by method and gRPC code.",
		}, []string{"method", "code"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ddm_tracker_build_info", Help: "Always 1; the label names the version.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.registrations, m.heartbeats, m.departures, m.expirations, m.slow, m.calls, build,
		m.leases, m.leased, m.revoked, m.slowMembers, m.forgotten,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// observe adds the numbers that the registry of peers and the swarms hold
// themselves.
func (m *metrics) observe(r *registry, s *swarms) {
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ddm_tracker_" + name, Help: help},
			func() float64 { return float64(value()) })
	}
	m.registry.MustRegister(
		gauge("peers", "Peers that hold a lease.", func() int { peers, _ := r.count(); return peers }),
		gauge("watchers", "Clients that watch.", func() int { _, watchers := r.count(); return watchers }),
		gauge("swarms", "Generations that somebody downloads.", func() int { swarms, _, _ := s.count(); return swarms }),
		gauge("swarm_members", "Clients that take part in swarms.", func() int { _, members, _ := s.count(); return members }),
		gauge("holdings_bytes", "Memory taken by what peers hold.", func() int { _, _, bytes := s.count(); return bytes }),
	)
}

// interceptors count calls. They run inside those that turn errors into
// statuses.
func (m *metrics) interceptors() []grpc.ServerOption {
	count := func(method string, err error) {
		m.calls.WithLabelValues(path.Base(method), status.Code(errdefs.ToStatus(err)).String()).Inc()
	}
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(
			ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
		) (any, error) {
			resp, err := handle(ctx, req)
			count(info.FullMethod, err)
			return resp, err
		}),
		grpc.ChainStreamInterceptor(func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			err := handle(srv, ss)
			count(info.FullMethod, err)
			return err
		}),
	}
}
