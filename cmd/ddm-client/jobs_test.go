package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"ddm/internal/config"
	"ddm/internal/errdefs"
)

func TestPlans(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		args   []string
		mirror bool
		input  string
		want   string // "label user urls | ..."
		err    []string
	}{
		{name: "none"},
		{name: "one", args: []string{"HTTP://Example.org/a?b#c"}, want: "http://Example.org/a - http://Example.org/a?b"},
		{name: "several", args: []string{"http://a/", "https://b/"}, want: "http://a/ - http://a/ | https://b/ - https://b/"},
		{name: "mirrors", args: []string{"http://a/", "https://b/"}, mirror: true, want: "http://a/ - http://a/ https://b/"},
		{name: "credentials", args: []string{"http://joe:s3cret@a/?k"}, want: "http://a/ joe:s3cret http://a/?k"},
		{
			name: "input", args: []string{"http://z/"}, mirror: true,
			input: "\ufeffhttp://a/1\thttp://b/1\r\n\n# no\n  http://c/2  \n",
			want:  "http://z/ - http://z/ | http://a/1 - http://a/1 http://b/1 | http://c/2 - http://c/2",
		},
		{name: "same credentials", args: []string{"http://j:p@a/", "http://j:p@b/"}, mirror: true, want: "http://a/ j:p http://a/ http://b/"},
		{name: "other credentials", args: []string{"http://a/", "http://j:hunter2@b/"}, mirror: true, err: []string{"http://b/: mirrors with credentials"}},
		{name: "no scheme", args: []string{"example.org/x?hunter2"}, err: []string{`"example.org/x" is no URL: it needs a scheme, as in https://example.org/x`}},
		{name: "port for scheme", args: []string{"localhost:8080/x"}, err: []string{`as in https://localhost:8080/x`}},
		{name: "scheme", args: []string{"ftp://h/x"}, err: []string{`ftp is not spoken: http and https are`}},
		{name: "magnet", args: []string{"magnet:?xt=1"}, err: []string{`magnet is not spoken`}},
		{name: "user for scheme", args: []string{"joe:hunter2@h/x"}, err: []string{`is not spoken`}},
		{name: "no host", args: []string{"http:///x"}, err: []string{`names no host`}},
		{name: "unparsable", args: []string{"http://j:hunter2@[::1/x?hunter2"}, err: []string{`"...@[::1/x" is no URL: missing ']'`}},
		{name: "control", args: []string{"http://a/\x7f"}, err: []string{`is no URL`}},
		{
			name: "all at once", args: []string{"x"}, input: "http://a/\nftp://b/\n\tout=name\n",
			err: []string{`"x" is no URL`, `list:2: "ftp://b/": ftp is not spoken`, `list:3: "out=name" is no URL`},
		},
		{name: "long line", input: "http://a/" + strings.Repeat("x", 1<<20), err: []string{"list:1: the line is too long"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			all, err := plans(tt.args, tt.mirror, "list", tt.input)
			wantText(t, err, tt.err)
			var got []string
			for _, p := range all {
				user := "-"
				if p.user != nil {
					user = p.user.String()
				}
				words := []string{p.label, user}
				for _, u := range p.urls {
					words = append(words, u.String())
				}
				got = append(got, strings.Join(words, " "))
			}
			if s := strings.Join(got, " | "); err == nil && s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
		})
	}
}

// wantText holds an error against its parts; none: no error. Secrets of the
// tables are never part of one.
func wantText(t *testing.T, err error, want []string) {
	t.Helper()
	if (err == nil) != (len(want) == 0) {
		t.Fatalf("error %v, want %q", err, want)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in: %v", w, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret is shown: %v", err)
	}
	if err != nil && !errors.Is(err, errdefs.Invalid) {
		t.Errorf("%v is not of kind invalid", err)
	}
}

func FuzzPlans(f *testing.F) {
	f.Add("http://j:p@a/?q\thttp://b/#f\n# c\nftp://x", true)
	f.Fuzz(func(t *testing.T, input string, mirror bool) {
		all, err := plans([]string{input}, mirror, "list", input)
		if err == nil && len(all) == 0 {
			t.Error("a URL was lost")
		}
		for _, p := range all {
			for _, u := range p.urls {
				if u.User != nil || u.Fragment != "" || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
					t.Errorf("%q was let through", u)
				}
			}
		}
	})
}

func TestTarget(t *testing.T) {
	t.Parallel()
	abs := filepath.Join(t.TempDir(), "x")
	for _, tt := range []struct{ dir, output, folder, name, err string }{
		{dir: "d", folder: "d"},
		{output: "f", name: "f"},
		{dir: "d", output: "f", folder: "d", name: "f"},
		{dir: "d", output: "e/f", folder: filepath.Join("d", "e"), name: "f"},
		{output: abs, folder: filepath.Dir(abs), name: "x"},
		{dir: "d", output: abs, err: "absolute"},
		{output: "e/", err: "is a folder"},
		{output: "..", err: "no name"},
		{output: "a/.", err: "no name"},
		{output: "a\x00b", err: "NUL"},
		{dir: "d", output: "-", folder: "d"},
	} {
		folder, name, err := target(tt.dir, tt.output)
		if folder != tt.folder || name != tt.name || (err == nil) != (tt.err == "") {
			t.Errorf("%q, %q: %q, %q, %v", tt.dir, tt.output, folder, name, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	cfg := config.Client{Headers: []string{"x-a: 1", "X-A: 2"}, Referer: "r"}
	h := headers(&cfg, "v1")
	if len(h.Values("X-A")) != 2 || h.Get("User-Agent") != "ddm/v1" || h.Get("Referer") != "r" {
		t.Errorf("%v", h)
	}
	cfg = config.Client{Headers: []string{"user-agent: mine", "Referer: "}, UserAgent: "other", Referer: "r"}
	if h = headers(&cfg, "v1"); h.Get("User-Agent") != "mine" || h.Get("Referer") != "" {
		t.Errorf("--header is not the strongest: %v", h)
	}
}

// TestJudge is the contract's table of exit statuses.
func TestJudge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err         error
		interrupted bool
		want        int
	}{
		{nil, false, 0},
		{nil, true, 0},
		{io.ErrUnexpectedEOF, false, 1},
		{errdefs.Internal, false, 1},
		{errdefs.LeaseExpired, false, 1},
		{errdefs.Kind("of a later version"), false, 1},
		{errdefs.Timeout, false, 2},
		{context.DeadlineExceeded, false, 2},
		{errdefs.NotFound, false, 3},
		{errdefs.Unavailable, false, 6},
		{context.Canceled, true, 7},
		{errdefs.Unavailable, true, 7},
		{io.ErrUnexpectedEOF, true, 7},
		{fmt.Errorf("%w: %w", errdefs.Internal, context.Canceled), true, 7},
		{errdefs.NoSpace, false, 9},
		{errdefs.NoSpace, true, 9},
		{errdefs.Locked, false, 11},
		{errdefs.Exists, false, 13},
		{errdefs.OpenFile, false, 15},
		{errdefs.CreateFile, false, 16},
		{errdefs.WriteFile, false, 17},
		{errdefs.MakeDir, false, 18},
		{errdefs.Unresolved, false, 19},
		{errdefs.BadReply, false, 22},
		{errdefs.BadRange, false, 22},
		{errdefs.NoRanges, false, 22},
		{errdefs.Redirects, false, 23},
		{errdefs.Unauthorized, false, 24},
		{errdefs.Invalid, false, 28},
		{errdefs.Busy, false, 29},
		{errdefs.Corrupt, false, 32},
		{errdefs.Corrupt, true, 32},
		{errdefs.Changed, false, 40},
		{errdefs.Refused, false, 41},
	} {
		err := tt.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w: %w", err, io.EOF)
		}
		if got := judge(err, tt.interrupted); got.status != tt.want || (got.kind == "") != (err == nil) {
			t.Errorf("%v, interrupted %v: %+v, want %d", err, tt.interrupted, got, tt.want)
		}
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("%w: f.iso is there already", errdefs.Exists)
	if got := judge(err, false).message(err); got != "f.iso is there already; that is --output FILE, or --overwrite" {
		t.Error(got)
	}
	if got := judge(context.Canceled, true).message(context.Canceled); !strings.Contains(got, "interrupted; what arrived is kept") {
		t.Error(got)
	}
}
