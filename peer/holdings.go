package peer

import (
	"maps"

	"google.golang.org/protobuf/proto"

	"ddm/internal/catalogue"
	"ddm/internal/store"
	ddmv1 "ddm/proto/ddm/v1"
)

// Bounds of what one message says of the store: what trackers take, and about
// half of what fits in a message.
const (
	mostHoldings      = 1000
	mostHoldingsBytes = 256 << 10
)

// generation is how a tracker knows a generation.
type generation struct {
	key  catalogue.Key
	tag  catalogue.Tag
	size int64
}

// report is what one tracker was told of the store. It has one owner: the
// registrar.
type report struct {
	store *store.Store          // nil: nothing is ever told
	told  map[generation]uint64 // the change as of which it knows a generation
	seen  uint64                // changes of the store as of which all was told
	all   bool                  // all was told then
}

// forget is called when the tracker knows nothing.
func (r *report) forget() { r.told, r.all = map[generation]uint64{}, false }

// next returns what the tracker does not know yet, as far as a message can say
// it; said is called once it was told.
func (r *report) next() (holdings []*ddmv1.Holding, said func()) {
	if r.store == nil || r.all && r.store.Changes() == r.seen {
		return nil, func() {}
	}
	seen, all, bytes := r.store.Changes(), true, 0
	say := func(n generation, runs []*ddmv1.Run) bool {
		h := &ddmv1.Holding{Key: n.key[:], Generation: n.tag[:], Size: n.size, Runs: runs}
		if bytes += proto.Size(h); len(holdings) > 0 && (len(holdings) == mostHoldings || bytes > mostHoldingsBytes) {
			all = false
			return false
		}
		holdings = append(holdings, h)
		return true
	}
	news, here := map[generation]uint64{}, map[generation]bool{}
	for _, n := range r.store.Catalogue() {
		name := generation{n.Key, n.Tag, n.Size}
		here[name] = true
		if change, known := r.told[name]; known && change == n.Change || !all {
			continue
		}
		held := r.store.Set(n)
		if say(name, catalogue.Runs(&held)) {
			news[name] = n.Change
		}
	}
	var gone []generation
	for name := range r.told {
		if all && !here[name] && say(name, nil) {
			gone = append(gone, name)
		}
	}
	return holdings, func() {
		maps.Copy(r.told, news)
		for _, name := range gone {
			delete(r.told, name)
		}
		r.seen, r.all = seen, all
	}
}
