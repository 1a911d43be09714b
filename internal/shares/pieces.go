package shares

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"

	"ddm/internal/digest"
	"ddm/internal/errdefs"
	ddmv1 "ddm/proto/ddm/v1"
)

// A Merkle tree would prove each piece by itself, if a file were named by the
// root of one. It is named by its plain SHA-256, which people and other tools
// can compute, and that runs through all bytes in order: no part of it can be
// checked without what is before, and nobody can show that a list of digests
// belongs to it. So a list is a claim, and what it is worth is for the client to
// find out.

const (
	pieceLength = 1 << 20 // or more, for so many pieces at most:
	maxPieces   = 16_384
	perPage     = 4_096 // digests in one message: 128 KiB
)

// PieceLength is that of the pieces of a file of size bytes: 1 MiB, doubled
// until there are at most 16,384 of them.
func PieceLength(size int64) int64 {
	length := int64(pieceLength)
	for (size-1)/length >= maxPieces {
		length *= 2
	}
	return length
}

// pieceHash makes the digests of pieces while content passes in order.
type pieceHash struct {
	h      hash.Hash
	left   int64 // bytes of the piece that are to come
	length int64
	sums   [][]byte
}

func newPieceHash(size int64) *pieceHash {
	length := PieceLength(size)
	return &pieceHash{h: sha256.New(), left: length, length: length}
}

// Write implements io.Writer; it never fails.
func (p *pieceHash) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		part := b[:min(int64(len(b)), p.left)]
		p.h.Write(part)
		b = b[len(part):]
		if p.left -= int64(len(part)); p.left == 0 {
			p.cut()
		}
	}
	return n, nil
}

func (p *pieceHash) cut() {
	p.sums = append(p.sums, p.h.Sum(nil))
	p.h.Reset()
	p.left = p.length
}

// end gives the digests of all that passed.
func (p *pieceHash) end() digest.Pieces {
	if p.left < p.length {
		p.cut()
	}
	return digest.Pieces{Length: p.length, Algorithm: digest.SHA256, Sums: p.sums}
}

// Server tells what the pieces of offered files hash to.
type Server struct {
	ddmv1.UnimplementedPieceServiceServer
	Files *Files
}

// ListPieces implements the PieceService. Errors: errdefs.NotFound for what is
// not on offer, errdefs.Invalid for a piece that there is not.
func (s *Server) ListPieces(_ context.Context, req *ddmv1.ListPiecesRequest) (*ddmv1.ListPiecesResponse, error) {
	if len(req.GetSha256()) != sha256.Size {
		return nil, fmt.Errorf("%w: a SHA-256 has %d bytes", errdefs.Invalid, sha256.Size)
	}
	pieces, size, ok := s.Files.pieces([sha256.Size]byte(req.GetSha256()))
	if !ok {
		return nil, fmt.Errorf("%w: no such file is offered here", errdefs.NotFound)
	}
	first := req.GetFirst()
	if first < 0 || first >= int64(len(pieces.Sums)) {
		return nil, fmt.Errorf("%w: there is no piece %d among %d", errdefs.Invalid, first, len(pieces.Sums))
	}
	sums := pieces.Sums[first:]
	return &ddmv1.ListPiecesResponse{
		Size: size, PieceLength: pieces.Length, Sums: slices.Concat(sums[:min(len(sums), perPage)]...),
	}, nil
}

// AskPieces asks a holder what the pieces of a file hash to. All that it says
// is judged, and none of it proved. Errors: of the call, or errdefs.BadReply.
func AskPieces(ctx context.Context, holder ddmv1.PieceServiceClient, sum [sha256.Size]byte, size int64) (*digest.Pieces, error) {
	p := &digest.Pieces{Length: PieceLength(size), Algorithm: digest.SHA256}
	for {
		page, err := holder.ListPieces(ctx, &ddmv1.ListPiecesRequest{Sha256: sum[:], First: int64(len(p.Sums))})
		if err != nil {
			return nil, errdefs.FromStatus(err)
		}
		complete, err := addPage(p, page, size)
		if err != nil {
			return nil, err
		}
		if complete {
			return p, nil
		}
	}
}

// addPage adds what one message says of a file of size bytes. It returns
// whether that was the last one.
func addPage(p *digest.Pieces, page *ddmv1.ListPiecesResponse, size int64) (complete bool, err error) {
	all := int((size-1)/p.Length + 1)
	n := len(page.GetSums()) / sha256.Size
	switch {
	case page.GetSize() != size || page.GetPieceLength() != p.Length:
		return false, fmt.Errorf("%w: digests of pieces of %d bytes of a file of %d bytes, not of %d bytes of one of %d",
			errdefs.BadReply, page.GetPieceLength(), page.GetSize(), p.Length, size)
	case len(page.GetSums())%sha256.Size != 0 || n == 0 || n > perPage || n > all-len(p.Sums):
		return false, fmt.Errorf("%w: %d bytes of digests behind %d of %d", errdefs.BadReply, len(page.GetSums()), len(p.Sums), all)
	case n < perPage && n < all-len(p.Sums):
		return false, fmt.Errorf("%w: a page of %d digests of %d", errdefs.BadReply, n, all)
	}
	for sum := range slices.Chunk(page.GetSums(), sha256.Size) {
		p.Sums = append(p.Sums, sum)
	}
	return len(p.Sums) == all, nil
}
