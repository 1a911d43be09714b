package partfile

import "ddm/internal/partfile/disk"

// Replay reads a journal as Open would: what it claims, by whom, and how much
// of it holds together.
func Replay(journal []byte) (claims []Extent, valid, size, piece int64, err error) {
	r, err := replay(journal)
	if err != nil {
		return nil, 0, 0, 0, err
	}
	return collect(r.live, true, r.givers), r.valid, r.head.Size, r.head.Piece, nil
}

// WithoutLevel is a journal as it was before it named a level of evidence. It
// must hold no record of another one.
func WithoutLevel(journal []byte) ([]byte, error) {
	r, err := replay(journal)
	if err != nil {
		return nil, err
	}
	head := r.head
	head.Level = ""
	var e encoder
	if err := e.begin(head); err != nil {
		return nil, err
	}
	e.giverNames(r.givers.names)
	e.extents(r.live.all())
	return e.buf, nil
}

// Journal writes the journal of a resource as a run would leave it that has
// these extents and ended cleanly, with the part file as st describes it.
func Journal(m Meta, piece int64, list []Extent, st disk.Info) ([]byte, error) {
	var e encoder
	if err := e.begin(headerOf(m, piece)); err != nil {
		return nil, err
	}
	var givers giverTable
	rows := make([]extent, len(list))
	for i, x := range list {
		rows[i] = extent{Range: x.Range, crc: x.CRC, giver: givers.intern(x.Giver)}
	}
	e.giverNames(givers.names)
	e.extents(rows)
	e.stamp(stampOf(st))
	return e.buf, nil
}
