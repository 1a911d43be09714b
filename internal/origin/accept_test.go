package origin_test

import (
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"ddm/internal/byterange"
	"ddm/internal/errdefs"
	"ddm/internal/origin"
)

const (
	oldLM   = "Wed, 01 Jan 2020 00:00:00 GMT"
	otherLM = "Thu, 02 Jan 2020 00:00:00 GMT"
	sameLM  = "Wednesday, 01-Jan-20 00:00:00 GMT" // the obsolete form
	date    = "Fri, 03 Jan 2020 00:00:00 GMT"
	atOnce  = "Wed, 01 Jan 2020 00:00:59 GMT"
)

func header(fields ...string) http.Header {
	h := make(http.Header)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		h.Add(name, value)
	}
	return h
}

func TestAcceptFraming(t *testing.T) {
	want := byterange.Range{Off: 100, Len: 50}
	pinned := origin.Generation{Size: 1000, ETag: `"a"`}
	tag := `Etag: "a"`
	tests := []struct {
		name    string
		status  int
		length  int64
		chunked bool
		fields  []string
		kind    errdefs.Kind // "": accepted
		got     int64        // bytes accepted
	}{
		{"exact", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", tag}, "", 50},
		{"no length", 206, -1, false, []string{"Content-Range: bytes 100-149/1000", tag}, "", 50},
		{"chunked", 206, -1, true, []string{"Content-Range: bytes 100-149/1000", tag}, "", 50},
		{"chunked beside a length", 206, 7, true, []string{"Content-Range: bytes 100-149/1000", tag}, "", 50},
		{"shorter", 206, 1, false, []string{"Content-Range: bytes 100-100/1000", tag}, "", 1},
		{"star", 206, 50, false, []string{"Content-Range: bytes 100-149/*", tag}, "", 50},
		{"longer", 206, 51, false, []string{"Content-Range: bytes 100-150/1000", tag}, errdefs.BadReply, 0},
		{"sooner", 206, 51, false, []string{"Content-Range: bytes 99-149/1000", tag}, errdefs.BadReply, 0},
		{"later", 206, 49, false, []string{"Content-Range: bytes 101-149/1000", tag}, errdefs.BadReply, 0},
		{"elsewhere", 206, 50, false, []string{"Content-Range: bytes 500-549/1000", tag}, errdefs.BadReply, 0},
		{"none", 206, 50, false, []string{tag}, errdefs.BadReply, 0},
		{"malformed", 206, 50, false, []string{"Content-Range: bytes 100-149", tag}, errdefs.BadReply, 0},
		{"unsatisfied", 206, 50, false, []string{"Content-Range: bytes */1000", tag}, errdefs.BadReply, 0},
		{"twice the same", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", "Content-Range: bytes 100-149/1000", tag}, errdefs.BadReply, 0},
		{"twice", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", "Content-Range: bytes 100-140/1000", tag}, errdefs.BadReply, 0},
		{"length too great", 206, 51, false, []string{"Content-Range: bytes 100-149/1000", tag}, errdefs.BadReply, 0},
		{"length too small", 206, 49, false, []string{"Content-Range: bytes 100-149/1000", tag}, errdefs.BadReply, 0},
		{"two tags", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", tag, `Etag: "b"`}, errdefs.BadReply, 0},
		{"one tag twice", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", tag, tag}, "", 50},
		{"two lengths", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", tag, "Content-Length: 50", "Content-Length: 51"}, errdefs.BadReply, 0},
		{"multipart", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", tag, "Content-Type: Multipart/ByteRanges; boundary=x"}, errdefs.BadReply, 0},
		{"other size", 206, 50, false, []string{"Content-Range: bytes 100-149/1001", tag}, errdefs.Changed, 0},
		{"coded", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", tag, "Content-Encoding: gzip"}, errdefs.Changed, 0},
		{"identity named", 206, 50, false, []string{"Content-Range: bytes 100-149/1000", tag, "Content-Encoding: identity"}, "", 50},
		{"whole", 200, 1000, false, []string{tag}, errdefs.NoRanges, 0},
		{"transformed", 203, 50, false, []string{"Content-Range: bytes 100-149/1000", tag}, errdefs.BadReply, 0},
		{"nothing", 204, 0, false, nil, errdefs.BadReply, 0},
		{"416 shorter now", 416, 0, false, []string{"Content-Range: bytes */90"}, errdefs.Changed, 0},
		{"416 same length", 416, 0, false, []string{"Content-Range: bytes */1000"}, errdefs.BadRange, 0},
		{"416 bare", 416, 0, false, nil, errdefs.BadRange, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := origin.Accept(tt.status, header(tt.fields...), tt.length, tt.chunked, want, pinned)
			if got := errdefs.KindOf(err); got != tt.kind {
				t.Fatalf("error %v, want kind %q", err, tt.kind)
			}
			if err == nil && (v.Range != byterange.Range{Off: 100, Len: tt.got} || v.Level != origin.Strong || v.Gen.Size != 1000) {
				t.Errorf("verdict %+v, want %d bytes, strong", v, tt.got)
			}
		})
	}
}

func TestAcceptLevels(t *testing.T) {
	gen := func(etag, lm string) origin.Generation {
		return origin.Generation{Size: 10, ETag: etag, LastModified: lm}
	}
	const changed = origin.Level(-1)
	tests := []struct {
		name         string
		pinned, seen origin.Generation
		date         string
		want         origin.Level
	}{
		{"tags agree", gen(`"a"`, ""), gen(`"a"`, ""), "", origin.Strong},
		{"tags agree, dates differ", gen(`"a"`, oldLM), gen(`"a"`, otherLM), date, origin.Strong},
		{"tags differ, date agrees", gen(`"a"`, oldLM), gen(`"b"`, oldLM), date, origin.Weak},
		{"tags differ, date is young", gen(`"a"`, oldLM), gen(`"b"`, oldLM), atOnce, origin.Sampled},
		{"tags differ, date lacks", gen(`"a"`, oldLM), gen(`"b"`, ""), date, changed},
		{"tags differ, dates differ", gen(`"a"`, oldLM), gen(`"b"`, otherLM), date, changed},
		{"reply lacks the tag", gen(`"a"`, oldLM), gen("", oldLM), date, origin.Weak},
		{"reply lacks the tag, date is young", gen(`"a"`, oldLM), gen("", oldLM), atOnce, origin.Sampled},
		{"reply lacks all", gen(`"a"`, oldLM), gen("", ""), date, origin.Sampled},
		{"weak tag of a strong one", gen(`"a"`, ""), gen(`W/"a"`, ""), date, origin.Sampled},
		{"weak tag beside a date", gen(`"a"`, oldLM), gen(`W/"b"`, oldLM), date, origin.Weak},
		{"weak tags agree", gen(`W/"a"`, ""), gen(`W/"a"`, ""), date, origin.Sampled},
		{"weak tags differ", gen(`W/"a"`, ""), gen(`W/"b"`, ""), date, changed},
		{"unquoted tags are weak", gen(`a`, ""), gen(`a`, ""), date, origin.Sampled},
		{"dates agree", gen("", oldLM), gen("", oldLM), date, origin.Weak},
		{"dates agree in two forms", gen("", oldLM), gen("", sameLM), date, origin.Weak},
		{"dates agree, no clock", gen("", oldLM), gen("", oldLM), "", origin.Sampled},
		{"dates agree, nonsense", gen("", "yesterday"), gen("", "yesterday"), date, origin.Sampled},
		{"dates differ", gen("", oldLM), gen("", otherLM), date, changed},
		{"dates differ, weak tags agree", gen(`W/"a"`, oldLM), gen(`W/"a"`, otherLM), date, changed},
		{"reply has a date at last", gen("", ""), gen("", oldLM), date, origin.Sampled},
		{"nothing", gen("", ""), gen("", ""), date, origin.None},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := header("Content-Range: bytes 0-9/10")
			for name, v := range map[string]string{"Etag": tt.seen.ETag, "Last-Modified": tt.seen.LastModified, "Date": tt.date} {
				if v != "" {
					h.Set(name, v)
				}
			}
			v, err := origin.Accept(206, h, 10, false, byterange.Range{Len: 10}, tt.pinned)
			if tt.want == changed {
				c, ok := errors.AsType[*origin.ChangedError](err)
				if !ok || !errors.Is(err, errdefs.Changed) || c.Seen != tt.seen {
					t.Fatalf("error %v, want Changed with what was seen", err)
				}
				return
			}
			if err != nil || v.Level != tt.want || v.Gen != tt.seen {
				t.Errorf("%+v, %v, want level %v", v, err, tt.want)
			}
		})
	}
}

func TestAcceptStatus(t *testing.T) {
	for status, kind := range map[int]errdefs.Kind{
		400: errdefs.BadReply, 401: errdefs.Unauthorized, 403: errdefs.Unauthorized, 404: errdefs.NotFound,
		405: errdefs.BadReply, 407: errdefs.Unauthorized, 408: errdefs.Timeout, 410: errdefs.NotFound,
		421: errdefs.Unavailable, 425: errdefs.Unavailable, 429: errdefs.Busy, 451: errdefs.BadReply,
		500: errdefs.Unavailable, 501: errdefs.BadReply, 502: errdefs.Unavailable, 503: errdefs.Busy,
		504: errdefs.Unavailable, 505: errdefs.BadReply, 511: errdefs.BadReply, 522: errdefs.Unavailable,
		524: errdefs.Unavailable, 599: errdefs.BadReply, 304: errdefs.BadReply, 100: errdefs.BadReply,
	} {
		_, err := origin.Accept(status, header("Retry-After: 7"), 0, false, byterange.Range{Len: 1}, origin.Generation{Size: 1})
		if errdefs.KindOf(err) != kind {
			t.Errorf("status %d: %v, want %q", status, err, kind)
		}
		wait, ok := errdefs.RetryAfterOf(err)
		if ok != (kind == errdefs.Busy) || ok && wait != 7*time.Second {
			t.Errorf("status %d: wait %v, %v", status, wait, ok)
		}
	}
}

// FuzzAccept checks what an accepted reply must fulfil, in terms of its own.
func FuzzAccept(f *testing.F) {
	f.Add(206, "bytes 5-9/10", "", `"a"`, oldLM, "", "", int64(5), false, int64(5), int64(5), int64(10), `"a"`, oldLM, "")
	f.Add(206, "bytes 0-0/*", "bytes 0-0/1", `W/"a"`, "", "gzip", "multipart/byteranges", int64(-1), true, int64(0), int64(9), int64(1), "", "", "gzip")
	f.Add(416, "bytes */7", "", "", "", "", "", int64(0), false, int64(0), int64(9), int64(10), "", "", "")
	f.Fuzz(func(t *testing.T, status int, cr, cr2, etag, lm, coding, ctype string, length int64, chunked bool, off, n, size int64, pinTag, pinLM, pinCoding string) {
		h := make(http.Header)
		for name, v := range map[string]string{"Content-Range": cr, "Etag": etag, "Last-Modified": lm, "Content-Encoding": coding, "Content-Type": ctype, "Date": date} {
			if v != "" {
				h.Add(name, v)
			}
		}
		if cr2 != "" {
			h.Add("Content-Range", cr2)
		}
		want := byterange.Range{Off: off, Len: n}
		if off < 0 || n <= 0 || off+n < off || size < 0 || off+n > size {
			return // Open never asks so
		}
		pinned := origin.Generation{Size: size, ETag: pinTag, LastModified: pinLM, Coding: pinCoding}
		v, err := origin.Accept(status, h, length, chunked, want, pinned)
		if err != nil {
			if errdefs.KindOf(err) == errdefs.Internal {
				t.Fatalf("an error without a kind: %v", err)
			}
			return
		}
		if status != 206 || cr2 != "" && cr != "" {
			t.Fatalf("accepted status %d, Content-Range %q and %q", status, cr, cr2)
		}
		if v.Range.Off != off || v.Range.Empty() || v.Range.End() > off+n || v.Gen.Size != size {
			t.Fatalf("asked for %v of %d, accepted %+v", want, size, v)
		}
		if !chunked && length >= 0 && length != v.Range.Len {
			t.Fatalf("accepted length %d for %v", length, v.Range)
		}
		if v.Level == origin.Strong && (pinTag != strings.TrimSpace(etag) || strings.HasPrefix(pinTag, "W/") || !strings.HasPrefix(pinTag, `"`)) {
			t.Fatalf("strong by %q and %q", pinTag, etag)
		}
		if v.Level == origin.Weak && (pinLM == "" || strings.TrimSpace(lm) == "") {
			t.Fatalf("weak by %q and %q", pinLM, lm)
		}
		if v.Gen.Coding != pinCoding {
			t.Fatalf("accepted coding %q for %q", v.Gen.Coding, pinCoding)
		}
	})
}

func TestParseRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		field, date string
		want        time.Duration // 0: nothing usable
	}{
		{"7", "", 7 * time.Second},
		{" 7 ", "", 7 * time.Second},
		{"0", "", time.Second},
		{"600", "", 10 * time.Minute},
		{"601", "", 10 * time.Minute},
		{strings.Repeat("9", 400), "", 10 * time.Minute},
		{"Wed, 01 Jan 2020 00:01:30 GMT", atOnce, 31 * time.Second},
		{oldLM, date, time.Second},
		{date, oldLM, 10 * time.Minute},
		{date, "", 0},
		{"", date, 0},
		{"-1", date, 0},
		{"+1", date, 0},
		{"1.5", date, 0},
		{"soon", date, 0},
	} {
		if got, ok := origin.ParseRetryAfter(tt.field, tt.date); got != tt.want || ok != (tt.want > 0) {
			t.Errorf("ParseRetryAfter(%.20q, %q) = %v, %v, want %v", tt.field, tt.date, got, ok, tt.want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	f.Add("120", date)
	f.Add(oldLM, date)
	f.Add("18446744073709551616", "")
	f.Fuzz(func(t *testing.T, field, date string) {
		got, ok := origin.ParseRetryAfter(field, date)
		if ok && (got < time.Second || got > 10*time.Minute) || !ok && got != 0 {
			t.Fatalf("ParseRetryAfter(%q, %q) = %v, %v", field, date, got, ok)
		}
		n, isNumber := new(big.Int).SetString(strings.TrimSpace(field), 10)
		if isNumber && !strings.ContainsAny(field, "+-_") {
			want := time.Duration(min(max(new(big.Int).Set(minBig(n, 600)).Int64(), 1), 600)) * time.Second
			if !ok || got != want {
				t.Fatalf("ParseRetryAfter(%q) = %v, want %v", field, got, want)
			}
		}
	})
}

func minBig(n *big.Int, limit int64) *big.Int {
	if l := big.NewInt(limit); n.Cmp(l) > 0 {
		return l
	}
	return n
}
