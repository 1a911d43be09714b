package main

// serviceBugs break peers, trackers and what they say to each other.
func serviceBugs() []bug {
	const (
		fetch = "peer/fetch.go"
		order = "peer/order.go"
		codec = "internal/rpc/codec.go"
		lease = "internal/lease/lease.go"
	)
	return []bug{
		{
			"pass on a client's Authorization", order,
			`	case "User-Agent", "Accept", "Accept-Language", "Referer":`,
			`	case "User-Agent", "Accept", "Accept-Language", "Referer", "Authorization":`, "peer",
		},
		{
			"take user information in a URL", order,
			`	case u.User != nil:`,
			`	case u.User != nil && u.Host == "":`, "peer",
		},
		{
			"grant one lane more than was granted", order,
			`uint64(a.GetLane()) >= uint64(lanes):`,
			`uint64(a.GetLane()) > uint64(lanes):`, "peer",
		},
		{
			"take a range behind the end of the resource", order,
			`	case off+n > size:`,
			`	case off+n > size+1:`, "peer",
		},
		{
			"tell a closed port from a forbidden one", "peer/failure.go",
			`	if !refusedAddress(err) && !unreachable(err) {`,
			`	if !refusedAddress(err) {`, "peer",
		},
		{
			"keep a thousand frames for a slow client", "peer/outbox.go",
			"	outboxSize = 4 ", "	outboxSize = 4096 ", "peer",
		},
		{
			"never give an assignment's place back", "peer/admission.go",
			"		a.running--\n", "", "peer",
		},
		{
			"take any number of streams from one client", "peer/admission.go",
			`	case a.byClient[client] >= maxStreamsPerClient:`,
			`	case a.byClient[client] >= maxStreamsPerClient<<20:`, "peer",
		},
		{
			"send what a client does not want any more", "peer/outbox.go",
			`		case e.Offset >= end:`,
			`		case e.Offset < 0:`, "peer",
		},
		{
			"cut a frame and keep its CRC", "peer/outbox.go",
			`e.CRC32C, e.Payload = crc32c.Checksum(part.ReadOnlyData()), mem`,
			`e.Payload = mem`, "peer",
		},
		{
			"fill wide windows although a client reads slowly", "internal/rpc/dial.go",
			`		if o.ReadRate > 0 {`,
			`		if o.ReadRate < 0 {`, "peer:CutWhileWaiting",
		},
		{
			"send frames without their CRC", "peer/outbox.go",
			`		CRC32C:     crc32c.Checksum(buf.ReadOnlyData()),
`, "", "peer",
		},
		{
			"free a frame twice", "peer/outbox.go",
			`		free(event)
		if err != nil {`,
			`		free(event)
		free(event)
		if err != nil {`, "peer",
		},
		{
			"read a frame's offset into its number", codec,
			`			f.Offset = int64(p.varint())`,
			`			f.Assignment = p.varint()`, "internal/rpc",
		},
		{
			"believe a frame's length", codec,
			`p.err == nil && size > 0 && size == uint64(total-p.pos)`,
			`p.err == nil && size > 0`, "internal/rpc",
		},
		{
			"let a stream hold ten times as much", "internal/rpc/rpc.go",
			"	bulkStreamWindow = 6 * mib\n", "	bulkStreamWindow = 60 * mib\n", "internal/rpc",
		},
		{
			"write the end of each frame by itself", "internal/rpc/server.go",
			"writeBuffer = bulkStreams, bulkWriteBuffer", "writeBuffer = bulkStreams, bulkBuffer", "internal/rpc",
		},
		{
			"let a panic end the process", "internal/rpc/interceptors.go",
			"		resp, err := func() (resp any, err error) {\n			defer rescue(log, info.FullMethod, &err)\n",
			"		resp, err := func() (resp any, err error) {\n", "internal/rpc",
		},
		{
			"never let a lease expire", lease,
			`	for len(t.byTime) > 0 && !t.byTime[0].until.After(now) {`,
			`	for len(t.byTime) > 0 && t.byTime[0].until.IsZero() {`, "internal/lease tracker",
		},
		{
			"renew a lease that is over", lease,
			`	if e == nil || !e.until.After(now) {`,
			`	if e == nil {`, "internal/lease",
		},
		{
			"shorten a lease by a late heartbeat", lease,
			"	if until.After(e.until) {\n", "	if !until.Equal(e.until) {\n", "internal/lease",
		},
		{
			"list the last peer of a page twice", "tracker/registry.go",
			"	if found {\n		i++\n	}\n", "	_ = found\n", "tracker",
		},
		{
			"do not see two machines with one id", "tracker/registry.go",
			`	return old.boot != rec.boot &&`,
			`	return old.boot == rec.boot &&`, "tracker",
		},
		{
			"take more peers than there is room for", "tracker/registry.go",
			`	case len(r.peers) >= r.cfg.MaxPeers:`,
			`	case len(r.peers) > r.cfg.MaxPeers:`, "tracker",
		},
		{
			"keep a peer's old lease beside the new one", "tracker/registry.go",
			"		r.leases.Revoke(old.lease)\n", "", "tracker",
		},
		{
			"save under a path that the origin names", "internal/filename/sanitize.go",
			"	name = name[strings.LastIndexAny(name, `/\\`)+1:]",
			"	name = name[strings.LastIndexAny(name, `/`)+1:]", "internal/filename",
		},
		{
			"save under a device's name", "internal/filename/sanitize.go",
			`	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":`,
			`	case "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":`, "internal/filename",
		},
		{
			"take a pushed file under the name that the pusher gave it", "peer/push.go",
			`Name: filename.Sanitize(f.GetName())}, nil`,
			`Name: filename.Sanitize("") + f.GetName()}, nil`, "peer:Push",
		},
		{
			"take pushed files that nobody allowed", "peer/push.go",
			"	if p.receiver == nil {", "	if p.receiver == nil && p.files != nil {", "peer:Push",
		},
		{
			"tell a pusher paths of this machine", "peer/push.go",
			"			return pushFailure(err)", "			return err", "peer",
		},
		{
			"lose the wait that comes with a refusal", "internal/errdefs/failure.go",
			"		f.RetryAfter = durationpb.New(wait)\n", "		_ = durationpb.New(wait)\n", "internal/errdefs",
		},
		{
			"tell others the text of an internal error", "internal/errdefs/failure.go",
			"		f.Message = Internal.Error()\n", "", "internal/errdefs",
		},
	}
}
