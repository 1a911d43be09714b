package partfile

import (
	"time"

	"ddm/internal/partfile/disk"
)

// run makes checkpoints while the File lives: halt waits for it.
func (f *File) run() {
	var due <-chan time.Time
	for {
		select {
		case <-f.stop:
			return
		case <-due:
			due = nil
			f.settle()
		case <-f.wake:
			f.mu.Lock()
			kick, full, some := f.sinceKick >= kickEvery, f.unsynced >= f.opts.SyncBytes/2, f.unsynced > 0
			if kick {
				f.sinceKick = 0
			}
			f.mu.Unlock()
			switch {
			case full:
				due = nil
				f.settle()
			case kick:
				// Write-back that begins early leaves the sync little to do.
				f.data.Kick()
			}
			if some && !full && due == nil {
				due = time.After(f.opts.SyncEvery)
			}
		}
	}
}

// settle is a checkpoint whose failure the next caller hears of.
func (f *File) settle() {
	if err := f.Checkpoint(); err != nil {
		f.opts.Log.Error("checkpoint failed", "file", f.names.part, "error", err)
	}
}

// nudge wakes run without waiting for it.
func (f *File) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// halt ends run and waits for it. It may be called again.
func (f *File) halt() {
	f.quit.Do(func() { close(f.stop) })
	f.loops.Wait()
}

// Checkpoint makes durable what was written before it was called. It happens
// by itself every Options.SyncEvery, and when half of Options.SyncBytes are at
// stake; only when all of them are do writers wait for it. If a sync
// fails, everything since the last good checkpoint is forgotten, because the
// kernel may have dropped it, and the File has failed.
func (f *File) Checkpoint() error {
	f.checkpointing.Lock()
	defer f.checkpointing.Unlock()
	return f.checkpoint()
}

// checkpoint is Checkpoint for those who hold checkpointing. It also works
// after a failed write, to save what came before.
func (f *File) checkpoint() error {
	f.mu.Lock()
	if f.lost || f.done {
		defer f.mu.Unlock()
		return f.usable()
	}
	batch := f.pending
	if batch.size == 0 {
		f.mu.Unlock()
		return nil
	}
	f.flight, f.pending, f.unsynced = batch, newLedger(batch.piece), 0
	givers, level := f.givers.names, f.level
	f.mu.Unlock()

	list := batch.all()
	if err := f.data.SyncData(); err != nil {
		return f.forget(writeError("sync "+f.names.part, err))
	}
	if err := f.journal.record(list, givers, level); err != nil {
		return f.forget(writeError("write "+f.names.journal, err))
	}

	f.mu.Lock()
	for _, e := range list {
		f.synced.add(e)
	}
	f.flight = nil
	f.settled.Broadcast()
	f.mu.Unlock()
	return f.compact(false)
}

// compact writes the journal anew if it is mostly history, or if it must. Who
// calls it holds checkpointing, under which alone synced changes.
func (f *File) compact(must bool) error {
	const perExtent = 32 // bytes, at most
	mostlyHistory := f.journal.at > f.opts.JournalLimit && f.journal.at > 4*perExtent*int64(f.synced.elements)
	if !must && !mostlyHistory {
		return nil
	}
	f.mu.Lock()
	givers := f.givers.names
	f.mu.Unlock()
	err := f.journal.compact(f.synced.all(), givers)
	switch {
	case err == nil:
		return nil
	case disk.IsFull(err): // the old one still counts, and is as good
		f.opts.Log.Warn("no room to write the journal anew", "file", f.names.journal, "error", err)
		return nil
	}
	return f.forget(writeError("write "+f.names.journal, err))
}

// forget drops everything that is not known to be durable, and fails the File.
func (f *File) forget(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost = true
	f.flight, f.pending, f.unsynced = nil, newLedger(f.synced.piece), 0
	f.have = f.synced.set()
	f.claims = f.have.Clone()
	f.drops++
	f.tell()
	if f.err == nil {
		f.err = err
	}
	f.settled.Broadcast()
	return f.err
}
