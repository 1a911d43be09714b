package system_test

import (
	"os"
	"path/filepath"
	"testing"

	"ddm/client"
	"ddm/internal/origin/origintest"
	"ddm/internal/store"
	"ddm/peer"
)

// memory opens a store that the peers of a bubble may have.
func memory(w *world) *store.Store {
	w.t.Helper()
	s, err := store.Open(store.Config{Dir: w.t.TempDir(), Limit: 100 * mib})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestPeersRemember downloads a file twice: the second client gets what the
// peers fetched for the first one from their stores, at the speed of the LAN.
func TestPeersRemember(t *testing.T) {
	const size = 80*mib + 12345
	f := origintest.NewFile(size, 77)
	bubble(t, map[string]origintest.File{"/f.bin": f}, func(w *world) {
		w.tracker()
		stores := []*store.Store{memory(w), memory(w)}
		var stops []func()
		for i, name := range []string{"p", "q"} {
			stops = append(stops, w.machine(map[string]float64{"x": 2 * mib}).peer(name, peer.Config{Store: stores[i]}))
		}
		first := &account{}
		if err := w.machine(map[string]float64{"eth0": 2 * mib}).user(func(o *client.Options) { o.NoLocal = true }).get("/f.bin", first); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		w.t.Log(first)
		if first.moved("p/store", "joined") || first.moved("q/store", "joined") {
			w.t.Errorf("a store joined that holds what its peer brought just now: %v", first.moves)
		}
		if held := stores[0].Size() + stores[1].Size(); held < size*6/10 {
			w.t.Fatalf("the peers hold %d bytes", held)
		}

		if err := os.Remove(filepath.Join(w.dir, "f.bin")); err != nil {
			w.t.Fatal(err)
		}
		second := &account{}
		if err := w.machine(map[string]float64{"eth0": 2 * mib}).user(nil).get("/f.bin", second); err != nil {
			w.t.Fatal(err)
		}
		w.holds("f.bin", f)
		w.t.Log(second, second.moves)
		if second.done.Origin > size/2 || second.done.Elapsed > first.done.Elapsed/3 {
			w.t.Errorf("%d bytes came from the origin in %v, the first time took %v", second.done.Origin, second.done.Elapsed, first.done.Elapsed)
		}
		if second.brought("p/store")+second.brought("q/store") < size/2 {
			w.t.Errorf("the stores brought %d and %d", second.brought("p/store"), second.brought("q/store"))
		}
		for _, stop := range stops {
			stop()
		}
	})
}
