//go:build linux

package main

import (
	"io"
	"sync"
	"time"
)

// Between these moments of a transfer a line's rate is taken, as the lab does:
// after slow start, and long enough to even out the queue.
const (
	meterFrom = 2 * time.Second
	meterTo   = 8 * time.Second
)

// meter counts what curl brings between two moments.
type meter struct {
	from, to time.Duration

	mu     sync.Mutex
	start  time.Time
	bytes  int64
	opened time.Time // first write at or after from; zero: none yet
	before int64
	closed time.Time // last write up to to
	after  int64
}

var _ io.Writer = (*meter)(nil)

func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.bytes += int64(len(p))
	switch age := now.Sub(m.start); {
	case age < m.from:
	case m.opened.IsZero():
		m.opened, m.before = now, m.bytes
	case age <= m.to:
		m.closed, m.after = now, m.bytes
	}
	return len(p), nil
}

// rate is in body bytes per second; false if too little came.
func (m *meter) rate() (float64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	span := m.closed.Sub(m.opened)
	if m.opened.IsZero() || span < (m.to-m.from)/2 {
		return 0, false
	}
	return float64(m.after-m.before) / span.Seconds(), true
}

// way is one line of one host.
type way struct {
	name, host string
	device     string // "": the host has only one
}

// measure runs curl on all these lines at once and notes what each gets, in
// body bytes per second.
func (l *lab) measure(ways ...way) {
	from, to := meterFrom, meterTo
	if l.bench.quick {
		from, to = time.Second, 2500*time.Millisecond
	}
	meters := make(map[string]*meter)
	err := l.bench.within(l.ctx, func(s *scope) {
		for _, w := range ways {
			m := &meter{from: from, to: to, start: time.Now()}
			meters[w.name] = m
			args := []string{"-sN", originURL + "/plain/100000000000/measure"}
			if w.device != "" {
				args = append(args, "--interface", w.device)
			}
			p := l.net.Host(w.host).Start(s, m, "curl", args...)
			s.Cleanup(p.Kill)
		}
		select {
		case <-time.After(to + 200*time.Millisecond):
		case <-s.ctx.Done():
		}
	})
	l.check(err)
	l.rates = make(map[string]float64)
	for name, m := range meters {
		rate, ok := m.rate()
		if !ok {
			l.Fatalf("curl brought too little to measure the line %s: %d bytes", name, m.bytes)
		}
		l.rates[name] = rate
	}
}

// measureHosts measures the only line of each of these hosts.
func (l *lab) measureHosts(hosts ...string) {
	var ways []way
	for _, h := range hosts {
		ways = append(ways, way{name: h, host: h})
	}
	l.measure(ways...)
}

// sum adds the measured rates of these lines.
func (l *lab) sum(lines ...string) float64 {
	var sum float64
	for _, name := range lines {
		sum += l.rates[name]
	}
	return sum
}
