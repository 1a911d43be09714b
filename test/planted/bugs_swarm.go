package main

// swarmBugs break who fetches what, and how several sources become one file.
func swarmBugs() []bug {
	const (
		scheduler = "client/schedule/schedule.go"
		health    = "client/schedule/health.go"
		steal     = "client/schedule/steal.go"
		remote    = "client/remote.go"
		set       = "internal/byterange/set.go"
		pump      = "internal/transfer/pump.go"
		sim       = "client/schedule/sim"
		system    = "test/system"
		ranges    = "internal/byterange"
	)
	return []bug{
		{
			"ask for one byte too many", "internal/byterange/header.go",
			`strconv.FormatInt(r.End()-1, 10)`,
			`strconv.FormatInt(r.End(), 10)`, ranges,
		},
		{
			"take a range that ends behind the whole", "internal/byterange/header.go",
			`(complete >= 0 && complete <= last)`,
			`(complete >= 0 && complete < last)`, ranges,
		},
		{
			"leave ranges that touch apart", set,
			`return s.ranges[i].End() >= r.Off })
	j, merged`,
			`return s.ranges[i].End() > r.Off })
	j, merged`, ranges,
		},
		{
			"lose what is right of a hole", set,
			`right := Between(r.End(), have.End()); !right.Empty()`,
			`right := Between(r.End(), have.End()); right.Len > 1`, ranges,
		},
		{
			"forget what an assignment did not bring", scheduler,
			"			s.todo.Add(part)\n", "", sim,
		},
		{
			"fetch again what came late", scheduler,
			`		s.takeFromTodo(r) // a late byte`,
			`		_ = r // a late byte`, "client/schedule",
		},
		{
			"fetch again what crossed a shrink", scheduler,
			"	if a.at > a.end {\n", "	if a.at > a.end+1<<40 {\n", "client/schedule",
		},
		{
			"assign what is stolen and leave it unassigned", steal,
			"		s.takeFromTodo(stolen)\n", "", sim,
		},
		{
			"replace lanes that the receiver holds up", health,
			`	if s.paused() || src.heldUp(s.now) {`,
			`	if s.paused() {`, "test/system:HeldBack",
		},
		{
			"ask at once for what waits behind a refused request", health,
			`	for len(l.queue) > 0 {
		s.cancel(l.queue[len(l.queue)-1], false)
	}
	l.renew()
`, "", "client/schedule/sim:RefusedLater",
		},
		{
			"replace lanes that wait for their turn on a slow LAN", "client/schedule/pulse.go",
			`	if src.local || src.memory || lanes < 2 || !ok || rate <= 0 {`,
			`	if src.local || src.memory || lanes < 2e9 || !ok || rate <= 0 {`, "test/system:SlowLAN",
		},
		{
			"never call a silent source stalled", health,
			`s.now-a.lastByte >= limit {`,
			`s.now-a.lastByte >= limit*1000 {`, "client/schedule",
		},
		{
			"ask again before Retry-After", health,
			"	src.hold = max(src.hold, till)\n", "", "client/schedule",
		},
		{
			"copy everything in the end-game", steal,
			"	maxCopyShare  = 0.02", "	maxCopyShare  = 0.9", sim,
		},
		{
			"forgive bad replies for ever", "client/loop.go",
			`row.strikes >= badReplies {`,
			`row.strikes >= badReplies<<40 {`, system + ":GivesUp",
		},
		{
			"deliver what was given to another", pump,
			`	wanted := min(int64(n), p.a.limit()-off)`,
			`	wanted := int64(n)`, "internal/transfer",
		},
		{
			"do not ask for the rest after a short reply", pump,
			`		if got < crumb && !a.rest().Empty() {`,
			`		if got > 0 {
			return nil
		}
		if got < crumb && !a.rest().Empty() {`, "internal/transfer",
		},
		{
			"let the first bytes of a download wait for their frame", pump,
			`p.eager = true`, `p.eager = false`, "internal/transfer",
		},
		{
			"let no frame of a download's first reply fill", pump,
			`		p.eager = false
`, ``, "internal/transfer",
		},
		{
			"let an origin answer in crumbs for ever", pump,
			`		if crumbs > maxCrumbs {`,
			`		if crumbs > maxCrumbs<<40 {`, "internal/transfer",
		},
		{
			"report an assignment's end twice", "internal/transfer/transfer.go",
			"		delete(r.live, a.id)\n		r.mu.Unlock()\n		r.sink.Ended(a.id, err)\n",
			"		delete(r.live, a.id)\n		r.mu.Unlock()\n		r.sink.Ended(a.id, err)\n		r.sink.Ended(a.id, err)\n",
			"internal/transfer",
		},
		{
			"do not check the CRC of a frame", remote,
			`	if crc != f.CRC32C {`,
			`	if crc != f.CRC32C && crc == 0 {`, system + ":Hostile|Garbage",
		},
		{
			"take frames wherever a peer puts them", remote,
			`rng.Off == e.next && rng.Len > 0`,
			`rng.Len > 0`, system + ":Hostile|Garbage",
		},
		{
			"take frames behind the end of an assignment", remote,
			`rng.Len <= min(e.end-rng.Off, maxPayload)`,
			`rng.Len <= maxPayload`, system + ":Hostile|Garbage",
		},
		{
			"take bytes before the reply was judged", remote,
			`e != nil && (e.started || e.unfit) &&`,
			`e != nil &&`, system + ":Hostile|Garbage",
		},
		{
			"mix what peers see of another version", "client/require.go",
			`(!mixed || seen >= origin.Weak || `, `(!mixed || seen >= origin.None || `, system + ":OneSourceMeets|PeersDisagree|Trouble",
		},
		{
			"hold every mirror's replies to the first one's version", remote,
			`	level = r.d.agree(e.mirror.gen, seen)`,
			`	level = r.d.agree(r.d.gen, seen)`, system + ":Mirror",
		},
		{
			"mix mirrors whose samples differ", "client/mirrors.go",
			`		if !bytes.Equal(blocks[0].Bytes(), blocks[1].Bytes()) {`,
			`		if len(blocks[0].Bytes()) != len(blocks[1].Bytes()) {`, system + ":MirrorEvidence",
		},
		{
			"cut ranges by what is known of them, not by what came", "client/loop.go",
			`	return l.catchUp(ev)`, `	return ev.handle(l)`, "test/system:TestBytesBeforeNewsOfThem",
		},
		{
			"forget what may be on its way from a new lane", steal,
			`max(frameSize, l.brought())`, `int64(frameSize)`, "client/schedule:TestCutsLeave",
		},
		{
			"guess a new lane's rate from others", steal,
			`rate = max(rate, l.pulse.young(s.now))`, `rate = max(rate, 1)`, "client/schedule:TestNewLanes",
		},
		{
			"cut a fast lane's range with the budget used up", steal,
			`if left < worthSurprise && `, `if left < 0 && `, "client/schedule:TestNoCuts",
		},
		{
			"cut no fast lane's range at its end", steal,
			`if left < worthSurprise && s.stats`, `if left < worthSurprise || s.stats`, "client/schedule:TestNoCuts",
		},
		{
			"cut a fast lane's range before its reply", steal,
			`if left < worthSurprise && `, `if left < worthSurprise && last.answered > 0 && `, "client/schedule:TestNoCuts",
		},
		{
			"forget what the last cut may bring twice", steal,
			`	risk := s.atRisk() + s.surprise(victim)`, `	risk := s.surprise(victim)`, "client/schedule:TestCutsShare",
		},
		{
			"take a lane's wait for work for slowness", "client/schedule/source.go",
			`	l.worked = 0
	return d`, `	l.worked = 0
	return max(d, 100*time.Millisecond)`, "client/schedule:TestIdleLanes",
		},
		{
			"begin again when one of several mirrors changes", "client/loop.go",
			`			if row == nil || !l.mayServe(row.mirror) {`,
			`			if row == nil || l.mayServe(row.mirror) {`, system + ":MirrorChanges",
		},
		{
			"keep what a condemned reply brought", "client/retract.go",
			`	return errdefs.KindOf(err) == errdefs.BadReply`,
			`	return false`, system + ":Condemned",
		},
		{
			"go on with a captive peer", "client/captive.go",
			`	if len(p.origins) < captiveAfter {
		return false`,
			`	if len(p.origins) <= captiveAfter {
		return false`, system + ":Captive",
		},
		{
			"take any content for what the digest names", "client/evidence.go",
			`		case bytes.Equal(got, e.Sum):`,
			`		case len(got) == len(e.Sum):`, system + ":Checksum",
		},
		{
			"take a part's digest for the whole's", "internal/digest/header.go",
			"	if partial {\n		body = Body", "	if partial {\n		body = Whole", "internal/digest",
		},
		{
			"believe digests that contradict each other", "internal/digest/header.go",
			`		if !disputed && !repeated {`,
			`		if !repeated && (!disputed || c.Scope == Whole) {`, "internal/digest",
		},
		{
			"look at one piece too many", "internal/digest/pieces.go",
			`int((r.End()-1)/p.Length) + 1`,
			`int(r.End()/p.Length) + 1`, "internal/digest",
		},
		{
			"take any piece for a right one", "internal/digest/pieces.go",
			`	return bytes.Equal(h.Sum(nil), p.Sums[i]), nil`,
			`	return len(h.Sum(nil)) == len(p.Sums[i]), nil`, "internal/digest",
		},
		{
			"share a request that carries cookies", "client/request.go",
			`	if jar != nil && len(jar.Cookies(u)) > 0 {`,
			`	if jar != nil && len(jar.Cookies(u)) > 1<<20 {`, system + ":Secrets|Credentials",
		},
		{
			"share a URL that carries a secret", "client/request.go",
			`	if key := secretParameter(u.RawQuery); key != "" {`,
			`	if key := secretParameter(u.RawFragment); key != "" {`, system + ":Secrets|Credentials",
		},
		{
			"take a pause of our own for others' silence", "client/loop.go",
			`	asleep := since > asleepAfter`,
			`	asleep := since > 1000*asleepAfter`, system + ":ClientAsleep",
		},
		{
			"tell that there is no room as any failed write", "cmd/ddm-client/exit.go",
			"	case errdefs.NoSpace:\n		return exitNoSpace",
			"	case errdefs.NoSpace:\n		return exitWriteFile", "cmd/ddm-client",
		},
		{
			"ask who has all of a shared file for everything", "client/table.go",
			"	if seed {", "	if seed && peer == nil {", system + ":SharedSwarm",
		},
	}
}
