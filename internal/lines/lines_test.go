package lines_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/internal/origin"
	"ddm/internal/quota"
)

// machine is interfaces that come and go; true: it has a way out.
type machine struct {
	mu     sync.Mutex
	ifaces map[string]bool
}

func (m *machine) set(name string, routed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ifaces[name] = routed
}

func (m *machine) remove(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ifaces, name)
}

func (m *machine) network() lines.Network {
	return lines.Network{
		Check: func(bind string) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			if _, ok := m.ifaces[bind]; !ok {
				return fmt.Errorf("%w: no interface %s", errdefs.Unavailable, bind)
			}
			return nil
		},
		Routed: func() ([]string, error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			return slices.DeleteFunc(slices.Sorted(maps.Keys(m.ifaces)), func(name string) bool { return !m.ifaces[name] }), nil
		},
		Dial: func(string) lines.DialFunc {
			return func(context.Context, string, string) (net.Conn, error) { return nil, errors.ErrUnsupported }
		},
	}
}

// state is the lines as text: id, name, open or not.
func state(s *lines.Set) string {
	var b strings.Builder
	for _, l := range s.Lines() {
		mark := "+"
		if l.Closed != nil {
			mark = "-"
		}
		fmt.Fprintf(&b, "%d%s%s ", l.ID, mark, l.Name)
	}
	return strings.TrimSpace(b.String())
}

func TestSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &machine{ifaces: map[string]bool{"eth0": true, "wlan0": true, "lab0": false}}
		s, err := lines.Open(lines.Config{
			Network: m.network(), Base: origin.LineConfig{Name: "own line"},
			Specs: []lines.Spec{{Interface: "wlan0", Metered: 0.5}, {Interface: lines.All, Metered: 0.1}, {Interface: "usb0"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		defer running.Wait()
		defer cancel()
		for _, step := range []struct {
			name string
			do   func()
			want string
			news bool
		}{
			{"as found", func() {}, "0+wlan0 1-usb0 2+eth0", false},
			{"another comes", func() { m.set("ppp0", true) }, "0+wlan0 1-usb0 2+eth0 3+ppp0", true},
			{"one that was named comes", func() { m.set("usb0", false) }, "0+wlan0 1+usb0 2+eth0 3+ppp0", true},
			{"the route goes", func() { m.set("eth0", false) }, "0+wlan0 1+usb0 2-eth0 3+ppp0", true},
			{"a named one needs none", func() { m.set("wlan0", false) }, "0+wlan0 1+usb0 2-eth0 3+ppp0", false},
			{"interfaces go", func() { m.remove("wlan0"); m.remove("ppp0") }, "0-wlan0 1+usb0 2-eth0 3-ppp0", true},
			{"and are back", func() { m.set("wlan0", true); m.set("ppp0", true); m.set("eth0", true) }, "0+wlan0 1+usb0 2+eth0 3+ppp0", true},
		} {
			changed := s.Changed()
			step.do()
			time.Sleep(3 * time.Second)
			news := false
			select {
			case <-changed:
				news = true
			default:
			}
			if got := state(s); got != step.want || news != step.news {
				t.Errorf("%s: %s, news %v; want %s, %v", step.name, got, news, step.want, step.news)
			}
		}
		for i, share := range []float64{0.5, 0, 0.1, 0.1} {
			if l := s.Lines()[i]; l.Spec.Metered != share || l.Origin.Name() != l.Name {
				t.Errorf("%s: %+v", l.Name, l.Spec)
			}
		}
		s.Close()
	})
}

// TestManyInterfaces lets interfaces with ever new names come and go.
func TestManyInterfaces(t *testing.T) {
	t.Parallel()
	m := &machine{ifaces: map[string]bool{"eth0": true}}
	s, err := lines.Open(lines.Config{Specs: []lines.Spec{{Interface: lines.All}}, Network: m.network()})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		m.set(fmt.Sprintf("ppp%d", n), true)
		m.remove(fmt.Sprintf("ppp%d", n-5))
		s.Refresh()
		list := s.Lines()
		if len(list) > 64 || list[0].Name != "eth0" {
			t.Fatalf("%d lines: %s", len(list), state(s))
		}
		open := slices.DeleteFunc(slices.Clone(list), func(l lines.Line) bool { return l.Closed != nil })
		if len(open) != min(n+2, 6) {
			t.Fatalf("after %d: %d lines are open: %s", n, len(open), state(s))
		}
		if !slices.IsSortedFunc(list, func(a, b lines.Line) int { return int(a.ID) - int(b.ID) }) {
			t.Fatalf("not in order: %s", state(s))
		}
	}
	for n := range 100 {
		m.set(fmt.Sprintf("veth%d", n), true)
	}
	s.Refresh()
	if n := len(s.Lines()); n > 64 {
		t.Errorf("%d lines, a tracker takes 64", n)
	}
}

func TestOpenErrs(t *testing.T) {
	t.Parallel()
	m := &machine{ifaces: map[string]bool{"eth0": false}}
	limit := quota.Limit{Bytes: 1}
	for name, cfg := range map[string]lines.Config{
		"nothing has a way out":  {Specs: []lines.Spec{{Interface: lines.All}}},
		"nothing that was named": {Specs: []lines.Spec{{Interface: "a"}, {Interface: "b"}}},
		"named twice":            {Specs: []lines.Spec{{Interface: "eth0"}, {Interface: "eth0"}}},
		"a quota without folder": {Specs: []lines.Spec{{Interface: "eth0", Quota: limit}}},
	} {
		cfg.Network = m.network()
		if _, err := lines.Open(cfg); !errors.Is(err, errdefs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, specs := range map[string][]lines.Spec{
		"the system's choice": nil, "one of two": {{Interface: "gone"}, {Interface: "eth0"}},
	} {
		s, err := lines.Open(lines.Config{Specs: specs, Network: m.network()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s.Close()
	}
}

// TestQuotaCloses closes a line when its quota is used up, and opens it in the
// next period.
func TestQuotaCloses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(24*time.Hour - time.Minute)
		m := &machine{ifaces: map[string]bool{"eth0": true}}
		limit := quota.Limit{Bytes: 1 << 20, Period: quota.Day}
		s, err := lines.Open(lines.Config{Specs: []lines.Spec{{Interface: "eth0", Quota: limit}}, StateDir: dir, Network: m.network()})
		if err != nil {
			t.Fatal(err)
		}
		s.Close() // gives back what it reserved
		b, err := quota.Open(dir, "eth0", limit, nil)
		if err != nil {
			t.Fatal(err)
		}
		for err = nil; err == nil; _, err = b.Take(1 << 20) {
		}
		if s, err = lines.Open(lines.Config{Specs: []lines.Spec{{Interface: "eth0", Quota: limit}}, StateDir: dir, Network: m.network()}); err != nil {
			t.Fatalf("a quota that is used up is no error at the start: %v", err)
		}
		if got := s.Lines()[0]; !errors.Is(got.Closed, errdefs.Refused) {
			t.Errorf("closed: %v", got.Closed)
		}
		time.Sleep(time.Minute)
		s.Refresh()
		if got := s.Lines()[0]; got.Closed != nil {
			t.Errorf("the next day: %v", got.Closed)
		}
		s.Close()
	})
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	if lines.Limiter(0) != nil {
		t.Error("0 is no limit")
	}
	if l := lines.Limiter(1 << 20); int(l.Limit()) != 1<<20 || l.Burst() != 256<<10 {
		t.Errorf("limit %v, burst %d", l.Limit(), l.Burst())
	}
}
