package schedule

// meteredLook is for how many ticks in a row a metered source must have had
// work until its part in the whole can be judged.
const meteredLook = joinLook + joinLook/2

// weighMetered leaves a metered source alone if what it brings is too small a
// part of the whole: without it the download would take hardly longer. It is
// one at a time, since those that remain then are a larger part.
func (s *Scheduler) weighMetered() {
	if len(s.trial.joined) > 0 || s.trial.pausing != nil {
		return // somebody is being looked at: rates mean something else now
	}
	var total float64 // of those that get work
	for _, src := range s.order {
		if src.state == Idle && !src.sparedNow(s.now) {
			total += src.recentRate(joinLook)
		}
	}
	for _, src := range s.order {
		if src.metered == 0 || src.state != Idle || src.sparedNow(s.now) || src.busyTicks < meteredLook {
			continue
		}
		if own := src.recentRate(joinLook); own < total && own < src.metered*total {
			s.leaveSpare(src)
			return
		}
	}
}
