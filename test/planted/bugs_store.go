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
			"count what is written when it is done only", "internal/store/store.go",
			"	for s.size+s.coming+n > s.cfg.Limit {", "	for s.size+n > s.cfg.Limit {", "internal/store",
		},
		{
			"keep what was set aside for a reply that is over", "internal/store/opener.go",
			"	s.coming -= n\n", "", "internal/store",
		},
		{
			"take over a store that others may write to", "internal/store/store.go",
			"st.Mode().Perm()&0o022 != 0", "st.Mode().Perm()&0o022 == 0o1000", "internal/store",
		},
		{
			"keep what varies by who asks", "internal/origin/shareable.go",
			"			default:\n				return true\n", "			default:\n				return name == \"*\"\n", "internal/origin",
		},
		{
			"forget that spellings of a URL are one", "internal/origin/canonical.go",
			"			b.WriteString(strings.ToUpper(s[i : i+3]))", "			b.WriteString(s[i : i+3])", "internal/origin",
		},
		{
			"give out pieces unchecked", opener,
			`if err == nil && crc32c.Checksum(buf) != p.crc {`,
			`if false {`, tests,
		},
		{
			"keep what is not for others", "internal/origin/shareable.go",
			`if name == "no-store" || name == "private" {`,
			`if name == "no-store" {`, "internal/origin",
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
