package main

// leaseBugs break who fetches what from the origin, so that each byte leaves it
// once.
func leaseBugs() []bug {
	const (
		table  = "internal/originlease/originlease.go"
		grant  = "internal/originlease/grant.go"
		steal  = "internal/originlease/steal.go"
		permit = "client/schedule/permit.go"
		leases = "internal/originlease"
		rules  = "client/schedule"
	)
	return []bug{
		{
			"never end a lease", table,
			`		if m.leased > 0 && !t.ends(m).After(now) {`,
			`		if m.leased < 0 && !t.ends(m).After(now) {`, leases,
		},
		{
			"renew a lease of which nothing comes", table,
			`	if barren := m.fruit.Add(barrenTerms * t.term); barren.Before(m.until) {`,
			`	if barren := m.fruit.Add(barrenTerms * t.term); barren.Before(m.fruit) {`, leases,
		},
		{
			"trust who brought nothing like everybody", grant,
			`	if m.barren {`,
			`	if m.barren && m.want < 0 {`, leases,
		},
		{
			"keep the leases of who left", table,
			"	t.revoke(m)\n	if m.shares {\n", "	if m.shares {\n", leases,
		},
		{
			"forget that who left held something", table,
			`		t.apply(&m.has, func(s state) state { s.holders--; return s })`,
			`		t.apply(&m.has, func(s state) state { return s })`, leases,
		},
		{
			"lease again what others fetch, after a restart", table,
			`func(s state) bool { return s.free() || s == state{by: id} }`,
			`func(state) bool { return true }`, leases,
		},
		{
			"grant whoever insists what another one fetches", grant,
			`func(s state) bool { return s.by == 0 }`,
			`func(state) bool { return true }`, leases,
		},
		{
			"let a member be of any number of runs", table,
			`	for m.has.Len() > maxRuns {`,
			`	for m.has.Len() > maxRuns<<20 {`, leases,
		},
		{
			"lease everything to the first who asks", grant,
			"		room = ahead // whoever comes next finds something left\n",
			"		room = t.size\n", leases,
		},
		{
			"take what the victim is about to bring", steal,
			`of.leased-min(int64(rate*unseen), mostUnseen))`,
			`of.leased-min(int64(rate*unseen), 0))`, leases,
		},
		{
			"count time without a lease for a member's pace", "internal/originlease/pace.go",
			"	case busy:\n", "	case busy || d > 0:\n", leases,
		},
		{
			"open as many lanes as if nobody else did", permit,
			`	return min(len(src.lanes), max(leastLanes, len(src.lanes)/max(s.among, 1)))`,
			`	return len(src.lanes)`, rules,
		},
		{
			"give lines what is not permitted", permit,
			`	return s.permit == nil || s.permit.Contains(r)`,
			`	return true`, rules,
		},
		{
			"fetch on into what another one was given", "client/schedule/surplus.go",
			`max(a.at+s.inFlight(a.lane), first.Off), worthOnce)`,
			`max(a.at+s.inFlight(a.lane), first.Off), worthACut)`, rules,
		},
		{
			"steal in a swarm as if no byte were lost by that", "client/schedule/steal.go",
			`	case s.among > 1:`,
			`	case s.among > 1<<30:`, rules,
		},
		{
			"believe the digest of what was taken back", "client/rolling.go",
			`		case r.upTo > 0 && drops != r.drops:`,
			`		case r.upTo < 0:`, "test/system:DigestOfWhat",
		},
	}
}
