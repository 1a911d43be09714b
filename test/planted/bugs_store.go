package main

// storeBugs break a peer's memory.
func storeBugs() []bug {
	const (
		entry  = "internal/store/entry.go"
		opener = "internal/store/opener.go"
		store  = "internal/store/store.go"
		tests  = "internal/store"
	)
	return []bug{
		{
			"give out pieces unchecked", opener,
			`if err == nil && crc32.Checksum(buf, castagnoli()) != p.crc {`,
			`if false {`, tests,
		},
		{
			"keep what is not for others", opener,
			`if name == "no-store" || name == "private" {`,
			`if name == "no-store" {`, tests,
		},
		{
			"keep what only a weak ETag pins", entry,
			`	if gen.StrongETag() {
`,
			`	{
`, tests,
		},
		{
			"leave the coding out of the key", entry,
			`id.full, id.ETag, id.Code}`,
			`id.full, id.ETag}`, tests,
		},
		{
			"forget what was used last", store,
			`e.used.Before(victim.used)`,
			`e.used.After(victim.used)`, tests,
		},
	}
}
