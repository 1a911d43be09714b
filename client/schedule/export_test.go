package schedule

import "time"

// Replan plans who sends what is held, whatever the last plan's age is, and
// returns how many pieces it plans.
func (s *Scheduler) Replan(now time.Duration) int {
	s.now = now
	s.plan.sources = s.heldNow().sources
	s.plan.rates = s.memoryRates(s.plan.sources)
	s.makePlan()
	return len(s.plan.owner)
}

// Latency returns from asking a source to its first byte, as a rule.
func (s *Scheduler) Latency(id SourceID) time.Duration { return s.sources[id].latency }
