package main

// evidenceBugs break who is to blame, what counts as evidence, and who may hold
// how much of a server.
func evidenceBugs() []bug {
	const (
		judge   = "client/blame/blame.go"
		hunt    = "client/hunt.go"
		require = "client/require.go"
		captive = "client/captive.go"
		pieces  = "client/pieces.go"
		guard   = "internal/rpc/guard.go"
		blame   = "client/blame"
		system  = "test/system"
		rpc     = "internal/rpc"
	)
	return []bug{
		{
			"ask again where nothing tells two replies apart", "client/finish.go",
			"	return bare(d.gen) && !d.vetting", "	return bare(d.gen) && d.vetting && !d.vetting", system + ":NothingMixed",
		},
		{
			"believe that another tag under one date is another node", "client/tags.go",
			"	if d.file == nil || d.provable() || !m.gen.StrongETag()", "	if d.file != nil || d.provable() || !m.gen.StrongETag()", system + ":OtherTag",
		},
		{
			"go on without looking at what came before a bare reply", "client/tags.go",
			"	if d.file == nil || d.provable() || !d.vetting", "	if d.file != nil || d.provable() || !d.vetting", system + ":NothingMixed",
		},
		{
			"let peers in whose samples differ", "client/samples.go",
			`		if content != mine {`, `		if len(content) != len(mine) {`, system + ":Sampl",
		},
		{
			"hear an own line that does not see the pinned version", "client/site.go",
			"	if reply.Level < s.least {", "	if s.least > origin.Digest {", system + ":Witness|OtherTag",
		},
		{
			"let the first reply vouch for all that follow", "internal/transfer/pump.go",
			"case reply.Gen != first.Gen || reply.Level < first.Level:", "case reply.Range.Len < 0:", "internal/transfer",
		},
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
			`	if giver, ok := h.anybody(); ok {`, `	if giver, ok := h.anybody(); ok && len(h.order) == 0 {`, blame,
		},
		{
			"trust what a peer gave as if it were the own line's", hunt,
			`	return strings.HasPrefix(giver, "own:") && !strings.Contains(giver, "\t")`,
			`	return !strings.Contains(giver, "\t")`, system + ":Hunt",
		},
		{
			"find the liar and keep what it gave", hunt,
			`	if err := h.replace(whole); err != nil {`,
			`	if err := error(nil); err != nil && whole {`, system + ":Hunt",
		},
		{
			"mix what no evidence joins", require,
			`	return (!mixed || seen >= origin.Weak || d.vetting && seen >= origin.Sampled) && min(seen, agreed) >= d.least`,
			`	return seen <= origin.Digest && min(seen, agreed) >= d.least`, system + ":OneSourceMeets|MirrorEvidence|Trouble",
		},
		{
			"let less evidence pass than is asked for", require,
			`	if reached >= want {`, `	if reached+1 >= want {`, system + ":RequireIdentity",
		},
		{
			"leave nobody alone behind a captive portal", captive,
			`captiveAfter = 2 // origins`, `captiveAfter = 200 // origins`, system + ":Captive",
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
			"let a bad piece pass that was read back", pieces,
			`	if e.err != nil || e.right {`, `	if e.right = true; e.err != nil || e.right {`, system + ":Pieces",
		},
		{
			"ban by digests that nothing has shown to fit", pieces,
			`(len(e.givers) > 1 || p.left == len(p.states)) && !allTrusted(e.givers)`,
			`len(e.givers) > 1 && !allTrusted(e.givers)`, system + ":Pieces",
		},
		{
			"count a machine's word for what it gave itself", "client/blame/quorum.go",
			`		if name == witness {
			continue
		}
`, "", blame,
		},
		{
			"let an expelled machine's word count", "client/blame/quorum.go",
			"	out.seen = byterange.Set{}\n", "", blame,
		},
		{
			"commit before the second copies are there", "client/quorum.go",
			"	return q.of.Left() > 0\n", "	return false\n", system + ":Quorum",
		},
		{
			"go on when three say three things", "client/arbitrate.go",
			`	if !decided {
`, `	if false && !decided {
`, system + ":Undecided",
		},
		{
			"let two peers overrule the own line", "client/quorum.go",
			`	if slices.ContainsFunc(e.what.liars, trusted) {`, `	if slices.ContainsFunc(e.what.liars, trusted) && e.id < 0 {`, system + ":Undecided",
		},
		{
			"blame a mirror for what a peer says of it", "client/arbitrate.go",
			`	if err != nil || content == said {
		return own`, `	if err == nil || content == said {
		return own`, system + ":ThroughAMirror",
		},
		{
			"expose a peer at one mirror only", "client/outcast.go",
			`		liar = "peer:" + id // wherever it fetched from
`, "", system + ":ThroughAMirror",
		},
		{
			"call what comes again resumed", "client/download.go",
			"		resumed = 0 // it all comes again, see whole\n", "		_ = resumed\n", system + ":Resume",
		},
	}
}
