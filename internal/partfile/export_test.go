package partfile

// Replay reads a journal as Open would: what it claims, by whom, and how much
// of it holds together.
func Replay(journal []byte) (claims []Extent, valid, size, piece int64, err error) {
	r, err := replay(journal)
	if err != nil {
		return nil, 0, 0, 0, err
	}
	return collect(r.live, true, r.givers), r.valid, r.head.Size, r.head.Piece, nil
}

// Join is the CRC32C of two runs from those of each.
func Join(a, b uint32, n int64) uint32 { return join(a, b, n) }
