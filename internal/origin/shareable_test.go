package origin_test

import (
	"net/http"
	"testing"

	"ddm/internal/origin"
)

func TestShareable(t *testing.T) {
	t.Parallel()
	good := origin.Generation{Size: 10, ETag: `"one"`}
	for _, c := range []struct {
		gen    origin.Generation
		level  origin.Level
		name   string
		value  string
		wanted bool
	}{
		{good, origin.Strong, "Cache-Control", "public, max-age=60", true},
		{good, origin.Strong, "Vary", "Accept-Encoding", true},
		{good, origin.Strong, "Vary", "Accept, *", false},
		{good, origin.Strong, "Vary", "origin , Accept-Encoding", true},
		{good, origin.Strong, "Vary", "Accept-Encoding, Cookie", false},
		{good, origin.Strong, "Vary", "User-Agent", false},
		{good, origin.Strong, "Cache-Control", "max-age=60, No-Store", false},
		{good, origin.Strong, "Cache-Control", `private="x"`, false},
		{good, origin.Strong, "Set-Cookie", "a=b", false},
		{good, origin.Weak, "Age", "1", false},
		{origin.Generation{Size: 10, ETag: `W/"one"`}, origin.Strong, "Age", "1", false},
		{origin.Generation{Size: 10}, origin.Strong, "Age", "1", false},
	} {
		r := &origin.Reply{Gen: c.gen, Level: c.level, Header: http.Header{c.name: {c.value}}}
		if got := r.Shareable(); got != c.wanted {
			t.Errorf("%+v, %v, %s: %s: %v", c.gen, c.level, c.name, c.value, got)
		}
	}
}
