package store_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/store"
)

// TestChecksWhatItGives changes a piece on disk between two reads of it, by
// rot and by making room: what is given must be the very bytes that were
// checked, or nothing.
func TestChecksWhatItGives(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, file string, prune func(int64) int64){
		"rot": func(t *testing.T, file string, _ func(int64) int64) {
			t.Helper()
			f, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(make([]byte, mib/2), mib/4); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"room": func(t *testing.T, _ string, prune func(int64) int64) {
			t.Helper()
			if prune(3*mib) == 0 { // the first piece goes, its file stays
				t.Fatal("nothing was pruned")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, res := open(t, dir, 100*mib), resource(url, 4*mib, `"v1"`)
			get(t, s, &source{}, res, byterange.Range{Len: 4 * mib})
			reply, err := s.Opener(nil, res).Open(t.Context(), res, byterange.Range{Len: 4 * mib})
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 1000)
			if _, err := io.ReadFull(reply.Body, first); err != nil {
				t.Fatal(err)
			}
			spoil(t, glob(t, dir, "*.pieces")[0], s.Prune)
			rest, err := io.ReadAll(reply.Body)
			if err != nil && !errors.Is(err, errdefs.Unavailable) {
				t.Fatal(err)
			}
			if err := reply.Body.Close(); err != nil {
				t.Fatal(err)
			}
			got := slices.Concat(first, rest)
			if !bytes.Equal(got, truth(byterange.Range{Len: int64(len(got))})) {
				t.Errorf("of %d bytes that were given some are wrong", len(got))
			}
		})
	}
}

// TestNoKeyWithoutAStrongETag: what else is known of a generation does not
// show that it is still the same.
func TestNoKeyWithoutAStrongETag(t *testing.T) {
	t.Parallel()
	for _, gen := range []origin.Generation{
		{Size: 5},
		{Size: 5, ETag: `W/"1"`},
		{Size: 5, LastModified: "Mon, 02 Jan 2006 15:04:05 GMT"},
		{Size: 0, ETag: `"1"`},
		{Size: -1, ETag: `"1"`},
	} {
		if key, ok := store.IdentityOf(url, gen).Key(); ok {
			t.Errorf("%+v is kept as %s", gen, key)
		}
	}
}

// TestKeyOfSpellings: a URL that is spelled in another way is no other one; one
// that only looks alike is.
func TestKeyOfSpellings(t *testing.T) {
	t.Parallel()
	gen := origin.Generation{Size: 5, ETag: `"1"`}
	const spelled = "http://Origin.test:80/a%2fb%7E?q=%c3#part"
	key, ok := store.IdentityOf(spelled, gen).Key()
	if !ok {
		t.Fatal("it is not kept")
	}
	if same, _ := store.IdentityOf("http://origin.test/a%2Fb~?q=%C3", gen).Key(); same != key {
		t.Error("two spellings have two keys")
	}
	if shown := store.IdentityOf(spelled, gen).URL; shown != "http://origin.test/a%2Fb~" {
		t.Errorf("it is shown as %s", shown)
	}
	for _, other := range []string{
		"http://origin.test/a/b~?q=%C3", "http://origin.test/a%2Fb~?Q=%C3", "https://origin.test/a%2Fb~?q=%C3",
		"http://origin.test/a%2Fb~", "http://origin.test:8080/a%2Fb~?q=%C3",
	} {
		if k, ok := store.IdentityOf(other, gen).Key(); !ok || k == key {
			t.Errorf("%s: kept %v as %s", other, ok, k)
		}
	}
	if _, ok := store.IdentityOf("ftp://origin.test/f", gen).Key(); ok {
		t.Error("what no origin is asked for is kept")
	}
}
