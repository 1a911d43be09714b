package partfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"ddm/internal/byterange"
	"ddm/internal/origin"
	"ddm/internal/partfile/disk"
)

// maxJournal bounds what is read into memory; a longer one is not ours.
const maxJournal = 1 << 30

// journal is the open journal of one File. It is for one goroutine at a time.
type journal struct {
	dir    disk.Dir
	names  names
	f      disk.File
	head   header
	at     int64  // length of what was appended so far
	chain  uint32 // CRC of the last record
	givers int    // how many of the table's names it holds
	level  origin.Level
}

// unsaid is above every level: the journal names none.
const unsaid = origin.Digest + 1

// newJournal makes the journal, durable but for its name.
func newJournal(d disk.Dir, n names, head header) (*journal, error) {
	f, err := d.OpenFile(n.journal, os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	j := &journal{dir: d, names: n, f: f, head: head, level: head.level()}
	var e encoder
	err = e.begin(head)
	if err == nil {
		err = j.append(e)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// readJournal opens and replays the journal; nothing in it is changed.
func readJournal(d disk.Dir, n names) (*journal, replayed, error) {
	f, err := d.OpenFile(n.journal, 0)
	if err != nil {
		return nil, replayed{}, err
	}
	content, err := readAll(f)
	var r replayed
	if err == nil {
		r, err = replay(content)
	}
	if err != nil {
		return nil, replayed{}, errors.Join(err, f.Close())
	}
	return &journal{
		dir: d, names: n, f: f, head: r.head,
		at: r.valid, chain: r.chain, givers: len(r.givers.names), level: r.level,
	}, r, nil
}

func readAll(f disk.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size > maxJournal {
		return nil, fmt.Errorf("%w: too long", errForeign)
	}
	b := make([]byte, st.Size)
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], err
}

// encoder returns one that goes on where the journal ends.
func (j *journal) encoder() encoder { return encoder{chain: j.chain} }

// append writes what e gathered behind what is there and syncs it. It writes
// over a torn tail; what may be left of that behind the new records is no
// continuation of them, as the chain of CRCs shows.
func (j *journal) append(e encoder) error {
	if _, err := j.f.WriteVec([][]byte{e.buf}, j.at); err != nil {
		return err
	}
	if err := j.f.SyncData(); err != nil {
		return err
	}
	j.at += int64(len(e.buf))
	j.chain = e.chain
	return nil
}

// record appends extents, and before them the names of givers and the level of
// evidence that it lacks.
func (j *journal) record(list []extent, givers []string, level origin.Level) error {
	e := j.encoder()
	if level < j.level {
		e.record(recLevel, []byte(level.String()))
	}
	e.giverNames(givers[j.givers:])
	e.extents(list)
	if err := j.append(e); err != nil {
		return err
	}
	j.givers = len(givers)
	j.level = min(j.level, level)
	return nil
}

// forget appends that what r touches is gone, but for left.
func (j *journal) forget(r byterange.Range, left []extent) error {
	e := j.encoder()
	e.drop(r, left)
	return j.append(e)
}

// compact writes the journal anew, with what is live only, and puts it in the
// place of the old one. Until that is durable the old one counts, and both say
// the same.
func (j *journal) compact(live []extent, givers []string) (err error) {
	var e encoder
	head := j.head
	if head.Level = ""; j.level < unsaid {
		head.Level = j.level.String()
	}
	if err := e.begin(head); err != nil {
		return err
	}
	e.giverNames(givers)
	e.extents(live)
	f, err := j.dir.OpenFile(j.names.fresh, os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	next := &journal{dir: j.dir, names: j.names, f: f, head: head, givers: len(givers), level: j.level}
	err = next.append(e)
	if err == nil {
		err = j.dir.Rename(j.names.fresh, j.names.journal, true)
	}
	if err != nil {
		return errors.Join(err, f.Close(), j.dir.Remove(j.names.fresh))
	}
	old := j.f
	*j = *next
	return errors.Join(j.dir.Sync(), old.Close())
}

func (e *encoder) giverNames(names []string) {
	for _, name := range names {
		e.record(recGiver, []byte(name))
	}
}

// names are the directory entries that belong to one download.
type names struct {
	final   string
	part    string
	journal string
	fresh   string // the next journal while it is written
}

func namesOf(name string) names {
	side := "." + name + ".ddm-"
	return names{final: name, part: side + "part", journal: side + "journal", fresh: side + "journal.new"}
}

// gone makes a missing name no error.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
