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
