package progress

import (
	"fmt"
	"strings"
	"time"
)

// Bounds of what waits for a slow reader, in bytes.
const (
	maxWaiting = 1 << 20
	maxLogLine = 64 << 10
)

// text is what is to be written, whole lines.
type text struct{ stdout, stderr string }

// style makes texts of what happens to a download. Its functions are pure apart
// from the marks of a view that say what was shown; they are called under the
// lock of the UI.
type style interface {
	period() time.Duration // between ticks
	tick(v *view, now time.Time) text
	start(v *view) text
	source(v *view, c SourceChange) text
	note(v *view, s string) text
	plan(v *view, p Plan) text
	done(v *view, d Done) text
	fail(v *view, f Failure) text
}

// outbox holds the texts that wait to be written, in order. What may be dropped
// is dropped beyond a bound; what must not be is as much as there are downloads.
type outbox struct {
	stdout, stderr strings.Builder
	dropped        int
}

func (o *outbox) empty() bool { return o.size() == 0 }

func (o *outbox) size() int { return o.stdout.Len() + o.stderr.Len() }

func (o *outbox) add(t text, droppable bool) {
	if droppable && o.size()+len(t.stdout)+len(t.stderr) > maxWaiting {
		o.dropped++
		return
	}
	o.stdout.WriteString(t.stdout)
	o.stderr.WriteString(t.stderr)
}

// take empties the outbox.
func (o *outbox) take() text {
	t := text{stdout: o.stdout.String(), stderr: o.stderr.String()}
	if o.dropped > 0 {
		t.stderr += fmt.Sprintf("(%s dropped: the display did not keep up)\n", plural(o.dropped, "message"))
	}
	*o = outbox{}
	return t
}
