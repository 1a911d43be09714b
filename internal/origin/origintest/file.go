package origintest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// File is what a path of the origin holds.
type File struct {
	Content
	Size     int64
	ETag     string      // as sent; "": none
	Modified time.Time   // Last-Modified; zero: none
	Header   http.Header // further fields of every reply
	Faults   []Fault     // all that match a request apply, later ones win
}

// NewFile is an ordinary file: strong ETag, an old Last-Modified.
func NewFile(size int64, gen uint64) File {
	c := Content{Seed: 1, Gen: gen}
	return File{
		Content:  c,
		Size:     size,
		ETag:     fmt.Sprintf(`"%x-%x"`, mix(gen+golden), size),
		Modified: time.Date(1999, time.March, 4, 5, 6, 7, 0, time.UTC).Add(time.Duration(gen%1000) * time.Hour),
	}
}

// With returns the file with further faults.
func (f File) With(faults ...Fault) File {
	f.Faults = append(slices.Clip(f.Faults), faults...)
	return f
}

// End is how a body ends before its time.
type End int

// The ends.
const (
	Whole    End = iota // it does not: everything is sent
	Truncate            // the connection is closed in good order
	Reset               // the connection is reset
	Stall               // nothing more comes until the client goes
)

// Digested is what a Content-Digest field says.
type Digested int

// The fields.
const (
	Undigested Digested = iota // there is none
	RightDigest
	WrongDigest
)

// Fault is one way to misbehave. Skip, Count and Client choose the requests;
// every other field that is not zero changes what they get.
type Fault struct {
	Skip   int    // requests of the file that are served well first
	Count  int    // requests that are served badly then; 0: all
	Client string // client address that is served badly; "": all

	HeaderDelay time.Duration // before the first byte of the reply

	Status     int    // instead of bytes; 200: the range is ignored
	Location   string // goes with a redirect
	RetryAfter string // goes with a 429 or 503

	Become       *File    // serve this file instead, without its faults
	ETag         *string  // send this one instead; "": none
	Set          []string // "Name: value" fields set at last; "Name:" deletes one
	ContentRange []string // the Content-Range fields, instead of the right one; {}: none
	Shift        int64    // serve a range that starts so much later
	Short        int64    // serve at most so many bytes of the range
	Excess       int64    // send so many bytes more than the range holds
	Multipart    bool     // dress the range as multipart/byteranges
	Chunked      bool     // frame the body by chunks
	NoLength     bool     // frame the body by the end of the connection

	ContentDigest Digested // names the SHA-256 of what is sent

	After int64   // bytes of the body before End strikes
	End   End     // how the body ends then
	Rate  float64 // bytes per second of the body
}

// matches reports whether the n-th request (from 0) of a client is meant.
func (f Fault) matches(n int, client string) bool {
	return n >= f.Skip && (f.Count == 0 || n < f.Skip+f.Count) && (f.Client == "" || f.Client == client)
}

// merge lays the set fields of o over f.
func (f Fault) merge(o Fault) Fault {
	set(&f.HeaderDelay, o.HeaderDelay)
	set(&f.Status, o.Status)
	set(&f.Location, o.Location)
	set(&f.RetryAfter, o.RetryAfter)
	set(&f.Become, o.Become)
	set(&f.ETag, o.ETag)
	f.Set = append(slices.Clip(f.Set), o.Set...)
	if o.ContentRange != nil {
		f.ContentRange = o.ContentRange
	}
	set(&f.Shift, o.Shift)
	set(&f.Short, o.Short)
	set(&f.Excess, o.Excess)
	set(&f.Multipart, o.Multipart)
	set(&f.Chunked, o.Chunked)
	set(&f.NoLength, o.NoLength)
	set(&f.ContentDigest, o.ContentDigest)
	set(&f.After, o.After)
	set(&f.End, o.End)
	set(&f.Rate, o.Rate)
	return f
}

func set[T comparable](to *T, v T) {
	var zero T
	if v != zero {
		*to = v
	}
}
