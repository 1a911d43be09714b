package schedule

import (
	"slices"
	"time"
)

// waits are the last times that a source's replies took to begin. Their middle
// is what the next one will take as a rule: where one request in five gets a
// slow server, an average would be of use for neither kind.
type waits struct {
	last [7]time.Duration
	n    int // that there were
}

func (w *waits) add(d time.Duration) {
	w.last[w.n%len(w.last)] = d
	w.n++
}

// median returns the middle one, of an even number the lower of two; 0 if there
// was none.
func (w *waits) median() time.Duration {
	known := w.last
	sorted := known[:min(w.n, len(known))]
	if len(sorted) == 0 {
		return 0
	}
	slices.Sort(sorted)
	return sorted[(len(sorted)-1)/2]
}
