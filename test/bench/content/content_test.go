package content_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"ddm/test/bench/content"
)

func TestParse(t *testing.T) {
	t.Parallel()
	c, err := content.Parse("/conn/123/a.bin")
	if err != nil || c.Kind != "conn" || c.Size != 123 || c.Name != "a.bin" || c.Path() != "/conn/123/a.bin" {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, path := range []string{"", "/", "/conn/123", "/conn/x/a", "/conn/-1/a", "/conn/1/", "/conn/1/a/b"} {
		if c, err := content.Parse(path); err == nil {
			t.Errorf("%q: got %+v", path, c)
		}
	}
}

// TestCheck finds every kind of wrong file.
func TestCheck(t *testing.T) {
	t.Parallel()
	const size = 20_000_000 // more than two blocks
	block := content.NewBlock()
	c, err := content.Parse("/plain/20000000/a.bin")
	if err != nil {
		t.Fatal(err)
	}
	var good []byte
	for int64(len(good)) < c.Size {
		good = append(good, c.Slice(block, int64(len(good)), 1<<20)...)
	}
	const mib = 1 << 20
	for name, tc := range map[string]struct {
		spoil func([]byte) []byte
		wrong bool
	}{
		"right":    {func(b []byte) []byte { return b }, false},
		"a bit":    {func(b []byte) []byte { b[size-1] ^= 1; return b }, true},
		"a hole":   {func(b []byte) []byte { clear(b[5*mib : 6*mib]); return b }, true},
		"misplace": {func(b []byte) []byte { copy(b[3*mib:4*mib], good[11*mib:]); return b }, true},
		"short":    {func(b []byte) []byte { return b[:size-1] }, true},
		"long":     {func(b []byte) []byte { return append(b, 0) }, true},
		"empty":    {func([]byte) []byte { return nil }, true},
	} {
		file := filepath.Join(t.TempDir(), "a.bin")
		if err := os.WriteFile(file, tc.spoil(bytes.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.Check(block, file); (err != nil) != tc.wrong {
			t.Errorf("%s: %v", name, err)
		}
	}
}
