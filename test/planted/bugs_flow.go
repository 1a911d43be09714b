package main

// flowBugs break the plan of who sends which held piece.
func flowBugs() []bug {
	const (
		network = "client/flow/network.go"
		planner = "client/flow/flow.go"
		outlook = "client/outlook.go"
		tests   = "client/flow"
		system  = "test/system"
	)
	return []bug{
		{
			"take a piece from the wrong group on the way", network,
			`		n.sent[g*n.sources+n.from[s]] -= most`,
			`		n.sent[n.via[n.from[s]]*n.sources+n.from[s]] -= most`, tests,
		},
		{
			"let the origin take part from the beginning", network,
			`n.allow(seconds, origin)`,
			`n.allow(seconds, true)`, tests,
		},
		{
			"forget how long a source is busy", network,
			`min(max(s.Ready.Seconds(), 0), maxReady)`,
			`0*maxReady`, tests,
		},
		{
			"keep what the last plan wanted of who is gone", planner,
			`			if s, here := index[id]; here && net.masks[g].Has(s) {`,
			`			if s := index[id]; true {`, tests,
		},
		{
			"forget the last plan", planner,
			`	pl.last = last
`, `	_ = last
`, tests,
		},
		{
			"promise what a metered line would bring", outlook,
			`			case line.GetMetered():`,
			`			case line.GetMetered() && guess < 0:`, system + ":Outlook|Metered",
		},
		{
			"forget the own limit in a plan", outlook,
			`	p := maxflow.Problem{Size: grid, Receive: float64(limit)}`,
			`	p := maxflow.Problem{Size: grid}`, system + ":Outlook",
		},
	}
}
