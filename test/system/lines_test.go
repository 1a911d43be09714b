package system_test

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
	"time"

	"ddm/client"
	"ddm/internal/errdefs"
	"ddm/internal/lines"
	"ddm/internal/origin/origintest"
	"ddm/internal/quota"
	"ddm/peer"
)

// machine has interfaces, each on a wire of its own.
type machine struct {
	w     *world
	mu    sync.Mutex
	wires map[string]*wire
	gone  map[string]bool
}

// machine makes interfaces that bring so many bytes per second.
func (w *world) machine(rates map[string]float64) *machine {
	m := &machine{w: w, wires: map[string]*wire{}, gone: map[string]bool{}}
	for name, rate := range rates {
		m.wires[name] = newWire(rate)
	}
	return m
}

// unplug takes an interface away, plug brings it back.
func (m *machine) unplug(name string) {
	m.mu.Lock()
	m.gone[name] = true
	m.mu.Unlock()
	m.wires[name].freeze()
}

func (m *machine) plug(name string) {
	m.mu.Lock()
	delete(m.gone, name)
	m.mu.Unlock()
	m.wires[name].thaw()
}

func (m *machine) network() lines.Network {
	there := func(name string) bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.wires[name] != nil && !m.gone[name]
	}
	return lines.Network{
		Check: func(name string) error {
			if !there(name) {
				return fmt.Errorf("%w: no interface %s", errdefs.Invalid, name)
			}
			return nil
		},
		Routed: func() ([]string, error) {
			return slices.DeleteFunc(slices.Sorted(maps.Keys(m.wires)), func(name string) bool { return !there(name) }), nil
		},
		Dial: func(name string) lines.DialFunc {
			return func(ctx context.Context, _, addr string) (net.Conn, error) {
				if !there(name) {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("network is unreachable")}
				}
				return m.wires[name].wrap(m.w.net.dial(ctx, addr))
			}
		},
	}
}

// user starts a client on the machine.
func (m *machine) user(change func(*client.Options)) *user {
	m.w.t.Helper()
	opts := client.Options{Trackers: []string{trackerAddr}, Log: m.w.log.Named("client"), Lines: []lines.Spec{{Interface: lines.All}}}
	if change != nil {
		change(&opts)
	}
	c, err := client.NewOn(opts, client.Network{Own: m.network(), LAN: m.w.dialPeer})
	if err != nil {
		m.w.t.Fatal(err)
	}
	m.w.t.Cleanup(func() { _ = c.Close() })
	return &user{w: m.w, c: c}
}

// peer starts a peer on the machine; stop ends it.
func (m *machine) peer(name string, cfg peer.Config) (stop func()) {
	m.w.t.Helper()
	cfg.Name, cfg.Advertise, cfg.Trackers = name, name+":7430", []string{trackerAddr}
	cfg.Log, cfg.Listener, cfg.Network = m.w.log.Named(name), m.w.net.listen(name+":7430"), m.network()
	cfg.DialTracker = m.w.net.dial
	if cfg.Lines == nil {
		cfg.Lines = []lines.Spec{{Interface: lines.All}}
	}
	srv, err := peer.New(cfg)
	if err != nil {
		m.w.t.Fatal(err)
	}
	end := m.w.serve(name, srv.Run)
	stop = sync.OnceFunc(func() {
		for _, line := range m.wires {
			line.thaw()
		}
		end()
	})
	m.w.t.Cleanup(stop)
	return stop
}

// shares judges what each source brought of size bytes, in percent.
func (a *account) shares(t *testing.T, size int64, want map[string][2]float64) {
	t.Helper()
	t.Log(a, a.moves)
	for name, bounds := range want {
		share := 100 * float64(a.brought(name)) / float64(size)
		if share < bounds[0] || share > bounds[1] {
			t.Errorf("%s brought %.1f %%, want %v to %v", name, share, bounds[0], bounds[1])
		}
	}
}

// reasonOf reports whether a source made a change, and why.
func (a *account) reasonOf(name, change string) (reason string, ok bool) {
	for _, m := range a.moves {
		if m.Name == name && m.Change == change {
			return m.Reason, true
		}
	}
	return "", false
}

func TestOwnLines(t *testing.T) {
	f := origintest.NewFile(24*mib, 30)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		m := w.machine(map[string]float64{"eth0": 3 * mib / 2, "wlan0": mib / 2})
		a := &account{}
		if err := m.user(nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		a.shares(w.t, f.Size, map[string][2]float64{"eth0": {70, 80}, "wlan0": {20, 30}})
		if eff := 12 / a.done.Elapsed.Seconds(); eff < 0.95 {
			w.t.Errorf("T*/T %.3f", eff)
		}
	})
}

// TestLinesOfPeers pools a machine of two lines with peers of one and three.
func TestLinesOfPeers(t *testing.T) {
	f := origintest.NewFile(48*mib, 31)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.machine(map[string]float64{"eth0": mib / 2}).peer("one", peer.Config{})
		w.machine(map[string]float64{"a": mib / 2, "b": mib / 2, "c": 2 * mib}).peer("three", peer.Config{Lines: []lines.Spec{
			{Interface: "a"}, {Interface: "b"}, {Interface: "c", LimitRate: mib / 2}, {Interface: "absent"},
		}})
		m := w.machine(map[string]float64{"eth0": mib / 2, "wlan0": mib / 2})
		a := &account{}
		if err := m.user(nil).get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		sixth := [2]float64{14, 19}
		a.shares(w.t, f.Size, map[string][2]float64{
			"eth0": sixth, "wlan0": sixth, "one": sixth, "three/a": sixth, "three/b": sixth, "three/c": sixth,
		})
	})
}

// TestLinesComeAndGo unplugs a line in the middle, the client's or a peer's,
// and plugs it in again.
func TestLinesComeAndGo(t *testing.T) {
	for _, whose := range []string{"own", "peer's"} {
		t.Run(whose, func(t *testing.T) {
			f := origintest.NewFile(24*mib, 32)
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				own, helper := w.machine(map[string]float64{"eth0": mib / 4, "wlan0": mib / 4}), w.machine(map[string]float64{"x": mib / 4, "y": mib / 4})
				helper.peer("p", peer.Config{})
				m, name, source := own, "wlan0", "wlan0"
				if whose == "peer's" {
					m, name, source = helper, "y", "p/y"
				}
				a := &account{}
				a.once(0.3, func() {
					m.unplug(name)
					time.AfterFunc(15*time.Second, func() { m.plug(name) })
				})
				if err := own.user(nil).get("/f.bin", a); err != nil {
					w.t.Fatal(err)
				}
				w.holds("f.bin", f)
				a.shares(w.t, f.Size, map[string][2]float64{source: {7, 20}})
				reason, left := a.reasonOf(source, "left")
				if _, back := a.reasonOf(source, "joined"); !left || !back || reason == "" {
					w.t.Errorf("left %v (%s), back %v", left, reason, back)
				}
				if ideal := (4*24 + 15) / 4.0; a.done.Elapsed.Seconds() > ideal/0.93 { // four lines, one away for 15 s
					w.t.Errorf("took %v, %.1f s needed", a.done.Elapsed, ideal)
				}
			})
		})
	}
}

// TestQuota uses a line's quota up in the middle of a download. The line gives
// no byte more, also not after a restart, and is back in the next period.
func TestQuota(t *testing.T) {
	const budget = 5*mib + 123
	for _, whose := range []string{"own", "peer's"} {
		t.Run(whose, func(t *testing.T) {
			files := map[string]origintest.File{"/f.bin": origintest.NewFile(24*mib, 33), "/g.bin": origintest.NewFile(6*mib, 34), "/h.bin": origintest.NewFile(12*mib, 35)}
			bubble(t, files, func(w *world) {
				time.Sleep(23*time.Hour + 50*time.Minute) // while nobody lives whose time must pass
				w.tracker()
				limit := quota.Limit{Bytes: budget, Period: quota.Day}
				own, helper := w.machine(map[string]float64{"eth0": mib / 2, "wwan0": mib}), w.machine(map[string]float64{"x": mib / 2, "wwan0": mib})
				specs := []lines.Spec{{Interface: lines.All}, {Interface: "wwan0", Quota: limit}}
				dir, source := w.t.TempDir(), "wwan0"
				opts, cfg := func(o *client.Options) { o.Lines, o.StateDir = specs, dir }, peer.Config{}
				if whose == "peer's" {
					opts, cfg, source = nil, peer.Config{Lines: specs, StateDir: dir}, "p/wwan0"
				}
				stop := helper.peer("p", cfg)
				a := &account{}
				if err := own.user(opts).get("/f.bin", a); err != nil {
					w.t.Fatal(err)
				}
				w.contains("f.bin", files["/f.bin"])
				w.t.Log(a, a.moves)
				if got := a.brought(source); got > budget || got < budget*8/10 {
					w.t.Errorf("the line brought %d bytes of a quota of %d", got, budget)
				}
				if reason, left := a.reasonOf(source, "left"); !left || !strings.Contains(reason, "used up; it is fresh again on 2000-01-02 at 00:00") {
					w.t.Errorf("left %v: %s", left, reason)
				}

				stop() // and start again
				helper.peer("p", cfg)
				a2 := &account{}
				u := own.user(opts)
				if err := u.get("/g.bin", a2); err != nil {
					w.t.Fatal(err)
				}
				if sum := a.brought(source) + a2.brought(source); sum > budget {
					w.t.Errorf("after a restart it is %d bytes of %d", sum, budget)
				}

				time.Sleep(10 * time.Minute)
				a3 := &account{}
				if err := u.get("/h.bin", a3); err != nil {
					w.t.Fatal(err)
				}
				w.t.Log(a3, a3.moves)
				if got := a3.brought(source); got < 2*mib || got > budget {
					w.t.Errorf("the next day the line brought %d bytes of a quota of %d", got, budget)
				}
			})
		})
	}
}

// TestQuotaOfAll ends with a sentence that says until when, if nobody is left;
// and what peers bring costs nothing of the quota.
func TestQuotaOfAll(t *testing.T) {
	f := origintest.NewFile(16*mib, 36)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		const budget = 5 * mib
		dir := w.t.TempDir()
		m := w.machine(map[string]float64{"wwan0": mib})
		u := m.user(func(o *client.Options) {
			o.Lines, o.StateDir = []lines.Spec{{Interface: "wwan0", Quota: quota.Limit{Bytes: budget}}}, dir
		})
		for _, when := range []string{"in the middle", "from the start"} {
			began := time.Now()
			err := u.get("/f.bin", &account{})
			if !errors.Is(err, errdefs.Refused) || !strings.HasSuffix(err.Error(), "the quota of line wwan0 (5.0 MiB a month) is used up; it is fresh again on 2000-02-01 at 00:00") {
				w.t.Errorf("%s: %v", when, err)
			}
			if took := time.Since(began); took > 10*time.Second {
				w.t.Errorf("%s: said after %v", when, took)
			}
		}
		w.tracker()
		w.machine(map[string]float64{"x": mib}).peer("p", peer.Config{})
		a := &account{}
		if err := u.get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		if a.start.Resumed < 4*mib || a.done.LAN != a.done.Origin {
			w.t.Errorf("%v, resumed %d", a, a.start.Resumed)
		}
	})
}

func TestPeersBytesCostNoQuota(t *testing.T) {
	f := origintest.NewFile(32*mib, 37)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		w.machine(map[string]float64{"x": 3 * mib}).peer("p", peer.Config{})
		dir := w.t.TempDir()
		limit := quota.Limit{Bytes: 1 << 40}
		u := w.machine(map[string]float64{"wwan0": mib}).user(func(o *client.Options) {
			o.Lines, o.StateDir = []lines.Spec{{Interface: "wwan0", Quota: limit}}, dir
		})
		a := &account{}
		if err := u.get("/f.bin", a); err != nil {
			w.t.Fatal(err)
		}
		if err := u.c.Close(); err != nil {
			w.t.Fatal(err)
		}
		b, err := quota.Open(dir, "wwan0", limit, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		own := a.done.Origin - a.done.LAN
		charged := limit.Bytes - b.Left()
		if charged < own || charged > own+2*mib { // what was read of a request that was cancelled counts
			w.t.Errorf("%d bytes were charged, the line brought %d: %v", charged, own, a)
		}
	})
}

// TestMetered uses lines whose bytes cost only where they help enough.
func TestMetered(t *testing.T) {
	f := origintest.NewFile(48*mib, 38)
	for _, tc := range []struct {
		name string
		own  []lines.Spec
		peer []lines.Spec
		want map[string][2]float64
	}{
		{
			"an own line that adds little",
			[]lines.Spec{{Interface: "eth0"}, {Interface: "wwan0", Metered: 0.2}},
			[]lines.Spec{{Interface: "x"}},
			map[string][2]float64{"wwan0": {0, 5}},
		},
		{
			"a peer's line that adds little",
			[]lines.Spec{{Interface: "eth0"}},
			[]lines.Spec{{Interface: "x"}, {Interface: "wwan0", Metered: 0.2}},
			map[string][2]float64{"p/wwan0": {0, 5}},
		},
		{
			"a share that it reaches",
			[]lines.Spec{{Interface: "eth0"}, {Interface: "wwan0", Metered: 0.05}},
			[]lines.Spec{{Interface: "x"}},
			map[string][2]float64{"wwan0": {7, 15}},
		},
		{
			"nothing else",
			[]lines.Spec{{Interface: "wwan0", Metered: 0.2}},
			[]lines.Spec{{Interface: "wwan0", Metered: 0.2}},
			map[string][2]float64{"wwan0": {40, 60}, "p": {40, 60}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
				w.tracker()
				w.machine(map[string]float64{"x": mib, "wwan0": mib / 4}).peer("p", peer.Config{Lines: tc.peer})
				a := &account{}
				u := w.machine(map[string]float64{"eth0": mib, "wwan0": mib / 4}).user(func(o *client.Options) { o.Lines = tc.own })
				if err := u.get("/f.bin", a); err != nil {
					w.t.Fatal(err)
				}
				w.holds("f.bin", f)
				a.shares(w.t, f.Size, tc.want)
			})
		})
	}
}

// TestTrackersLearnOfLines: what trackers list is how lines are now.
func TestTrackersLearnOfLines(t *testing.T) {
	bubble(t, nil, func(w *world) {
		w.tracker()
		m := w.machine(map[string]float64{"x": mib, "y": mib})
		m.peer("p", peer.Config{LimitRate: 5 * mib, Lines: []lines.Spec{{Interface: lines.All}, {Interface: "y", Metered: 0.3, LimitRate: mib}}})
		u := w.machine(map[string]float64{"eth0": mib}).user(nil)
		listed := func() string {
			time.Sleep(2100 * time.Millisecond)
			peers, err := u.c.Peers(w.t.Context())
			if err != nil || len(peers) != 1 {
				w.t.Fatal(peers, err)
			}
			var b strings.Builder
			for _, l := range peers[0].GetLines() {
				fmt.Fprintf(&b, "%d %s limit %d metered %v %v closed %v, ", l.GetId(), l.GetName(), l.GetLimitBytesPerSecond()>>20, l.GetMetered(), l.GetMeteredShare(), l.GetClosed())
			}
			return b.String()
		}
		for _, step := range []struct {
			do   func()
			want string
		}{
			{func() {}, "0 y limit 1 metered true 0.3 closed false, 1 x limit 5 metered false 0 closed false, "},
			{func() { m.unplug("y") }, "0 y limit 1 metered true 0.3 closed true, 1 x limit 5 metered false 0 closed false, "},
			{func() { m.plug("y"); m.unplug("x") }, "0 y limit 1 metered true 0.3 closed false, 1 x limit 5 metered false 0 closed true, "},
		} {
			step.do()
			if got := listed(); got != step.want {
				w.t.Errorf("listed:\n%s\nwant:\n%s", got, step.want)
			}
		}
	})
}

func TestNoLineIsUsable(t *testing.T) {
	bubble(t, nil, func(w *world) {
		m := w.machine(map[string]float64{"eth0": mib})
		for _, specs := range [][]lines.Spec{{{Interface: "wlan7"}}, {{Interface: "wlan7"}, {Interface: "10.9.9.9"}}} {
			if _, err := client.NewOn(client.Options{Lines: specs}, client.Network{Own: m.network()}); !errors.Is(err, errdefs.Invalid) {
				w.t.Errorf("%v: %v", specs, err)
			}
		}
		m.unplug("eth0")
		if _, err := client.NewOn(client.Options{Lines: []lines.Spec{{Interface: lines.All}}}, client.Network{Own: m.network()}); !errors.Is(err, errdefs.Invalid) {
			w.t.Errorf("all of none: %v", err)
		}
		noFolder := client.Options{Lines: []lines.Spec{{Quota: quota.Limit{Bytes: 1}}}}
		if _, err := client.NewOn(noFolder, client.Network{}); !errors.Is(err, errdefs.Invalid) {
			w.t.Errorf("a quota that nobody keeps: %v", err)
		}
	})
}
