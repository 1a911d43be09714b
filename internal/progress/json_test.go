package progress_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"ddm/internal/progress"
)

// fields are what the contract promises of each event, with what each may hold.
func fields() map[string]map[string]string {
	return map[string]map[string]string{
		"start":    {"url": "string", "size": "number null", "identity": "string", "resumed_bytes": "number"},
		"progress": {"bytes": "number", "rate": "number", "eta_seconds": "number null", "sources": "sources"},
		"source":   {"name": "string", "change": "string", "reason": "string"},
		"done": {
			"url": "string", "path": "string", "size": "number", "seconds": "number", "identity": "string",
			"digest": "string null", "sources": "sources", "reassigned_ranges": "number", "duplicate_bytes": "number",
			"origin_bytes": "number", "verify_bytes": "number", "lan_bytes": "number", "stored_bytes": "number",
		},
		"error": {"kind": "string", "message": "string", "exit": "number"},
		"note":  {"message": "string"},
		"plan": {
			"url": "string", "name": "string", "size": "number null", "identity": "string", "ranges": "bool",
			"helpers": "sources", "notes": "list",
		},
	}
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "bool"
	case float64:
		return "number"
	case []any:
		for _, s := range v {
			m, ok := s.(map[string]any)
			if !ok {
				return "list"
			}
			for field, kind := range map[string]string{"name": "string", "kind": "string", "bytes": "number", "rate": "number", "state": "string"} {
				if kindOf(m[field]) != kind {
					return "sources without " + field
				}
			}
		}
		return "sources list"
	}
	return "object"
}

// events checks every line against the contract and returns them decoded.
func events(t *testing.T, stdout string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for l := range strings.Lines(stdout) {
		var e map[string]any
		if err := json.Unmarshal([]byte(l), &e); err != nil || !strings.HasSuffix(l, "}\n") {
			t.Fatalf("no whole object: %q: %v", l, err)
		}
		out = append(out, e)
		stamp, _ := e["time"].(string)
		if _, err := time.Parse("2006-01-02T15:04:05.000Z07:00", stamp); err != nil {
			t.Errorf("time %q: %v", stamp, err)
		}
		name, _ := e["event"].(string)
		promised, ok := fields()[name]
		if !ok {
			t.Errorf("an event %q", name)
		}
		for field, kinds := range promised {
			v, there := e[field]
			if kind := kindOf(v); !there || !strings.Contains(kinds, kind) && !strings.Contains(kind, kinds) {
				t.Errorf("%s: %q is %s, want %s: %s", name, field, kind, kinds, l)
			}
		}
	}
	return out
}

func names(events []map[string]any) string {
	var b strings.Builder
	for _, e := range events {
		if n, _ := e["event"].(string); n != "" {
			b.WriteString(n[:1])
		}
	}
	return b.String()
}

func TestJSON(t *testing.T) {
	stdout, stderr := record(t, progress.Options{JSON: true, Terminal: true}, story)
	if stderr != "" {
		t.Errorf("on stderr: %q", stderr)
	}
	es := events(t, stdout)
	kinds := names(es)
	// 12 s of two a second, less the first before a snapshot came; a last one with the news.
	if !strings.HasPrefix(kinds, "sp") || !strings.HasSuffix(kinds, "ssnpd") && !strings.HasSuffix(kinds, "ssnd") || strings.Count(kinds, "p") < 22 {
		t.Errorf("events %s", kinds)
	}
	done := es[len(es)-1]
	for field, want := range map[string]any{
		"digest": "sha256:00ff", "seconds": 12.0, "size": float64(200 * mib), "path": "/home/anna/image.iso",
		"identity": "strong", "duplicate_bytes": float64(3 * mib), "reassigned_ranges": 1.0,
	} {
		if done[field] != want {
			t.Errorf("done %s = %v, want %v", field, done[field], want)
		}
	}
}

func TestJSONProgressComesWithoutNews(t *testing.T) {
	stdout, _ := record(t, progress.Options{JSON: true}, func(u *progress.UI) {
		r := u.Download("x")
		r.Start(begin(-1))
		time.Sleep(10100 * time.Millisecond)
	})
	es := events(t, stdout)
	if got := names(es); got != "s"+strings.Repeat("p", 20) {
		t.Fatalf("events %s", got)
	}
	last := time.Time{}
	for _, e := range es {
		stamp, _ := e["time"].(string)
		now, err := time.Parse(time.RFC3339, stamp)
		if err != nil {
			t.Fatal(err)
		}
		if !last.IsZero() && now.Sub(last) > time.Second {
			t.Errorf("%v between two events", now.Sub(last))
		}
		last = now
	}
}

func TestJSONOddValues(t *testing.T) {
	stdout, stderr := record(t, progress.Options{JSON: true}, func(u *progress.UI) {
		r := u.Download("https://h.example/a&b")
		r.Start(progress.Start{URL: "https://h.example/a&b", Size: -1})
		r.Progress(progress.Snapshot{Size: -1, ETA: -1, Rate: math.NaN(), Sources: []progress.Source{{Name: "\xff\x1b\n", Rate: math.Inf(1)}}})
		r.Done(progress.Done{URL: "https://h.example/a&b", OwnRate: math.NaN()})
		u.Download("y").Plan(progress.Plan{Size: -1, Notes: []string{"n"}})
		u.Download("z").Fail(progress.Failure{URL: "z", Kind: "not found", Message: "the origin has no such file: 404", Exit: 3})
	})
	es := events(t, stdout)
	if got := names(es); got != "spdpe" {
		t.Fatalf("events %s", got)
	}
	if es[0]["size"] != nil || es[0]["identity"] != "none" || es[1]["eta_seconds"] != nil || es[2]["digest"] != nil {
		t.Errorf("unknown values: %v", es)
	}
	if !strings.Contains(stdout, "https://h.example/a&b") {
		t.Errorf("a URL that is hard to read: %s", stdout)
	}
	diff(t, stderr, "ddm-client: z: the origin has no such file: 404\n")
}

func TestJSONQuietSaysErrorsOnly(t *testing.T) {
	stdout, _ := record(t, progress.Options{JSON: true, Quiet: true}, func(u *progress.UI) {
		story(u)
		u.Download("z").Fail(progress.Failure{Kind: "not found", Exit: 3})
	})
	if got := names(events(t, stdout)); got != "e" {
		t.Errorf("events %s", got)
	}
}
