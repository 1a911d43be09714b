package peer

import (
	"fmt"
	"net/url"
	"strings"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/rpc"
	"ddm/internal/transfer"
)

// A stream fetches from one target or, if its client names mirrors, from
// several: each with its own connections over each line.

// target is one URL of the stream's resource.
type target struct {
	resource origin.Resource
	origin   string // host:port, for admission and logs

	// Guarded by fetch.mu. That one target is reached says nothing of another.
	reached bool // the origin was reached and allowed
	told    bool // why it is not reached was logged
}

func newTarget(res origin.Resource) *target {
	return &target{resource: res, origin: originOf(res.URL)}
}

// way is a line on the way to a target.
type way struct {
	line   uint32
	target *target
}

// slot names a lane of a way.
type slot struct {
	way
	lane int
}

// use counts the assignments on a lane; the lane is admitted while there are any.
type use struct {
	n   int
	end func()
}

// originOf names the origin of a URL that was checked: host and port.
func originOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

// opener returns what opens ranges on a way.
func (f *fetch) opener(at way) (transfer.Opener, error) {
	if at.line == memoryLine {
		if m := f.service.memory(at.target.resource); m != nil {
			return m, nil
		}
		return nil, fmt.Errorf("%w: no memory", errdefs.Invalid)
	}
	if sharedURL(at.target.resource.URL) {
		return nil, fmt.Errorf("%w: no origin has it", errdefs.Invalid)
	}
	line, err := named(f.service.lines.Lines(), at.line)
	if err != nil || f.service.store == nil {
		return line.Origin, err
	}
	return f.service.store.Opener(line.Origin, at.target.resource), nil
}

// runner returns what runs assignments on a way.
func (f *fetch) runner(at way, line transfer.Opener) *transfer.Runner {
	r := f.runners[at]
	if r == nil {
		observe := f.metrics.fetchedBytes
		if at.line == memoryLine {
			observe = f.metrics.storedBytes
		}
		r = transfer.New(transfer.Config{
			Line: line, Resource: at.target.resource, Lanes: f.lanes, Queue: laneQueue,
			Pool: rpc.Pool(), Observe: observe,
		}, f)
		f.runners[at] = r
	}
	return r
}

// acquire counts an assignment on its lane; the first one has to be admitted.
func (f *fetch) acquire(id uint64, at slot) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.slots[at]
	if u == nil {
		asked := at.target.origin
		if at.line == memoryLine {
			asked = "" // nobody is
		}
		end, err := f.admission.start(asked)
		if err != nil {
			return err
		}
		u = &use{end: end}
		f.slots[at] = u
	}
	u.n++
	f.live[id] = at
	return nil
}

// release returns whose assignment it was.
func (f *fetch) release(id uint64) *target {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.live[id]
	delete(f.live, id)
	u := f.slots[at]
	if u.n--; u.n == 0 {
		u.end()
		delete(f.slots, at)
	}
	if len(f.live) == 0 {
		select {
		case f.idle <- struct{}{}:
		default:
		}
	}
	return at.target
}
