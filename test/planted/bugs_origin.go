package main

// originBugs break what stands between an origin's reply and the bytes.
func originBugs() []bug {
	const (
		accept   = "internal/origin/accept.go"
		body     = "internal/origin/body.go"
		dial     = "internal/origin/dial.go"
		line     = "internal/origin/line.go"
		redirect = "internal/origin/redirect.go"
		tests    = "internal/origin"
	)
	return []bug{
		{
			"accept a 200 in the middle of a file", accept,
			`		return Verdict{}, fmt.Errorf("%w: the origin answers a range request with the whole", errdefs.NoRanges)`,
			`		return Verdict{Range: want, Gen: pinned, Level: Strong}, nil`, tests,
		},
		{
			"skip the complete-length check", accept,
			`	if pinned.Size >= 0 && pinned.Size != seen.Size {`,
			`	if pinned.Size < 0 && pinned.Size != seen.Size {`, tests,
		},
		{
			"take a range that starts elsewhere", accept,
			`cr.Unsatisfied || cr.Range.Off != want.Off || !want.Contains(cr.Range)`,
			`cr.Unsatisfied || cr.Range.Len > want.Len`, tests,
		},
		{
			"take the first of several Content-Range fields", accept,
			"	if len(fields) != 1 {\n		return Verdict{}",
			"	if len(fields) == 0 {\n		return Verdict{}", tests,
		},
		{
			"skip the Content-Length check of a 206", accept,
			`!chunked && contentLength >= 0 && contentLength != cr.Range.Len`,
			`!chunked && contentLength >= 0 && contentLength > 1<<62`, tests,
		},
		{
			"ignore the content coding", accept,
			`	if pinned.Coding != seen.Coding {`,
			`	if pinned.Coding != seen.Coding && seen.Coding == "" {`, tests,
		},
		{
			"take weak entity tags for strong ones", accept,
			`	if pinned.StrongETag() && pinned.ETag == seen.ETag {`,
			`	if pinned.ETag != "" && pinned.ETag == seen.ETag {`, tests,
		},
		{
			"mix two Last-Modified dates", accept,
			`	if !sameTime(pinned.LastModified, seen.LastModified) {`,
			`	if pinned.LastModified == "" {`, tests,
		},
		{
			"trust a Last-Modified of this very second", accept,
			`err != nil || d.Sub(m) < settled {`,
			`err != nil || d.Sub(m) < 0 {`, tests,
		},
		{
			"read a field that is given twice with two values", accept,
			`			if v != values[0] {`,
			`			if v != values[0] && v == "" {`, tests,
		},
		{
			"take a 416 for a changed resource at its very end", accept,
			`	if ok && size != pinned.Size {`,
			`	if ok {`, tests,
		},
		{
			"miss the end of an empty file", accept,
			`		case size > want.Off:`,
			`		case size >= want.Off:`, tests,
		},
		{
			"ignore how long a chunked body should be", line,
			`	if v.Gen.Size < 0 {
		left = -1`,
			`	if v.Gen.Size < 0 || a.chunked() {
		left = -1`, tests,
		},
		{
			"let an excess byte pass", body,
			`extra[:]); n > 0 {`,
			`extra[:]); n > 1 {`, tests,
		},
		{
			"take a body that ends early for a whole one", body,
			`	case errors.Is(err, io.EOF) && b.left <= 0:`,
			`	case errors.Is(err, io.EOF):`, tests,
		},
		{
			"never notice a silent origin", body,
			"	b.watch.enter()\n	n, err := b.rc.Read(p)",
			"	n, err := b.rc.Read(p)", tests,
		},
		{
			"leave the digest of a range unchecked", body,
			"b.sum != nil && !bytes", "false && !bytes", tests,
		},
		{
			"leave the rate limit uncharged", body,
			"	b.charge(n)\n", "", tests,
		},
		{
			"judge addresses before name resolution only", dial,
			`		if err := d.policy.Allow(host, ap); err != nil {
			return err
		}
		return d.bind.control(c)`,
			`		if named, err := netip.ParseAddr(host); err == nil {
			if err := d.policy.Allow(host, netip.AddrPortFrom(named, ap.Port())); err != nil {
				return err
			}
		}
		return d.bind.control(c)`, tests,
		},
		{
			"dial neighbours on the link", "internal/origin/classify.go",
			`	if why := c.onLink(addr); why != "" {`,
			`	if why := c.onLink(addr); why == "never" {`, tests,
		},
		{
			"dial what an IPv6 address hides", "internal/origin/classify.go",
			`		if why := c.refuses(v4); why != "" {`,
			`		if why := c.refuses(v4); why == "never" {`, tests,
		},
		{
			"dial the cluster's own ports", "internal/origin/policy.go",
			"	case 7420, 7421, 7430, 7431:\n		return false",
			"	case 7420, 7421, 7430, 7431:\n		return true", tests,
		},
		{
			"keep Authorization on a change of port", redirect,
			`	return u.Scheme + "://" + canonicalHost(u.Hostname()) + ":" + port`,
			`	return u.Scheme + "://" + canonicalHost(u.Hostname()) + port[:0]`, tests,
		},
		{
			"forget that secrets stayed behind", redirect,
			`		crossed: t.crossed || originOf(t.at) != originOf(next),`,
			`		crossed: originOf(t.at) != originOf(next),`, tests,
		},
		{
			"follow from https to http", redirect,
			`	if t.at.Scheme == "https" && next.Scheme == "http" {`,
			`	if t.at.Scheme == "https" && next.Scheme == "ftp" {`, tests,
		},
		{
			"follow one redirect too many", redirect,
			`	if len(seen) > maxRedirects {`,
			`	if len(seen) > maxRedirects+1 {`, tests,
		},
		{
			"use an expired target again", line,
			`		if !expiredTarget(a.resp.StatusCode) {`,
			`		if a.resp.StatusCode != 0 {`, tests,
		},
		{
			"measure Retry-After by the local clock", "internal/origin/retryafter.go",
			`	now, err := http.ParseTime(strings.TrimSpace(date))`,
			`	now, err := time.Now(), error(nil)`, tests,
		},
		{
			"wait as long as an origin likes", "internal/origin/retryafter.go",
			`	return min(max(d, minRetryAfter), maxRetryAfter)`,
			`	return max(d, minRetryAfter)`, tests,
		},
	}
}
