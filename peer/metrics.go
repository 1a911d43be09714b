package peer

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ddm/internal/errdefs"
)

// metrics are the numbers of /metrics and of the load that heartbeats carry.
type metrics struct {
	registry      *prometheus.Registry
	fetched, sent prometheus.Counter
	stored        prometheus.Counter
	failures      *prometheus.CounterVec
	registrations *prometheus.CounterVec
	meter         meter
}

func newMetrics(a *admission) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "ddm", Subsystem: "peer", Name: name, Help: help})
	}
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ddm", Subsystem: "peer", Name: name, Help: help}, []string{label})
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "ddm", Subsystem: "peer", Name: name, Help: help}, value)
	}
	m := &metrics{
		registry:      prometheus.NewRegistry(),
		fetched:       counter("fetched_bytes_total", "Body bytes fetched from origins."),
		sent:          counter("sent_bytes_total", "Payload bytes sent to clients."),
		stored:        counter("stored_bytes_total", "Bytes taken from the store instead of an origin."),
		failures:      vector("failures_total", "Assignments and probes that failed, by kind.", "kind"),
		registrations: vector("registrations_total", "Attempts to register with a tracker, by result.", "result"),
	}
	m.registry.MustRegister(m.fetched, m.sent, m.stored, m.failures, m.registrations,
		gauge("running_assignments", "Lanes that fetch now.", func() float64 { n, _ := a.counts(); return float64(n) }),
		gauge("streams", "Fetch streams and probes open now.", func() float64 { _, n := a.counts(); return float64(n) }),
	)
	return m
}

func (m *metrics) fetchedBytes(n int) {
	m.fetched.Add(float64(n))
	m.meter.add(time.Now(), n)
}

func (m *metrics) storedBytes(n int) { m.stored.Add(float64(n)) }

func (m *metrics) sentBytes(n int) { m.sent.Add(float64(n)) }

func (m *metrics) failed(kind errdefs.Kind) { m.failures.WithLabelValues(string(kind)).Inc() }

func (m *metrics) registered(err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.registrations.WithLabelValues(result).Inc()
}

// meter gives a rate over the last second or so: the bytes of the running
// second, and as much of the one before as makes a second.
type meter struct {
	mu        sync.Mutex // guards what follows
	second    int64      // since the epoch
	now, last int64      // bytes of that second, and of the one before
}

func (m *meter) add(at time.Time, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turnLocked(at.Unix())
	m.now += int64(n)
}

// rate returns bytes per second.
func (m *meter) rate(at time.Time) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turnLocked(at.Unix())
	left := time.Second - time.Duration(at.Nanosecond())
	return m.now + int64(float64(m.last)*left.Seconds())
}

func (m *meter) turnLocked(second int64) {
	switch second {
	case m.second:
		return
	case m.second + 1:
		m.last = m.now
	default:
		m.last = 0
	}
	m.second, m.now = second, 0
}
