package main

// evidenceBugs break who is to blame, what counts as evidence, and who may hold
// how much of a server.
func evidenceBugs() []bug {
	const (
		judge   = "client/blame/blame.go"
		hunt    = "client/hunt.go"
		require = "client/require.go"
		captive = "client/captive.go"
		guard   = "internal/rpc/guard.go"
		blame   = "client/blame"
		system  = "test/system"
		rpc     = "internal/rpc"
	)
	return []bug{
		{
			"blame the one that differs of two", judge,
			`!decided && len(claims) >= 3 && 2*n > len(claims)`,
			`!decided && 2*n >= len(claims)`, blame,
		},
		{
			"take a majority's word against the own line's", judge,
			`		if c.Trusted {`, `		if c.Trusted && len(claims) < 3 {`, blame,
		},
		{
			"blame those who were right", judge,
			`		if c.Content != right {`, `		if c.Content == right {`, blame,
		},
		{
			"compare the same bytes again", judge,
			"	h.left[giver].Subtract(r)\n", "", blame,
		},
		{
			"stop the hunt after the samples", judge,
			`			r.Len = min(r.Len, runLength)
`, `			if len(h.order) > 0 {
				return Given{}, false
			}
			r.Len = min(r.Len, runLength)
`, blame,
		},
		{
			"trust what a peer gave as if it were the own line's", hunt,
			`	return strings.HasPrefix(giver, "own:") && !strings.Contains(giver, "\t")`,
			`	return !strings.Contains(giver, "\t")`, system,
		},
		{
			"find the liar and keep what it gave", hunt,
			`	if err := h.replace(); err != nil {`,
			`	if err := error(nil); err != nil {`, system,
		},
		{
			"mix what no evidence joins", require,
			`	return (!mixed || seen >= origin.Weak) && min(seen, agreed) >= d.least`,
			`	return seen <= origin.Digest && min(seen, agreed) >= d.least`, system,
		},
		{
			"let less evidence pass than is asked for", require,
			`	if reached >= want {`, `	if reached+1 >= want {`, system,
		},
		{
			"leave nobody alone behind a captive portal", captive,
			`captiveAfter = 2 // origins`, `captiveAfter = 200 // origins`, system,
		},
		{
			"admit an address as often as it comes", guard,
			`c != nil && g.limits.PerAddress > 0 && c.conns >= g.limits.PerAddress`,
			`c != nil && g.limits.PerAddress > 0 && c.conns < 0`, rpc,
		},
		{
			"admit more than there is room for", guard,
			`g.limits.Total > 0 && g.conns >= g.limits.Total`,
			`g.limits.Total > 0 && g.conns > g.limits.Total`, rpc,
		},
		{
			"never give a connection's place back", guard,
			"	g.conns--\n", "", rpc,
		},
		{
			"read from a flood without a pause", guard,
			`	if wait := c.guard.debt(c.from); wait > 0 {`,
			`	if wait := c.guard.debt(c.from); wait > 1<<62 {`, rpc,
		},
		{
			"call what comes again resumed", "client/download.go",
			"		resumed = 0 // it all comes again, see whole\n", "		_ = resumed\n", system,
		},
	}
}
