package store_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/catalogue"
	"ddm/internal/store"
)

// TestCatalogue names what is held as clients do, over changes and restarts.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, res := open(t, dir, 100*mib), resource(url, 4*mib, `"v1"`)
	if list, n := s.Catalogue(), s.Changes(); len(list) != 0 || n != 0 {
		t.Fatalf("%v, %d changes", list, n)
	}
	key, err := catalogue.KeyOf(url)
	if err != nil {
		t.Fatal(err)
	}
	tag, _ := catalogue.TagOf(res.Gen)
	look := func(want ...byterange.Range) uint64 {
		t.Helper()
		list := s.Catalogue()
		if len(list) != 1 || list[0].Key != key || list[0].Tag != tag || list[0].Size != 4*mib {
			t.Fatalf("catalogue %v", list)
		}
		held := s.Set(list[0])
		if got := slices.Collect(held.All()); !slices.Equal(got, want) {
			t.Errorf("held %v, want %v", got, want)
		}
		if list[0].Change > s.Changes() {
			t.Errorf("change %d of %d", list[0].Change, s.Changes())
		}
		return list[0].Change
	}
	get(t, s, &source{}, res, byterange.Range{Len: mib})
	first := look(byterange.Range{Len: mib})
	if again := look(byterange.Range{Len: mib}); again != first {
		t.Error("it changed by looking")
	}
	get(t, s, &source{}, res, byterange.Range{Off: 2 * mib, Len: 2 * mib})
	second := look(byterange.Range{Len: mib}, byterange.Range{Off: 2 * mib, Len: 2 * mib})
	if second == first {
		t.Error("a change is not told")
	}
	if s.Prune(2 * mib); look(byterange.Range{Off: 2 * mib, Len: 2 * mib}) == second {
		t.Error("a loss is not told")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 100*mib)
	look(byterange.Range{Off: 2 * mib, Len: 2 * mib})
	if s.Clear(); len(s.Catalogue()) != 0 {
		t.Errorf("catalogue %v", s.Catalogue())
	}
}

// TestNamelessIndex opens what was kept before there were names: it serves as
// before, and nobody is told of it.
func TestNamelessIndex(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, res := open(t, dir, 100*mib), resource(url, 2*mib, `"v1"`)
	get(t, s, &source{}, res, byterange.Range{Len: 2 * mib})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	index := glob(t, dir, "*.index")[0]
	b, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	end := slices.Index(b, '\n')
	var header map[string]any
	if err := json.Unmarshal(b[:end], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "name")
	line, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Clean(index), append(line, b[end:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 100*mib)
	if list := s.Catalogue(); len(list) != 0 {
		t.Errorf("catalogue %v", list)
	}
	if n := get(t, s, &source{}, res, byterange.Range{Len: 2 * mib}); n != 2*mib {
		t.Errorf("%d bytes came from the store", n)
	}
	var held byterange.Set
	for r := range s.Holds(store.IdentityOf(url, res.Gen)) {
		held.Add(r)
	}
	if held.Bytes() != 2*mib {
		t.Errorf("it holds %d bytes", held.Bytes())
	}
}
