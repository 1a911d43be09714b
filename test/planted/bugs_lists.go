package main

// listBugs break what is made of holders' word for the pieces of a shared file,
// and the hunt for who lied where nobody says anything of pieces.
func listBugs() []bug {
	const (
		pure   = "client/blame/lists.go"
		client = "client/lists.go"
		shares = "internal/shares/pieces.go"
		system = "test/system:Lists"
		blame  = "client/blame"
	)
	return []bug{
		{
			"take a holder's second word", pure,
			`	if l.by[holder] != nil {
		return false
	}
`, "", blame,
		},
		{
			"blame who contradicts another one's list", pure,
			`	if l.Says(holder, i) {
		return true`,
			`	if l.Says(holder, i) || l.by[holder] != nil {
		return true`, blame,
		},
		{
			"believe the same list again", pure,
			"		l.Expel(holder) // the list goes with the last of them\n", "		_ = holder\n", blame,
		},
		{
			"try the dearest list next", pure,
			`l.distance(l.believed)-l.distance(o)`, `l.distance(o)-l.distance(l.believed)`, blame,
		},
		{
			"believe what the fewest say", pure,
			`len(o.holders)-len(l.believed.holders))`, `len(l.believed.holders)-len(o.holders))`, blame,
		},
		{
			"ask who says otherwise all the same", client,
			`		if gone := l.otherwise(peer, &peer.held); gone.Len() > 0 {`,
			`		if gone := l.otherwise(peer, &peer.held); gone.Len() > 1<<40 {`, system,
		},
		{
			"starve on a list that nobody brings", client,
			`now-l.lastByte < starvedAfter {`, `now-l.lastByte < starvedAfter*1000 {`, system,
		},
		{
			"never name those who said otherwise", "client/finish.go",
			"	d.dissent()\n", "", system,
		},
		{
			"hunt before holders were asked for lists", "client/finish.go",
			`if again, ok := d.seek(err); ok {`, `if again, ok := d.seek(err); ok && size < 0 {`, system,
		},
		{
			"compare one giver after the other", "client/blame/blame.go",
			`		if at -= h.left[giver].Bytes(); at < 0 {`,
			`		if at -= h.left[giver].Bytes(); at < 0 || h.left[giver].Len() > 0 {`, blame,
		},
		{
			"fetch again what a liar gave although the whole is right", "client/hunt.go",
			`h.replace(whole)`, `h.replace(whole && size < 0)`, "test/system:HuntForALiar",
		},
		{
			"put nothing in the place of what differs", "client/hunt.go",
			`	return h.heal(w, m)
`, `	return nil
`, "test/system:HuntForALiar",
		},
		{
			"take digests of another grid", shares,
			`page.GetSize() != size || page.GetPieceLength() != p.Length:`,
			`page.GetSize() != size:`, "internal/shares",
		},
		{
			"leave out the digest of a short last piece", shares,
			`	if p.left < p.length {`,
			`	if p.left < 0 {`, "internal/shares",
		},
	}
}
