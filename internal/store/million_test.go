package store_test

import (
	"fmt"
	"runtime"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/origin"
	"ddm/internal/store"
)

// million enters 1,000,000 pieces of 1,000 generations, which are on no disk.
func million(tb testing.TB) (*store.Store, []store.Identity) {
	tb.Helper()
	s, err := store.Open(store.Config{Dir: tb.TempDir(), Limit: 2 << 40})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	ids := make([]store.Identity, 1000)
	for n := range ids {
		ids[n] = store.IdentityOf(fmt.Sprintf("http://origin.test/%d", n), origin.Generation{Size: 1000 * mib, ETag: `"v1"`})
		s.Pretend(ids[n])
	}
	return s, ids
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

//nolint:paralleltest // it measures the memory of the process
func TestMemoryOfAMillionPieces(t *testing.T) {
	before := heap()
	s, ids := million(t)
	if took := heap() - before; took > 64*mib {
		t.Errorf("the index takes %d MiB, want 64 at most", took/mib)
	}
	if s.Size() != int64(len(ids))*1000*mib {
		t.Errorf("it holds %d bytes", s.Size())
	}
}

// BenchmarkLookup asks for one piece of a million.
func BenchmarkLookup(b *testing.B) {
	before := heap()
	s, ids := million(b)
	took := float64(heap()-before) / mib
	for i := 0; b.Loop(); i++ {
		r := byterange.Range{Off: int64(i*7%1000) * mib, Len: mib}
		if s.Prefix(ids[i%len(ids)], r) != r {
			b.Fatal("not held")
		}
	}
	b.ReportMetric(took, "MiB")
}
