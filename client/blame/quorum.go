package blame

import (
	"cmp"
	"maps"
	"slices"

	"ddm/internal/byterange"
)

// Quorum is which bytes came from two machines and were the same. Each byte
// that is there has one machine that gave it; it waits, is asked for a second
// time of another machine, and at last is seen.
//
//	Gave --> waiting --Next--> asked --Agreed--> seen
//	            ^                |                 |
//	            '------ End -----'                 |
//	            '---------- Expel of who saw it ---'
type Quorum struct {
	machines map[string]*machine
	asked    map[int]*question
	asks     int
}

// machine is what is known of one.
type machine struct {
	gave    byterange.Set // that is there
	waiting byterange.Set // of it: nobody else was asked
	seen    byterange.Set // that others gave, and it has the same
	out     bool
}

// question is a range that is being fetched a second time.
type question struct {
	of, witness string
	left        byterange.Set
}

// NewQuorum begins with nothing.
func NewQuorum() *Quorum {
	return &Quorum{machines: map[string]*machine{}, asked: map[int]*question{}}
}

func (q *Quorum) machine(name string) *machine {
	m := q.machines[name]
	if m == nil {
		m = &machine{}
		q.machines[name] = m
	}
	return m
}

// Gave enters whose bytes are there in r. What was known of others' there is
// forgotten; to say the same again changes nothing.
func (q *Quorum) Gave(name string, r byterange.Range) {
	m := q.machine(name)
	for part := range slices.Values(slices.Collect(m.gave.Missing(r))) {
		q.Lost(part)
		m.gave.Add(part)
		m.waiting.Add(part)
	}
}

// Lost enters that bytes are not there any more.
func (q *Quorum) Lost(r byterange.Range) {
	for _, m := range q.machines {
		m.gave.Subtract(r)
		m.waiting.Subtract(r)
		m.seen.Subtract(r)
	}
	for _, a := range q.asked {
		a.left.Subtract(r)
	}
}

// Next returns what a witness is to bring a second time: of those others that
// have most waiting, a run of at least least bytes and at most most.
func (q *Quorum) Next(witness string, least, most int64) (id int, r byterange.Range, ok bool) {
	if q.machine(witness).out {
		return 0, r, false
	}
	others := slices.SortedFunc(maps.Keys(q.machines), func(a, b string) int {
		return cmp.Or(cmp.Compare(q.machines[b].waiting.Bytes(), q.machines[a].waiting.Bytes()), cmp.Compare(a, b))
	})
	for _, name := range others {
		if name == witness {
			continue
		}
		m := q.machines[name]
		for run := range m.waiting.All() {
			if run.Len < least {
				continue
			}
			run.Len = min(run.Len, most)
			m.waiting.Subtract(run)
			q.asks++
			a := &question{of: name, witness: witness}
			a.left.Add(run)
			q.asked[q.asks] = a
			return q.asks, run, true
		}
	}
	return 0, r, false
}

// Agreed enters that the witness asked by id has the same in r.
func (q *Quorum) Agreed(id int, r byterange.Range) {
	a := q.asked[id]
	if a == nil || q.machine(a.witness).out {
		return
	}
	for part := range a.left.All() {
		q.machine(a.witness).seen.Add(part.Intersect(r))
	}
	a.left.Subtract(r)
}

// End enters that nothing more comes of what was asked: what is left of it
// waits again.
func (q *Quorum) End(id int) {
	a := q.asked[id]
	if a == nil {
		return
	}
	delete(q.asked, id)
	for part := range a.left.All() {
		q.machine(a.of).waiting.Add(part)
	}
}

// Expel has a machine asked no more, and its word count for nothing: what it
// alone saw waits again. What it gave is for the caller to take back.
func (q *Quorum) Expel(name string) {
	out := q.machine(name)
	out.out = true
	seen := out.seen
	out.seen = byterange.Set{}
	for r := range seen.All() {
		for _, m := range q.machines {
			for _, part := range slices.Collect(m.gave.All()) {
				m.waiting.Add(part.Intersect(r))
			}
		}
	}
}

// Left is how many bytes are there that nobody else has brought.
func (q *Quorum) Left() (n int64) {
	for _, m := range q.machines {
		n += m.gave.Bytes() - m.seen.Bytes()
	}
	return n
}
