package progress

import (
	"fmt"
	"strings"
	"time"
)

// plainEvery is the time between two lines of one download.
const plainEvery = 5 * time.Second

// plainStyle is for logs and pipes: whole lines, no control characters.
type plainStyle struct{ program string }

func (plainStyle) period() time.Duration { return time.Second }

func (plainStyle) tick(v *view, now time.Time) text {
	if v.start == nil || now.Sub(v.shown) < plainEvery {
		return text{}
	}
	v.shown, v.fresh = now, false
	return text{stderr: progressLine(v)}
}

func (plainStyle) start(v *view) text { return text{stderr: startLine(v)} }

func (plainStyle) source(v *view, c SourceChange) text { return text{stderr: sourceLine(v, c)} }

func (plainStyle) note(v *view, s string) text { return text{stderr: noteLine(v, s)} }

func (plainStyle) plan(_ *view, p Plan) text { return text{stdout: planText(p)} }

func (plainStyle) done(v *view, d Done) text { return text{stderr: summary(v, d, palette{})} }

func (s plainStyle) fail(v *view, f Failure) text {
	return text{stderr: failLine(s.program, v, f)}
}

// quietStyle says errors only.
type quietStyle struct{ program string }

func (quietStyle) period() time.Duration           { return time.Hour }
func (quietStyle) tick(*view, time.Time) text      { return text{} }
func (quietStyle) start(*view) text                { return text{} }
func (quietStyle) source(*view, SourceChange) text { return text{} }
func (quietStyle) note(*view, string) text         { return text{} }
func (quietStyle) plan(*view, Plan) text           { return text{} }
func (quietStyle) done(*view, Done) text           { return text{} }
func (s quietStyle) fail(v *view, f Failure) text {
	return text{stderr: failLine(s.program, v, f)}
}

// startLine says what is about to come.
func startLine(v *view) string {
	s := v.start
	parts := []string{"size unknown"}
	if s.Size >= 0 {
		parts[0] = formatBytes(s.Size)
	}
	if host := hostOf(s.URL); host != "" {
		parts[0] += " from " + host
	}
	parts = append(parts, "identity "+identityWord(s.Identity))
	if s.Resumed > 0 {
		parts = append(parts, formatBytes(s.Resumed)+" here already")
	}
	return line(v.name(), strings.Join(parts, ", "))
}

// progressLine says how far a download is.
func progressLine(v *view) string {
	s := v.snap
	var parts []string
	if s.Size >= 0 {
		parts = append(parts, fmt.Sprintf("%d%%", percent(s.Bytes, s.Size)),
			strings.TrimLeft(formatOf(s.Bytes, s.Size), " "))
	} else {
		parts = append(parts, formatBytes(s.Bytes))
	}
	parts = append(parts, formatRate(s.Rate))
	switch {
	case s.Phase != "":
		parts = append(parts, clean(s.Phase))
	case s.ETA >= 0:
		parts = append(parts, "ETA "+formatETA(s.ETA))
	}
	parts = append(parts, plural(working(s.Sources), "source"))
	return line(v.name(), strings.Join(parts, ", "))
}

// working counts the sources that are still part of a download.
func working(sources []Source) int {
	n := 0
	for _, s := range sources {
		switch s.State {
		case "left", "banned", "failed":
		default:
			n++
		}
	}
	return n
}

func sourceLine(v *view, c SourceChange) string {
	s := clean(c.Name) + " " + clean(c.Change)
	if c.Reason != "" {
		s += ": " + clean(c.Reason)
	}
	return line(v.name(), s)
}

func noteLine(v *view, s string) string { return line(v.name(), clean(s)) }

func failLine(program string, v *view, f Failure) string {
	message := clean(f.Message)
	if message == "" {
		message = clean(f.Kind)
	}
	if name := v.name(); !strings.Contains(message, "/"+name) { // a path or URL says it already
		message = name + ": " + message
	}
	return line(program, message)
}

func line(subject, s string) string { return subject + ": " + s + "\n" }

// hostOf returns the host and port of a URL, without credentials.
func hostOf(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	return clean(rest[strings.LastIndexByte(rest, '@')+1:])
}
