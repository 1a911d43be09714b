package peer_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/origin"
	"ddm/internal/origin/origintest"
	"ddm/internal/store"
	ddmv1 "ddm/proto/ddm/v1"
)

// known is what a tracker knows of a store from the calls of its peer: runs by
// key and tag.
type known map[string][]*ddmv1.Run

func (k known) learn(t *testing.T, calls []call) (messages int) {
	t.Helper()
	for _, c := range calls {
		holdings := c.heartbeat.GetHoldings()
		if c.register != nil {
			clear(k)
			holdings = c.register.GetHoldings()
		}
		if len(holdings) > 0 {
			messages++
		}
		if len(holdings) > 1000 {
			t.Errorf("%d holdings in one message", len(holdings))
		}
		for _, h := range holdings {
			name := fmt.Sprintf("%x %x %d", h.GetKey(), h.GetGeneration(), h.GetSize())
			if k[name] = h.GetRuns(); len(h.GetRuns()) == 0 {
				delete(k, name)
			}
		}
	}
	return messages
}

func openStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{Dir: t.TempDir(), Limit: 1 << 40})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) // behind the peer
	return s
}

// TestHoldingsAreReported has a tracker know what a store holds: what comes,
// what goes, and all of it again after a restart of the tracker.
func TestHoldingsAreReported(t *testing.T) {
	const piece = 1 << 20
	file := origintest.NewFile(4*piece, 1)
	synctest.Test(t, func(t *testing.T) {
		memory := openStore(t)
		tr := &tracker{period: 2 * time.Second}
		down := tr.up(t)
		cfg := tr.config()
		cfg.Store = memory
		w := newWorld(t, cfg, one(file))
		wait(5 * time.Second)
		seen := known{}
		if n := seen.learn(t, tr.take()); n != 0 {
			t.Errorf("an empty store is told of %d times", n)
		}

		s := w.open(urlOf("/f"), file)
		s.assign(1, 0, 0, 2*piece)
		s.await(1)
		wait(5 * time.Second)
		if n := seen.learn(t, tr.take()); n != 1 {
			t.Errorf("one change was told of %d times", n)
		}
		key, err := catalogue.KeyOf(urlOf("/f"))
		if err != nil {
			t.Fatal(err)
		}
		tag, _ := catalogue.TagOf(origin.Generation{Size: 4 * piece, ETag: file.ETag})
		name := fmt.Sprintf("%x %x %d", key, tag, 4*piece)
		check := func(bytes int64) {
			t.Helper()
			var sum int64
			for _, r := range seen[name] {
				sum += r.GetLength()
			}
			if sum != bytes || bytes == 0 && len(seen) > 0 {
				t.Errorf("the tracker knows of %d bytes, not %d: %v", sum, bytes, seen)
			}
		}
		check(2 * piece)

		s.assign(2, 0, 3*piece, piece)
		s.await(2)
		wait(2 * time.Second)
		seen.learn(t, tr.take())
		check(3 * piece)

		down()
		wait(3 * time.Second)
		tr.take()
		tr.up(t)
		wait(4*time.Second + 10*time.Millisecond)
		clear(seen)
		seen.learn(t, tr.take())
		check(3 * piece)

		memory.Clear()
		wait(2 * time.Second)
		seen.learn(t, tr.take())
		check(0)
	})
}

// lender is an origin of zeros.
type lender struct{}

func (lender) Open(_ context.Context, res origin.Resource, r byterange.Range) (*origin.Reply, error) {
	body := io.NopCloser(bytes.NewReader(make([]byte, r.Len)))
	return &origin.Reply{Gen: res.Gen, Level: origin.Strong, Range: r, Body: body}, nil
}

// TestManyHoldings are told in several messages, one right after the other.
func TestManyHoldings(t *testing.T) {
	const n = 2500
	synctest.Test(t, func(t *testing.T) {
		memory := openStore(t)
		for i := range n {
			res := origin.Resource{URL: urlOf(fmt.Sprint("/", i)), Gen: origin.Generation{Size: 1, ETag: `"v1"`}}
			reply, err := memory.Opener(lender{}, res).Open(t.Context(), res, byterange.Range{Len: 1})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, reply.Body); err != nil {
				t.Fatal(err)
			}
			if err := reply.Body.Close(); err != nil {
				t.Fatal(err)
			}
		}
		tr := &tracker{period: time.Minute}
		tr.up(t)
		cfg := tr.config()
		cfg.Store = memory
		newWorld(t, cfg, nil)
		wait(time.Second)
		seen := known{}
		if messages := seen.learn(t, tr.take()); messages != 3 || len(seen) != n {
			t.Errorf("%d of %d holdings in %d messages within a second", len(seen), n, messages)
		}
	})
}
