package main

// diskBugs break what keeps bytes over a crash.
func diskBugs() []bug {
	const (
		checkpoint = "internal/partfile/checkpoint.go"
		commit     = "internal/partfile/commit.go"
		journal    = "internal/partfile/journal.go"
		open       = "internal/partfile/open.go"
		record     = "internal/partfile/record.go"
		resume     = "internal/partfile/resume.go"
		write      = "internal/partfile/write.go"
		tests      = "internal/partfile"
	)
	return []bug{
		{
			"fold by a wrong power", "internal/crc32c/fold_amd64.s",
			"0x06992cea2", "0x06992cea3", "internal/crc32c",
		},
		{
			"forget what a checksum goes on from", "internal/crc32c/crc32c.go",
			"	return crc32.Update(crc,", "	return crc32.Update(crc&1,", "internal/crc32c",
		},
		{
			"claim bytes by more evidence than they came under", "internal/partfile/journal.go",
			"	if level < j.level {", "	if level < origin.None {", "internal/partfile",
		},
		{
			"forget the evidence when the journal is written anew", "internal/partfile/journal.go",
			`if head.Level = ""; j.level < unsaid {`, `if j.level > unsaid {`, "internal/partfile",
		},
		{
			"take over what came by less evidence than is asked for", "internal/partfile/resume.go",
			"	case level < op.meta.Least:", "	case level < origin.None:", "internal/partfile",
		},
		{
			"say that bytes are there which another one is writing", write,
			`		return fresh, f.await(want)`,
			`		return fresh, nil`, tests,
		},
		{
			"write the journal before the data is synced", checkpoint,
			`	if err := f.data.SyncData(); err != nil {
		return f.forget(writeError("sync "+f.names.part, err))
	}
	if err := f.journal.record(list, givers, level); err != nil {
		return f.forget(writeError("write "+f.names.journal, err))
	}`,
			`	if err := f.journal.record(list, givers, level); err != nil {
		return f.forget(writeError("write "+f.names.journal, err))
	}
	if err := f.data.SyncData(); err != nil {
		return f.forget(writeError("sync "+f.names.part, err))
	}`, tests,
		},
		{
			"do not sync the data", checkpoint,
			`	if err := f.data.SyncData(); err != nil {`,
			`	if err := error(nil); err != nil {`, tests,
		},
		{
			"do not sync the journal", journal,
			`	if err := j.f.SyncData(); err != nil {`,
			`	if err := error(nil); err != nil {`, tests,
		},
		{
			"do not sync before the rename", commit,
			`	if err := f.data.Sync(); err != nil {
		return f.forget(`,
			`	if err := error(nil); err != nil {
		return f.forget(`, tests,
		},
		{
			"do not sync the directory after the rename", commit,
			`	if err := f.dir.Sync(); err != nil {
		return f.fail(writeError("sync the directory`,
			`	if err := error(nil); err != nil {
		return f.fail(writeError("sync the directory`, tests,
		},
		{
			"remove the journal before the rename", commit,
			`	err := f.dir.Rename(f.names.part, f.names.final, f.opts.Overwrite)`,
			`	err := gone(f.dir.Remove(f.names.journal))
	if err == nil {
		err = f.dir.Sync()
	}
	if err == nil {
		err = f.dir.Rename(f.names.part, f.names.final, f.opts.Overwrite)
	}`, tests,
		},
		{
			"replace a file that came meanwhile", commit,
			`	if err := vacant(f.dir, f.names.final, f.opts.Overwrite); err != nil {
		return err
	}
	if err := f.data.Truncate`,
			`	f.opts.Overwrite = true
	if err := f.data.Truncate`, tests,
		},
		{
			"commit a file with a hole", commit,
			`	for gap := range f.have.Missing(byterange.Between(0, size)) {`,
			`	for gap := range f.have.Missing(byterange.Between(0, size-size)) {`, tests,
		},
		{
			"trust bytes after a failed sync", checkpoint,
			`	f.have = f.synced.set()
	f.claims = f.have.Clone()`,
			`	f.claims = f.have.Clone()`, tests,
		},
		{
			"resume without hashing", resume,
			`		if !intact(data, e, buf) {`,
			`		if !intact(data, e, buf) && e.Len < 0 {`, tests,
		},
		{
			"do not see that somebody touched the part file", resume,
			`	untouched := r.stamp != nil && *r.stamp == stampOf(st)`,
			`	untouched := r.stamp != nil && st.Size >= 0`, tests,
		},
		{
			"resume another generation", resume,
			`		return a.ETag == b.ETag`,
			`		return a.Size == b.Size`, tests,
		},
		{
			"resume the file of another URL", resume,
			`	case !sameResource(h, op.meta):`,
			`	case !sameResource(h, op.meta) && h.URL == "":`, tests,
		},
		{
			"believe a torn record", record,
			`	if chain != binary.LittleEndian.Uint32(b[5+n:]) {`,
			`	if chain == 0 {`, tests,
		},
		{
			"forget which records a record stands behind", record,
			`	chain = crc32c.Update(before, body)`,
			`	chain = crc32c.Update(0, body)`, tests,
		},
		{
			"let two processes write one file", open,
			`		return false, fmt.Errorf("another process is downloading to %s: %w", op.names.final, errdefs.Locked)`,
			`		op.o.Log.Debug("another process is downloading", "file", op.names.final)`, tests,
		},
		{
			"write behind the end", write,
			`	if r.Off < 0 || r.Off > end || r.Len > end-r.Off {`,
			`	if r.Off < 0 || r.Off > end {`, tests,
		},
		{
			"let a second claimant write", write,
			`	for run := range f.claims.Missing(r) {`,
			`	for run := range f.have.Missing(r) {`, tests,
		},
		{
			"write ahead of a slow disk", write,
			`f.atStake() >= f.opts.SyncBytes {`,
			`f.atStake() >= f.opts.SyncBytes<<20 {`, tests,
		},
		{
			"count bytes as new that others wrote", write,
			`		fresh += run.Len`,
			`		fresh += want.Len`, tests,
		},
		{
			"forget the part of a piece at the end of a write", write,
			"	if e.Len > 0 {\n		out = append(out, e)",
			"	if e.Len > piece {\n		out = append(out, e)", tests,
		},
		{
			"give the used up quota back at a restart", "internal/quota/quota.go",
			"	n := b.slice\n	b.slice = 0",
			"	n := b.size\n	b.slice = 0", "internal/quota",
		},
	}
}
