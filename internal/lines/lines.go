// Package lines keeps the lines of a machine: what its owner said about
// interfaces becomes lines that open, close, and come and go.
//
//	Spec "all,metered"  --+                        +--> origin.Line, bound, limited
//	Spec "wwan0,quota=" --+--> Set --Refresh--> Line
//	interfaces, routes  --'      |                 +--> quota.Budget
//	                             '--> Changed: who is open now?
//
// A line has its place in the list, its name and its id for as long as the Set
// lives, open or closed; only interfaces found by "all" that are gone are
// forgotten when there are too many of them.
package lines

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"

	"ddm/internal/errdefs"
	"ddm/internal/origin"
	"ddm/internal/quota"
)

// All in a Spec stands for every interface that has a way out.
const All = "all"

// DefaultShare is by how much a metered line must shorten a download, if
// nobody said otherwise.
const DefaultShare = 0.2

const (
	maxLines  = 64 // the tracker takes no more
	lookEvery = 2 * time.Second
)

// Spec is what a machine's owner says about a line.
type Spec struct {
	Interface string      // name or address; All; "": the system's choice
	Quota     quota.Limit // zero: none
	Metered   float64     // share by which it must shorten a download to be used; 0: it is not metered
	LimitRate int64       // bytes per second; 0: none
}

// Config describes a Set.
type Config struct {
	Specs    []Spec            // none: one line by the system's choice
	StateDir string            // keeps the quotas; "": no Spec may have one
	Base     origin.LineConfig // what all lines have in common; Name is that of the system's choice
	Network  Network           // for tests; zero: the machine's
	Log      hclog.Logger      // nil: discards
}

// Network takes the place of this machine's interfaces. Nil fields stay real.
type Network struct {
	Check  func(bind string) error    // why an interface or address cannot be used
	Routed func() ([]string, error)   // interfaces that have a way out
	Dial   func(bind string) DialFunc // connects from there
}

// DialFunc makes a connection in place of the real network.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Line is one line of a Set.
type Line struct {
	ID     uint32 // unique in its Set, never used twice
	Name   string // unique in its Set
	Spec   Spec
	Origin *origin.Line // nil as long as the line was never open
	Closed error        // why it takes no new requests; nil: it is open
}

// Set is the lines of a machine. It is safe for concurrent use. The nil Set has
// no lines, and never will.
type Set struct {
	cfg  Config
	log  hclog.Logger
	poke chan struct{} // a budget is used up

	turn sync.Mutex // held by the one who looks

	mu      sync.Mutex // guards what follows
	entries []*entry
	nextID  uint32
	changed chan struct{} // closed and replaced at every change
}

// entry is a line with what keeps it. It belongs to who has the turn, apart
// from line, which is replaced under mu.
type entry struct {
	line   Line
	found  bool // by All
	budget *quota.Budget
}

// Open finds the lines. Those that cannot be used now are closed, with a
// warning; if there is none whose interface can be used, the error's kind is
// errdefs.Invalid. A quota that cannot be kept is an error, too.
func Open(cfg Config) (*Set, error) {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	if len(cfg.Specs) == 0 {
		cfg.Specs = []Spec{{}}
	}
	s := &Set{cfg: cfg, log: cfg.Log, poke: make(chan struct{}, 1), changed: make(chan struct{})}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.Refresh()
	var problems []string
	for _, e := range s.entries {
		if e.line.Closed == nil || errors.Is(e.line.Closed, errdefs.Refused) {
			return s, nil // a quota that is used up will be fresh again
		}
		text := e.line.Closed.Error()
		problems = append(problems, strings.TrimPrefix(text, string(errdefs.KindOf(e.line.Closed))+": "))
	}
	if len(problems) == 0 {
		problems = []string{"none has a way out"}
	}
	s.Close()
	return nil, fmt.Errorf("%w: no interface can be used: %s", errdefs.Invalid, strings.Join(problems, "; "))
}

// check judges the specs and enters the lines that are named.
func (s *Set) check() error {
	for i, spec := range s.cfg.Specs {
		if slices.ContainsFunc(s.cfg.Specs[:i], func(o Spec) bool { return o.Interface == spec.Interface }) {
			return fmt.Errorf("%w: interface %s is named twice", errdefs.Invalid, cmp.Or(spec.Interface, "of the system's choice"))
		}
		if spec.Quota.Bytes > 0 && s.cfg.StateDir == "" {
			return fmt.Errorf("%w: a quota needs a folder that keeps it: set a state directory", errdefs.Invalid)
		}
		if spec.Interface != All {
			e := s.enter(spec, false)
			if err := s.openBudget(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter makes an entry, closed for now.
func (s *Set) enter(spec Spec, found bool) *entry {
	name := spec.Interface
	if name == "" {
		name = cmp.Or(s.cfg.Base.Name, "default")
	}
	e := &entry{found: found, line: Line{ID: s.nextID, Name: name, Spec: spec, Closed: errNew}}
	s.nextID++
	s.entries = append(s.entries, e)
	return e
}

// errNew is the state of a line that nobody looked at yet.
var errNew = errors.New("new")

func (s *Set) openBudget(e *entry) (err error) {
	if e.budget != nil || e.line.Spec.Quota.Bytes <= 0 {
		return nil
	}
	e.budget, err = quota.Open(s.cfg.StateDir, cmp.Or(e.line.Spec.Interface, "default"), e.line.Spec.Quota, func() {
		select {
		case s.poke <- struct{}{}:
		default:
		}
	})
	return err
}

// Lines returns all lines as they were when somebody looked last, ordered by
// id.
func (s *Set) Lines() []Line {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Line, len(s.entries))
	for i, e := range s.entries {
		list[i] = e.line
	}
	return list
}

// Changed returns a channel that is closed when a line comes, goes, opens or
// closes after this call.
func (s *Set) Changed() <-chan struct{} {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Run looks every two seconds, and when a quota is used up, until ctx is done.
func (s *Set) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.poke:
		case <-ctx.Done():
			return
		}
		s.Refresh()
	}
}

// Refresh looks at interfaces and quotas.
func (s *Set) Refresh() {
	s.turn.Lock()
	defer s.turn.Unlock()
	present := s.discover()
	changed := false
	for _, e := range s.entries {
		line := e.line
		line.Closed = s.look(e, &line, present)
		changed = s.settle(e, line) || changed
	}
	changed = s.forget() || changed
	if !changed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// settle makes line the entry's state and says so if that is news.
func (s *Set) settle(e *entry, line Line) (news bool) {
	was := e.line.Closed
	s.mu.Lock()
	e.line = line
	s.mu.Unlock()
	switch {
	case (was == nil) == (line.Closed == nil) && was != errNew: //nolint:errorlint // the very value
		return false
	case line.Closed != nil:
		s.log.Warn("line is closed", "line", line.Name, "reason", line.Closed)
	default:
		s.log.Info("line is open", "line", line.Name)
	}
	return true
}

// discover enters the interfaces that All finds and returns their names.
func (s *Set) discover() []string {
	i := slices.IndexFunc(s.cfg.Specs, func(spec Spec) bool { return spec.Interface == All })
	if i < 0 {
		return nil
	}
	routed, err := s.routed()
	if err != nil {
		s.log.Warn("the routes cannot be read", "error", err)
	}
	open := 0
	for _, name := range routed {
		if slices.ContainsFunc(s.entries, func(e *entry) bool { return e.line.Spec.Interface == name }) {
			continue
		}
		if open++; open+s.living() > maxLines {
			break
		}
		spec := s.cfg.Specs[i]
		spec.Interface = name
		s.mu.Lock()
		s.enter(spec, true)
		s.mu.Unlock()
	}
	return routed
}

// living counts the lines that are open.
func (s *Set) living() (n int) {
	for _, e := range s.entries {
		if e.line.Closed == nil {
			n++
		}
	}
	return n
}

// look returns why a line is closed, and opens it the first time that it is
// not.
func (s *Set) look(e *entry, line *Line, routed []string) error {
	bind := line.Spec.Interface
	if e.found && !slices.Contains(routed, bind) {
		return fmt.Errorf("%w: interface %s has no way out any more", errdefs.Unavailable, bind)
	}
	if bind != "" {
		if err := s.usable(bind); err != nil {
			return err
		}
	}
	if err := s.openBudget(e); err != nil {
		return err
	}
	if line.Origin == nil {
		cfg := s.cfg.Base
		cfg.Name, cfg.Bind = line.Name, bind
		if s.cfg.Network.Dial != nil {
			cfg.Dial = s.cfg.Network.Dial(bind)
		}
		cfg.Limits = slices.Clone(cfg.Limits)
		if line.Spec.LimitRate > 0 {
			cfg.Limits = append(cfg.Limits, Limiter(line.Spec.LimitRate))
		}
		if e.budget != nil {
			cfg.Budget = e.budget
		}
		var err error
		if line.Origin, err = origin.NewLine(cfg); err != nil {
			return err
		}
	}
	if e.budget != nil {
		return e.budget.Err()
	}
	return nil
}

// forget drops interfaces that All found and that are gone, the oldest first,
// as far as there are too many lines.
func (s *Set) forget() (changed bool) {
	for len(s.entries) > maxLines {
		i := slices.IndexFunc(s.entries, func(e *entry) bool { return e.found && e.line.Closed != nil })
		if i < 0 {
			return changed
		}
		s.release(s.entries[i])
		s.mu.Lock()
		s.entries = slices.Delete(s.entries, i, i+1)
		s.mu.Unlock()
		changed = true
	}
	return changed
}

func (s *Set) release(e *entry) {
	if e.line.Origin != nil {
		e.line.Origin.Close()
	}
	if e.budget != nil {
		if err := e.budget.Close(); err != nil {
			s.log.Warn("what was reserved of a quota is lost", "line", e.line.Name, "error", err)
		}
	}
}

// Close drops idle connections and gives back what was reserved of quotas. No
// request may be running.
func (s *Set) Close() {
	s.turn.Lock()
	defer s.turn.Unlock()
	for _, e := range s.entries {
		s.release(e)
	}
}

// Limiter makes a limit of bytes per second, or nil for 0. Its burst lets a
// read of a frame pass whole, and no more than a quarter of a second.
func Limiter(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(min(max(bytesPerSecond/4, 16<<10), 256<<10)))
}
