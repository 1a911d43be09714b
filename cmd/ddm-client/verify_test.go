package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ddm/internal/command/commandtest"
)

const pieceLength = 1 << 20

// library is an origin with one file of some pieces, and what is said of it.
type library struct {
	*httptest.Server
	content []byte
	sum     string // SHA-256 in hexadecimal
	meta4   string // a Metalink document whose URLs are relative to BASE
}

func newLibrary(t *testing.T) *library {
	t.Helper()
	l := &library{content: make([]byte, 5*pieceLength+123)}
	for i := range l.content {
		l.content[i] = byte(i * 2654435761 >> 13)
	}
	l.sum = fmt.Sprintf("%x", sha256.Sum256(l.content))
	var pieces strings.Builder
	for off := 0; off < len(l.content); off += pieceLength {
		fmt.Fprintf(&pieces, "<hash>%x</hash>", sha256.Sum256(l.content[off:min(off+pieceLength, len(l.content))]))
	}
	modified := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	mux := http.NewServeMux()
	file := func(content []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", modified, strings.NewReader(string(content)))
		}
	}
	other := append([]byte(nil), l.content...)
	other[3*pieceLength] ^= 1
	mux.HandleFunc("/f.bin", file(l.content))
	mux.HandleFunc("/stale/f.bin", file(other))
	mux.HandleFunc("/short/f.bin", file(l.content[:pieceLength]))
	mux.HandleFunc("/claims/f.bin", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.Sum256(l.content)
		if r.URL.RawQuery == "wrong" {
			sum[0] ^= 1
		}
		w.Header().Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":")
		file(l.content)(w, r)
	})
	mux.HandleFunc("/whole/f.bin", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(l.content)))
		_, _ = w.Write(l.content)
	})
	mux.HandleFunc("/SHA256SUMS", func(w http.ResponseWriter, r *http.Request) {
		body := strings.Repeat("0", 64) + "  other\n" + l.sum + "  f.bin\n"
		if r.URL.RawQuery == "wrong" {
			body = strings.Repeat("0", 64) + "  f.bin\n" + l.sum + "  other\n"
		}
		http.ServeContent(w, r, "", modified, strings.NewReader(body))
	})
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	file4 := func(name, urls string) string {
		return fmt.Sprintf(`<file name="%s"><size>%d</size><hash type="sha-256">%s</hash><pieces length="%d" type="sha-256">%s</pieces>%s</file>`,
			name, len(l.content), l.sum, pieceLength, pieces.String(), urls)
	}
	urls := func(paths ...string) string {
		var b strings.Builder
		for i, p := range paths {
			fmt.Fprintf(&b, `<url priority="%d">%s%s</url>`, i+1, l.URL, p)
		}
		return b.String()
	}
	head, tail := `<metalink xmlns="urn:ietf:params:xml:ns:metalink">`, `</metalink>`
	l.meta4 = head + file4("f.bin", urls("/none", "/short/f.bin", "/stale/f.bin", "/f.bin")) + tail
	serve := func(path, kind, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			http.ServeContent(w, r, "", modified, strings.NewReader(text))
		})
	}
	serve("/f.meta4", "text/plain", l.meta4)
	serve("/good.meta4", "text/plain", head+file4("f.bin", urls("/f.bin"))+tail)
	serve("/described", "application/metalink4+xml", l.meta4)
	serve("/two.meta4", "application/metalink4+xml", head+file4("../../a.bin", urls("/f.bin"))+file4("b.bin", urls("/f.bin"))+tail)
	serve("/lies.meta4", "text/plain", head+file4("f.bin", urls("/stale/f.bin"))+tail)
	serve("/broken.meta4", "text/plain", "<html>")
	serve("/ftp.meta4", "text/plain", head+`<file name="f.bin"><url>ftp://a/f.bin</url></file>`+tail)
	return l
}

// write saves content, changed, and returns the path.
func (l *library) write(t *testing.T, change func([]byte) []byte) string {
	t.Helper()
	content := append([]byte(nil), l.content...)
	if change != nil {
		content = change(content)
	}
	path := filepath.Join(t.TempDir(), "f.bin")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerify(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	document := filepath.Join(t.TempDir(), "f.meta4")
	if err := os.WriteFile(document, []byte(l.meta4), 0o600); err != nil {
		t.Fatal(err)
	}
	flip := func(at ...int) func([]byte) []byte {
		return func(b []byte) []byte {
			for _, i := range at {
				b[i] ^= 0x80
			}
			return b
		}
	}
	cut := func(b []byte) []byte { return b[:2*pieceLength-5] }
	grow := func(b []byte) []byte { return append(b, "more"...) }
	for _, tt := range []struct {
		name           string
		change         func([]byte) []byte
		args           []string
		status         int
		mended         bool // the file is right afterwards, though it was changed
		stdout, stderr []string
	}{
		{name: "checksum", args: []string{"--checksum", "sha256:" + l.sum}, stdout: []string{"f.bin: right: sha256\n"}},
		{name: "checksum, wrong", change: flip(9), args: []string{"--checksum", "sha256:" + l.sum}, status: 32, stderr: []string{"f.bin: its sha256 is "}},
		{name: "checksum file", args: []string{"--checksum-url", l.URL + "/SHA256SUMS"}, stdout: []string{"right: sha256"}},
		{name: "checksum file, wrong", args: []string{"--checksum-url", l.URL + "/SHA256SUMS?wrong"}, status: 32},
		{name: "checksum file, not there", args: []string{"--checksum-url", l.URL + "/none"}, status: 3},
		{name: "Metalink file", args: []string{"--metalink", document}, stdout: []string{"right: 6 pieces by sha256, sha256"}},
		{name: "Metalink URL", args: []string{"--metalink", l.URL + "/f.meta4"}, stdout: []string{"right: 6 pieces by sha256, sha256"}},
		{name: "Metalink, wrong", change: flip(0, pieceLength, 3*pieceLength), args: []string{"--metalink", document}, status: 32, stdout: []string{
			"bad: bytes 0-2097151 (2.0 MiB)\nbad: bytes 3145728-4194303 (1.0 MiB)\n",
		}, stderr: []string{"3 pieces of it bad (3.0 MiB)", "--mend"}},
		{name: "Metalink, mended", change: flip(0, 3*pieceLength, 5*pieceLength), args: []string{"--metalink", document, "--mend"}, mended: true, stdout: []string{
			"bad: bytes 0-1048575", "2.0 MiB written in place", "right: 6 pieces by sha256, sha256",
		}},
		{name: "Metalink, cut, mended", change: cut, args: []string{"--metalink", document, "--mend"}, mended: true},
		{name: "Metalink, grown", change: grow, args: []string{"--metalink", document}, status: 32, stderr: []string{"it has 5243007 bytes, not 5243003"}},
		{name: "Metalink, grown, mended", change: grow, args: []string{"--metalink", document, "--mend"}, mended: true},
		{name: "Metalink whose URLs lie", change: flip(3 * pieceLength), args: []string{"--metalink", l.URL + "/lies.meta4", "--mend"}, status: 32, stderr: []string{"other bytes", "1 piece of it bad"}},
		{name: "against", args: []string{"--against", l.URL + "/f.bin"}, stdout: []string{"right: every byte against " + l.URL + "/f.bin"}},
		{name: "against, wrong", change: flip(2*pieceLength - 1), args: []string{"--against", l.URL + "/f.bin"}, status: 32, stdout: []string{"bad: bytes 1048576-2097151 (1.0 MiB)\n"}},
		{name: "against, mended", change: flip(2*pieceLength-1, 5*pieceLength+122), args: []string{"--against", l.URL + "/f.bin", "--mend"}, mended: true},
		{name: "against, cut, mended", change: cut, args: []string{"--against", l.URL + "/f.bin", "--mend"}, mended: true},
		{name: "against, empty, mended", change: func([]byte) []byte { return nil }, args: []string{"--against", l.URL + "/f.bin", "--mend"}, mended: true},
		{name: "against, samples", args: []string{"--against", l.URL + "/f.bin", "--samples", "2"}, stdout: []string{"right: 2 of its 6 pieces, chosen at random, against "}},
		{name: "against, samples of all", change: flip(7), args: []string{"--against", l.URL + "/f.bin", "--samples=6"}, status: 32},
		{name: "against, no ranges", args: []string{"--against", l.URL + "/whole/f.bin"}, stdout: []string{"right: every byte"}},
		{name: "against, no ranges, wrong", change: flip(7), args: []string{"--against", l.URL + "/whole/f.bin"}, status: 32, stdout: []string{"bad: bytes 0-1048575"}},
		{name: "against, no ranges, no mending", change: flip(7), args: []string{"--against", l.URL + "/whole/f.bin", "--mend"}, status: 22, stderr: []string{"download the file anew"}},
		{name: "against and checksum", change: flip(7), args: []string{"--against", l.URL + "/f.bin", "--checksum", "sha256:" + l.sum, "--mend"}, mended: true, stdout: []string{"right: every byte against " + l.URL + "/f.bin, sha256"}},
		{name: "the origin is wrong", args: []string{"--against", l.URL + "/stale/f.bin", "--checksum", "sha256:" + l.sum}, status: 32},
		{name: "against nothing", args: []string{"--against", l.URL + "/none"}, status: 3},
		{name: "against nobody", args: []string{"--retry=0", "--against", "http://127.0.0.1:1/f"}, status: 6},
		{name: "JSON", change: flip(7), args: []string{"--json", "--metalink", document}, status: 32, stdout: []string{`"bad":[{"offset":0,"length":1048576}]`, `"event":"error"`, `"exit":32`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := l.write(t, tt.change)
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := commandtest.Call{Args: append(append([]string{"verify", "--proxy=none"}, tt.args...), path)}.Do(t, run)
			if got.Status != tt.status {
				t.Errorf("status %d, want %d: %s%s", got.Status, tt.status, got.Stdout, got.Stderr)
			}
			hasAll(t, "stdout", got.Stdout, tt.stdout)
			hasAll(t, "stderr", got.Stderr, tt.stderr)
			want := before
			if tt.mended {
				want = l.content
			}
			if after, err := os.ReadFile(path); err != nil || string(after) != string(want) {
				t.Errorf("the file holds %d bytes, not what it should; %v", len(after), err)
			}
			for line := range strings.Lines(got.Stdout) {
				if strings.Contains(tt.name, "JSON") && !json.Valid([]byte(line)) {
					t.Errorf("no JSON: %s", line)
				}
			}
		})
	}
}

func TestVerifyEndsBeforeAnyRequest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const sum = "md5:d41d8cd98f00b204e9800998ecf8427e"
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		stderr string
	}{
		{"no file", []string{"--checksum", sum}, 28, "name one file to verify"},
		{"two files", []string{"a", "b", "--checksum", sum}, 28, "name one file to verify"},
		{"nothing to compare with", []string{"a"}, 28, "say what to hold the file against"},
		{"mend by a checksum", []string{"a", "--mend", "--checksum", sum}, 28, "--mend: needs --metalink or --against"},
		{"samples of nothing", []string{"a", "--samples=3", "--checksum", sum}, 28, "--samples: "},
		{"bad URL", []string{"a", "--against", "ftp://a/"}, 28, "--against: "},
		{"flag of get", []string{"a", "--checksum", sum, "-o", "b"}, 28, "--output: means nothing to verify"},
		{"missing file", []string{filepath.Join(dir, "none"), "--checksum", sum}, 15, "no such file"},
		{"a folder", []string{dir, "--checksum", sum}, 15, "no ordinary file"},
		{"missing Metalink", []string{dir, "--metalink", filepath.Join(dir, "none.meta4")}, 15, "no such file"},
	} {
		got := commandtest.Call{Args: append([]string{"verify"}, tt.args...)}.Do(t, run)
		if got.Status != tt.status || !strings.Contains(got.Stderr, tt.stderr) {
			t.Errorf("%s: status %d, want %d: %s", tt.name, got.Status, tt.status, got.Stderr)
		}
	}
	for _, flag := range []string{"--metalink=x", "--against=http://x/", "--samples=1", "--mend"} {
		got := commandtest.Call{Args: []string{"get", "http://a.invalid/", flag}}.Do(t, run)
		if got.Status != 28 || !strings.Contains(got.Stderr, "means nothing to get") {
			t.Errorf("get %s: status %d: %s", flag, got.Status, got.Stderr)
		}
	}
}

// TestGetByEvidence downloads what is described somewhere.
func TestGetByEvidence(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	docs := t.TempDir()
	document := filepath.Join(docs, "f.meta4")
	broken := filepath.Join(docs, "broken.metalink")
	for path, text := range map[string]string{document: l.meta4, broken: "<x"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := l.URL + "/f.bin"
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		saved  string // names
		stdout string
		stderr string
	}{
		{name: "checksum file", args: []string{"--checksum-url", l.URL + "/SHA256SUMS", f}, saved: "f.bin", stderr: "identity  digest"},
		{name: "checksum file, another name", args: []string{"-o", "x", "--checksum-url", l.URL + "/SHA256SUMS", f}, saved: "x"},
		{name: "checksum file, wrong", args: []string{"--checksum-url", l.URL + "/SHA256SUMS?wrong", f}, status: 32},
		{name: "checksum file, missing", args: []string{"--checksum-url", l.URL + "/none", f}, status: 3},
		{name: "checksum file, of others", args: []string{"--checksum-url", l.URL + "/SHA256SUMS", l.URL + "/described", "--no-metalink"}, status: 28, stderr: "none of its 2 checksums"},
		{name: "the origin says", args: []string{l.URL + "/claims/f.bin"}, saved: "f.bin", stderr: "identity  digest"},
		{name: "the origin says wrong", args: []string{l.URL + "/claims/f.bin?wrong"}, status: 32, stderr: "as the origin's Repr-Digest says; --no-origin-digest"},
		{name: "the origin is not asked", args: []string{"--no-origin-digest", l.URL + "/claims/f.bin?wrong"}, saved: "f.bin", stderr: "identity  weak"},
		{name: "the user knows better", args: []string{"--checksum", "sha256:" + l.sum, l.URL + "/claims/f.bin?wrong"}, saved: "f.bin"},
		{name: "Metalink file", args: []string{document}, saved: "f.bin", stderr: "identity  digest"},
		{name: "Metalink file beside a URL", args: []string{document, l.URL + "/SHA256SUMS"}, saved: "SHA256SUMS f.bin"},
		{name: "Metalink by its name", args: []string{l.URL + "/f.meta4"}, saved: "f.bin"},
		{name: "Metalink by its type", args: []string{l.URL + "/described"}, saved: "f.bin"},
		{name: "Metalink, another name", args: []string{"-o", "x", l.URL + "/f.meta4"}, saved: "x"},
		{name: "Metalink to stdout", args: []string{"-o", "-", l.URL + "/good.meta4"}, stdout: string(l.content)},
		{name: "Metalink of two, names made safe", args: []string{l.URL + "/two.meta4"}, saved: "a.bin b.bin"},
		{name: "Metalink of two, one name", args: []string{"-o", "x", l.URL + "/two.meta4"}, status: 28, stderr: "cannot serve the 2 files"},
		{name: "Metalink saved", args: []string{"--no-metalink", l.URL + "/f.meta4"}, saved: "f.meta4"},
		{name: "Metalink, dry run", args: []string{"--dry-run", document}, stdout: "f.bin"},
		{name: "Metalink that lies", args: []string{l.URL + "/lies.meta4"}, status: 32, stderr: "1 of 6 pieces bad"},
		{name: "Metalink, broken", args: []string{l.URL + "/broken.meta4"}, status: 28, stderr: "cannot be used"},
		{name: "Metalink without http", args: []string{l.URL + "/ftp.meta4"}, status: 28, stderr: "no URL of http or https"},
		{name: "Metalink file, broken", args: []string{broken}, status: 28, stderr: broken + ": the Metalink document cannot be used"},
		{name: "Metalink file, missing", args: []string{"none.meta4"}, status: 15, stderr: "none.meta4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			got := commandtest.Call{Args: append([]string{"--local-only", "--proxy=none", "-d", dir}, tt.args...)}.Do(t, run)
			if got.Status != tt.status {
				t.Errorf("status %d, want %d: %s", got.Status, tt.status, got.Stderr)
			}
			hasAll(t, "stderr", got.Stderr, []string{tt.stderr})
			if !strings.Contains(got.Stdout, tt.stdout) {
				t.Errorf("stdout has %d bytes, not what it should", len(got.Stdout))
			}
			var names []string
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), ".") {
					continue
				}
				names = append(names, e.Name())
				data, err := os.ReadFile(filepath.Join(dir, e.Name()))
				if err != nil || len(data) == len(l.content) && string(data) != string(l.content) {
					t.Errorf("%s: wrong content; %v", e.Name(), err)
				}
			}
			if strings.Join(names, " ") != tt.saved {
				t.Errorf("saved %q, want %q", names, tt.saved)
			}
		})
	}
}
