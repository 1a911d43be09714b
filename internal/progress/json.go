package progress

import (
	"encoding/json"
	"math"
	"strings"
	"time"
)

// jsonEvery is the time between two progress events: the contract promises at
// least one a second.
const jsonEvery = 500 * time.Millisecond

// jsonTime is RFC 3339 with milliseconds.
const jsonTime = "2006-01-02T15:04:05.000Z07:00"

// jsonStyle is for programs: one object per line on stdout. People get errors.
type jsonStyle struct {
	program string
	quiet   bool // error events only
}

// event is what every JSON line begins with. ID tells apart downloads that run at
// once, even of one URL.
type event struct {
	Event string `json:"event"`
	Time  string `json:"time"`
	ID    int    `json:"id"`
}

type startEvent struct {
	event
	URL      string `json:"url"`
	Path     string `json:"path"`
	Size     *int64 `json:"size"`
	Identity string `json:"identity"`
	Resumed  int64  `json:"resumed_bytes"`
}

type progressEvent struct {
	event
	Bytes   int64         `json:"bytes"`
	Size    *int64        `json:"size"`
	Rate    int64         `json:"rate"`
	ETA     *float64      `json:"eta_seconds"`
	Phase   string        `json:"phase"`
	Sources []sourceState `json:"sources"`
}

type sourceState struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Size  int64  `json:"size,omitempty"`
	Bytes int64  `json:"bytes"`
	Rate  int64  `json:"rate"`
	State string `json:"state"`
	Note  string `json:"note,omitempty"`
}

type sourceEvent struct {
	event
	Name   string `json:"name"`
	Change string `json:"change"`
	Reason string `json:"reason"`
}

type noteEvent struct {
	event
	Message string `json:"message"`
}

type planEvent struct {
	event
	URL      string        `json:"url"`
	Name     string        `json:"name"`
	Size     *int64        `json:"size"`
	Identity string        `json:"identity"`
	Ranges   bool          `json:"ranges"`
	Helpers  []sourceState `json:"helpers"`
	Notes    []string      `json:"notes"`
}

type doneEvent struct {
	event
	URL        string        `json:"url"`
	Path       string        `json:"path"`
	Size       int64         `json:"size"`
	Seconds    float64       `json:"seconds"`
	Identity   string        `json:"identity"`
	Digest     *string       `json:"digest"`
	Sources    []sourceState `json:"sources"`
	Reassigned int           `json:"reassigned_ranges"`
	Duplicate  int64         `json:"duplicate_bytes"`
	Origin     int64         `json:"origin_bytes"`
	Verify     int64         `json:"verify_bytes"`
	LAN        int64         `json:"lan_bytes"`
	Stored     int64         `json:"stored_bytes"`
	OwnRate    *int64        `json:"own_rate"`
	Notes      []string      `json:"notes"`
}

type errorEvent struct {
	event
	URL     string `json:"url"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Exit    int    `json:"exit"`
}

func (jsonStyle) period() time.Duration { return jsonEvery }

// tick repeats the last snapshot if no newer one has come: the reader's clock, too.
func (s jsonStyle) tick(v *view, now time.Time) text {
	if v.start == nil {
		return text{}
	}
	v.fresh = false
	return s.event(progressOf(v, now))
}

func (s jsonStyle) start(v *view) text {
	st := v.start
	return s.event(startEvent{
		event: heading("start", v), URL: st.URL, Path: st.Path, Size: known(st.Size),
		Identity: identityWord(st.Identity), Resumed: st.Resumed,
	})
}

func (s jsonStyle) source(v *view, c SourceChange) text {
	return s.event(sourceEvent{event: heading("source", v), Name: c.Name, Change: c.Change, Reason: c.Reason})
}

func (s jsonStyle) note(v *view, message string) text {
	return s.event(noteEvent{event: heading("note", v), Message: message})
}

func (s jsonStyle) plan(v *view, p Plan) text {
	return s.event(planEvent{
		event: heading("plan", v), URL: p.URL, Name: p.Name, Size: known(p.Size),
		Identity: identityWord(p.Identity), Ranges: p.Ranges,
		Helpers: states(arrange(p.Helpers)), Notes: list(p.Notes),
	})
}

func (s jsonStyle) done(v *view, d Done) text {
	e := doneEvent{
		event: heading("done", v), URL: d.URL, Path: d.Path, Size: d.Size,
		Seconds: rounded(d.Elapsed.Seconds(), 1000), Identity: identityWord(d.Identity),
		Sources: states(d.Sources), Reassigned: d.Reassigned, Duplicate: d.Duplicate,
		Origin: d.Origin, Verify: d.Verify, LAN: d.LAN, Stored: d.Stored, Notes: list(d.Notes),
	}
	for i := range e.Sources {
		if e.Sources[i].Rate == 0 && e.Sources[i].Size == 0 {
			e.Sources[i].Rate = whole(meanRate(e.Sources[i].Bytes, d.Elapsed))
		}
	}
	if d.Digest != "" {
		e.Digest = &d.Digest
	}
	if own := whole(d.OwnRate); own > 0 {
		e.OwnRate = &own
	}
	return text{stdout: s.last(v) + s.event(e).stdout}
}

func (s jsonStyle) fail(v *view, f Failure) text {
	e := errorEvent{event: heading("error", v), URL: f.URL, Kind: f.Kind, Message: f.Message, Exit: f.Exit}
	return text{stdout: s.last(v) + encode(e), stderr: failLine(s.program, v, f)}
}

// last is the snapshot that no tick has shown yet.
func (s jsonStyle) last(v *view) string {
	if v.start == nil || !v.fresh {
		return ""
	}
	v.fresh = false
	return s.event(progressOf(v, time.Now())).stdout
}

func (s jsonStyle) event(e any) text {
	if s.quiet {
		return text{}
	}
	return text{stdout: encode(e)}
}

func progressOf(v *view, now time.Time) progressEvent {
	e := progressEvent{
		event: heading("progress", v), Bytes: v.snap.Bytes, Size: known(v.snap.Size),
		Rate: whole(v.snap.Rate), Phase: v.snap.Phase, Sources: states(v.snap.Sources),
	}
	e.Time = now.Format(jsonTime)
	if v.snap.ETA >= 0 {
		eta := rounded(v.snap.ETA.Seconds(), 10)
		e.ETA = &eta
	}
	return e
}

func heading(name string, v *view) event {
	return event{Event: name, Time: time.Now().Format(jsonTime), ID: v.id}
}

// encode makes one line of an event. What is in it can always be encoded: numbers
// are finite and strings are made valid.
func encode(e any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return ""
	}
	return b.String()
}

func states(sources []Source) []sourceState {
	out := make([]sourceState, len(sources))
	for i, s := range sources {
		out[i] = sourceState{Name: s.Name, Kind: s.Kind, Size: s.Size, Bytes: s.Bytes, Rate: whole(s.Rate), State: s.State, Note: s.Note}
	}
	return out
}

// known is null for a size that is not.
func known(size int64) *int64 {
	if size < 0 {
		return nil
	}
	return &size
}

// list is never null.
func list(s []string) []string { return append([]string{}, s...) }

func whole(r float64) int64 { return int64(math.Round(min(sane(r), 1<<62))) }

func rounded(f, parts float64) float64 { return math.Round(f*parts) / parts }
